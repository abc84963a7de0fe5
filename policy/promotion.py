# SPDX-License-Identifier: Apache-2.0
"""From shadow to force: enough decisions, over enough time, and each flip acknowledged by name.

    promotion: {decisions: 20, period: 7d}

What the policy *in force* demands counts: a draft cannot lower its own gate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from policy.document import Policy, Promotion
from policy.shadow import in_shadow
from policy.wording import listed, span


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is recorded of one rule, or of one document, while it was in shadow."""

    what: str
    """As a refusal names it: `rule VUL-1`, `version 4`."""
    decisions: int
    since: datetime | None
    """The instant of the first of them."""
    flips: Mapping[str, int]
    """How many decisions would have ended otherwise, by the rule that would have turned them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a step into force is not taken: a code, what is missing, and what to do."""

    code: str
    detail: str
    remedy: str


class Count(Protocol):
    """How often a rule in shadow, or with an empty `rule` a whole policy, would have ended so."""

    @property
    def rule(self) -> str:
        """The rule's id; empty for the whole policy."""

    @property
    def outcome(self) -> str:
        """The outcome of the rule, or the verdict; not-replayable where no recorded fact can say."""

    @property
    def flip(self) -> str:
        """Not empty where the recorded verdict would have been turned."""

    @property
    def count(self) -> int:
        """How many decisions."""

    @property
    def since(self) -> datetime:
        """The instant of the first of them."""


def watched_rule(rule: str, counts: Iterable[Count]) -> Watched:
    """What was recorded of one rule in shadow."""
    those = [each for each in counts if each.rule == rule]
    return Watched(
        what=f"rule {rule}",
        decisions=sum(each.count for each in those),
        since=min((each.since for each in those), default=None),
        flips={rule: sum(each.count for each in those if each.flip)},
    )


def watched_document(version: int, counts: Iterable[Count]) -> Watched:
    """What was recorded of a version in shadow; what could not be replayed says nothing about it."""
    every = tuple(counts)
    whole = [each for each in every if not each.rule and each.outcome != "not-replayable"]
    flips: dict[str, int] = {}
    for each in every:
        if each.rule and each.flip:
            flips[each.rule] = flips.get(each.rule, 0) + each.count
    return Watched(
        what=f"version {version}",
        decisions=sum(each.count for each in whole),
        since=min((each.since for each in whole), default=None),
        flips=flips,
    )


def promoted(live: Policy, draft: Policy, *, now: datetime) -> tuple[str, ...]:
    """Ids of the rules that are in shadow now and would be in force under `draft`."""
    shadowed = {rule.id for rule in live.rules if in_shadow(rule, now)}
    required = {name for environment in draft.environments.values() for name in environment.require}
    return tuple(rule.id for rule in draft.rules if rule.id in shadowed & required and not in_shadow(rule, now))


def changed(live: Policy, draft: Policy, rule: str) -> bool:
    """Whether the draft's rule of this id judges by other parameters than the one that was watched."""
    (before,), (after,) = ([each for each in policy.rules if each.id == rule] for policy in (live, draft))
    return (before.type, before.parameters) != (after.type, after.parameters)


def refusal(watched: Watched, demand: Promotion, *, acknowledged: Collection[str], now: datetime) -> Refusal | None:
    """What stands against this step; None when nothing does."""
    age = "no time" if watched.since is None else span(now - watched.since)
    if watched.decisions < demand.decisions or watched.since is None or now - watched.since < demand.period:
        return Refusal(
            "promotion-too-early",
            f"{watched.what} was watched in shadow over {_decisions(watched.decisions)} and {age}; the policy in force "
            f"demands {_decisions(demand.decisions)} and {span(demand.period)}",
            "leave it in shadow, or activate a version whose `promotion` demands less",
        )
    names = sorted(name for name, count in watched.flips.items() if count and name not in acknowledged)
    if names:
        count = sum(watched.flips[name] for name in names)
        return Refusal(
            "flips-unacknowledged",
            f"{watched.what} would have turned {_decisions(count)}, by {listed(names)}",
            "look at them with `signer policy shadow`; when they are meant: "
            + " ".join(f"--acknowledge {name}" for name in names),
        )
    return None


def _decisions(count: int) -> str:
    return f"{count} decision{'' if count == 1 else 's'}"
