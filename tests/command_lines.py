# SPDX-License-Identifier: Apache-2.0
"""Check that a command line that stands in a document is one that `signer` has."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

import click

from signer.cli import cli


def faults(words: Sequence[str]) -> Iterator[str]:
    """What is wrong with `signer WORDS…`: an unknown command or an unknown option."""
    command: click.Command = cli
    context = click.Context(cli)
    path = ["signer"]
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.get_command(context, name)
        if found is None:
            yield f"`{' '.join([*path, name])}` is no command"
            return
        command = found
        path.append(name)
    options = {spelling for parameter in command.params for spelling in (*parameter.opts, *parameter.secondary_opts)}
    options |= {spelling for parameter in cli.params for spelling in parameter.opts} | {"--help", "-h"}
    for word in rest:
        spelling = word.split("=")[0]
        if spelling.startswith("-") and spelling != "-" and spelling not in options:
            yield f"`{' '.join(path)}` has no option {spelling}"


def signer_lines(script: str) -> Iterator[list[str]]:
    """The words after `signer` in each line of a shell script that runs it, also behind sudo and the like."""
    for line in script.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = shlex.split(line.replace("$(signer ", "$( signer "), comments=True)
        for place, word in enumerate(words):
            if word == "signer" or word.endswith("/bin/signer"):
                before = words[:place]
                if not before or before[-1] in ("--", "&&", "||", "|", ";", "!", "sudo", "then") or "=" in before[-1]:
                    end = next((i for i, each in enumerate(words) if i > place and each in SEPARATORS), len(words))
                    yield [each for each in words[place + 1 : end] if each != "&" and not each.startswith((">", "2>"))]


SEPARATORS = ("|", "&&", "||", ";", ">", ">>", "<")
