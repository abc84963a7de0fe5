# SPDX-License-Identifier: Apache-2.0
"""`signer halt` and `signer resume`: one command stops all signing; the owners' threshold starts it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from signer.cli.operator import halt_signing, resume_signing
from signer.cli.options import READABLE, client_of, connection_options, read_file, settings_of
from signer.cli.output import Result, colour, mode_option
from signer.client.http import answer_malformed
from signer.client.request import resume_request
from signer.client.settings import ClientSettings
from signer.errors import Malformed
from signer.formats.owner_act import MAX_ACT


@click.command()
@click.option("--reason", required=True, help="Why, in one line; it is recorded.")
@click.option("--config", help="The server's signer.toml: use its admin socket instead of HTTPS.")
@connection_options
@mode_option
def halt(*, reason: str, config: str | None, **flags: str | None) -> Result:
    """Stop all signing at once.

    Requests are answered with 423 until the owners' threshold resumes.
    """
    settings = settings_of(config=config, **flags)
    socket = _socket(settings, config)
    leaf = _leaf(client_of(settings).halt(reason)) if socket is None else halt_signing(socket, reason=reason)
    return Result(
        name="halted",
        members={"leaf": leaf},
        story=f"""{colour("HALTED", "red")}  all signing is stopped: leaf {leaf}
 to resume  signer log entry {leaf} --out halt-leaf.json
            each owner: signer owner sign --action resume --number {leaf} \\
                          --document halt-leaf.json --key KEY --out SIGNATURE
            then: signer resume --halt-index {leaf} --signature SIGNATURE --signature SIGNATURE""",
    )


@click.command()
@click.option("--halt-index", type=click.IntRange(min=0), required=True, help="Index of the halt leaf.")
@click.option("--signature", "signatures", type=READABLE, multiple=True, required=True, help="An owner's signature.")
@click.option("--config", help="The server's signer.toml: use its admin socket instead of HTTPS.")
@connection_options
@mode_option
def resume(*, halt_index: int, signatures: Sequence[Path], config: str | None, **flags: str | None) -> Result:
    """Sign again after a halt, with the owners' signatures."""
    settings = settings_of(config=config, **flags)
    envelopes = tuple(read_file(path, limit=MAX_ACT) for path in signatures)
    socket = _socket(settings, config)
    if socket is None:
        leaf = _leaf(client_of(settings).resume(resume_request(halt_index=halt_index, signatures=envelopes)))
    else:
        leaf = resume_signing(socket, halt_index=halt_index, signatures=envelopes)
    return Result(name="resumed", members={"leaf": leaf}, story=f"RESUMED  signing goes on: leaf {leaf}")


def _socket(settings: ClientSettings, config: str | None) -> Path | None:
    """The settings file when it was named, or when no address is set; None means HTTPS."""
    if config is not None:
        return Path(config)
    return Path(settings.require("config")) if settings.get("url") is None and settings.get("config") else None


def _leaf(answer: dict[str, object]) -> int:
    leaf = answer.get("leaf")
    if type(leaf) is not int:
        raise answer_malformed(Malformed("malformed-json", "the answer names no leaf"))
    return leaf
