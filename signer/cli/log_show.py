# SPDX-License-Identifier: Apache-2.0
"""`signer log checkpoint|entry`: the head of the ledger, and one leaf."""

from __future__ import annotations

from pathlib import Path

import click

from signer.cli.log_source import source_of, source_options, trust_of, verified_head
from signer.cli.options import FILE, connection_options, settings_of, write_file
from signer.cli.output import Result, mode_option
from signer.errors import Refused
from signer.tlog.checkpoint import parse_checkpoint
from signer.tlog.tiles import WIDTH, Tile, parse_entries, tile_width
from signer.verify.checks import Checklist


@click.command("checkpoint")
@source_options
@click.option("--out", type=FILE, help="Keep the checkpoint here, for a later `log verify --checkpoint`.")
@connection_options
@mode_option
def checkpoint(
    *, trust: str | None, database: str | None, directory: Path | None, out: Path | None, **flags: str | None
) -> Result:
    """Fetch the newest checkpoint."""
    settings = settings_of(trust=trust, **flags)
    data = source_of(settings, database=database, directory=directory).checkpoint()
    if settings.get("trust") is None:
        head, story = parse_checkpoint(data)[0], " not verified: no trust file is configured (SIGNER_TRUST)"
    else:
        head, story = verified_head(data, trust_of(settings, Checklist())), ""
    if out is not None:
        write_file(out, data)
    members = {"origin": head.origin, "size": head.size, "root": head.root.hex(), "checkpoint": data.decode()}
    return Result(name="checkpoint", members=members, story=story, raw=data)


@click.command("entry")
@click.argument("index", type=click.IntRange(min=0))
@source_options
@click.option("--out", type=FILE, help="Write the bytes here instead of stdout.")
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
    source = source_of(settings, database=database, directory=directory)
    head = verified_head(source.checkpoint(), trust_of(settings, Checklist()))
    if index >= head.size:
        raise Refused("not-found", f"the ledger has {head.size} leaves", remedy="the first leaf is 0")
    n = index // WIDTH
    entries = parse_entries(source.tile(Tile(None, n, tile_width(head.size, level=0, n=n))))
    body = entries[index % WIDTH]
    if out is not None:
        write_file(out, body)
    return Result(name="entry", members={"index": index, "leaf": body.decode()}, raw=None if out else body)
