# SPDX-License-Identifier: Apache-2.0
"""`signer serve`: the web processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from signer.cli.options import READABLE
from signer.cli.output import Result
from signer.settings import load_settings


@click.command()
@click.option("--config", type=READABLE, required=True, envvar="SIGNER_CONFIG", help="The server's signer.toml.")
@click.option(
    "--listener",
    "listeners",
    type=click.Choice(["api", "public", "operations"]),
    multiple=True,
    help="Serve these listeners alone; repeatable. All that the settings ask for when it is not given.",
)
@click.option("--dev-supervisor", type=int, hidden=True)
def serve(*, config: Path, listeners: Sequence[str], dev_supervisor: int | None) -> Result:
    """Run the web processes until SIGTERM or SIGINT.

    They hold no key and no PIN: they read the ledger and ask the custodian over its socket.

    \b
    signer serve --config /etc/signer/signer.toml
    signer serve --config /etc/signer/signer.toml --listener public
    """  # noqa: D301 - the backspace tells click not to wrap what follows
    from signer.wiring import run_web  # noqa: PLC0415 - the server's libraries load only here

    return Result.silent(run_web(load_settings(config), only=listeners, dev_supervisor=dev_supervisor))
