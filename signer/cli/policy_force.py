# SPDX-License-Identifier: Apache-2.0
"""`signer policy activate|list|show`: what is in force at the authority."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from signer.cli.activation import listed, put_in_force, row, shown
from signer.cli.options import FILE, READABLE, client_of, connection_options, require_writable, settings_of
from signer.cli.output import Result, mode_option
from signer.cli.policy_documents import read_policy_file

EPILOG = """\b
Examples:
  signer owner sign --action policy --document shop.yaml --trust trust.json --key owner-1.pem --out shop.owner-1
  signer policy activate shop.yaml --signature shop.owner-1 --signature shop.owner-2
  signer policy activate draft.yaml --shadow --signature draft.owner-1 --signature draft.owner-2
"""


@click.command(epilog=EPILOG)
@click.argument("document", type=READABLE)
@click.option("--signature", "signatures", type=READABLE, multiple=True, required=True, help="An owner's signature.")
@click.option("--shadow", is_flag=True, help="Judge it beside the one in force; the owners signed --action shadow.")
@click.option(
    "--acknowledge", multiple=True, metavar="NAME", help="Rule whose flips in shadow were seen and are meant."
)
@click.option("--config", help="The server's signer.toml: use its admin socket instead of HTTPS.")
@connection_options
@mode_option
def activate(
    *,
    document: Path,
    signatures: Sequence[Path],
    shadow: bool,
    acknowledge: Sequence[str],
    config: str | None,
    **flags: str | None,
) -> Result:
    """Put a policy in force that the owners' threshold signed; the next request is judged by it.

    What is in shadow comes into force only after enough recorded decisions, and when each rule that would have turned
    one is acknowledged: see `signer policy shadow`.
    """
    file = read_policy_file(document)
    return put_in_force(
        "shadow" if shadow else "policy",
        file.data,
        stated=(file.policy.name, file.policy.version),
        signatures=signatures,
        config=config,
        flags=flags,
        acknowledge=acknowledge,
    )


@click.command("list")
@connection_options
@mode_option
def list_(**flags: str | None) -> Result:
    """List the policies in force that the caller may see."""
    answer = client_of(settings_of(**flags)).policies()
    policies, shadows = (listed(answer, member) for member in ("policies", "shadows"))
    members = {
        member: [{name: each[name] for name in each if name != "content"} for each in documents]
        for member, documents in (("policies", policies), ("shadows", shadows))
    }
    lines = [*map(row, policies), *(f"{row(each)}  in shadow" for each in shadows)]
    return Result(name="listed", members=members, answer="\n".join(lines))


@click.command()
@click.argument("name")
@click.option("--out", type=FILE, help="Write the document here.")
@connection_options
@mode_option
def show(*, name: str, out: Path | None, **flags: str | None) -> Result:
    """Show a policy in force, byte for byte."""
    require_writable(out, "--out")
    documents = listed(client_of(settings_of(**flags)).policies(), "policies")
    return shown([each for each in documents if each.get("name") == name], what=f"the policy {name}", out=out)
