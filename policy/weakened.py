# SPDX-License-Identifier: Apache-2.0
"""Weaker values of a parameter, by its sense: what a mutation check puts in the place of what a policy demands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from policy.sense import ABSENT, Kind, Sense, covers_name, covers_pattern, seconds


def weakened(sense: Sense, value: Any, *, required: bool) -> Iterator[tuple[str, Any]]:
    """Every mutant of a value: its condition deleted, its comparison moved or inverted, its entries removed."""
    if not (required or sense.own):
        yield "is deleted", ABSENT
    match sense.kind:
        case Kind.ACCEPTS | Kind.DEMANDS:
            yield from _weaker_lists(sense, value)
        case Kind.LEAST if sense.order:
            place = sense.order.index(value)
            lower = () if sense.own else sense.order[:place][-1:]
            neighbours = (*lower, *sense.order[place + 1 :][:1])
            yield from ((f"becomes {word}", word) for word in neighbours)
        case Kind.LEAST:
            lower = (value - 1,) if value > sense.least else ()
            yield from ((f"becomes {number}", number) for number in lower)
        case Kind.MOST:
            yield f"becomes {value + 1}", value + 1
        case Kind.AGE | Kind.SPAN:
            yield from _weaker_times(sense, value)
        case Kind.LIMITS | Kind.COUNTS | Kind.GRACE:
            yield from _weaker_mappings(sense, value)
        case Kind.ALLOWS | Kind.INSISTS:
            yield from () if sense.own else (("is inverted", not value),)
        case Kind.NAMES | Kind.SAYS:
            pass


def _doubled(length: str) -> str:
    return f"{int(length[:-1]) * 2}{length[-1]}"


def _weaker_times(sense: Sense, value: str) -> Iterator[tuple[str, str]]:
    if sense.kind is Kind.AGE:
        yield "doubles", _doubled(value)
    elif seconds(value):
        yield "becomes half as long", f"{seconds(value) // 2}s"


def _weaker_mappings(sense: Sense, value: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if sense.kind is Kind.GRACE:
        yield from ((f"doubles {name}", {**value, name: _doubled(length)}) for name, length in value.items())
        return
    if sense.kind is Kind.LIMITS:
        yield from ((f"takes one more {name}", {**value, name: limit + 1}) for name, limit in value.items())
        yield f"loses {[*value][-1]}", dict([*value.items()][:-1])
        return
    for name, count in value.items():
        # The schema takes no mapping that asks nobody, nor one that asks for none of a group.
        yield f"asks for one less of {name}", {**value, name: count - 1}
        yield f"asks nobody of {name}", {other: least for other, least in value.items() if other != name}


def _weaker_lists(sense: Sense, value: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    for entry in value:
        if len(value) > 1:
            yield f"loses {entry}", [other for other in value if other != entry]
        wider = _wider(sense, entry)
        if wider is not None:
            yield f"takes {wider} for {entry}", [wider if other == entry else other for other in value]


def _wider(sense: Sense, entry: str) -> str | None:
    """The next wider pattern: the last segment, or what follows the last dot, becomes a wildcard."""
    if sense.covers is covers_pattern:
        head, slash, _ = entry.rpartition("/")
        wider = f"{head}{slash}*" if slash else None
    elif sense.covers is covers_name:
        head, dot, _ = entry.rpartition(".")
        wider = f"{head}.*" if dot else None
    else:
        wider = None
    return wider if wider != entry else None
