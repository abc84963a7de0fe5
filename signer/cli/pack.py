# SPDX-License-Identifier: Apache-2.0
"""`signer pack export` and `signer pack verify`: the evidence of one release, and its proof without the server."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from signer.cli.options import (
    FILE,
    READABLE,
    all_subjects,
    client_of,
    connection_options,
    new_file,
    read_file,
    require_writable,
    settings_of,
)
from signer.cli.output import Result, clean, colour, mode_option, progress_bar
from signer.errors import Unavailable
from signer.formats.trust import MAX_TRUST
from signer.formats.ustar import Buffer
from signer.releases.findings import ReleaseFinding
from signer.verify.checks import render_passed, report
from signer.verify.pack import VerifiedPack, verify_pack


@click.group()
def pack() -> None:
    """Export the evidence pack of a release, and verify one offline."""


@pack.command()
@click.argument("digest", metavar="[NAME@]sha256:HEX")
@click.option("--out", type=FILE, required=True, help="Write the archive here.")
@click.option("--size", type=click.IntRange(min=1), help="Cut at this many leaves, as an earlier export; else now.")
@connection_options
@mode_option
def export(*, digest: str, out: Path, size: int | None, **flags: str | None) -> Result:
    """Fetch all that the ledger holds of one digest, as one archive; needs the `audit` grant."""
    (subject,) = all_subjects([digest], ())
    require_writable(out, "--out")
    client = client_of(settings_of(**flags))
    written = 0
    with new_file(out) as write:

        def sink(piece: bytes) -> None:
            nonlocal written
            write(piece)
            written += len(piece)

        headers = client.pack(subject.sha256, sink, size=size)
        if headers.get("content-length") != str(written):
            raise Unavailable("answer-cut-off", "the pack ended early", remedy="try again")
    return Result(
        name="exported",
        members={"digest": f"sha256:{subject.sha256}", "file": str(out), "bytes": written},
        story=f"EXPORTED  sha256:{subject.sha256}: {written} bytes in {out}\n"
        f" next     signer pack verify {out} --trust TRUST",
    )


@pack.command()
@click.argument("file", type=READABLE)
@click.option("--trust", required=True, help="The trust file of the authority, from a trusted hand: not from the pack.")
@click.option(
    "--subject", "subjects", multiple=True, metavar="[NAME@]sha256:HEX", help="The digest it has to be about."
)
@click.option("--allow-dev", is_flag=True, help="Accept a development authority, whose signatures protect nothing.")
@mode_option
def verify(*, file: Path, trust: str, subjects: Sequence[str], allow_dev: bool) -> Result:
    """Prove a pack again, offline: every byte, signature, proof, fact and verdict.

    Exits 0 when all of it holds and 3 when anything does not; each failure names the part.
    """
    expected = {subject.sha256 for subject in all_subjects(subjects, ())} if subjects else set()
    with _mapped(file) as data, progress_bar("verifying", len(data)) as moved:
        verified = verify_pack(
            data,
            trust=read_file(Path(trust), limit=MAX_TRUST),
            allow_dev=allow_dev,
            subjects=expected,
            moved=moved,
        )
        return _result(verified)


@contextmanager
def _mapped(path: Path) -> Iterator[Buffer]:
    """The bytes of a file without reading them all: a pack may hold gigabytes of logs."""
    if path.stat().st_size == 0:
        yield b""
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _result(verified: VerifiedPack) -> Result:
    contents = verified.contents
    found = [each for each in verified.findings if each.status == "found"]
    lines = [
        f"{colour('VERIFIED', 'green')}  sha256:{contents.sha256}, {verified.files} files at {contents.size} leaves",
        render_passed(verified.checks, paint=colour),
        *(f" missing  {path}" for path in verified.missing),
        *map(told, verified.findings),
        f" findings {len(found)} found" if found else " findings none found",
    ]
    return Result(
        name="verified",
        members={
            "digest": f"sha256:{contents.sha256}",
            "names": list(contents.names()),
            "origin": contents.origin,
            "size": contents.size,
            "files": verified.files,
            "decisions": [
                {"leaf": index, "request_id": leaf.request, "environment": leaf.environment, "verdict": leaf.verdict}
                for index, leaf in contents.decisions()
            ],
            "missing": list(verified.missing),
            "findings": [asdict(each) for each in verified.findings],
            "checks": report(verified.checks),
        },
        story="\n".join(lines),
    )


def told(finding: ReleaseFinding) -> str:
    """One finding as two lines."""
    paint = colour(finding.status.upper(), "red" if finding.status == "found" else "yellow")
    where = f" -> {finding.environment}" if finding.environment else ""
    head = clean(f"{finding.title}{where}: {finding.detail}")
    return f" {finding.id} {paint}  {head}\n    fix  {clean(finding.remedy)}"
