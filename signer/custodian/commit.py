# SPDX-License-Identifier: Apache-2.0
"""The one place where durability, keys and answers meet, in this order (invariant I1).

collect records ▸ one append ▸ keys for what was allowed ▸ answers for the rest
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from policy import decision as verdicts
from signer.custodian.commands import Failed, NotSigned, OutcomeUnknown, Reply, Signed
from signer.custodian.protocols import Receipts, Sequencer, Tokens
from signer.custodian.recorded import decision_answer
from signer.custodian.records import Act, Claim, Ended, Judged, Record, Verdict, failed
from signer.custodian.signing import Signing
from signer.errors import Misconfigured, Refused, SignerError, Unavailable
from signer.ledger.leaves import Decision
from signer.telemetry.logs import Log

_CODES = {
    "stale": "stale",
    "payload": "internal",
    "key-throttled": "key-throttled",
    "timestamp": "timestamp-unavailable",
}
"""What a caller is told of a failed outcome; every other reason is about the token."""


class Commit:
    """The records of a turn, on their way to the ledger, and the answers that they permit."""

    def __init__(self, *, sequencer: Sequencer, signing: Signing, receipts: Receipts, tokens: Tokens, log: Log) -> None:
        self._sequencer = sequencer
        self._signing = signing
        self._receipts = receipts
        self._tokens = tokens
        self._log = log
        self._records: list[Record] = []
        self._touched: set[str] = set()
        self._claims: dict[tuple[str, str], Claim] = {}
        self._answers: list[tuple[int, Reply]] = []
        self.changed = True
        """Whether what is in force may be other than what was read last."""
        self.uncertain = False
        """Whether an append failed, whose records may stand in the ledger all the same."""
        self.seconds = 0.0
        """What one append took lately, smoothed."""

    def add(self, record: Record, *, touched: Iterable[str] = ()) -> None:
        """Put a record into this turn's append; `touched` are index digests under which it adds evidence."""
        self._records.append(record)
        self._touched.update(touched)
        if isinstance(record, Judged) and record.claim.key is not None:
            self._claims[record.claim.key] = record.claim

    def take(self, ticket: int, record: Act | Reply | None, *, touched: Iterable[str] = ()) -> None:
        """An act for this turn's append, or the answer of one that needs none; None while something is done first."""
        if isinstance(record, Act):
            self.add(record, touched=touched)
        elif record is not None:
            self.tell(ticket, record)

    def touches(self, keys: Iterable[str]) -> bool:
        """Whether a record that is not durable yet adds evidence under one of these digests."""
        return not self._touched.isdisjoint(keys)

    def joins(self, ticket: int, claim: Claim) -> bool:
        """Whether the same request is in work, so that this ticket gets its answer; raises Refused for another body."""
        waiting = None if claim.key is None else self._claims.get(claim.key)
        if waiting is None:
            return False
        claim.require_body(waiting.body)
        waiting.tickets.append(ticket)
        return True

    def is_in_work(self, request_id: str) -> bool:
        """Whether this request id is between its judgement and its answer."""
        return request_id in self._signing.in_flight or any(
            isinstance(record, Judged) and record.claim.request_id == request_id for record in self._records
        )

    def tell(self, ticket: int, reply: Reply) -> None:
        """Answer a command that needs no record."""
        self._answers.append((ticket, reply))

    def take_answers(self) -> list[tuple[int, Reply]]:
        """Every answer whose time has come."""
        answers, self._answers = self._answers, []
        return answers

    def settle(self, *, is_halted: bool) -> None:
        """Make all records durable with one append; only then call keys and answer."""
        records, self._records = self._records, []
        self._touched.clear()
        entries = [entry for record in records for entry in record.entries]
        index = 0
        if entries:
            begun = time.perf_counter()
            try:
                # 6, 8  A crash before this returns leaves all of it or nothing: nobody was told, no key was called.
                index = self._sequencer.append(entries).first
            except Misconfigured:
                raise
            except SignerError as fault:
                # It may stand in the ledger all the same: everything is read again, and the sweep closes what was
                # allowed there and has no outcome.
                self._log.error("append failed", code=fault.code, count=len(entries))
                self.changed = self.uncertain = True
                for record in records:
                    self._lose(record)
                return
            self.seconds += 0.2 * (time.perf_counter() - begun - self.seconds)
        for record in records:
            # A crash from here on leaves ALLOW leaves without outcome, which the sweep closes as unknown, and
            # outcomes that their callers fetch again under their keys.
            self._proceed(record, index, is_halted=is_halted)
            index += len(record.entries)

    def _proceed(self, record: Record, index: int, *, is_halted: bool) -> None:
        """What a durable record permits."""
        match record:
            case Judged() if record.verdict.decision.verdict is verdicts.Verdict.ALLOW:
                # 7
                self._signing.begin(record, index=index, halted=is_halted)
            case Judged():
                request_id = record.claim.request_id
                document = decision_bytes(record.verdict, index=index)
                self._answer(record.claim, NotSigned(request_id=request_id, leaf=index, decision=document))
            case Ended():
                # 9
                self._signing.close(record.flight)
                self._answer(record.flight.claim, self._end(record, index))
            case Act():
                if record.halts:
                    self._tokens.set_stop(stopped=True)
                self.changed = self.changed or record.stands
                if record.ticket is not None:
                    self.tell(record.ticket, record.reply(index))

    def _lose(self, record: Record) -> None:
        """The append failed: no key is called, and a signature that was made is dropped here."""
        reply = Failed(
            family="unavailable",
            code="ledger-unavailable",
            detail="the ledger cannot be written",
            remedy="send the request again after a moment, with the same Idempotency-Key",
            retry_after=1,
        )
        match record:
            case Judged():
                self._answer(record.claim, reply)
            case Ended():
                self._signing.close(record.flight)
                self._answer(record.flight.claim, reply)
            case Act():
                if record.ticket is not None:
                    self.tell(record.ticket, reply)

    def _end(self, ended: Ended, index: int) -> Reply:
        request_id = ended.flight.claim.request_id
        match ended.status:
            case "signed":
                try:
                    return Signed(request_id=request_id, receipt=self._receipts(request_id))
                except Unavailable as fault:
                    # It is signed and durable; the caller fetches it under its key.
                    return failed(fault)
            case "unknown":
                return OutcomeUnknown(request_id=request_id, decision_leaf=ended.flight.index, outcome_leaf=index)
            case _ if ended.reason == "halted":
                return failed(halted(ended.detail))
            case _:
                # The leaf says exactly what went wrong; the caller can only try again.
                code = _CODES.get(ended.reason, "token-unavailable")
                return failed(Unavailable(code, ended.detail, remedy="send the request again"))

    def _answer(self, claim: Claim, reply: Reply) -> None:
        if claim.key is not None:
            self._claims.pop(claim.key, None)
        self._answers += ((ticket, reply) for ticket in claim.tickets)


def decision_bytes(verdict: Verdict, *, index: int | None, leaf: Decision | None = None) -> bytes:
    """The decision document of a fresh verdict; `leaf` is the recorded one where the verdict is that decision again."""
    return decision_answer(
        leaf or verdict.leaf, index=index, policy=verdict.policy, decision=verdict.decision, subjects=verdict.subjects
    )


def halted(reason: str) -> Refused:
    """The answer while signing is halted."""
    return Refused("halted", f"all signing is halted: {reason}", remedy="the owners resume signing")
