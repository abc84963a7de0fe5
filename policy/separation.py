# SPDX-License-Identifier: Apache-2.0
"""Separation of duty: who may not approve a release, and how approvals fill what the groups owe (invariant I7).

Persons are compared for equality alone. Nobody approves what they wrote, committed, built or asked for; where one of
these people is not known, nobody can tell, and the release waits for evidence and not for approvals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from policy.facts import EvidenceFacts, Facts
from policy.ledger_facts import LedgerFacts
from policy.rule import Case

UNMAPPED = "unmapped"
"""Stands in facts for somebody whom the access document does not know."""


def excluded(case: Case) -> Mapping[str, str]:
    """Everybody who may not approve this release, with the first role that excludes them."""
    found: dict[str, str] = {}
    for person, role in _of(case):
        found.setdefault(person, role)
    return found


def involved(facts: Facts) -> Mapping[str, str]:
    """The same for recorded facts, so that nobody is asked whose approval could not count."""
    found: dict[str, str] = {}
    for person, role in _involved(facts.request.submitter, facts.evidence, facts.ledger):
        found.setdefault(person, role)
    return found


def unnamed(case: Case) -> str | None:
    """What is not known of those who may not approve, in words; None when all of them are known."""
    everybody = list(_of(case))
    roles = {role for _, role in everybody}
    for role, what in (("author", "who wrote the change"), ("trigger", "who triggered the build")):
        if role not in roles:
            return f"nothing says {what}"
    for person, role in everybody:
        if person == UNMAPPED:
            return f"the {role} is nobody whom the access document knows"
    return None


def _of(case: Case) -> Iterable[tuple[str, str]]:
    return _involved(case.release.submitter, case.evidence, case.release.ledger)


def _involved(submitter: str, evidence: EvidenceFacts, ledger: LedgerFacts) -> Iterable[tuple[str, str]]:
    yield submitter, "requester"
    for item in evidence.provenance:
        if item.builder is not None and item.triggered_by is not None:
            yield item.triggered_by, "trigger"
    for record in evidence.reviews:
        # A stranger's record counts nowhere, and keeps nobody from approving.
        if record.collector is not None:
            yield from ((person, "author") for person in record.authors or ())
    for each in ledger.excluded:
        yield each.person, each.role


def unfilled(owed: Mapping[str, int], people: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many approvals each group still lacks when every person of `people` stands for one of their groups.

    The largest matching of persons and places, by augmenting paths: whoever came first gives way where another group
    can use them.
    """
    places = [group for group, count in owed.items() for _ in range(count)]
    taken: dict[int, str] = {}

    def seat(person: str, tried: set[int]) -> bool:
        for place, group in enumerate(places):
            if place in tried or group not in people[person]:
                continue
            tried.add(place)
            if place not in taken or seat(taken[place], tried):
                taken[place] = person
                return True
        return False

    for person in people:
        seat(person, set())
    lacking: dict[str, int] = {}
    for place, group in enumerate(places):
        if place not in taken:
            lacking[group] = lacking.get(group, 0) + 1
    return lacking
