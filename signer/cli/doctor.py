# SPDX-License-Identifier: Apache-2.0
"""`signer doctor`: what is needed, what was found, what to do.

Without `--config` it looks at the client: certificate, chain, SAN, clock, the authority's answer. With `--config`
it looks at the server's machine: settings, certificates, ledger, guard, sockets, tokens and pins.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from signer.cli.checkup import Line, worst
from signer.cli.checkup_client import examine_client
from signer.cli.output import Result, clean, colour, mode_option
from signer.client.settings import load_client_settings


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The server's signer.toml; without it the client's settings are examined.",
)
@mode_option
def doctor(config: Path | None) -> Result:
    """Find what is wrong with an installation; exit code 78 when a person has to act.

    \b
    signer doctor                                  # this client, and whether the authority answers it
    signer doctor --config /etc/signer/signer.toml # the authority on this machine
    signer doctor -o json | jq '.checks[] | select(.ok | not)'
    """  # noqa: D301 - the backspace tells click not to wrap what follows
    now = datetime.now(UTC)
    if config is None:
        settings = load_client_settings(flags={}, environ=os.environ, home=Path.home())
        lines = examine_client(settings, now=now)
    else:
        # Imported here: the base install has no server libraries and can still examine a client.
        from signer.cli.checkup_server import examine_server  # noqa: PLC0415 - loaded on use, so that others never load it

        lines = examine_server(config, now=now)
    failed = worst(lines)
    return Result(
        name="misconfigured" if failed else "healthy",
        members={
            "checks": [
                {
                    "what": line.what,
                    "ok": line.ok,
                    "required": line.required,
                    "found": line.found,
                    "remedy": line.remedy,
                }
                for line in lines
            ]
        },
        answer="\n".join(_render(line) for line in lines),
        story="" if not failed else f"{failed} of {len(lines)} checks failed",
        code=78 if failed else 0,
    )


def _render(line: Line) -> str:
    mark = colour("ok  ", "green") if line.ok else colour("FAIL", "red")
    text = f"{mark} {line.what}\n       required  {clean(line.required)}\n       found     {clean(line.found)}"
    return text if line.ok else f"{text}\n       remedy    {clean(line.remedy)}"
