# SPDX-License-Identifier: Apache-2.0
"""Where `signer log` reads from: the authority, a folder of published files, or the server's database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from signer.cli.operator import DatabaseLog
from signer.cli.options import client_of, read_file
from signer.client.settings import ClientSettings
from signer.formats.trust import MAX_TRUST, TrustDocument
from signer.tlog.checkpoint import Checkpoint, verify_checkpoint
from signer.tlog.tiles import Tile
from signer.verify.checks import Checklist
from signer.verify.proven import LogSource, TileDirectory
from signer.verify.trust import ledger_keys, verify_trust

_Command = TypeVar("_Command", bound=Callable[..., Any])

DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)


def source_options(command: _Command) -> _Command:
    """Add `--trust`, `--database` and `--directory`."""
    command = click.option("--directory", type=DIRECTORY, help="Read published tiles from this directory.")(command)
    command = click.option("--database", help="Read the server's database: a path or URL.")(command)
    return click.option("--trust", help="The trust file of the authority.")(command)


def source_of(settings: ClientSettings, *, database: str | None, directory: Path | None) -> LogSource:
    """What the options name; the authority's own answers when they name nothing."""
    if database is not None and directory is not None:
        raise click.UsageError("--database and --directory are two different ledgers")
    if directory is not None:
        return TileDirectory(directory)
    return _ServerLog(settings) if database is None else DatabaseLog(database)


def trust_of(settings: ClientSettings, checks: Checklist) -> TrustDocument:
    """A ledger says nothing about an artifact, so a development ledger is proven like any other."""
    return verify_trust(read_file(Path(settings.require("trust")), limit=MAX_TRUST), checks=checks, allow_dev=True)


def verified_head(data: bytes, trust: TrustDocument) -> Checkpoint:
    """The checkpoint in `data` by the ledger key of `trust`; raises CheckFailed."""
    with Checklist().check("checkpoint is signed by the ledger key", code="checkpoint-invalid"):
        return verify_checkpoint(data, origin=trust.origin, keys=ledger_keys(trust))


class _ServerLog:
    """A ledger read from the authority over HTTPS."""

    def __init__(self, settings: ClientSettings) -> None:
        self._client = client_of(settings)

    def checkpoint(self) -> bytes:
        return self._client.checkpoint()

    def tile(self, tile: Tile) -> bytes:
        return self._client.tile(tile.path())
