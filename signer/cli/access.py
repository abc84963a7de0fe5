# SPDX-License-Identifier: Apache-2.0
"""`signer access`: who may do what, checked offline, put in force and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from policy.strict_yaml import MAX_BYTES
from signer.cli.activation import listed, put_in_force, shown
from signer.cli.options import FILE, READABLE, client_of, connection_options, read_file, require_writable, settings_of
from signer.cli.output import Result, clean, colour, mode_option
from signer.cli.policy_documents import FAILED
from signer.identity.access import parse_access
from signer.identity.access_lint import lint_access


@click.group()
def access() -> None:
    """Check, activate and show the access document."""


@access.command()
@click.argument("document", type=READABLE)
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@mode_option
def lint(*, document: Path, strict: bool) -> Result:
    """Find mistakes in an access document: 2 for one that breaks the schema, 3 with --strict for a warning."""
    found = parse_access(read_file(document, limit=MAX_BYTES))
    remarks = lint_access(found)
    lines = [
        f"{colour('warning', 'yellow')}: {clean(remark.path)}: {clean(remark.what)}\n  hint: {clean(remark.remedy)}"
        for remark in remarks
    ]
    count = f"{len(remarks)} remark{'' if len(remarks) == 1 else 's'}" if remarks else "no remarks"
    return Result(
        name="remarks" if remarks else "clean",
        members={"access": found.name, "remarks": [asdict(remark) for remark in remarks]},
        answer="\n".join(lines),
        story=f"{document}: {found.name} v{found.version}, {count}",
        code=FAILED if strict and remarks else 0,
    )


@access.command()
@click.argument("document", type=READABLE)
@click.option("--signature", "signatures", type=READABLE, multiple=True, required=True, help="An owner's signature.")
@click.option("--config", help="The server's signer.toml: use its admin socket instead of HTTPS.")
@connection_options
@mode_option
def activate(*, document: Path, signatures: Sequence[Path], config: str | None, **flags: str | None) -> Result:
    """Put an access document in force that the owners' threshold signed."""
    data = read_file(document, limit=MAX_BYTES)
    found = parse_access(data)
    stated = (found.name, found.version)
    return put_in_force("access", data, stated=stated, signatures=signatures, config=config, flags=flags)


@access.command()
@click.option("--out", type=FILE, help="Write the document here.")
@connection_options
@mode_option
def show(*, out: Path | None, **flags: str | None) -> Result:
    """Show the access document in force, byte for byte."""
    require_writable(out, "--out")
    documents = listed(client_of(settings_of(**flags)).access(), "access")
    return shown(documents, what="an access document", out=out)
