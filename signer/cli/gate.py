# SPDX-License-Identifier: Apache-2.0
"""`signer gate`: verify before a deployment, and record what was verified; nothing goes on unless both were done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from signer import __version__
from signer.cli.exits import result_of
from signer.cli.options import (
    FILE,
    READABLE,
    all_subjects,
    client_of,
    connection_options,
    duration,
    read_file,
    require_writable,
    settings_of,
    subject_options,
    write_file,
)
from signer.cli.output import Result, clean, colour, mode_option
from signer.client.settings import ClientSettings
from signer.domain.subject import Subject
from signer.errors import SignerError, Unavailable
from signer.formats.bundle import MAX_BUNDLE
from signer.formats.canonical import sha256_hex
from signer.formats.deployment import DEPLOYED, FAILED, PASSED, REFUSED, Deployment, Gate, require_deployment
from signer.formats.receipt import MAX_RECEIPT
from signer.formats.revocations import MAX_LIST
from signer.formats.trust import MAX_TRUST
from signer.verify.answer import verify_release
from signer.verify.bundle import Expectation
from signer.verify.checks import CheckFailed, render_passed, report

VERIFIER = f"signer {__version__}"
EPILOG = """\b
Examples:
  signer gate --trust trust.json --bundle app.sigstore.json --receipt app.receipt.json \\
    --revocations revocations.json --subject registry.example/shop@sha256:9c56… \\
    --policy demo --environment production && kubectl apply -f deployment.yaml
"""


@click.command(epilog=EPILOG)
@click.option("--trust", help="The trust file of the authority, from a trusted hand.")
@click.option("--bundle", type=READABLE, required=True, help="The Sigstore bundle.")
@click.option("--receipt", type=READABLE, required=True, help="The receipt: that the release stands in the ledger.")
@click.option("--revocations", type=READABLE, help="Refuse what this list takes back.")
@subject_options
@click.option("--policy", required=True, help="Policy that must have been judged by.")
@click.option("--environment", required=True, help="Environment that is deployed to.")
@click.option("--level", "levels", multiple=True, help="A verified level that must be stated.")
@click.option("--max-age", metavar="DURATION", help="Refuse an older judgement: 90s, 30m, 12h, 7d.")
@click.option("--allow-dev", is_flag=True, help="Accept a development authority, whose signatures protect nothing.")
@click.option("--reference", help="The artifact as the deployment names it; NAME@sha256:HEX if left out.")
@click.option("--approval", default="", help="The approval that the deployment rests on: a request id, or any name.")
@click.option(
    "--record-later", type=FILE, help="When the record cannot be stored, keep it here for `signer deployment record`."
)
@connection_options
@mode_option
def gate(
    *,
    trust: str | None,
    bundle: Path,
    receipt: Path,
    revocations: Path | None,
    subjects: Sequence[str],
    subject_files: Sequence[Path],
    policy: str,
    environment: str,
    levels: Sequence[str],
    max_age: str | None,
    allow_dev: bool,
    reference: str | None,
    approval: str,
    record_later: Path | None,
    **flags: str | None,
) -> Result:
    """Verify a release before it is deployed, and record the verification.

    Exits 0 when every check held and the record is stored. A release that does not verify exits 3 and is recorded as
    refused. A record that cannot be stored exits 20, or is kept with --record-later.
    """
    settings = settings_of(trust=trust, **flags)
    wanted = all_subjects(subjects, subject_files)
    if len(wanted) != 1:
        raise click.UsageError("a gate opens for one artifact: name one subject")
    require_writable(record_later, "--record-later")
    now = datetime.now(UTC)
    expect = Expectation(
        subjects=wanted,
        policy=policy,
        environment=environment,
        levels=tuple(levels),
        max_age=None if max_age is None else duration(max_age),
        now=now,
    )
    receipt_bytes = read_file(receipt, limit=MAX_RECEIPT)
    told = Deployment(
        policy=policy,
        environment=environment,
        status=DEPLOYED,
        reference=reference or _reference(wanted[0]),
        sha256=wanted[0].sha256,
        at=now,
        approval=approval,
        gate=Gate(verifier=VERIFIER, result=PASSED, reason="", receipt=sha256_hex(receipt_bytes), time=now),
    )
    require_deployment(told)
    fault: CheckFailed | None = None
    members: dict[str, Any] = {}
    story = ""
    try:
        release = verify_release(
            read_file(Path(settings.require("trust")), limit=MAX_TRUST),
            bundle=read_file(bundle, limit=MAX_BUNDLE),
            receipt=receipt_bytes,
            revocations=None if revocations is None else read_file(revocations, limit=MAX_LIST),
            expect=expect,
            allow_dev=allow_dev,
        )
        members = {"checks": report(release.checks), "dev": release.trust.dev}
        story = render_passed(release.checks, paint=colour)
        if release.revocations is None:
            story += "\n not checked: that it was not revoked (add --revocations)"
    except CheckFailed as failed:
        fault = failed
        assert told.gate is not None
        told = replace(told, status=REFUSED, gate=replace(told.gate, result=FAILED, reason=failed.code))
    recorded = _record(told, settings, later=record_later)
    where = f"leaf {recorded}" if isinstance(recorded, int) else f"kept in {recorded}: signer deployment record --from"
    place = f"{clean(told.reference)} -> {clean(environment)}"
    members |= {
        "leaf": recorded if isinstance(recorded, int) else None,
        "kept": None if isinstance(recorded, int) else str(recorded),
        "status": told.status,
        "id": told.id,
    }
    if fault is not None:
        refused = result_of(fault, debug=False)
        head = f"{colour('REFUSED', 'red')}  {place}, {where}"
        return replace(refused, members={**refused.members, **members}, story=f"{refused.story}\n{head}")
    return Result(name="open", members=members, story=f"{story}\n{colour('OPEN', 'green')}  {place}, {where}")


def _reference(subject: Subject) -> str:
    digest = f"sha256:{subject.sha256}"
    return subject.name if subject.name.endswith(digest) else f"{subject.name}@{digest}"


def _record(told: Deployment, settings: ClientSettings, *, later: Path | None) -> int | Path:
    """The leaf of the record, or the file that keeps it; raises what kept it from being stored."""
    try:
        leaf = client_of(settings).record_deployment(told.body()).get("leaf")
        if type(leaf) is int:
            return leaf
        raise Unavailable("answer-malformed", "the answer names no leaf", remedy="check SIGNER_URL, then try again")
    except SignerError:
        if later is None:
            raise
    write_file(later, told.body())
    return later
