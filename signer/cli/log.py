# SPDX-License-Identifier: Apache-2.0
"""`signer log`: the ledger, proven from its leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from signer.cli.operator import DatabaseLog
from signer.cli.options import FILE, READABLE, client_of, connection_options, read_file, settings_of, write_file
from signer.cli.output import Result, colour, mode_option
from signer.client.settings import ClientSettings
from signer.errors import Refused
from signer.formats.receipt import MAX_RECEIPT, parse_receipt
from signer.formats.trust import MAX_TRUST, TrustDocument
from signer.tlog.checkpoint import Checkpoint, parse_checkpoint, verify_checkpoint
from signer.tlog.note import MAX_NOTE
from signer.tlog.proof import parse_proof
from signer.tlog.tiles import WIDTH, Tile, parse_entries, tile_width
from signer.verify.checks import Checklist, render_passed, report
from signer.verify.log import LogSource, Progress, TileDirectory, verify_log
from signer.verify.trust import ledger_keys, verify_trust

_Command = TypeVar("_Command", bound=Callable[..., Any])

DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)

EPILOG = """\b
Examples:
  signer log verify --trust trust.json
  signer log verify --trust trust.json --database ledger.db --checkpoint kept.txt
  signer log verify --trust trust.json --directory /srv/log --receipt app.receipt.json
"""


@click.group()
def log() -> None:
    """Verify the ledger, or fetch its checkpoint."""


def _source_options(command: _Command) -> _Command:
    command = click.option("--directory", type=DIRECTORY, help="Read published tiles from this directory.")(command)
    return click.option("--database", help="Read the server's database: a path or URL.")(command)


@log.command("verify", epilog=EPILOG)
@click.option("--trust", help="The trust file of the authority.")
@_source_options
@click.option("--checkpoint", "kept", type=READABLE, multiple=True, help="A checkpoint seen before.")
@click.option(
    "--receipt", "receipts", type=READABLE, multiple=True, help="A receipt whose checkpoints were seen before."
)
@connection_options
@mode_option
def verify(
    *,
    trust: str | None,
    database: str | None,
    directory: Path | None,
    kept: Sequence[Path],
    receipts: Sequence[Path],
    **flags: str | None,
) -> Result:
    """Hash every leaf again and prove the newest checkpoint and all earlier ones from them.

    Reads from the authority (which asks for an audit grant), a directory or a database. A development ledger is
    verified like any other.
    """
    settings = settings_of(trust=trust, **flags)
    checks = Checklist()
    document = _trust(settings, checks)
    earlier = [read_file(path, limit=MAX_NOTE) for path in kept]
    for path in receipts:
        receipt = parse_receipt(read_file(path, limit=MAX_RECEIPT))
        earlier += [parse_proof(leaf.proof).checkpoint.encode() for leaf in (receipt.decision, receipt.outcome)]
    source = _source(settings, database=database, directory=directory)
    verified = verify_log(source, trust=document, checks=checks, earlier=tuple(earlier), progress=_progress())
    head = verified.checkpoint
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(verified.leaves.items()))
    lines = [
        f"{colour('VERIFIED', 'green')}  {head.size} leaves of {document.origin}",
        render_passed(checks.passed, paint=colour),
        f" leaves   {kinds}",
    ]
    if verified.open_decisions:
        lines.append(f" open     {len(verified.open_decisions)} allowed decision(s) without outcome yet")
    return Result(
        name="verified",
        members={
            "origin": document.origin,
            "size": head.size,
            "root": head.root.hex(),
            "leaves": dict(verified.leaves),
            "open_decisions": list(verified.open_decisions),
            "dev": document.dev,
            "checks": report(checks.passed),
        },
        story="\n".join(lines),
    )


@log.command("checkpoint")
@click.option("--trust", help="Verify the checkpoint with this trust file.")
@_source_options
@click.option("--out", type=FILE, help="Keep the checkpoint here, for a later `log verify --checkpoint`.")
@connection_options
@mode_option
def checkpoint(
    *, trust: str | None, database: str | None, directory: Path | None, out: Path | None, **flags: str | None
) -> Result:
    """Fetch the newest checkpoint."""
    settings = settings_of(trust=trust, **flags)
    data = _source(settings, database=database, directory=directory).checkpoint()
    if settings.get("trust") is None:
        head, story = parse_checkpoint(data)[0], " not verified: no trust file is configured (SIGNER_TRUST)"
    else:
        head, story = _verified_head(data, _trust(settings, Checklist())), ""
    if out is not None:
        write_file(out, data)
    members = {"origin": head.origin, "size": head.size, "root": head.root.hex(), "checkpoint": data.decode()}
    return Result(name="checkpoint", members=members, story=story, raw=data)


@log.command("entry")
@click.argument("index", type=click.IntRange(min=0))
@_source_options
@click.option("--out", type=FILE, help="Write the bytes here instead of stdout.")
@click.option("--trust", help="The trust file of the authority.")
@connection_options
@mode_option
def entry(
    *,
    index: int,
    trust: str | None,
    database: str | None,
    directory: Path | None,
    out: Path | None,
    **flags: str | None,
) -> Result:
    """Fetch the bytes of one leaf, for example of the halt that owners are asked to end."""
    settings = settings_of(trust=trust, **flags)
    source = _source(settings, database=database, directory=directory)
    head = _verified_head(source.checkpoint(), _trust(settings, Checklist()))
    if index >= head.size:
        raise Refused("not-found", f"the ledger has {head.size} leaves", remedy="the first leaf is 0")
    n = index // WIDTH
    entries = parse_entries(source.tile(Tile(None, n, tile_width(head.size, level=0, n=n))))
    body = entries[index % WIDTH]
    if out is not None:
        write_file(out, body)
    return Result(name="entry", members={"index": index, "leaf": body.decode()}, raw=None if out else body)


class _ServerLog:
    """A ledger read from the authority over HTTPS."""

    def __init__(self, settings: ClientSettings) -> None:
        self._client = client_of(settings)

    def checkpoint(self) -> bytes:
        return self._client.checkpoint()

    def tile(self, tile: Tile) -> bytes:
        return self._client.tile(tile.path())


def _source(settings: ClientSettings, *, database: str | None, directory: Path | None) -> LogSource:
    if database is not None and directory is not None:
        raise click.UsageError("--database and --directory are two different ledgers")
    if directory is not None:
        return TileDirectory(directory)
    return _ServerLog(settings) if database is None else DatabaseLog(database)


def _trust(settings: ClientSettings, checks: Checklist) -> TrustDocument:
    """A ledger says nothing about an artifact, so a development ledger is proven like any other."""
    return verify_trust(read_file(Path(settings.require("trust")), limit=MAX_TRUST), checks=checks, allow_dev=True)


def _verified_head(data: bytes, trust: TrustDocument) -> Checkpoint:
    with Checklist().check("checkpoint is signed by the ledger key", code="checkpoint-invalid"):
        return verify_checkpoint(data, origin=trust.origin, keys=ledger_keys(trust))


def _progress() -> Progress | None:
    """A counter on stderr while a person watches a long run."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None

    def show(done: int, size: int) -> None:
        if done % (WIDTH * 64) == 0:
            click.echo(f"\r {done * 100 // size:>3} % of {size} leaves", nl=False, err=True)

    return show
