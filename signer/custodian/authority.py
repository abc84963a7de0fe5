# SPDX-License-Identifier: Apache-2.0
"""The authority: steps 5 to 9 of the signing cycle.

    5  facts of the ledger, one instant, policy.evaluate → decision with all findings
    6  append the decision leaf, durably: deny and hold end here
    7  check halt, build the payload, sign; the token worker verifies what it signed
    8  append the outcome leaf, durably
    9  answer with the receipt

Nothing flows back. A turn takes commands and the ends of key calls, makes one durable append of all that they
decided, and only then calls keys and answers: a decision and its own outcome never share an append.
"""

from __future__ import annotations

from collections.abc import Iterable

from policy import decision as verdicts
from signer.custodian.acts import Acts
from signer.custodian.commands import (
    Check,
    Checked,
    Command,
    Decide,
    Judge,
    KeepEvidence,
    Reply,
    Stale,
    Status,
)
from signer.custodian.commit import Commit, decision_bytes, halted
from signer.custodian.judged import index_keys, read_sha256, read_subjects, waivers_key
from signer.custodian.judging import Judging, Question
from signer.custodian.protocols import Clock, Reader, Receipts, Tokens
from signer.custodian.readiness import report
from signer.custodian.recorded import recorded_answer
from signer.custodian.records import Claim, Judged, failed
from signer.custodian.recovery import close_orphans
from signer.custodian.release_acts import require_unrevoked
from signer.custodian.revocations import Revocations
from signer.custodian.shadowing import Shadowing
from signer.custodian.signing import Signing
from signer.custodian.standing import Standing, load_standing
from signer.custodian.token_events import Alarm, JobEnded, KeyLocated, TokenEvent
from signer.errors import Malformed, Misconfigured, SignerError, Unavailable
from signer.identity.access import Action
from signer.keys.keyring import Keyring, PinnedKey
from signer.telemetry.logs import Log, failure

BEGIN_NS = 5_000_000_000
"""How long after the judged instant a key call may begin."""
SWEEP_NS = 10_000_000_000


class Authority:
    """Judges, records and has signed. One thread; wiring hands in what touches disks and tokens."""

    def __init__(
        self,
        *,
        reader: Reader,
        receipts: Receipts,
        judging: Judging,
        signing: Signing,
        acts: Acts,
        commit: Commit,
        tokens: Tokens,
        keyring: Keyring,
        revocations: Revocations,
        shadowing: Shadowing,
        clock: Clock,
        log: Log,
    ) -> None:
        self._reader = reader
        self._receipts = receipts
        self._judging = judging
        self._signing = signing
        self._acts = acts
        self._commit = commit
        self._tokens = tokens
        self._keyring = keyring
        self._revocations = revocations
        self._shadowing = shadowing
        self._clock = clock
        self._log = log
        self._standing: Standing | None = None
        self._alarm: Alarm | None = None
        """A wrong key that no halt leaf tells of yet."""
        self._next_sweep = 0

    @property
    def in_work(self) -> int:
        """Commands that wait for a key or a copy."""
        return len(self._signing.in_flight) + self._acts.in_work

    @property
    def unfinished(self) -> bool:
        """Whether the next turn has work: an outcome to append, a document to copy on."""
        return self._signing.landed or self._acts.unfinished

    @property
    def commit_seconds(self) -> float:
        """What one durable append took lately."""
        return self._commit.seconds

    def rest(self) -> bool:
        """Judge one recorded decision under a policy in shadow, while nobody waits; whether there may be more."""
        return self._shadowing.rest(self._stand, commit=self._commit, log=self._log)

    def recover(self) -> None:
        """Before anything is served: read what is in force, close what an earlier process left open."""
        self._stand()
        while self._sweep(reason="restart"):
            pass
        self._next_sweep = self._clock.monotonic() + SWEEP_NS

    def turn(self, arrivals: Iterable[tuple[int, Command]], events: Iterable[TokenEvent]) -> list[tuple[int, Reply]]:
        """One turn; returns every answer whose time has come, by ticket."""
        for event in events:
            self._hear(event)
        self._halt_on_alarm()
        for outcome in self._signing.take_outcomes(standing=self._standing, time=self._clock.now()):
            self._commit.add(outcome)
        for ticket, command in (*self._acts.stowed(), *arrivals):
            self._take(ticket, command)
        self._settle()
        if self._commit.uncertain or self._clock.monotonic() >= self._next_sweep:
            self._sweep(reason="unrecorded")
            self._next_sweep = self._clock.monotonic() + SWEEP_NS
        self._refresh()
        return self._commit.take_answers()

    def _take(self, ticket: int, command: Command) -> None:
        try:
            match command:
                case Decide():
                    self._decide(ticket, command)
                case Check():
                    self._check(ticket, command)
                case KeepEvidence():
                    self._keep(ticket, command)
                case Status():
                    keys, now = self._keyring.places, self._clock.now()
                    answer = report(self._stand, reader=self._reader, keys=keys, signing=self._signing, now=now)
                    self._commit.tell(ticket, answer)
                case _:
                    # What came before is judged under what was in force before, what comes after under the act.
                    self._settle()
                    self._commit.take(
                        ticket, self._acts.act(ticket, command, standing=self._stand(), now=self._clock.now())
                    )
                    self._settle()
        except Misconfigured:
            raise
        except SignerError as fault:
            self._commit.tell(ticket, failed(fault))
        except Exception as fault:  # noqa: BLE001 - a command that nobody foresaw must not end the authority
            # Nothing was recorded for it, so refusing it is all that is left to do.
            self._log.error("command failed", command=type(command).__name__, **failure(fault))
            self._commit.tell(ticket, failed(Unavailable("internal", "the custodian could not handle this")))

    def _decide(self, ticket: int, command: Decide) -> None:
        """Steps 5 and 6: from a command to its place in this turn's append."""
        standing = self._stand()
        # The documents are those in force and all evidence that the ledger holds was used; else web asks again.
        question = self._question(command.judge, standing=standing, action="sign")
        if isinstance(question, Stale):
            self._commit.tell(ticket, question)
            return
        # Signing is not halted.
        if standing.halt is not None or self._alarm is not None:
            raise halted(standing.halt.reason if standing.halt is not None else "a token shows a wrong key")
        # What was taken back is signed no more.
        require_unrevoked(command.judge, question.subjects, standing=standing)
        # The same request is answered once: from the record, or together with the one in work.
        claim = Claim([ticket], command.judge.request_id)
        if command.idempotency is not None:
            claim.key = (question.principal, read_sha256(command.idempotency.key))
            claim.body = read_sha256(command.idempotency.body)
            if self._is_answered(ticket, claim):
                return
        if self._commit.is_in_work(claim.request_id) or self._reader.decision(claim.request_id) is not None:
            raise Malformed("request-id-used", "this request id was used before", remedy="make a new one")
        # 5  Facts of the ledger, one instant, the verdict.
        begin_by = self._clock.monotonic() + BEGIN_NS
        verdict, entry = self._judging.verdict(question, idempotency=command.idempotency)
        # An ALLOW that no key can honour now is not written: nothing is decided, and the caller tries again.
        keys: tuple[PinnedKey, ...] = ()
        if verdict.decision.verdict is verdicts.Verdict.ALLOW:
            keys = self._signing.keys_of(verdict, standing=standing)
        # 6  Append, with this turn's commit.
        record = Judged(claim=claim, verdict=verdict, keys=keys, begin_by=begin_by, entries=(entry,))
        touched = {key for item in question.considered.new for key in item.subjects}
        self._commit.add(record, touched=touched | ({waivers_key(command.judge)} if verdict.leaf.waivers else set()))

    def _check(self, ticket: int, command: Check) -> None:
        """Step 5 alone: the same judgement, with no leaf and no key."""
        question = self._question(command.judge, standing=self._stand(), action="check")
        if isinstance(question, Stale):
            self._commit.tell(ticket, question)
            return
        verdict, _ = self._judging.verdict(question, idempotency=None)
        self._commit.tell(ticket, Checked(decision=decision_bytes(verdict, index=None)))

    def _question(self, judge: Judge, *, standing: Standing, action: Action) -> Question | Stale:
        subjects = read_subjects(judge.subjects)
        keys = index_keys(judge, subjects)
        if self._commit.touches((*keys, waivers_key(judge))):
            # Evidence about the same things, or the use of a waiver, is in this turn's append: it must be there first.
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

    def _keep(self, ticket: int, command: KeepEvidence) -> None:
        keys = {key for item in command.items for key in item.subjects}
        if self._commit.touches(keys):
            self._settle()
        record = self._acts.keep(ticket, command, standing=self._stand(), now=self._clock.now())
        self._commit.take(ticket, record, touched=keys)

    def _hear(self, event: TokenEvent) -> None:
        """What the tokens report: ends of key calls, keys found, and keys that are not the pinned ones."""
        match event:
            case JobEnded():
                self._signing.hear(event)
            case KeyLocated():
                self._commit.take(*self._acts.hear(event, stand=self._stand, now=self._clock.now()))
                self._settle()
            case Alarm():
                self._log.error("token alarm", code=event.code, detail=event.detail)
                # Stop first: the leaf may have to wait for a disk.
                self._tokens.set_stop(stopped=True)
                self._alarm = event

    def _halt_on_alarm(self) -> None:
        """Halt because of a wrong key; as often as it takes until the leaf is durable (invariant I12)."""
        if self._alarm is not None and self._refresh() and self._standing is not None and self._standing.halt is None:
            self._commit.add(self._acts.alarm(self._alarm.code, self._alarm.detail, now=self._clock.now()))
            self._settle()
            self._refresh()

    def _settle(self) -> None:
        is_halted = self._standing is None or self._standing.halt is not None or self._alarm is not None
        self._commit.settle(is_halted=is_halted)

    def _stand(self) -> Standing:
        """What is in force now; raises Unavailable."""
        if self._standing is None or self._commit.changed:
            standing = load_standing(self._reader, previous=self._standing)
            self._standing, self._commit.changed = standing, False
            if standing.halt is not None:
                self._alarm = None
            self._tokens.set_stop(stopped=standing.halt is not None or self._alarm is not None)
            self._tokens.refuse(standing.compromised)
        return self._standing

    def _refresh(self) -> bool:
        """Read what is in force after it changed, so that a halt or its end counts at once; False when it cannot be."""
        try:
            self._revocations.turn(self._stand(), size=lambda: self._reader.head().size, now=self._clock.now())
        except Unavailable as fault:
            self._log.error("ledger cannot be read", code=fault.code)
        return not self._commit.changed

    def _sweep(self, *, reason: str) -> bool:
        """Close orphans; whether there may be more of them."""
        in_flight, now = self._signing.in_flight, self._clock.now()
        if not close_orphans(self._commit, self._reader, in_flight=in_flight, reason=reason, now=now, log=self._log):
            return False
        self._settle()
        return not self._commit.uncertain
