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

from signer.custodian.acts import Acts
from signer.custodian.commands import (
    Check,
    Command,
    Decide,
    KeepEvidence,
    Reply,
    Status,
    StatusReport,
)
from signer.custodian.commit import Commit
from signer.custodian.deciding import Deciding
from signer.custodian.judging import Judging
from signer.custodian.probing import Probing
from signer.custodian.protocols import Clock, Reader, Receipts, Sealer, Tokens
from signer.custodian.readiness import report
from signer.custodian.records import failed
from signer.custodian.recovery import close_orphans
from signer.custodian.release_commands import SealPack
from signer.custodian.revocations import Revocations
from signer.custodian.shadowing import Shadowing
from signer.custodian.signing import Signing
from signer.custodian.standing import Standing, load_standing
from signer.custodian.token_events import Alarm, JobEnded, KeyLocated, Stamped, TokenEvent
from signer.errors import Misconfigured, SignerError, Unavailable
from signer.keys.keyring import Keyring
from signer.telemetry.logs import Log, failure

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
        sealing: Sealer,
        probing: Probing,
        clock: Clock,
        log: Log,
    ) -> None:
        self._reader = reader
        self._deciding = Deciding(
            reader=reader,
            receipts=receipts,
            judging=judging,
            signing=signing,
            commit=commit,
            clock=clock,
            settle=self._settle,
        )
        self._signing = signing
        self._acts = acts
        self._commit = commit
        self._tokens = tokens
        self._keyring = keyring
        self._revocations = revocations
        self._shadowing = shadowing
        self._sealing = sealing
        self._probing = probing
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
        with self._reader.together():
            return self._turn(arrivals, events)

    def _turn(self, arrivals: Iterable[tuple[int, Command]], events: Iterable[TokenEvent]) -> list[tuple[int, Reply]]:
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
        if self._refresh() and self._standing is not None:
            self._probing.turn(self._standing, commit=self._commit)
        return self._commit.take_answers()

    def _take(self, ticket: int, command: Command) -> None:
        try:
            match command:
                case Decide():
                    self._deciding.decide(ticket, command, standing=self._stand(), alarm=self._alarm is not None)
                case Check():
                    self._deciding.check(ticket, command, standing=self._stand())
                case KeepEvidence():
                    self._keep(ticket, command)
                case Status():
                    self._commit.tell(ticket, self._report())
                case SealPack():
                    # Everything of this turn is durable before the cut.
                    self._settle()
                    self._commit.tell(ticket, self._sealing.seal(command, standing=self._stand()))
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
                if not self._probing.hear(event):
                    self._signing.hear(event)
            case Stamped():
                self._signing.hear(event)
            case KeyLocated():
                self._commit.take(*self._acts.hear(event, stand=self._stand, now=self._clock.now()))
                self._settle()
            case Alarm():
                self._log.error("token alarm", code=event.code, detail=event.detail)
                # Stop first: the leaf may have to wait for a disk.
                self._tokens.set_stop(stopped=True)
                if self._standing is None or self._standing.halt is None:
                    # One that comes while all is halted is part of what the owners resume from.
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

    def _report(self) -> StatusReport:
        return report(
            self._stand,
            reader=self._reader,
            keys=self._keyring.places,
            signing=self._signing,
            probing=self._probing,
            now=self._clock.now(),
        )

    def _sweep(self, *, reason: str) -> bool:
        """Close orphans; whether there may be more of them."""
        in_flight, now = self._signing.in_flight, self._clock.now()
        if not close_orphans(self._commit, self._reader, in_flight=in_flight, reason=reason, now=now, log=self._log):
            return False
        self._settle()
        return not self._commit.uncertain
