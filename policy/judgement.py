# SPDX-License-Identifier: Apache-2.0
"""A judgement: how one rule ended for one group of subjects, before it is worded as a finding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from policy.decision import Offender, Outcome
from policy.facts import Bound, Item


class Judgement(NamedTuple):
    """How a rule ended for one group of subjects, before it is worded as a finding."""

    outcome: Outcome
    cause: str
    """Completes the title of a finding that is no pass; empty for a pass."""
    found: str
    evidence: tuple[str, ...] = ()
    bound: Bound = "none"
    remedy: str = ""
    """Instead of the rule type's own; empty keeps that."""
    offenders: tuple[Offender, ...] = ()
    """Everything that is wrong, where each part of it has a name; a part without one would be waived unseen, so then
    there are none."""


def passed(items: Iterable[Item], *, found: str, bound: Bound = "subject") -> Judgement:
    """The items that were counted satisfy the rule."""
    return Judgement(Outcome.PASS, "", found, digests(items), bound)


def failed(
    cause: str,
    items: Iterable[Item],
    *,
    found: str,
    bound: Bound = "subject",
    remedy: str = "",
    offenders: tuple[Offender, ...] = (),
) -> Judgement:
    """Evidence is there, and it does not satisfy the rule."""
    return Judgement(Outcome.FAIL, cause, found, digests(items), bound, remedy, offenders)


def unknown(
    cause: str,
    items: Iterable[Item] = (),
    *,
    found: str = "nothing",
    bound: Bound = "none",
    remedy: str = "",
    offenders: tuple[Offender, ...] = (),
) -> Judgement:
    """Nothing counts, or what counts does not say."""
    return Judgement(Outcome.UNKNOWN, cause, found, digests(items), bound, remedy, offenders)


def digests(items: Iterable[Item]) -> tuple[str, ...]:
    """The digest of each item once, in the order given."""
    every = [item.origin.digest for item in items]
    return tuple(every if len(every) == 1 else dict.fromkeys(every))


def worst(judgements: Iterable[Judgement]) -> Judgement:
    """The first failure, else the first unknown, else one pass that counts every item of the passes.

    It names the offenders of all that did not pass: a waiver for the first must not hide the second.
    """
    every = tuple(judgements)
    if len(every) == 1:
        return every[0]
    stopping = [judgement for judgement in every if judgement.outcome is not Outcome.PASS]
    for outcome in (Outcome.FAIL, Outcome.UNKNOWN):
        for judgement in stopping:
            if judgement.outcome is outcome:
                return judgement if len(stopping) == 1 else judgement._replace(offenders=_all_offenders(stopping))
    evidence = tuple(dict.fromkeys(digest for judgement in every for digest in judgement.evidence))
    found = "; ".join(dict.fromkeys(judgement.found for judgement in every))
    return every[0]._replace(evidence=evidence, found=found)


def _all_offenders(stopping: Iterable[Judgement]) -> tuple[Offender, ...]:
    """The offenders of several judgements; one that names none stands with what it found."""
    return tuple(
        dict.fromkeys(
            offender
            for judgement in stopping
            for offender in judgement.offenders or (Offender(id=f"{judgement.outcome}: {judgement.found}"),)
        )
    )
