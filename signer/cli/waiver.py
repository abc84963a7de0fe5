# SPDX-License-Identifier: Apache-2.0
"""`signer waiver`: requested by one person, approved by another, listed, and ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from signer.cli.key_file import load_key
from signer.cli.options import FILE, READABLE, client_of, connection_options, read_file, settings_of, write_file
from signer.cli.output import Result, clean, colour, mode_option
from signer.cli.waiver_request import request, told
from signer.client.http import answer_malformed
from signer.errors import Malformed
from signer.formats.waiver import MAX_WAIVER, join_waivers, read_waiver, sign_waiver


@click.group()
def waiver() -> None:
    """Excuse for a while, by two people, what a rule found wrong."""


waiver.add_command(request)


@waiver.command()
@click.argument("file", type=READABLE)
@click.option("--key", type=READABLE, help="PEM file of your approval key (P-256 or Ed25519).")
@click.option("--passphrase-file", type=READABLE, help="File with the passphrase of the key.")
@click.option("--signature", "signatures", type=READABLE, multiple=True, help="The same waiver, signed elsewhere.")
@click.option("--out", type=FILE, help="Write the signed waiver here and bring it to nobody.")
@connection_options
@mode_option
def approve(
    *,
    file: Path,
    key: Path | None,
    passphrase_file: Path | None,
    signatures: Sequence[Path],
    out: Path | None,
    **flags: str | None,
) -> Result:
    """Agree to a waiver that somebody else requested, and have it recorded."""
    data = read_file(file, limit=MAX_WAIVER)
    _, statement = read_waiver(data)
    if key is None and not signatures:
        raise click.UsageError("sign it with --key, or bring a signature made elsewhere with --signature")
    envelopes = [data, *(read_file(path, limit=MAX_WAIVER) for path in signatures)]
    if key is not None:
        envelopes.append(sign_waiver(statement, load_key(key, passphrase_file)))
    whole = join_waivers(envelopes)
    members = {"digest": statement.digest}
    if out is not None:
        write_file(out, whole)
        return Result(name="approved", members={**members, "waiver": str(out)}, story=f"{told(statement)}\n  in {out}")
    answer = client_of(settings_of(**flags)).record_waiver(whole)
    if answer.get("digest") != statement.digest:
        raise answer_malformed(Malformed("malformed-json", "the answer names another waiver"))
    leaf = _leaf(answer)
    return Result(
        name="recorded",
        members={**members, "leaf": leaf},
        story=f"{told(statement)}\n{colour('RECORDED', 'green')}  leaf {leaf}: send the request again",
    )


@waiver.command("list")
@click.option("--policy", help="Only under this policy.")
@click.option("--environment", help="Only for this environment.")
@click.option("--all", "every", is_flag=True, help="Ended ones as well.")
@connection_options
@mode_option
def list_(*, policy: str | None, environment: str | None, every: bool, **flags: str | None) -> Result:
    """List recorded waivers: in force, expiring within 30 days, expired and used up."""
    filters = {name: value for name, value in (("policy", policy), ("environment", environment)) if value is not None}
    answer = client_of(settings_of(**flags)).waivers(filters)
    rows = [
        row for row in answer.get("waivers", ()) if isinstance(row, Mapping) and (every or row.get("state") != "ended")
    ]
    return Result(name="listed", members={"waivers": rows}, answer="\n".join(map(_row, rows)))


@waiver.command()
@click.argument("digest", metavar="sha256:HEX")
@click.option("--reason", required=True, help="Why, in one line; it is recorded.")
@connection_options
@mode_option
def end(*, digest: str, reason: str, **flags: str | None) -> Result:
    """End a waiver before its time: no later request rests on it."""
    name = digest.removeprefix("sha256:")
    leaf = _leaf(client_of(settings_of(**flags)).end_waiver(name, reason=reason))
    return Result(
        name="ended", members={"digest": name, "leaf": leaf}, story=f"ENDED  waiver sha256:{clean(name)}: leaf {leaf}"
    )


def _row(row: Mapping[str, Any]) -> str:
    stated = row.get("statement")
    stated = stated if isinstance(stated, Mapping) else {}
    match = stated.get("match")
    offenders = match.get("offenders", ()) if isinstance(match, Mapping) else ()
    what = ", ".join(str(each.get("id")) for each in offenders if isinstance(each, Mapping))
    cells = (
        f"{row.get('state', '?'):<9}",
        f"sha256:{row.get('digest')}",
        ", ".join(map(str, stated.get("rules", ()))),
        what or "what was found",
        f"{stated.get('policy')} -> {stated.get('environment')}",
        f"until {stated.get('expires')}",
        f"use {row.get('uses')} of {stated.get('maxUses')}",
        f"{stated.get('requestedBy')}, approved by {stated.get('approvedBy')}",
        str(stated.get("ticket")),
    )
    return clean("  ".join(cells))


def _leaf(answer: Mapping[str, Any]) -> int:
    leaf = answer.get("leaf")
    if type(leaf) is not int:
        raise answer_malformed(Malformed("malformed-json", "the answer names no leaf"))
    return leaf
