# SPDX-License-Identifier: Apache-2.0
"""`signer custodian`: the process that judges, records and signs."""

from __future__ import annotations

from pathlib import Path

import click

from signer.cli.options import READABLE
from signer.cli.output import Result
from signer.settings import load_settings


@click.command()
@click.option("--config", type=READABLE, required=True, envvar="SIGNER_CONFIG", help="The server's signer.toml.")
@click.option("--dev-supervisor", type=int, hidden=True)
def custodian(*, config: Path, dev_supervisor: int | None) -> Result:
    """Run the custodian until SIGTERM or SIGINT.

    It is the only writer of the ledger and the only process that reaches keys. Exit code 78 means that a person
    must act: a wrong setting, a ledger that was rolled back, a key that is not the recorded one.

    \b
    signer custodian --config /etc/signer/signer.toml
    """  # noqa: D301 - the backspace tells click not to wrap what follows
    from signer.wiring import run_custodian  # noqa: PLC0415 - the server's libraries load only here

    return Result.silent(run_custodian(load_settings(config), dev_supervisor=dev_supervisor))
