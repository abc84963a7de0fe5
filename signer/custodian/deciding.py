# SPDX-License-Identifier: Apache-2.0
"""Steps 5 and 6 of the signing cycle: from a command to its place in this turn's append.

    5  facts of the ledger, one instant, policy.evaluate → decision with all findings
    6  append the decision leaf, durably: deny and hold end here

A hold that is judged again is no new leaf: it is answered with the recorded one, and new evidence is kept beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from policy import decision as verdicts
from signer.custodian import administration
from signer.custodian.commands import Check, Checked, Decide, Judge, NotSigned, Reply, Stale
from signer.custodian.commit import Commit, decision_bytes, halted
from signer.custodian.holds import hold_key
from signer.custodian.judged import index_keys, read_subjects, waivers_key
from signer.custodian.judging import Judging, Question
from signer.custodian.protocols import Clock, Reader, Receipts
from signer.custodian.recorded import recorded_answer
from signer.custodian.records import Act, Claim, Judged, Means, Verdict
from signer.custodian.release_acts import require_unrevoked
from signer.custodian.signing import Signing
from signer.custodian.standing import Standing
from signer.errors import Malformed
from signer.formats.rfc3339 import format_time
from signer.identity.access import Action
from signer.ledger.rows import HoldRow

BEGIN_NS = 5_000_000_000
"""How long after the judged instant a key call may begin."""


class Deciding:
    """Judges, and hands what was decided to the turn's append."""

    def __init__(
        self,
        *,
        reader: Reader,
        receipts: Receipts,
        judging: Judging,
        signing: Signing,
        commit: Commit,
        clock: Clock,
        settle: Callable[[], None],
    ) -> None:
        """`settle` makes durable what this turn has collected so far."""
        self._reader = reader
        self._receipts = receipts
        self._judging = judging
        self._signing = signing
        self._commit = commit
        self._clock = clock
        self._settle = settle

    def decide(self, ticket: int, command: Decide, *, standing: Standing, alarm: bool) -> None:
        """Steps 5 and 6; `alarm` tells that a token shows a wrong key. Raises the three families."""
        # The documents are those in force and all evidence that the ledger holds was used; else web asks again.
        question = self._question(command.judge, standing=standing, action="sign")
        if isinstance(question, Stale):
            self._commit.tell(ticket, question)
            return
        # Signing is not halted.
        if standing.halt is not None or alarm:
            raise halted(standing.halt.reason if standing.halt is not None else "a token shows a wrong key")
        # What was taken back is signed no more.
        require_unrevoked(command.judge, question.subjects, standing=standing)
        # The same request is answered once: from the record, or together with the one in work.
        request_id = command.judge.request_id
        claim = Claim.of(ticket, request_id, principal=question.principal, idempotency=command.idempotency)
        if claim.key is not None and self._is_answered(ticket, claim):
            return
        if self._commit.is_in_work(request_id) or self._reader.decision(request_id) is not None:
            raise Malformed("request-id-used", "this request id was used before", remedy="make a new one")
        # 5  Facts of the ledger, one instant, the verdict.
        begin_by = self._clock.monotonic() + BEGIN_NS
        verdict, entry = self._judging.verdict(question, idempotency=command.idempotency)
        new = {key for item in question.considered.new for key in item.subjects}
        if verdict.again is not None:
            self._commit.take(ticket, _held_again(ticket, verdict, verdict.again, question), touched=new)
            return
        # An ALLOW that no key can honour now is not written: nothing is decided, and the caller tries again.
        means = Means()
        if verdict.decision.verdict is verdicts.Verdict.ALLOW:
            means = self._signing.means_of(verdict, standing=standing)
        # 6  Append, with this turn's commit.
        record = Judged(claim=claim, verdict=verdict, means=means, begin_by=begin_by, entries=(entry,))
        used = {waivers_key(command.judge)} if verdict.leaf.waivers else set[str]()
        self._commit.add(record, touched=new | used | _hold_keys(question))

    def check(self, ticket: int, command: Check, *, standing: Standing) -> None:
        """Step 5 alone: the same judgement, with no leaf and no key."""
        question = self._question(command.judge, standing=standing, action="check")
        if isinstance(question, Stale):
            self._commit.tell(ticket, question)
            return
        verdict, _ = self._judging.verdict(question, idempotency=None)
        self._commit.tell(ticket, Checked(decision=decision_bytes(verdict, index=None)))

    def _question(self, judge: Judge, *, standing: Standing, action: Action) -> Question | Stale:
        subjects = read_subjects(judge.subjects)
        keys = index_keys(judge, subjects)
        held = (hold_key(judge.policy, judge.environment, subject.sha256) for subject in subjects[:1])
        if self._commit.touches((*keys, waivers_key(judge), *held)):
            # Evidence about the same things, the use of a waiver or an answer to the same hold is in this turn's
            # append: it must be there first.
            self._settle()
        return self._judging.question(judge, subjects=subjects, keys=keys, standing=standing, action=action)

    def _is_answered(self, ticket: int, claim: Claim) -> bool:
        """Whether the same request has its answer, or joined the one in work; raises Refused for another body."""
        if self._commit.joins(ticket, claim):
            return True
        row = None if claim.key is None else self._reader.replay(*claim.key)
        if row is None:
            return False
        claim.require_body(row.body)
        # Held, or failed before a key was used: judged anew.
        reply = recorded_answer(row.decision_leaf, reader=self._reader, receipts=self._receipts)
        if reply is not None:
            self._commit.tell(ticket, reply)
        return reply is not None


def _hold_keys(question: Question) -> set[str]:
    if question.awaits is None:
        return set()
    return {hold_key(question.policy.name, question.judge.environment, question.awaits)}


def _held_again(ticket: int, verdict: Verdict, hold: HoldRow, question: Question) -> Act | NotSigned:
    """The recorded hold with the findings of now; evidence that came along is kept, though nothing rests on it."""
    leaf = replace(verdict.leaf, request=hold.request_id, time=format_time(hold.time), principal=hold.principal)
    document = decision_bytes(verdict, leaf=leaf, index=hold.leaf)
    answer = NotSigned(request_id=hold.request_id, leaf=hold.leaf, decision=document)
    if not question.considered.new:
        return answer
    by, time = question.principal, format_time(verdict.time)
    entries = tuple(
        administration.evidence(item, principal=by, policy=question.policy.name, time=time)
        for item in question.considered.new
    )
    return Act(ticket=ticket, entries=entries, reply=partial(_same, answer), stands=False)


def _same(answer: Reply, _leaf: int) -> Reply:
    return answer
