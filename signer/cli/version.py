# SPDX-License-Identifier: Apache-2.0
"""`signer version`."""

from __future__ import annotations

import click

from signer import __version__
from signer.cli.output import Result, mode_option


@click.command()
@mode_option
def version() -> Result:
    """Print the version."""
    return Result(name="version", members={"version": __version__}, answer=__version__)
