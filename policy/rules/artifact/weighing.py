# SPDX-License-Identifier: Apache-2.0
"""Which vulnerabilities of a scan count against the limits, and which are set aside, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from policy.facts import Item, Vex, Vulnerability, VulnerabilityScan
from policy.rule import Case
from policy.rules.artifact.grace import Grace
from policy.rules.artifact.severity import ORDER, by_rating, rating
from policy.rules.artifact.vex import Opinion, opinions
from policy.wording import listed, moment, quote


class Demand(Protocol):
    """The part of a rule's parameters that this asks for."""

    @property
    def deny(self) -> Mapping[str, int]:
        """Most that are accepted of each severity."""

    @property
    def only_if_fixed(self) -> bool:
        """Whether only vulnerabilities with a known fix count."""

    @property
    def authors(self) -> tuple[str, ...]:
        """Whose VEX statements dismiss a vulnerability."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """Which vulnerabilities of a scan count, and in words which do not."""

    rated: Mapping[str, list[Vulnerability]]
    """Those that count, by their rating."""
    aside: str
    documents: tuple[Vex, ...]
    """The VEX documents without which more would count than is allowed."""
    against: tuple[Item, ...]
    """What keeps something from being set aside: VEX that takes it seriously, scans that started its grace."""


_NOTHING: Final = Weighed(rated={}, aside="", documents=(), against=())


def weigh(demand: Demand, item: VulnerabilityScan, grace: Grace, case: Case) -> Weighed:
    """Set aside what has no fix, what is in grace, and, where too many are left, what trusted authors dismiss."""
    if not item.vulnerabilities:
        return _NOTHING
    aside: list[str] = []
    fixed: Sequence[Vulnerability] = item.vulnerabilities
    if demand.only_if_fixed and item.tells_fixes:
        fixed = [each for each in item.vulnerabilities if each.fix]
        hidden = by_rating(each for each in item.vulnerabilities if not each.fix)
        told = ", ".join(f"{len(hidden[name])} {name}" for name in ORDER if name in hidden)
        aside += [f"{told} without a fix"] if told else []
    counted = []
    for each in fixed:
        end = grace.end(each.id, rating(each)) if grace.lengths else None
        if end is None or case.now >= end:
            counted.append(each)
        else:
            aside.append(f"{quote(each.id)} in grace until {moment(end)}")
    gone_by = dict.fromkeys(each.id for each in counted if rating(each) in grace.lengths)
    late = tuple(scan for name in gone_by for scan in grace.starts[name].scans)
    rated = by_rating(counted)
    if not exceeded(demand.deny, rated):
        # A document that changes nothing is not counted: leaving it out would change nothing either.
        return Weighed(rated, _told(aside), (), late)
    said = tuple(opinions(counted, demand.authors, case))
    gone = {each.vulnerability for each in said if each.why}
    aside += (each.why for each in said if each.why)
    return Weighed(
        by_rating(each for each in counted if each not in gone),
        _told(aside),
        _documents(each for each in said if each.why),
        (*_documents(each for each in said if not each.why), *late),
    )


def _told(aside: list[str]) -> str:
    return f"; not counted: {listed(aside)}" if aside else ""


def _documents(opinions_held: Iterable[Opinion]) -> tuple[Vex, ...]:
    return tuple({document.origin.digest: document for each in opinions_held for document in each.documents}.values())


def exceeded(deny: Mapping[str, int], rated: Mapping[str, list[Vulnerability]]) -> list[str]:
    """The severities of which there are more than allowed, the worst first."""
    return [name for name in deny if len(rated.get(name, ())) > deny[name]]


def dated(vulnerability: Vulnerability, severity: str, grace: Grace) -> str:
    """Its id, and since when it has no grace any more."""
    end = grace.end(vulnerability.id, severity)
    return quote(vulnerability.id) if end is None else f"{quote(vulnerability.id)} since grace ended {moment(end)}"
