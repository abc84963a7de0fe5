# SPDX-License-Identifier: Apache-2.0
"""`signer evidence`: make evidence, keep it at the authority, and fetch it by digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from signer.cli.collect import collect
from signer.cli.options import FILE, READABLE, client_of, connection_options, new_file, read_file, settings_of
from signer.cli.output import Result, clean, mode_option, progress_bar
from signer.cli.template import template
from signer.client.http import Client
from signer.client.request import Evidence, evidence_of_file, evidence_request
from signer.collect.templates import blanks
from signer.domain.digest import Digest
from signer.domain.spooled import LARGE
from signer.errors import Malformed
from signer.formats.opaque import KINDS
from signer.verify.checks import Checklist


@click.group()
def evidence() -> None:
    """Make evidence, keep it at the authority, or fetch it."""


evidence.add_command(collect)
evidence.add_command(template)


@evidence.command("add")
@click.argument("files", metavar="FILE...", type=READABLE, nargs=-1, required=True)
@click.option("--policy", required=True, help="Policy under whose grant it is kept.")
@click.option("--kind", type=click.Choice(KINDS), help="The files are opaque documents of this kind.")
@click.option("--media-type", help="Media type of an opaque document.")
@click.option("--subject", "subjects", multiple=True, metavar="sha256:HEX", help="Subject of an opaque document.")
@connection_options
@mode_option
def add(
    *,
    files: Sequence[Path],
    policy: str,
    kind: str | None,
    media_type: str | None,
    subjects: Sequence[str],
    **flags: str | None,
) -> Result:
    """Verify and keep attestations, or opaque documents with --kind and --subject.

    A file of more than 1 MiB is uploaded first; what is uploaded twice is kept once.
    """
    settings = settings_of(**flags)
    if kind is None and (media_type is not None or subjects):
        raise click.UsageError("--media-type and --subject describe an opaque document: add --kind")
    if kind is not None and not subjects:
        raise click.UsageError("an opaque document needs at least one --subject")
    digests = tuple(str(Digest.parse(text.rpartition("@")[2])) for text in subjects)
    client = client_of(settings)
    items = [
        item
        for path in files
        for item in _items(path, kind=kind, media_type=media_type, subjects=digests, client=client)
    ]
    answer = client.keep_evidence(evidence_request(policy=policy, evidence=items))
    kept = [row for row in answer.get("evidence", ()) if isinstance(row, Mapping)]
    return Result(name="kept", members=answer, answer="\n".join(map(_row, kept)))


@evidence.command("show")
@click.argument("digest", metavar="sha256:HEX")
@click.option("--out", type=FILE, help="Write the bytes here instead of stdout.")
@connection_options
@mode_option
def show(digest: str, out: Path | None, **flags: str | None) -> Result:
    """Fetch the exact bytes of one piece of evidence; their digest is checked here."""
    wanted = Digest.parse(digest if ":" in digest else f"sha256:{digest}")
    client, hasher = client_of(settings_of(**flags)), hashlib.sha256()
    pieces: list[bytes] = []
    with nullcontext(pieces.append) if out is None else new_file(out) as write:

        def take(piece: bytes) -> None:
            hasher.update(piece)
            write(piece)

        headers = client.fetch_evidence(wanted.value, take)
        with Checklist().check("evidence has the digest that was asked for", code="digest-mismatch") as one:
            found = Digest("sha256", hasher.hexdigest())
            one.require(found == wanted, expected=str(wanted), found=str(found), remedy="report it to the operator")
    members: dict[str, Any] = {
        "digest": str(wanted),
        "size": sum(map(len, pieces)) if out is None else out.stat().st_size,
        "media_type": headers.get("content-type", ""),
        "file": None if out is None else str(out),
    }
    if out is not None:
        return Result(name="shown", members=members, story=f"{wanted} written to {out}")
    return Result(name="shown", members=members, raw=b"".join(pieces))


def _items(
    path: Path, *, kind: str | None, media_type: str | None, subjects: tuple[str, ...], client: Client
) -> list[Evidence]:
    """The evidence in a file; when it is large it is uploaded here, with a bar while a person watches."""
    size = path.stat().st_size
    if size > LARGE and path.suffix != ".jsonl":
        with progress_bar(f"uploading {path.name}", size) as moved:
            digest = str(client.upload(path, moved=moved).get("digest"))
        return [Evidence(upload=digest, kind=kind, media_type=media_type, subjects=subjects)]
    if kind is None:
        return evidence_of_file(path)
    content = read_file(path, limit=LARGE)
    if blanks(content) and kind in ("pull-request-summary", "rollback-plan"):
        raise Malformed(
            "template-unfilled", f"{path} still holds {blanks(content)} blanks", remedy="write what each asks for"
        )
    return [Evidence(content=content, kind=kind, media_type=media_type, subjects=subjects)]


def _row(row: Mapping[str, Any]) -> str:
    return f"sha256:{clean(str(row.get('digest')))}  leaf {clean(str(row.get('leaf')))}"
