# SPDX-License-Identifier: Apache-2.0
"""What a command says: one result, printed once.

-o text   an answer that was asked for (a list, a document) on stdout; every story and error on stderr
-o json   exactly one object on stdout, for success and failure alike; stories and errors also on stderr

{"exit":10,"problem":{…},"result":"denied","schema":"signer-cli/v1"}
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import click

from signer.formats.shape import one_line

SCHEMA = "signer-cli/v1"

ModeName = Literal["text", "json"]
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a command ended.

    `name` is a slug (signed, allowed, denied, verified, listed …), `members` stand in the JSON object,
    `answer` is what was asked for and `story` what people read about it.
    """

    name: str
    members: Mapping[str, Any] = field(default_factory=dict)
    answer: str = ""
    story: str = ""
    code: int = 0
    quiet: bool = False
    """Nothing to say in either mode: the command has spoken for itself."""
    raw: bytes | None = None
    """Bytes that were asked for, written as they are in text mode."""

    @classmethod
    def silent(cls, code: int) -> Result:
        """A result of a command that printed by itself."""
        return cls(name="done", code=code, quiet=True)


@dataclass(slots=True)
class Mode:
    """The output mode of this run: click's context object."""

    name: ModeName = "text"
    chosen: bool = False
    """True once a flag or SIGNER_OUTPUT has decided."""


def mode_option(command: _Command) -> _Command:
    """Add `-o text|json` to a command or group."""

    def remember(ctx: click.Context, _: click.Parameter, value: ModeName | None) -> None:
        if value is not None:
            mode = ctx.ensure_object(Mode)
            mode.name, mode.chosen = value, True

    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        callback=remember,
        expose_value=False,
        is_eager=True,
        help="text (default) or one JSON object on stdout.",
    )(command)


def requested_mode(arguments: Sequence[str], environ: Mapping[str, str]) -> ModeName:
    """The mode as far as it shows before parsing, so that a usage error is also one JSON object."""
    mode = environ.get("SIGNER_OUTPUT", "")
    for position, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument in ("-o", "--output"):
            mode = arguments[position + 1] if position + 1 < len(arguments) else mode
        elif argument.startswith("--output="):
            mode = argument.removeprefix("--output=")
        elif argument.startswith("-o") and len(argument) > len("-o"):
            mode = argument.removeprefix("-o")
    return "json" if mode == "json" else "text"


def emit(result: Result, mode: ModeName) -> int:
    """Print `result` and return its exit code; a stream that does not take it makes that code 1."""
    try:
        if not result.quiet:
            _print(result, mode)
        _flush()
    except (OSError, ValueError) as fault:
        _last_words(fault)
        return result.code or 1
    return result.code


def clean(text: str) -> str:
    """Make text of any origin one line that is safe for a terminal: control characters are shown as escapes."""
    return one_line(text)


def colour(text: str, name: Literal["red", "green", "yellow"]) -> str:
    """Colour for people: only when stderr is a terminal and NO_COLOR is unset (no-color.org)."""
    if os.environ.get("NO_COLOR") or sys.stderr is None or not sys.stderr.isatty():
        return text
    return click.style(text, fg=name, bold=True)


def warning_lines(warnings: Sequence[str]) -> list[str]:
    """What the authority told beside an answer, as lines of a story."""
    return [f" {colour('!', 'yellow')} {clean(each)}" for each in warnings]


@contextmanager
def progress_bar(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while a terminal watches; what is yielded is told how much was done since the last call."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _done: None
        return
    with click.progressbar(length=length, label=clean(label), file=sys.stderr) as bar:
        yield bar.update


def _print(result: Result, mode: ModeName) -> None:
    if sys.stdout is None or sys.stderr is None:
        raise OSError("a standard stream is closed")
    if result.story:
        sys.stderr.write(result.story.rstrip("\n") + "\n")
    if mode == "json":
        document = {"schema": SCHEMA, "result": result.name, "exit": result.code, **result.members}
        sys.stdout.write(json.dumps(document, sort_keys=True) + "\n")
    elif result.raw is not None:
        sys.stdout.flush()
        sys.stdout.buffer.write(result.raw)
    elif result.answer:
        sys.stdout.write(result.answer.rstrip("\n") + "\n")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            raise OSError("a standard stream is closed")
        stream.flush()


def _last_words(fault: Exception) -> None:
    """Say why on what is left; nothing more can be done when stderr is gone too."""
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"signer: the output could not be written: {type(fault).__name__}\n")
            sys.stderr.flush()
    except (OSError, ValueError):
        return
