# SPDX-License-Identifier: Apache-2.0
"""`signer policy diff`: what changed between two policies, and in which direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from policy.diff import Change, Document, diff as changes_between, unacknowledged
from policy.sense import Direction
from signer.cli.options import READABLE
from signer.cli.output import Result, clean, colour, mode_option
from signer.cli.policy_documents import FAILED, read_policy_file

_COLOURS: Mapping[Direction, Literal["red", "green", "yellow"]] = {
    Direction.LOOSER: "red",
    Direction.UNCLEAR: "yellow",
    Direction.TIGHTER: "green",
}

EPILOG = """\b
Examples:
  signer policy diff shop.yaml draft.yaml
  signer policy diff shop.yaml draft.yaml --acknowledge VUL-1 --acknowledge trust.builders.ci
"""


@click.command(epilog=EPILOG)
@click.argument("old", type=READABLE)
@click.argument("new", type=READABLE)
@click.option(
    "--acknowledge", "acknowledged", multiple=True, metavar="NAME", help="Rule or place whose loosening is meant."
)
@mode_option
def diff(*, old: Path, new: Path, acknowledged: Sequence[str]) -> Result:
    """Say of each change whether it is tighter, looser or unclear.

    Ends with 3 when a change that is looser or unclear is not acknowledged by the name in its line.
    """
    before, after = (read_policy_file(path) for path in (old, new))
    changes = changes_between(Document(before.policy, before.value), Document(after.policy, after.value))
    open_ = unacknowledged(changes, frozenset(acknowledged))
    counts = ", ".join(f"{sum(each.direction is way for each in changes)} {way}" for way in _COLOURS)
    story = f"{old} → {new}: {counts}"
    if open_:
        names = " ".join(f"--acknowledge {name}" for name in dict.fromkeys(each.name for each in open_))
        story += f"\n  when it is meant: {clean(names)}"
    return Result(
        name="looser" if open_ else "compared" if changes else "same",
        members={
            "changes": [asdict(each) for each in changes],
            "unacknowledged": list(dict.fromkeys(each.name for each in open_)),
        },
        answer="\n".join(map(_line, changes)),
        story=story,
        code=FAILED if open_ else 0,
    )


def _line(change: Change) -> str:
    word = colour(f"{change.direction:<8}", _COLOURS[change.direction])
    return f"{word} {clean(change.name)}  {clean(change.path)}: {clean(change.what)}"
