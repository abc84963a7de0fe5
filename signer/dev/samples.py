# SPDX-License-Identifier: Apache-2.0
"""Two artifacts and the attestations about them: `good*.json` together satisfy the demo policy, `bad*.json` do not.

The bad ones speak of an artifact of their own. The judge sees kept evidence beside what a request brings, so a bad
scan of the good artifact would go on counting against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from signer.dev.attestations import (
    DEVELOPER,
    attest,
    provenance_statement,
    review_statement,
    sbom_statement,
    scan_statement,
    source_statement,
    suite_statement,
)
from signer.dev.certificates import load_key, new_key
from signer.dev.directory import DevDirectory, write_public
from signer.domain.digest import Digest
from signer.domain.subject import Subject

GOOD, BAD = "artifact.txt", "bad-artifact.txt"
FRESH = timedelta(hours=12)
"""The demo policy takes scans of at most two days; samples are made anew long before."""


def subject_of(path: Path) -> Subject:
    """The artifact at `path` by its name and sha256."""
    return Subject(path.name, (Digest.of(path.read_bytes()),))


def ensure_samples(directory: DevDirectory, *, now: datetime) -> None:
    """Write artifacts and attestations, anew when they are stale or incomplete."""
    folder = directory.samples
    for name, text in (
        (GOOD, "a release of the shop, built and scanned as the policy wants it\n"),
        (BAD, "another release of the shop, built on a laptop\n"),
    ):
        if not (folder / name).exists():
            write_public(folder / name, text.encode())
    # Written last, so that its age is the age of a complete set.
    stamp = folder / ".made"
    if stamp.exists() and timedelta(0) <= now - datetime.fromisoformat(stamp.read_text()) < FRESH:
        return
    for name, envelope in {**_good(directory, now=now), **_bad(directory, now=now)}.items():
        write_public(folder / name, envelope)
    write_public(stamp, now.isoformat().encode())


def _good(directory: DevDirectory, *, now: datetime) -> Mapping[str, bytes]:
    builder, scanner, source = (load_key(directory.signer_key(name)) for name in ("builder", "scanner", "source"))
    subjects = [subject_of(directory.samples / GOOD)]
    built = now - timedelta(minutes=10)
    return {
        # Whoever triggered it cannot approve it.
        "good-provenance.json": attest(provenance_statement(subjects, finished=built, triggered_by=DEVELOPER), builder),
        "good-sbom.json": attest(
            sbom_statement(subjects, created=built, packages=["shop", "flask", "urllib3"]), builder
        ),
        "good-scan.json": attest(scan_statement(subjects, finished=now - timedelta(minutes=5)), scanner),
        "good-review.json": attest(review_statement(), source),
        "good-source.json": attest(source_statement(verified=now - timedelta(minutes=20)), source),
        "good-tests.json": attest(suite_statement(subjects), builder),
    }


def _bad(directory: DevDirectory, *, now: datetime) -> Mapping[str, bytes]:
    builder, scanner, source = (load_key(directory.signer_key(name)) for name in ("builder", "scanner", "source"))
    subjects = [subject_of(directory.samples / BAD)]
    built = now - timedelta(minutes=10)
    found = [("CVE-2026-40021", "9.8"), ("CVE-2026-31337", "high")]
    laptop = provenance_statement(
        subjects, finished=built, builder_id="https://dev.invalid/laptop", ref="refs/heads/hotfix"
    )
    unreviewed = source_statement(verified=built, refs=["refs/heads/hotfix"], levels=["SLSA_SOURCE_LEVEL_1"])
    pushed = review_statement(
        approvals={DEVELOPER: "admin"}, protected=["refs/heads/hotfix"], protection={"byRequest": False}, bypassed=True
    )
    scan = scan_statement(subjects, finished=now - timedelta(minutes=5), vulnerabilities=found)
    return {
        "bad-provenance.json": attest(laptop, builder),
        "bad-review.json": attest(pushed, source),
        "bad-sbom.json": attest(sbom_statement(subjects, created=built), _stranger(directory)),
        "bad-scan.json": attest(scan, scanner),
        "bad-source.json": attest(unreviewed, source),
        "bad-tests.json": attest(suite_statement(subjects, passed=126, failed=2), builder),
    }


def _stranger(directory: DevDirectory) -> ec.EllipticCurvePrivateKey:
    """A key that no policy knows."""
    path = directory.signer_key("stranger")
    return load_key(path) if path.exists() else new_key(path)
