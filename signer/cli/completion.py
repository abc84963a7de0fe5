# SPDX-License-Identifier: Apache-2.0
"""`signer completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from signer.cli.output import Result, mode_option


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@mode_option
@click.pass_context
def completion(ctx: click.Context, shell: str) -> Result:
    """Print the completion script of a shell.

    For example: signer completion bash > /etc/bash_completion.d/signer
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, "signer", "_SIGNER_COMPLETE").source()
    return Result(name="completion", members={"shell": shell, "script": script}, answer=script)
