# SPDX-License-Identifier: Apache-2.0
"""The command line, as `--help` prints it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from signer.cli import cli

HEAD = """\
# Command line

`signer COMMAND --help` prints what stands here. Human text goes to standard error; `-o json` prints one object on
standard output for success and failure alike. Exit codes are part of the interface: see [errors](errors.md).
"""


def commands(
    group: click.Group | None = None, words: tuple[str, ...] = ("signer",)
) -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups before their commands."""
    yield " ".join(words), group or cli
    context = click.Context(group or cli)
    for name in (group or cli).list_commands(context):
        command = (group or cli).get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        elif command is not None:
            yield " ".join((*words, name)), command


def render() -> str:
    """The whole page."""
    sections = [HEAD]
    for name, command in commands():
        context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
        sections.append(f"## {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(sections)
