# SPDX-License-Identifier: Apache-2.0
"""`signer evidence template`: a document to fill in, or the record of an approval that was given elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from signer.cli.collect import TIME
from signer.cli.options import FILE, all_subjects, require_writable, subject_options, write_file
from signer.cli.output import Result, mode_option
from signer.collect import templates
from signer.domain.digest import Digest
from signer.domain.subject import Subject
from signer.errors import Malformed

OUT = click.option("--out", type=FILE, help="Write it here instead of stdout.")


@click.group()
def template() -> None:
    """Make a document to fill in, or the record of an approval given elsewhere."""


@template.command("pull-request-summary")
@subject_options
@click.option("--pull-request", metavar="URL", help="Address of the pull request.")
@OUT
@mode_option
def pull_request_summary(
    *, subjects: Sequence[str], subject_files: Sequence[Path], pull_request: str | None, out: Path | None
) -> Result:
    """Make a summary to fill in; `collect git --summary` fills what git knows."""
    about = _subjects(subjects, subject_files)
    return _written("pull-request-summary", templates.pull_request_summary(about, pull_request=pull_request), out)


@template.command("rollback-plan")
@subject_options
@click.option("--environment", help="Environment that is promoted to.")
@click.option("--to", "back_to", metavar="sha256:HEX", help="Digest to return to.")
@OUT
@mode_option
def rollback_plan(
    *,
    subjects: Sequence[str],
    subject_files: Sequence[Path],
    environment: str | None,
    back_to: str | None,
    out: Path | None,
) -> Result:
    """Make a rollback plan for one exact digest."""
    about = _subjects(subjects, subject_files)
    to = None if back_to is None else str(_sha256(back_to))
    if to in {f"sha256:{subject.sha256}" for subject in about}:
        raise Malformed(
            "rollback-same", "the digest to return to is the one that is promoted", remedy="name what runs there now"
        )
    return _written("rollback-plan", templates.rollback_plan(about, environment=environment, to=to), out)


@template.command("approval-record")
@click.option("--reference", required=True, help="What was approved, as it was named: often NAME:TAG.")
@click.option("--digest", metavar="sha256:HEX", help="The digest, when the approval names one.")
@click.option("--environment", required=True, help="Environment that was approved for.")
@click.option("--approver", required=True, help="Who approved, as the source names them.")
@click.option("--at", type=TIME, required=True, help="When.")
@click.option("--source", required=True, help="Where it can be read: address of the ticket, message or run.")
@OUT
@mode_option
def approval_record(
    *, reference: str, digest: str | None, environment: str, approver: str, at: datetime, source: str, out: Path | None
) -> Result:
    """Record an approval that was given elsewhere. It counts for no rule."""
    data = templates.approval_record(
        reference=reference,
        digest=None if digest is None else str(_sha256(digest)),
        environment=environment,
        approver=approver,
        at=at,
        source=source,
    )
    return _written("approval-record", data, out)


def _subjects(subjects: Sequence[str], files: Sequence[Path]) -> tuple[Subject, ...]:
    return all_subjects(subjects, files) if subjects or files else ()


def _sha256(text: str) -> Digest:
    digest = Digest.parse(text)
    if digest.algorithm != "sha256":
        raise Malformed("invalid-digest", "the digest is not a sha256 digest", remedy="write sha256:HEX")
    return digest


def _written(kind: str, data: bytes, out: Path | None) -> Result:
    members = {"kind": kind, "blanks": templates.blanks(data), "file": None if out is None else str(out)}
    if out is None:
        return Result(name="template", members={**members, "document": data.decode()}, raw=data)
    require_writable(out, "--out")
    write_file(out, data)
    return Result(name="template", members=members, story=f"{kind} written to {out}: {members['blanks']} blanks")
