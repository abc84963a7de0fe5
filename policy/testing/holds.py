# SPDX-License-Identifier: Apache-2.0
"""Approvals in trials: a fixture says who approved, and they approve what the policy under test would be held on.

    ledger:
      excluded: [{person: person:dana, role: author}]
      approvals: [{person: person:kim, groups: [sre]}]

What a fixture leaves out of an approval is completed: given an hour ago, signed, for the first subject. The evidence
and the answers that it names depend on the policy, so they are filled in for each policy, a mutant as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from policy.document import Policy
from policy.engine import evaluate
from policy.facts import Facts
from policy.ledger_facts import Approval, BreakGlass, LedgerFacts, ReviewDebt
from policy.questions import answers, digest_of
from policy.release import Release, cited

NOWHERE: Final = "nowhere-else"
"""An environment that no policy of a trial names."""
AS_HELD: Final = ""
"""Stands in a fixture for the evidence and the answers of the hold that the policy makes."""


def complete_ledger(ledger: Mapping[str, Any], *, sha256_of_subject: str, environment: str) -> dict[str, Any]:
    """The ledger's part of a fixture with what it may leave out."""
    completed = dict(ledger)
    for kind in ("allowed", "deployed", "approvals"):
        items = completed.get(kind, [])
        if isinstance(items, list) and all(isinstance(item, Mapping) for item in items):
            completed[kind] = [
                {**_unsaid(kind, place, ledger, environment), "sha256": sha256_of_subject, **item}
                for place, item in enumerate(items)
            ]
    return completed


def _unsaid(kind: str, place: int, ledger: Mapping[str, Any], environment: str) -> dict[str, Any]:
    named = sha256(f"{kind} {place}".encode()).hexdigest()
    if kind != "approvals":
        return {"leaf": named}
    return {
        "kind": "approve",
        "hold": "0" * 32,
        "environment": environment,
        "policy_digest": ledger["policy_digest"],
        "cited": AS_HELD,
        "at": "1h ago",
        "signed": True,
        "answers": AS_HELD,
        "statement": named,
    }


def as_held(policy: Policy, facts: Facts, *, now: datetime) -> Facts:
    """The facts with each approval given for what `policy` would be held on, where the fixture does not say."""
    approvals = facts.ledger.approvals
    if not any(AS_HELD in (each.cited, each.answers) for each in approvals):
        return facts
    bare = replace(facts, ledger=replace(facts.ledger, approvals=()))
    release = Release(
        policy=policy.name,
        environment=facts.request.environment,
        submitter=facts.request.submitter,
        subjects=facts.request.subjects,
        ledger=facts.ledger,
        findings=evaluate(policy, bare, now=now).findings,
    )
    evidence, seen = cited(release.findings), digest_of(answers(release), release)
    given = tuple(
        replace(
            each,
            cited=evidence if each.cited == AS_HELD else each.cited,
            answers=seen if each.answers == AS_HELD else each.answers,
        )
        for each in approvals
    )
    return replace(facts, ledger=replace(facts.ledger, approvals=given))


def ledger_mutants(facts: Facts, counted: set[str]) -> Iterator[tuple[str, Facts]]:
    """The facts with what a rule counted of the ledger changed: dropped, about another digest, by the requester."""
    ledger = facts.ledger
    if counted & {each.statement for each in ledger.approvals}:
        for what, changes in (
            ("is for a digest that differs in one nibble", {"sha256": _nibble(facts.request.subjects[0].sha256)}),
            ("is for another environment", {"environment": NOWHERE}),
            ("is under another version of the policy", {"policy_digest": _nibble(ledger.policy_digest)}),
            ("is on other evidence", {"cited": "f" * 64}),
            ("is by the requester", {"person": facts.request.submitter}),
            ("is by somebody whom nobody knows", {"person": "unmapped"}),
            ("is ten years old", {"at": ledger.approvals[0].at - timedelta(days=3660)}),
        ):
            yield f"Approval {what}", _with(facts, tuple(_changed(each, counted, changes) for each in ledger.approvals))
        yield (
            "Approval is dropped",
            _with(facts, tuple(each for each in ledger.approvals if each.statement not in counted)),
        )
    if counted & {each.leaf for each in (*ledger.allowed, *ledger.deployed)}:
        yield (
            "the earlier environment is not on record",
            replace(facts, ledger=replace(ledger, allowed=(), deployed=())),
        )
        named: tuple[tuple[str, dict[str, Any]], ...] = (
            ("is of a digest that differs in one nibble", {"sha256": _nibble(facts.request.subjects[0].sha256)}),
            ("is of another environment", {"environment": NOWHERE}),
        )
        for what, changes in named:
            allowed, deployed = (
                tuple(replace(each, **changes) if each.leaf in counted else each for each in those)
                for those in (ledger.allowed, ledger.deployed)
            )
            yield (
                f"the record of the earlier environment {what}",
                replace(facts, ledger=replace(ledger, allowed=allowed, deployed=deployed)),
            )


def break_glass_mutants(facts: Facts, *, since: datetime) -> Iterator[tuple[str, Facts]]:
    """The facts with a ledger that does not tell of break-glass, and with a review that is open since `since`."""
    overdue = ReviewDebt(sha256="f" * 64, environment=facts.request.environment, at=since, leaf="f" * 64)
    for what, known in (
        ("the ledger does not record break-glass", None),
        ("a release under break-glass waits a second too long for its review", BreakGlass(debts=(overdue,))),
    ):
        yield what, replace(facts, ledger=replace(facts.ledger, break_glass=known))


def _changed(approval: Approval, counted: set[str], changes: Mapping[str, Any]) -> Approval:
    return replace(approval, **changes) if approval.statement in counted else approval


def _with(facts: Facts, approvals: tuple[Approval, ...]) -> Facts:
    ledger: LedgerFacts = replace(facts.ledger, approvals=approvals)
    return replace(facts, ledger=ledger)


def _nibble(digest: str) -> str:
    return f"{int(digest[0], 16) ^ 1:x}{digest[1:]}"
