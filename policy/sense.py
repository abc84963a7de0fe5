# SPDX-License-Identifier: Apache-2.0
"""What a change of a parameter does to what a policy lets through: tighter, looser, or not to be told.

Each parameter says its sense, so a difference between two documents has a direction and a mutation check knows how to
weaken a rule. A parameter without a sense is unclear by definition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import eq
from typing import Any, Final

from policy.patterns import matches


class Direction(StrEnum):
    """What a change does."""

    TIGHTER = "tighter"
    LOOSER = "looser"
    UNCLEAR = "unclear"


class Kind(StrEnum):
    """How the values of a parameter are ordered from loose to tight."""

    ACCEPTS = "accepts"
    """A list of what is accepted: each entry lets more through; absent accepts everything."""
    DEMANDS = "demands"
    """A list of what must be there: each entry asks for more."""
    LEAST = "least"
    """A lower bound: a number, or a word of `order`; absent demands nothing."""
    MOST = "most"
    """An upper bound."""
    AGE = "age"
    """A longest age; absent means the policy's maxEvidenceAge, for evidence that states its time."""
    SPAN = "span"
    """A shortest time: a longer one asks for more; absent demands none."""
    LIMITS = "limits"
    """A mapping of names to upper bounds."""
    COUNTS = "counts"
    """A mapping of names to lower bounds: each name asks for more."""
    GRACE = "grace"
    """A mapping of names to lengths of time: each longer one lets more through, an absent one nothing."""
    ALLOWS = "allows"
    """A flag: true lets more through."""
    INSISTS = "insists"
    """A flag: true asks for more."""
    NAMES = "names"
    """A name: what another one lets through cannot be told."""
    SAYS = "says"
    """Words for people; they change no judgement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sense:
    """The sense of one parameter."""

    kind: Kind
    order: tuple[str, ...] = ()
    """The words of a bound, the loosest first."""
    least: int = 0
    """The smallest number that the schema takes."""
    covers: Callable[[str, str], bool] = eq
    """Whether the first entry of an accepting list also accepts all that the second accepts."""
    absent: Any = None
    """The value that absence stands for, where there is one."""
    own: bool = False
    """True: it is compared with what the policy itself states, so no evidence can tell a smaller demand, or none."""
    latest: bool = False
    """True: of what the entries made the latest decides, so that an entry fewer may uncover an older pass."""
    vague_absence: bool = False
    """True: being absent judges in another way, which is neither tighter nor looser."""


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a change: its direction and what it is, in words."""

    direction: Direction
    what: str


ABSENT: Final = None
"""Stands for a key that is not there; the strict subset has no null of its own."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION: Final = re.compile(r"(0|[1-9][0-9]{0,5})([smhdw])")


def covers_name(wide: str, narrow: str) -> bool:
    """The same for dotted names, where `inputs.*` accepts everything below inputs."""
    return wide == narrow or (wide.endswith(".*") and narrow.startswith(wide[:-1]))


def covers_pattern(wide: str, narrow: str) -> bool:
    """The same for patterns: no literal holds `*`, so only a wildcard can take the place of one."""
    return matches(wide, narrow)


def seconds(text: str) -> int:
    """The length of a duration such as 36h that the schema has accepted."""
    found = _DURATION.fullmatch(text)
    assert found is not None
    return int(found[1]) * _UNITS[found[2]]


def steps(sense: Sense | None, old: Any, new: Any, *, age: int = 0) -> Iterator[Step]:
    """The parts of the change from `old` to `new`, valid raw values or ABSENT; `age` is maxEvidenceAge in seconds."""
    if old is ABSENT and sense is not None:
        old = sense.absent
    if new is ABSENT and sense is not None:
        new = sense.absent
    if old == new:
        return
    what = f"{written(old)} → {written(new)}"
    if sense is None or (sense.vague_absence and ABSENT in (old, new)):
        yield Step(Direction.UNCLEAR, what)
        return
    match sense.kind:
        case Kind.ACCEPTS | Kind.DEMANDS if ABSENT not in (old, new):
            yield from _list_steps(sense, old, new)
        case Kind.LIMITS | Kind.COUNTS | Kind.GRACE:
            yield from _mapping_steps(sense.kind, old or {}, new or {})
        case Kind.AGE:
            if ABSENT in (old, new) or seconds(old) != seconds(new):
                yield Step(_age(old, new, age), what)
        case _:
            yield Step(_bound(sense, old, new), what)


def written(value: Any) -> str:
    """A raw value for people, on one line."""
    match value:
        case None:
            return "absent"
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return f"[{', '.join(map(written, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{key}: {written(item)}' for key, item in value.items())}}}"
        case _:
            return str(value)


def _list_steps(sense: Sense, old: Sequence[str], new: Sequence[str]) -> Iterator[Step]:
    accepts = sense.kind is Kind.ACCEPTS
    more, fewer = (Direction.LOOSER, Direction.TIGHTER) if accepts else (Direction.TIGHTER, Direction.LOOSER)
    if sense.latest:
        fewer = Direction.UNCLEAR
    for sign, entries, others, direction in (("+", new, old, more), ("-", old, new, fewer)):
        for entry in entries:
            if entry in others:
                continue
            # What another entry accepts as well is neither given nor taken by this one.
            idle = accepts and any(sense.covers(wide, entry) for wide in others)
            yield Step(Direction.TIGHTER if idle else direction, f"{sign} {entry}{' (no effect)' if idle else ''}")


def _mapping_steps(kind: Kind, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Step]:
    if kind is Kind.GRACE:
        return _grace_steps(old, new)
    return _count_steps(old, new) if kind is Kind.COUNTS else _limit_steps(old, new)


def _limit_steps(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[Step]:
    for name in dict.fromkeys((*old, *new)):
        # An unrated vulnerability has the limit 0 where none is written.
        unset = 0 if name == "unknown" else None
        before, after = old.get(name, unset), new.get(name, unset)
        if before == after:
            continue
        looser = after is None or (before is not None and after > before)
        direction = Direction.LOOSER if looser else Direction.TIGHTER
        yield Step(direction, f"{name}: {written(before)} → {written(after)}")


def _count_steps(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[Step]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if before != after:
            yield Step(_of((after or 0) > (before or 0)), f"{name}: {written(before)} → {written(after)}")


def _grace_steps(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Step]:
    for name in dict.fromkeys((*old, *new)):
        before, after = (seconds(each.get(name, "0s")) for each in (old, new))
        if before != after:
            yield Step(_of(after < before), f"{name}: {written(old.get(name))} → {written(new.get(name))}")


def _age(old: str | None, new: str | None, default: int) -> Direction:
    if old is ABSENT or new is ABSENT:
        written_age = seconds(str(new if old is ABSENT else old))
        if written_age > default:
            # A longer age than the default, but only for evidence that states its time.
            return Direction.UNCLEAR
        return Direction.TIGHTER if old is ABSENT else Direction.LOOSER
    return Direction.LOOSER if seconds(new) > seconds(old) else Direction.TIGHTER


def _bound(sense: Sense, old: Any, new: Any) -> Direction:
    if old is ABSENT or new is ABSENT:
        return Direction.TIGHTER if old is ABSENT else Direction.LOOSER
    tighter: bool | None = None
    match sense.kind:
        case Kind.LEAST if sense.order:
            tighter = sense.order.index(new) > sense.order.index(old)
        case Kind.LEAST | Kind.INSISTS:
            tighter = new > old
        case Kind.MOST | Kind.ALLOWS:
            tighter = new < old
        case Kind.SPAN:
            tighter = seconds(new) >= seconds(old)
        case Kind.SAYS:
            tighter = True
        case Kind.ACCEPTS | Kind.DEMANDS | Kind.AGE | Kind.LIMITS | Kind.COUNTS | Kind.GRACE | Kind.NAMES:
            pass
    return Direction.UNCLEAR if tighter is None else _of(tighter)


def _of(tighter: bool) -> Direction:  # noqa: FBT001 - private, one caller above
    return Direction.TIGHTER if tighter else Direction.LOOSER
