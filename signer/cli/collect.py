# SPDX-License-Identifier: Apache-2.0
"""`signer evidence collect`: make each piece of evidence of what a pipeline has at hand. Opens no connection."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from signer.cli.key_file import load_key
from signer.cli.options import FILE, READABLE, all_subjects, read_file, require_writable, subject_options, write_file
from signer.cli.output import Result, clean, mode_option
from signer.collect import junit
from signer.collect.change import commit_range, pull_request_summary
from signer.collect.claims import MAX_REPORT, ScanPredicate, sbom_statement, scan_statement, tests_statement
from signer.collect.repository import read_change
from signer.collect.runner import PLATFORMS, platform_of, runner_metadata
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import IN_TOTO, sign_envelope
from signer.formats.rfc3339 import parse_time

_Command = TypeVar("_Command", bound=Callable[..., Any])

EPILOG = """\b
Examples:
  signer evidence collect git --base "$BASE" --out commit-range.txt
  signer evidence collect runner --out runner-metadata.json
  signer evidence collect tests junit.xml --subject-file dist/app.tar.gz \\
    --key tester.pem --out tests.json
"""


class _Time(click.ParamType[datetime]):
    """An RFC 3339 time."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return value if isinstance(value, datetime) else parse_time(str(value), what="the time")
        except Malformed as fault:
            self.fail(f"{fault.detail}; {fault.remedy}", param, ctx)


TIME = _Time()


def statement_options(command: _Command) -> _Command:
    """Add what every statement needs: subjects, where it goes, and a key when it is signed here."""
    for option in (
        click.option("--out", type=FILE, required=True, help="Write the evidence here."),
        click.option("--passphrase-file", type=READABLE, help="File with the passphrase of the key."),
        click.option("--key", type=READABLE, help="Sign with this PEM key (P-256, Ed25519); else it stays unsigned."),
    ):
        command = option(command)
    return subject_options(command)


@click.group(epilog=EPILOG)
def collect() -> None:
    """Make evidence of what a pipeline has at hand. Opens no connection."""


@collect.command("git")
@click.option("--base", required=True, metavar="REF", help="What the change starts from: a commit, tag or branch.")
@click.option("--head", default="HEAD", show_default=True, metavar="REF", help="What is built.")
@click.option(
    "--directory", type=click.Path(path_type=Path, file_okay=False, exists=True), default=".", help="Checkout."
)
@click.option("--repository", help="Address of the repository; that of `origin` when not given.")
@click.option("--pull-request", metavar="URL", help="Address of the pull request, for the summary.")
@click.option("--title", help="Title of the pull request, for the summary.")
@click.option("--out", type=FILE, required=True, help="Write the list of commits here: commit-range.txt.")
@click.option("--summary", type=FILE, help="Write a summary here: pull-request-summary.md.")
@mode_option
def git(
    *,
    base: str,
    head: str,
    directory: Path,
    repository: str | None,
    pull_request: str | None,
    title: str | None,
    out: Path,
    summary: Path | None,
) -> Result:
    """List the commits of a change, from the repository itself."""
    if summary is None and (pull_request is not None or title is not None):
        raise click.UsageError("--pull-request and --title stand in the summary: add --summary FILE")
    require_writable(out, "--out")
    require_writable(summary, "--summary")
    change = read_change(directory, base=base, head=head, repository=repository)
    written = [_document(out, commit_range(change), kind="commit-range", media_type="text/plain")]
    if summary is not None:
        text = pull_request_summary(change, pull_request=pull_request, title=title)
        written.append(_document(summary, text, kind="pull-request-summary", media_type="text/markdown"))
    return _collected(
        written,
        {
            "base": change.base,
            "head": change.head,
            "repository": change.repository,
            "commits": len(change.commits),
            "files": len(change.files),
        },
    )


@collect.command("runner")
@click.option("--platform", type=click.Choice(list(PLATFORMS)), help="CI system; told by the environment by default.")
@click.option("--out", type=FILE, required=True, help="Write the metadata here: runner-metadata.json.")
@mode_option
def runner(*, platform: str | None, out: Path) -> Result:
    """Say where the build ran, from a closed list of environment variables."""
    require_writable(out, "--out")
    name = platform or platform_of(os.environ)
    data = runner_metadata(os.environ, platform=name, now=datetime.now(UTC))
    return _collected([_document(out, data, kind="runner-metadata", media_type="application/json")], {"platform": name})


@collect.command("tests")
@click.argument("reports", metavar="REPORT...", type=READABLE, nargs=-1, required=True)
@click.option("--suite", "suites", multiple=True, help="Name of the suite, in the place of those in the reports.")
@click.option("--run-url", help="Address of the test run.")
@statement_options
@mode_option
def tests(
    *,
    reports: Sequence[Path],
    suites: Sequence[str],
    run_url: str | None,
    subjects: Sequence[str],
    subject_files: Sequence[Path],
    key: Path | None,
    passphrase_file: Path | None,
    out: Path,
) -> Result:
    """Make a test result of JUnit XML reports. Failed tests are evidence too: the exit code is 0."""
    about = all_subjects(subjects, subject_files)
    run = junit.read_junit(read_file(path, limit=junit.MAX_REPORT) for path in reports)
    statement = tests_statement(about, run, suites=suites, url=run_url)
    told = {"passed": len(run.passed), "failed": len(run.failed), "skipped": len(run.skipped)}
    return _collected([_statement(out, statement, about, key=key, passphrase_file=passphrase_file)], told)


@collect.command("scan")
@click.argument("report", type=READABLE)
@click.option(
    "--predicate",
    type=click.Choice(get_args(ScanPredicate)),
    default="cosign",
    show_default=True,
    help="cosign keeps the whole report, with packages and fixes; in-toto keeps ids and ratings.",
)
@click.option("--scanner-uri", help="Identity of the scanner; the project's address by default.")
@click.option("--started", type=TIME, help="When the scan began.")
@click.option("--finished", type=TIME, help="When it ended; as the report says by default.")
@click.option("--database-updated", type=TIME, help="How new its database is; as the report says by default.")
@statement_options
@mode_option
def scan(
    *,
    report: Path,
    predicate: ScanPredicate,
    scanner_uri: str | None,
    started: datetime | None,
    finished: datetime | None,
    database_updated: datetime | None,
    subjects: Sequence[str],
    subject_files: Sequence[Path],
    key: Path | None,
    passphrase_file: Path | None,
    out: Path,
) -> Result:
    """Make a vulnerability scan of a JSON report of grype, trivy or osv-scanner."""
    about = all_subjects(subjects, subject_files)
    statement = scan_statement(
        about,
        read_file(report, limit=MAX_REPORT),
        predicate=predicate,
        scanner_uri=scanner_uri,
        started=started,
        finished=finished,
        database_updated=database_updated,
    )
    return _collected([_statement(out, statement, about, key=key, passphrase_file=passphrase_file)], {})


@collect.command("sbom")
@click.argument("document", type=READABLE)
@statement_options
@mode_option
def sbom(
    *,
    document: Path,
    subjects: Sequence[str],
    subject_files: Sequence[Path],
    key: Path | None,
    passphrase_file: Path | None,
    out: Path,
) -> Result:
    """Make an inventory of a document in SPDX or CycloneDX JSON."""
    about = all_subjects(subjects, subject_files)
    statement, form, components = sbom_statement(about, read_file(document, limit=MAX_REPORT))
    return _collected(
        [_statement(out, statement, about, key=key, passphrase_file=passphrase_file)],
        {"format": form, "components": components},
    )


def _statement(
    out: Path, statement: bytes, about: Sequence[Subject], *, key: Path | None, passphrase_file: Path | None
) -> dict[str, Any]:
    if key is None and passphrase_file is not None:
        raise click.UsageError("--passphrase-file belongs to --key")
    data = statement if key is None else sign_envelope(IN_TOTO, statement, load_key(key, passphrase_file))
    write_file(out, data)
    next_step = (
        f"signer sign --evidence {out} …, or signer evidence add {out} --policy POLICY"
        if key is not None
        else f"sign it, with --key or as your CI signs statements: cosign attest-blob --statement {out} …"
    )
    return {
        "file": str(out),
        "sha256": sha256_hex(data),
        "signed": key is not None,
        "subjects": [{"name": subject.name, "sha256": subject.sha256} for subject in about],
        "next": next_step,
    }


def _document(out: Path, data: bytes, *, kind: str, media_type: str) -> dict[str, Any]:
    write_file(out, data)
    add = f"signer evidence add {out} --kind {kind} --media-type {media_type} --subject sha256:HEX --policy POLICY"
    return {"file": str(out), "sha256": sha256_hex(data), "kind": kind, "media_type": media_type, "next": add}


def _collected(written: Sequence[Mapping[str, Any]], told: Mapping[str, Any]) -> Result:
    lines = [f"{clean(name)}: {clean(str(value))}" for name, value in told.items()]
    for file in written:
        lines += [f"written to {clean(file['file'])}  sha256:{file['sha256']}", f"  next  {clean(file['next'])}"]
    return Result(name="collected", members={**told, "evidence": list(written)}, story="\n".join(lines))
