# SPDX-License-Identifier: Apache-2.0
"""The policy `demo` with a production environment, and the ledger of a release that may be promoted."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from policy.decision import Decision, Finding
from policy.document import Policy, parse_policy
from policy.engine import evaluate
from policy.facts import Document, Facts, Item
from policy.ledger_facts import Approval, BreakGlass, Excluded, LedgerFacts, Reached, ReviewDebt
from policy.questions import answers, digest_of
from policy.release import Release, cited
from tests.policy.factory import NOW, ago, built, document, encode, facts, good, origin

ROLLBACK = {"id": "RBK-1", "type": "deployment.rollback", "control": "deployment", "level": "minimum"}
SOAK = {
    "id": "SOK-1",
    "type": "deployment.soak",
    "control": "deployment",
    "level": "minimum",
    "after": "staging",
    "minSoak": "2h",
}
FREEZE = {
    "id": "FRZ-1",
    "type": "deployment.freeze",
    "control": "deployment",
    "level": "minimum",
    "windows": ["2026-12-19T00:00:00Z/2027-01-04T00:00:00Z", "fri 15:00/mon 08:00"],
    "reason": "nobody is there",
}
HUMAN = {
    "id": "APR-1",
    "type": "approval.human",
    "control": "deployment",
    "level": "minimum",
    "groups": {"release": 1, "sre": 1},
    "ttl": "72h",
}
CHECKLIST = {
    "id": "APR-2",
    "type": "approval.checklist",
    "control": "deployment",
    "level": "better",
    "groups": {"release": 1, "sre": 1},
    "ttl": "72h",
    "checklist": ["TST-1", "VUL-1"],
}
BREAK_GLASS = {
    "id": "BRK-1",
    "type": "deployment.break-glass",
    "control": "deployment",
    "level": "strong",
    "reviewWithin": "2d",
}
EVERY = (ROLLBACK, SOAK, FREEZE, HUMAN, CHECKLIST, BREAK_GLASS)


def production(*rules: dict[str, Any]) -> Policy:
    """The policy `demo` with these rules for production, beside all of its own; by default with every one."""
    value = copy.deepcopy(document())
    own = [rule["id"] for rule in value["rules"]]
    value["rules"] += copy.deepcopy(rules or EVERY)
    names = [rule["id"] for rule in value["rules"]]
    value["environments"] = {
        "staging": {"require": own, "key": "release", "formats": ["vsa"]},
        "production": {"require": names, "key": "production", "formats": ["vsa"]},
    }
    return parse_policy(encode(value))


def plan(name: str = "plan", **changes: Any) -> Document:
    return Document(origin=replace(origin(name, key=None, attested=False), **changes), kind="rollback-plan")


def promoted() -> tuple[Item, ...]:
    """Evidence that satisfies every rule but those about people and the ledger."""
    return (built(triggered_by="robot:forge"), *good()[1:], plan())


SHA256 = facts().request.subjects[0].sha256
STAGED = Reached(sha256=SHA256, environment="staging", at=ago(hours=3), leaf="5" * 64)


def ledger(**changes: Any) -> LedgerFacts:
    """A ledger in which only approvals are missing."""
    known = LedgerFacts(
        policy_digest="0" * 64,
        access_digest="1" * 64,
        allowed=(STAGED,),
        excluded=(Excluded(person="person:dana", role="author"),),
        break_glass=BreakGlass(debts=()),
    )
    return replace(known, **changes)


def asked(*items: Item, known: LedgerFacts | None = None, subjects: int = 1) -> Facts:
    """A request for production on these items; by default on all that it needs."""
    wanted = facts(*(items or promoted()), subjects=subjects, environment="production")
    documents = tuple(item for item in items or promoted() if isinstance(item, Document))
    return replace(wanted, evidence=replace(wanted.evidence, documents=documents), ledger=known or ledger())


def approve(policy: Policy, request: Facts, person: str, *groups: str, now: datetime = NOW, **changes: Any) -> Approval:
    """An approval of what `request` would be held on; `changes` are fields of it."""
    release = held(policy, request, now=now)
    approval = Approval(
        kind="approve",
        person=person,
        groups=groups,
        hold="0f" * 16,
        sha256=request.request.subjects[0].sha256,
        environment=request.request.environment,
        policy_digest=request.ledger.policy_digest,
        cited=cited(release.findings),
        at=ago(hours=1),
        signed=True,
        answers=digest_of(answers(release), release),
        statement=sha256(f"{person} {sorted(changes)}".encode()).hexdigest(),
    )
    return replace(approval, **changes)


def held(policy: Policy, request: Facts, *, now: datetime = NOW) -> Release:
    """The release as an approver sees it."""
    return Release(
        policy=policy.name,
        environment=request.request.environment,
        submitter=request.request.submitter,
        subjects=request.request.subjects,
        ledger=request.ledger,
        findings=evaluate(policy, request, now=now).findings,
    )


def with_approvals(request: Facts, *approvals: Approval) -> Facts:
    return replace(request, ledger=replace(request.ledger, approvals=approvals))


def decide(policy: Policy, request: Facts, *approvals: Approval, now: datetime = NOW) -> Decision:
    return evaluate(policy, with_approvals(request, *approvals), now=now)


def finding(decision: Decision, rule: str) -> Finding:
    (found,) = decision.of(rule)
    return found


def debt(**changes: Any) -> ReviewDebt:
    return replace(ReviewDebt(sha256="d" * 64, environment="production", at=ago(days=3), leaf="6" * 64), **changes)
