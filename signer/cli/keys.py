# SPDX-License-Identifier: Apache-2.0
"""`signer keys`: which keys sign, and the making of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from signer.cli.operator import add_key
from signer.cli.options import client_of, connection_options, settings_of
from signer.cli.output import Result, clean, mode_option


@click.group()
def keys() -> None:
    """List the authority's keys, or create one."""


@keys.command("list")
@connection_options
@mode_option
def list_(**flags: str | None) -> Result:
    """List the keys of the authority."""
    answer = client_of(settings_of(**flags)).keys()
    rows = [row for row in answer.get("keys", ()) if isinstance(row, Mapping)]
    return Result(name="listed", members=answer, answer="\n".join(map(_row, rows)))


@keys.command("create")
@click.argument("name")
@click.option("--config", help="The server's signer.toml, which names the key and its token.")
@click.option(
    "--generate/--existing",
    default=True,
    show_default=True,
    help="Make the key pair when the token has none under that URI, or insist that it exists.",
)
@mode_option
def create(name: str, config: str | None, generate: bool) -> Result:
    """Record a key that the settings name, and pin it by its public key.

    It signs nothing before the owners have published a trust document that lists it: signer trust draft.
    """
    leaf = add_key(Path(settings_of(config=config).require("config")), name=name, generate=generate)
    return Result(
        name="created",
        members={"key": name, "leaf": leaf},
        story=f"key {clean(name)} is recorded as leaf {leaf}\n next     signer trust draft --out trust-document.json",
    )


def _row(row: Mapping[str, Any]) -> str:
    return "  ".join(clean(str(row.get(name, ""))) for name in ("name", "kid", "purpose", "algorithm", "status"))
