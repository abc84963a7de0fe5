# SPDX-License-Identifier: Apache-2.0
"""`signer config`: the client's settings, each with its origin."""

from __future__ import annotations

import click

from signer.cli.options import connection_options, settings_of
from signer.cli.output import Result, mode_option
from signer.client.settings import KEYS, variable


@click.group()
def config() -> None:
    """Show the client's settings and where each comes from."""


@config.command("show")
@connection_options
@mode_option
def show(**flags: str | None) -> Result:
    """Show every setting, its value, its origin and its variable."""
    settings = settings_of(**flags)
    rows = [(name, setting.value, setting.origin) for name, setting in settings.values.items()]
    text = "\n".join(
        f"{name:<12} {value if value is not None else '-':<40} {origin:<20} {variable(name)}"
        for name, value, origin in rows
    )
    members = {
        "file": str(settings.file),
        "settings": {
            name: {"value": value, "origin": origin, "variable": variable(name), "meaning": KEYS[name]}
            for name, value, origin in rows
        },
    }
    return Result(name="shown", members=members, answer=f"{text}\n{'file':<12} {settings.file}")
