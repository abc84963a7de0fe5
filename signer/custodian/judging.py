# SPDX-License-Identifier: Apache-2.0
"""Step 5 of the signing cycle: facts of the ledger, one instant, the verdict.

What web sent is compared with what is in force before anything is judged; the answer *stale* asks it to verify
again. The verdict itself is `policy.evaluate`, a pure function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from policy import decision as verdicts
from policy.document import Environment, Policy
from policy.engine import evaluate
from policy.ledger_facts import Approval, LedgerFacts, Reached, Waiver
from policy.rules.deployment.soak import SOAK
from signer.custodian.commands import Idempotency, Judge, Stale
from signer.custodian.holds import approval_facts, approvers, excluded, held_of, waits_for_people
from signer.custodian.judged import (
    Considered,
    Pseudonyms,
    consider,
    make_facts,
    read_principal,
    read_request_id,
    read_sha256,
)
from signer.custodian.payloads import require_signable
from signer.custodian.protocols import Clock, Persons, Reader
from signer.custodian.records import Verdict
from signer.custodian.standing import Standing, StandingWaiver
from signer.custodian.uses import Asked
from signer.custodian.waiver_uses import waiver_facts
from signer.domain.subject import Subject
from signer.errors import Malformed, Refused, Unavailable
from signer.formats.decision import subjects_document
from signer.formats.facts import encode_facts
from signer.formats.findings import encode_findings
from signer.formats.rfc3339 import format_time, parse_time
from signer.identity.access import Access, Action
from signer.ledger.documents import StoredDocument
from signer.ledger.leaves import Decision, IdempotencyEntry, PolicyRef, decode_leaf
from signer.ledger.rows import HoldRow
from signer.ledger.sequencer import Entry

CLOCK_STEP = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request that may be judged: made under the documents in force, on all evidence that the ledger holds."""

    judge: Judge
    policy: Policy
    principal: str
    """As it stands in leaves and facts."""
    subjects: tuple[Subject, ...]
    considered: Considered
    pseudonyms: Pseudonyms
    access: Access
    personal_keys: tuple[str, ...]
    """Names of keys of the policy's trust with which a person approves."""
    waivers: tuple[StandingWaiver, ...]
    """Those of the policy and the environment."""

    @property
    def environment(self) -> Environment:
        """The environment that is asked for."""
        return self.policy.environments[self.judge.environment]

    @property
    def awaits(self) -> str | None:
        """sha256 of the digest for which people may have to approve; None where nobody is asked."""
        return self.subjects[0].sha256 if len(self.subjects) == 1 and waits_for_people(self.environment) else None

    def asked(self, subjects: str) -> Asked:
        """By what an identical request is told; `subjects` is the digest of the subjects document."""
        return Asked(subjects, self.judge.environment, self.policy.digest, frozenset(self.considered.digests))


class Judging:
    """Makes questions of commands and verdicts of questions; writes nothing but pseudonyms."""

    def __init__(self, *, reader: Reader, persons: Persons, clock: Clock) -> None:
        self._reader = reader
        self._persons = persons
        self._clock = clock
        self._latest: datetime | None = None

    def question(
        self, judge: Judge, *, subjects: tuple[Subject, ...], keys: Sequence[str], standing: Standing, action: Action
    ) -> Question | Stale:
        """Compare a command with what is in force; raises Malformed, Refused or Unavailable."""
        read_request_id(judge.request_id)
        principal = read_principal(judge.principal)
        # the documents are those in force
        access, policy = standing.access, standing.policies.get(judge.policy)
        if access is None:
            raise Unavailable("access-missing", "no access document is in force", remedy="activate one")
        if judge.access_digest != access.digest:
            return Stale(reason="another access document is in force")
        if policy is None or judge.environment not in policy.environments:
            raise out_of_reach()
        if judge.policy_digest != policy.digest:
            return Stale(reason="another version of the policy is in force")
        # web asked this before; a forged command must not get further than the caller's grants
        if not access.allows(principal, action=action, policy=judge.policy, environment=judge.environment):
            raise out_of_reach()
        # what it asks for can be signed
        require_signable(policy.environments[judge.environment], subjects)
        # all evidence that the index holds was used, and nothing that nobody can look up
        considered = consider(judge, keys, reader=self._reader)
        if isinstance(considered, Stale):
            return considered
        pseudonyms = Pseudonyms(access, self._persons)
        return Question(
            judge=judge,
            policy=policy,
            principal=pseudonyms.of_principal(principal),
            subjects=subjects,
            considered=considered,
            pseudonyms=pseudonyms,
            access=access,
            personal_keys=standing.personal_keys[policy.name],
            waivers=tuple(
                each
                for each in standing.waivers
                if (each.row.policy, each.row.environment) == (judge.policy, judge.environment)
            ),
        )

    def verdict(self, question: Question, *, idempotency: Idempotency | None) -> tuple[Verdict, Entry]:
        """Judge at one instant; the entry holds the decision leaf and the documents that it names."""
        judge = question.judge
        now = self._instant()
        subjects = StoredDocument.of(subjects_document(question.subjects))
        hold = None
        if question.awaits is not None:
            hold = self._reader.newest_hold(judge.policy, judge.environment, question.awaits)
        facts = make_facts(
            judge,
            question.considered,
            subjects=question.subjects,
            principal=question.principal,
            persons=question.pseudonyms.of_identifier,
            ledger=self._ledger(question, subjects=subjects.digest, hold=hold, now=now),
            first_received=lambda digest: self._first_received(question.considered, digest, now=now),
        )
        decision = evaluate(question.policy, facts, now=now)
        allowed = decision.verdict is verdicts.Verdict.ALLOW
        held = held_of(decision, policy=question.policy, environment=judge.environment, subjects=question.subjects)
        try:
            documents = (
                subjects,
                StoredDocument.of(encode_facts(facts)),
                StoredDocument.of(encode_findings(decision)),
                StoredDocument.of(question.considered.document()),
            )
        except ValueError as fault:
            # Times that are not in UTC, integers that JSON readers disagree on.
            raise Malformed("malformed-frame", f"the facts cannot be written down: {type(fault).__name__}") from None
        leaf = Decision(
            time=format_time(now),
            request=judge.request_id,
            principal=question.principal,
            policy=PolicyRef(name=question.policy.name, version=question.policy.version, digest=question.policy.digest),
            access=judge.access_digest,
            environment=judge.environment,
            verdict=decision.verdict.value,
            subjects=documents[0].digest,
            facts=documents[1].digest,
            findings=documents[2].digest,
            evidence=documents[3].digest,
            first=question.subjects[0].sha256,
            count=len(question.subjects),
            idempotency=None
            if idempotency is None
            else IdempotencyEntry(key=read_sha256(idempotency.key), body=read_sha256(idempotency.body)),
            waivers=decision.waivers if allowed else (),
            cited="" if held is None else held.cited,
            answers="" if held is None else held.answers,
            approvals=decision.approvals if allowed else (),
        )
        kept = (StoredDocument(item.digest, item.media_type, item.data) for item in question.considered.new)
        seen = {item.origin.digest for item in facts.evidence.items()}
        verdict = Verdict(
            policy=question.policy,
            subjects=question.subjects,
            facts=facts,
            decision=decision,
            evidence=tuple(digest for digest in question.considered.digests if digest in seen),
            time=now,
            leaf=leaf,
            again=hold if held is not None and held.is_again(hold) else None,
        )
        return verdict, Entry(leaf, (*documents, *kept))

    def _ledger(self, question: Question, *, subjects: str, hold: HoldRow | None, now: datetime) -> LedgerFacts:
        """What the ledger knows; of earlier releases and approvals only where a rule of the environment asks."""
        policy, judge = question.policy, question.judge
        rules = question.environment.rules
        digests = [subject.sha256 for subject in question.subjects if any(rule.kind is SOAK for rule in rules)]
        deployed = self._reader.first_deployed(policy.name, digests) if digests else ()
        return LedgerFacts(
            policy_digest=judge.policy_digest,
            access_digest=judge.access_digest,
            personal_keys=question.personal_keys,
            waivers=self._waivers(question, subjects=subjects, now=now),
            allowed=tuple(
                Reached(sha256=row.sha256, environment=row.environment, at=row.time, leaf=row.leaf.hex())
                for row in self._reader.first_signed(policy.name, digests)
            ),
            deployed=tuple(
                Reached(sha256=row.sha256, environment=row.environment, at=row.time, leaf=row.leaf.hex())
                for row in deployed
            ),
            approvals=() if hold is None else self._approvals(question, hold, subjects=subjects),
            excluded=() if hold is None else excluded(hold, requester=question.principal),
        )

    def _approvals(self, question: Question, hold: HoldRow, *, subjects: str) -> tuple[Approval, ...]:
        """What people say of the newest hold; those of every earlier one have lapsed."""
        said = self._reader.approvals_of(hold.leaf)
        if not said:
            return ()
        who = approvers(question.access, self._persons, policy=question.policy.name, environment=question.environment)
        return approval_facts(hold, said, who=who, asked=question.asked(subjects), reader=self._reader)

    def _waivers(self, question: Question, *, subjects: str, now: datetime) -> tuple[Waiver, ...]:
        """The waivers that may speak of this request, their uses counted as this request has to count them."""
        if not question.waivers:
            return ()
        judge = question.judge
        return waiver_facts(
            question.waivers,
            asked=question.asked(subjects),
            digests={subject.sha256 for subject in question.subjects},
            repositories={item.repository or "" for item in judge.facts.provenance if item.builder is not None},
            now=now,
            reader=self._reader,
        )

    def _first_received(self, considered: Considered, digest: str, *, now: datetime) -> datetime:
        """The time of the leaf that first received this evidence; what is new is received by this very decision."""
        held = next((each for each in considered.stored if each.digest == digest), None)
        if held is None:
            return now
        leaf = decode_leaf(self._reader.leaf(held.leaf))
        return parse_time(leaf.time, what="time of the leaf")

    def _instant(self) -> datetime:
        """The judged instant; raises Unavailable while the clock stands before what it said already."""
        now = self._clock.now()
        if self._latest is not None and now < self._latest - CLOCK_STEP:
            raise Unavailable("time-untrusted", "the clock went back", remedy="correct the custodian's clock")
        self._latest = now if self._latest is None else max(now, self._latest)
        return now


def out_of_reach() -> Refused:
    """Unknown and forbidden answer alike."""
    return Refused(
        "not-found",
        "this caller can reach no policy or environment of that name",
        remedy="check the names, and the caller's grants in the access document",
    )
