# SPDX-License-Identifier: Apache-2.0
"""`signer dev`: a whole throwaway authority on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from signer.cli.options import READABLE
from signer.cli.output import Result, clean, colour

DEFAULT_PORT = 8443


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Everything stands here: keys, ledger, samples, logs. A second start continues the same ledger.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port on 127.0.0.1; 0 takes a free one.",
)
@click.option("--policy", type=READABLE, help="A policy document instead of the demo one.")
@click.option("--access", type=READABLE, help="An access document instead of the demo one.")
def dev(*, directory: Path, port: int, policy: Path | None, access: Path | None) -> Result:
    """Run a whole throwaway authority until Ctrl-C or SIGTERM.

    The same processes as in production, with a software token and a throwaway CA, on loopback alone. Nothing that it
    signs is to be trusted: its ledger says so for ever, and verifiers refuse it without --allow-dev.

    \b
    signer dev --dir ~/signer-dev
    signer dev --dir ~/signer-dev --port 9443 --policy policy.yaml
    """  # noqa: D301 - the backspace tells click not to wrap what follows
    from signer.dev.authority import Wishes, run_dev  # noqa: PLC0415 - the server's libraries load only here

    def tell(text: str) -> None:
        for line in text.splitlines():
            click.echo(clean(line).replace("DEV:", colour("DEV:", "yellow")))

    run_dev(Wishes(directory=directory, port=port, policy=policy, access=access), tell=tell)
    return Result.silent(0)
