# SPDX-License-Identifier: Apache-2.0
"""`signer verify`: may this artifact go there? Offline; opens no socket."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from signer.cli.options import READABLE, all_subjects, duration, read_file, settings_of, subject_options
from signer.cli.output import Result, clean, colour, mode_option
from signer.formats.bundle import MAX_BUNDLE
from signer.formats.receipt import MAX_RECEIPT
from signer.formats.revocations import MAX_LIST
from signer.formats.rfc3339 import format_time
from signer.formats.trust import MAX_TRUST
from signer.verify.answer import VerifiedRelease, verify_release
from signer.verify.bundle import Expectation
from signer.verify.checks import render_passed, report

EPILOG = """\b
Examples:
  signer verify --trust trust.json --bundle app.sigstore.json \\
    --subject-file dist/app.tar.gz --environment release
  signer verify --trust trust.json --bundle app.sigstore.json \\
    --subject shop@sha256:9c56… --receipt app.receipt.json --revocations revocations.json --max-age 7d
"""


@click.command(epilog=EPILOG)
@click.option("--trust", help="The trust file of the authority, from a trusted hand.")
@click.option("--bundle", type=READABLE, required=True, help="The Sigstore bundle.")
@subject_options
@click.option("--policy", help="Policy that must have been judged by.")
@click.option("--environment", help="Environment that must have been signed for.")
@click.option(
    "--level", "levels", multiple=True, help="A verified level that must be stated, for example SLSA_BUILD_LEVEL_3."
)
@click.option("--receipt", type=READABLE, help="Also prove that the release stands in the ledger.")
@click.option(
    "--revocations", type=READABLE, help="Refuse what this list takes back: the authority serves it at /v1/revocations."
)
@click.option("--max-age", metavar="DURATION", help="Refuse an older judgement: 90s, 30m, 12h, 7d.")
@click.option("--require-timestamp", is_flag=True, help="Refuse a signature without an RFC 3161 timestamp.")
@click.option("--allow-dev", is_flag=True, help="Accept a development authority, whose signatures protect nothing.")
@mode_option
def verify(
    *,
    trust: str | None,
    bundle: Path,
    subjects: Sequence[str],
    subject_files: Sequence[Path],
    policy: str | None,
    environment: str | None,
    levels: Sequence[str],
    receipt: Path | None,
    revocations: Path | None,
    max_age: str | None,
    require_timestamp: bool,
    allow_dev: bool,
) -> Result:
    """Verify a bundle and its receipt offline, and that the authority has not taken them back.

    Exits 0 when every check holds and 3 when one does not; each says what was expected and found.
    """
    expect = Expectation(
        subjects=all_subjects(subjects, subject_files),
        policy=policy,
        environment=environment,
        levels=tuple(levels),
        max_age=None if max_age is None else duration(max_age),
        now=datetime.now(UTC),
        timestamp=require_timestamp,
    )
    trust_path = Path(settings_of(trust=trust).require("trust"))
    release = verify_release(
        read_file(trust_path, limit=MAX_TRUST),
        bundle=read_file(bundle, limit=MAX_BUNDLE),
        receipt=None if receipt is None else read_file(receipt, limit=MAX_RECEIPT),
        revocations=None if revocations is None else read_file(revocations, limit=MAX_LIST),
        expect=expect,
        allow_dev=allow_dev,
    )
    return _result(release)


def _result(release: VerifiedRelease) -> Result:
    verified = release.bundle
    place = f"{clean(verified.policy)} -> {clean(verified.environment)}"
    head = f"{colour('VERIFIED', 'green')}  {place}, signed {format_time(verified.time)}"
    if release.trust.dev:
        head += f"  {colour('DEVELOPMENT AUTHORITY: protects nothing', 'yellow')}"
    lines = [head, render_passed(release.checks, paint=colour)]
    if release.receipt is None:
        lines.append(" not checked: that the release stands in the ledger (add --receipt)")
    if release.revocations is None:
        lines.append(" not checked: that its key was not revoked (add --revocations)")
    return Result(
        name="verified",
        members={
            "request_id": verified.request_id,
            "policy": {"name": verified.policy, "digest": verified.vsa.policy_digest},
            "environment": verified.environment,
            "time": format_time(verified.time),
            "key": {"name": verified.key.name, "kid": verified.key.kid},
            "timestamp": None
            if verified.timestamp is None
            else {"time": format_time(verified.timestamp.time), "authority": verified.timestamp.authority},
            "levels": list(verified.vsa.levels),
            "subjects": [{"name": subject.name, "digest": dict(subject.artifact)} for subject in verified.vsa.subjects],
            "receipt": None
            if release.receipt is None
            else {
                "decision_leaf": release.receipt.receipt.decision.index,
                "outcome_leaf": release.receipt.receipt.outcome.index,
                "tree_size": release.receipt.checkpoint.size,
            },
            "revocations": None
            if release.revocations is None
            else {
                "issued": format_time(release.revocations.issued),
                "next_update": format_time(release.revocations.next_update),
                "entries": len(release.revocations.entries),
            },
            "dev": release.trust.dev,
            "checks": report(release.checks),
        },
        story="\n".join(lines),
    )
