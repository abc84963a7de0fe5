# SPDX-License-Identifier: Apache-2.0
"""Waivers: what two people have excused for a while. The one matcher, between judging and the verdict.

A rule is judged first; its finding is then marked as waived when recorded waivers cover every subject and all that is
wrong, word for word. What a waiver does not name stays a failure, so a second vulnerability is never excused with the
first, and a waiver changes no finding of another rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from policy.decision import Finding, Offender, Outcome, WaiverUse
from policy.document import Policy
from policy.facts import Facts
from policy.ledger_facts import Waiver
from policy.shadow import in_shadow
from policy.wording import moment

MAX_WAIVERS: Final = 16
"""On so many waivers one decision may rest; each stands in its leaf."""
MOST_PARTS: Final = 50_000
"""In so many parts, times waivers, one finding may be excused; what is larger is excused by none."""
_EXCUSABLE: Final = (Outcome.FAIL, Outcome.UNKNOWN)
_SHORT: Final = 12


def waive(findings: Iterable[Finding], *, policy: Policy, facts: Facts, now: datetime) -> tuple[Finding, ...]:
    """Mark each finding that recorded waivers excuse as a whole; every other one stays as it is but for its remedy."""
    matcher = _Matcher(policy, facts, now)
    return tuple([matcher.mark(finding) if finding.outcome in _EXCUSABLE else finding for finding in findings])


def waiver_fault(waiver: Waiver, *, policy: Policy, now: datetime) -> str | None:
    """Why a waiver does not count under `policy` at `now`, for any rule; None when it does."""
    return next(_faults(waiver, policy, now), None)


def _faults(waiver: Waiver, policy: Policy, now: datetime) -> Iterator[str]:
    days, renewals = policy.limits.max_waiver_days, policy.limits.max_renewals
    if now < waiver.not_before:
        yield f"begins at {moment(waiver.not_before)}"
    if now >= waiver.expires:
        yield f"expired at {moment(waiver.expires)}"
    if waiver.uses >= waiver.max_uses:
        yield f"is used up: {waiver.uses} of {waiver.max_uses}"
    if waiver.expires - waiver.not_before > timedelta(days=days):
        yield f"is for longer than the {days} days of limits.maxWaiverDays"
    if waiver.renewal > renewals:
        yield f"is renewal {waiver.renewal}, and limits.maxRenewals is {renewals}"
    if waiver.requested_by == waiver.approved_by:
        yield "was requested and approved by one person"


@dataclass(frozen=True, slots=True)
class _Part:
    """What one waiver has to excuse: one subject, and one thing that is wrong with it (None: what was found)."""

    subject: int
    offender: Offender | None


class _Matcher:
    """The waivers that may count for one request."""

    def __init__(self, policy: Policy, facts: Facts, now: datetime) -> None:
        self._policy = policy
        self._facts = facts
        self._now = now
        self._used: set[str] = set()
        self._reached: dict[tuple[str, int], bool] = {}
        # The policy and the environment are those of the request, or the waiver is about something else.
        self._waivers = tuple(
            waiver
            for waiver in facts.ledger.waivers
            if (waiver.policy, waiver.environment) == (policy.name, facts.request.environment)
        )

    def mark(self, finding: Finding) -> Finding:
        rule = self._policy.rule(finding.rule)
        if rule is None or not rule.waivable:
            return finding
        speaking = [waiver for waiver in self._waivers if _speaks_of(waiver, finding)]
        faults = {
            waiver.digest: fault
            for waiver in speaking
            if (fault := waiver_fault(waiver, policy=self._policy, now=self._now)) is not None
        }
        chosen = self._choose(finding, [waiver for waiver in speaking if waiver.digest not in faults])
        if not in_shadow(rule, self._now):
            chosen = self._use(chosen)
        if chosen:
            return _waived(finding, chosen)
        return finding._replace(remedy="; ".join(self._remedies(finding, faults)))

    def _choose(self, finding: Finding, live: Sequence[Waiver]) -> tuple[Waiver, ...]:
        """Waivers that excuse every part of the finding; empty when a part is left."""
        # What this request rests on already comes first, so that it uses as few as it can.
        order = sorted(live, key=lambda waiver: waiver.digest not in self._used)
        if len(finding.subjects) * max(1, len(finding.offenders)) * len(order) > MOST_PARTS:
            return ()
        chosen: dict[str, Waiver] = {}
        for part in _parts(finding):
            covering = [waiver for waiver in order if self._covers(waiver, part, finding)]
            if not covering:
                return ()
            waiver = next((each for each in covering if each.digest in chosen), covering[0])
            chosen[waiver.digest] = waiver
        return tuple(chosen.values())

    def _use(self, chosen: tuple[Waiver, ...]) -> tuple[Waiver, ...]:
        """The waivers that a rule in force takes up, and none when they would be too many for one decision."""
        used = {*self._used, *(waiver.digest for waiver in chosen)}
        if len(used) > MAX_WAIVERS:
            return ()
        self._used = used
        return chosen

    def _covers(self, waiver: Waiver, part: _Part, finding: Finding) -> bool:
        excuses = waiver.found == finding.found if part.offender is None else part.offender in waiver.offenders
        if not excuses:
            return False
        asked = (waiver.digest, part.subject)
        if asked not in self._reached:
            self._reached[asked] = self._reaches(waiver, part.subject)
        return self._reached[asked]

    def _reaches(self, waiver: Waiver, subject: int) -> bool:
        """Whether the subject is in scope: its digest is named, and all its trusted provenance names a repository."""
        if waiver.digests and self._facts.request.subjects[subject].sha256 not in waiver.digests:
            return False
        if not waiver.repositories:
            return bool(waiver.digests)
        named = {
            item.repository
            for item in self._facts.evidence.provenance
            if item.origin.attested
            and item.origin.bound == "subject"
            and subject in item.origin.covers
            and self._policy.trust.builder_of(item) is not None
        }
        return bool(named) and named <= set(waiver.repositories)

    def _remedies(self, finding: Finding, faults: dict[str, str]) -> Iterator[str]:
        """How to go on: mend it, or ask for a waiver; and why a waiver that is there does not count."""
        yield finding.remedy
        yield (
            f"or {self._policy.owner} may waive it: signer waiver request --rule {finding.rule} --decision REQUEST-ID"
        )
        for digest, fault in faults.items():
            yield f"the waiver sha256:{digest[:_SHORT]} {fault}"


def _speaks_of(waiver: Waiver, finding: Finding) -> bool:
    if finding.rule not in waiver.rules or waiver.outcome != finding.outcome.value:
        return False
    if finding.offenders:
        return not set(waiver.offenders).isdisjoint(finding.offenders)
    return not waiver.offenders and waiver.found == finding.found


def _parts(finding: Finding) -> Iterator[_Part]:
    offenders: tuple[Offender | None, ...] = finding.offenders or (None,)
    for subject in finding.subjects:
        for offender in offenders:
            yield _Part(subject, offender)


def _waived(finding: Finding, waivers: Sequence[Waiver]) -> Finding:
    uses = tuple(
        WaiverUse(
            digest=waiver.digest,
            requested_by=waiver.requested_by,
            approved_by=waiver.approved_by,
            expires=waiver.expires,
            use=waiver.uses + 1,
            max_uses=waiver.max_uses,
        )
        for waiver in waivers
    )
    return finding._replace(
        outcome=Outcome.WAIVED, would=finding.outcome, title=f"waived: {finding.title}", waived_by=uses
    )
