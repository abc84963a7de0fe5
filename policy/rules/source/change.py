# SPDX-License-Identifier: Apache-2.0
"""The change that was built, as review records of its commit tell it together.

Records join as every source attestation does: repository and commit of the one trusted provenance. What they say adds
up against the release: an author in any of them is an author, and a review that one of them calls dismissed does not
count. So the order in which records come does not matter, and an older one takes nothing back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from policy.decision import Outcome
from policy.facts import EvidenceFacts, Provenance, ReviewRecord
from policy.judgement import Judgement, digests, unknown
from policy.review_facts import Review
from policy.rule import Case, Parameter
from policy.rules.source.join import join
from policy.sense import Kind, Sense
from policy.separation import UNMAPPED
from policy.wording import listed, quote

KNOW_THEM: Final = (
    "the security team adds this person's e-mail address or login to the access document: signer access activate ACCESS"
)
SUPPLY: Final = (
    "the source platform's owner attaches the review record of the commit that was built: signer evidence add RECORD"
)
EVIDENCE: Final = (
    "Review record (SCAI) for repository and commit of the trusted provenance, by an accepted collector whose key did "
    "not sign that provenance; attested only."
)
COLLECTORS: Final = Parameter(
    name="collectors",
    sense=Sense(kind=Kind.ACCEPTS),
    kind="list of collectors",
    required=True,
    meaning="the trusted signers of review records that are accepted",
)


def change_effort(_demand: object, evidence: EvidenceFacts) -> int:
    """The work of a rule that reads review records (`RuleType.effort`): it looks at each of their lines."""
    lines = [len(item.reviews) + len(item.owned) + len(item.protected) for item in evidence.reviews]
    return 1 + sum(lines) // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewers:
    """Who approved the commit that was built, sorted by whether it counts."""

    counted: frozenset[str]
    unmapped: int
    """How many more would count, were they known."""
    found: str
    """All of it in words and numbers: persons have no names here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was built, and what accepted collectors say together of that commit."""

    provenance: Provenance
    records: tuple[ReviewRecord, ...]
    evidence: tuple[str, ...]
    """Digests of all that a rule counts when it counts this change: the records and the provenance."""
    authors: frozenset[str]
    """Authors and committers in any record; empty when no record says."""
    insiders: frozenset[str]
    """Whose review never counts: authors, committers, who triggered the build, and who asks for the signature."""
    reviewers: Reviewers
    """Whose reviews count: standing approvals of the head commit by people who may write and are no insiders."""

    def unclear(self) -> Judgement | None:
        """The judgement when nobody can tell who is an insider."""
        if not self.authors:
            return self.unknown("no review record says who wrote the change")
        if UNMAPPED in self.authors:
            return self.unknown("the access document does not know an author or committer", remedy=KNOW_THEM)
        if self.provenance.triggered_by == UNMAPPED:
            return self.unknown("the access document does not know who triggered the build", remedy=KNOW_THEM)
        return None

    def passed(self, found: str) -> Judgement:
        """Records are there and satisfy the rule."""
        return Judgement(Outcome.PASS, "", found, self.evidence, "source")

    def unknown(self, cause: str, *, found: str = "", remedy: str = "") -> Judgement:
        """Records are there and do not say."""
        return Judgement(Outcome.UNKNOWN, cause, found or self.found, self.evidence, "source", remedy)

    def failed(self, cause: str, *, found: str = "", remedy: str = "") -> Judgement:
        """Records are there and speak against it."""
        return Judgement(Outcome.FAIL, cause, found or self.found, self.evidence, "source", remedy)

    @property
    def found(self) -> str:
        """The records in words."""
        collectors = dict.fromkeys(record.collector or "" for record in self.records)
        return f"review record by {listed(collectors)} for commit {quote(self.records[0].commit)}"


def read_change(collectors: tuple[str, ...], case: Case) -> Change | Judgement:
    """The change, or the judgement when no accepted record joins."""
    return case.once(_read_change, collectors)


def _read_change(collectors: tuple[str, ...], case: Case) -> Change | Judgement:
    joined = join(case.evidence.reviews, collectors, case, what="review record")
    if isinstance(joined, Judgement):
        return joined
    trees = {item.tree for item in joined.items if not item.by_tree}
    records = tuple(item for item in joined.items if not item.by_tree or item.tree in trees)
    if not records:
        return unknown("no review record says which tree the commit has", joined.items, bound="source")
    built = joined.provenance
    authors = frozenset([person for record in records for person in record.authors or ()])
    trigger = () if built.triggered_by is None else (built.triggered_by,)
    insiders = authors.union(trigger, (case.release.submitter,))
    return Change(
        provenance=built,
        records=records,
        evidence=digests((*records, built)),
        authors=authors,
        insiders=insiders,
        reviewers=_reviewers(records, built.commit, insiders, admins=False),
    )


def administrators(change: Change, *, bypassers: Iterable[str]) -> Reviewers:
    """The reviews that count by administrators alone, and by nobody of `bypassers`."""
    return _reviewers(change.records, change.provenance.commit, change.insiders.union(bypassers), admins=True)


def _reviewers(
    records: Iterable[ReviewRecord], commit: str | None, insiders: frozenset[str], *, admins: bool
) -> Reviewers:
    reviews = dict.fromkeys([review for record in records for review in record.reviews])
    opposed = {review.reviewer for review in reviews if review.commit == commit and _is_opposed(review)}
    counted: set[str] = set()
    unmapped = 0
    passed_over: dict[str, int] = {}
    for review in reviews:
        why = _why_not(review, commit, insiders, opposed, admins=admins)
        if why:
            passed_over[why] = passed_over.get(why, 0) + 1
        elif review.reviewer == UNMAPPED:
            unmapped += 1
        else:
            counted.add(review.reviewer)
    if unmapped:
        passed_over["by somebody whom the access document does not know"] = unmapped
    more = "".join([f"; {count} {why}" for why, count in sorted(passed_over.items())])
    return Reviewers(
        counted=frozenset(counted),
        unmapped=unmapped,
        found=f"{len(counted)} independent {_plural(len(counted))}{more}",
    )


def _is_opposed(review: Review) -> bool:
    # Two unknown people may be two: what one of them says takes nothing from the other.
    return review.decision != "approved" and review.reviewer != UNMAPPED


def _why_not(review: Review, commit: str | None, inside: frozenset[str], opposed: set[str], *, admins: bool) -> str:
    if review.commit != commit:
        return "of another commit"
    if review.decision != "approved" or review.reviewer in opposed:
        return "not approving, or taken back"
    if review.reviewer in inside and review.reviewer != UNMAPPED:
        return "by an author, committer, builder trigger or requester"
    if review.reviewer.startswith("robot:"):
        return "by a robot"
    if review.role == "read":
        return "by somebody who may not write"
    return "by nobody who is stated to be an administrator" if admins and review.role != "admin" else ""


def _plural(count: int) -> str:
    return "approval" if count == 1 else "approvals"


def too_few(change: Change, found: Reviewers, *, least: int, what: str) -> Judgement | None:
    """The judgement when fewer than `least` reviews count; None when enough do and nobody is unclear."""
    if len(found.counted) + found.unmapped < least:
        return change.failed(f"{len(found.counted)} of {least} {what}", found=found.found)
    unclear = change.unclear()
    if unclear is not None:
        return unclear
    if len(found.counted) < least:
        return change.unknown("the access document does not know a reviewer", found=found.found, remedy=KNOW_THEM)
    return None
