# SPDX-License-Identifier: Apache-2.0
"""The hold of a request, and what people say of it: facts of the ledger (signing cycle, step 5).

A hold is one digest, one environment, one version of the policy and one set of cited evidence, with the answers that
these give. Judged again to the same, it is the same hold: no new leaf, and its approvals stand. Anything else is a new
hold, and the approvals of the one before lapse. An ALLOW closes the hold that it answers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from policy.decision import Decision, Verdict
from policy.document import Environment, Policy
from policy.ledger_facts import Approval, Excluded
from policy.questions import recorded_answers
from policy.release import cited
from policy.rules.deployment.approval import approving_groups
from signer.custodian.protocols import Persons, Reader
from signer.custodian.uses import Asked, count_uses
from signer.domain.principal import Principal
from signer.domain.subject import Subject
from signer.formats.approval import VERBS, parse_approval
from signer.formats.spki import keyid, spki_der
from signer.identity.access import Access
from signer.ledger.rows import ApprovalRow, HoldRow


@dataclass(frozen=True, slots=True)
class Held:
    """What fixes a hold beside its digest and environment."""

    policy_digest: str
    cited: str
    answers: str

    def is_again(self, row: HoldRow | None) -> bool:
        """Whether a recorded hold is this very one."""
        return row is not None and not row.closed and self == Held(row.policy_digest, row.cited, row.answers)


def held_of(decision: Decision, *, policy: Policy, environment: str, subjects: Sequence[Subject]) -> Held | None:
    """What a decision waits on; None unless it is a hold of one digest."""
    if decision.verdict is not Verdict.HOLD or len(subjects) != 1:
        return None
    _, answers = recorded_answers(
        decision.findings,
        policy_digest=policy.digest,
        environment=environment,
        subjects=((subject.name, subject.sha256) for subject in subjects),
    )
    return Held(policy.digest, cited(decision.findings), answers)


def waits_for_people(environment: Environment) -> bool:
    """Whether a rule of the environment counts approvals."""
    return any(rule.kind.stage == "approval" for rule in environment.rules)


def hold_key(policy: str, environment: str, sha256: str) -> str:
    """What stands among index keys for the hold of a digest, when a decision of this turn makes or answers one."""
    return f"hold:{policy}:{environment}:{sha256}"


@dataclass(frozen=True, slots=True)
class Approver:
    """Somebody who may approve now: of which groups, and with which keys."""

    groups: frozenset[str]
    kids: frozenset[str]


def approvers(access: Access, persons: Persons, *, policy: str, environment: Environment) -> Mapping[str, Approver]:
    """Who may approve for an environment as the access document says now, by pseudonym."""
    demanded = [access.groups[name] for name in sorted(approving_groups(environment.rules)) if name in access.groups]
    people = sorted({member for group in demanded for member in group.members})
    return {
        persons.pseudonym(person): Approver(
            groups=frozenset(group.id for group in demanded if person in group.members),
            kids=frozenset(keyid(spki_der(key)) for key in access.approval_keys.get(person, ())),
        )
        for person in people
        if access.allows(Principal("person", person), action="approve", policy=policy, environment=environment.name)
    }


def approval_facts(
    hold: HoldRow, said: Collection[ApprovalRow], *, who: Mapping[str, Approver], asked: Asked, reader: Reader
) -> tuple[Approval, ...]:
    """What counts of it, in the order of the leaves: neither revoked nor used up, groups as they were and still are."""
    return tuple(
        _fact(hold, row, _groups(row, who))
        for row in said
        if row.revocation is None
        and (row.verb == "reject" or not count_uses(reader.approval_uses(row.digest), asked=asked, reader=reader))
    )


def excluded(hold: HoldRow, *, requester: str) -> tuple[Excluded, ...]:
    """Whoever asked for the hold may not approve it either, when somebody else asks now."""
    return () if hold.principal == requester else (Excluded(person=hold.principal, role="requester"),)


def _groups(row: ApprovalRow, who: Mapping[str, Approver]) -> tuple[str, ...]:
    """Of the groups when approving, those of today; none once the grant or the key that signed is taken away."""
    approver = who.get(row.person)
    if approver is None or (row.kid and row.kid not in approver.kids):
        return ()
    return tuple(sorted(approver.groups & set(row.groups)))


def _fact(hold: HoldRow, row: ApprovalRow, groups: tuple[str, ...]) -> Approval:
    return Approval(
        kind=next(verb for verb in VERBS if verb == row.verb),
        person=row.person,
        groups=groups,
        hold=hold.request_id,
        sha256=hold.sha256,
        environment=hold.environment,
        policy_digest=hold.policy_digest,
        cited=hold.cited,
        at=row.at,
        signed=bool(row.kid),
        answers=row.answers,
        statement=row.digest,
        reason=parse_approval(row.statement).reason if row.verb == "reject" else "",
    )
