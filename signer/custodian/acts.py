# SPDX-License-Identifier: Apache-2.0
"""Commands that are not judged: each becomes leaves and an answer that names them, or is refused.

An act on what is in force is appended alone, so that whatever comes after it is judged under it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count

from msgspec.structs import replace

from signer.custodian import administration, approval_acts, key_acts, release_acts, waiver_acts
from signer.custodian.commands import (
    ActCommand,
    Activate,
    AddKey,
    Done,
    EndWaiver,
    Failed,
    Halt,
    KeepEvidence,
    Kept,
    KeyEvent,
    RecordApproval,
    RecordWaiver,
    Reply,
    Resume,
    RevokeApproval,
    Said,
    SpooledItem,
    UpdateTrust,
)
from signer.custodian.judged import (
    OPERATOR,
    UNMAPPED,
    Pseudonyms,
    read_items,
    read_principal,
    read_request_id,
)
from signer.custodian.judging import out_of_reach
from signer.custodian.protocols import Persons, Reader, Tokens
from signer.custodian.purposes import require_named_so
from signer.custodian.records import Act, failed
from signer.custodian.release_commands import RecordDeployment, RevokeRelease
from signer.custodian.standing import Standing
from signer.custodian.stowing import Stowing
from signer.custodian.token_events import KeyLocated
from signer.errors import Malformed, Refused, Unavailable
from signer.formats.rfc3339 import format_time
from signer.keys.backend import CONFIGURATION
from signer.keys.keyring import KeyPlace, Keyring
from signer.ledger.sequencer import Entry

CUSTODIAN = "custodian"
"""Who halts when a token shows another key than the pinned one."""


@dataclass(frozen=True, slots=True)
class _Look:
    """Who waits for which key to be found in its token."""

    ticket: int
    place: KeyPlace
    succeeds: str
    who: str


class Acts:
    """Makes records of acts; the authority appends them."""

    def __init__(self, *, reader: Reader, persons: Persons, keyring: Keyring, tokens: Tokens, stowing: Stowing) -> None:
        self._reader = reader
        self._persons = persons
        self._keyring = keyring
        self._tokens = tokens
        self._stowing = stowing
        self._tickets = count(1)
        self._locating: dict[int, _Look] = {}

    @property
    def in_work(self) -> int:
        """Key look-ups and large documents that have no answer yet."""
        return len(self._locating) + self._stowing.in_work

    @property
    def unfinished(self) -> bool:
        """Whether a document is being copied, which goes on with the next turn."""
        return self._stowing.in_work > 0

    def stowed(self) -> list[tuple[int, KeepEvidence]]:
        """Go on copying; the commands whose documents are stored, or cannot be, to be taken up again."""
        return self._stowing.step()

    def act(
        self,
        ticket: int,
        command: ActCommand,
        *,
        standing: Standing,
        now: datetime,
    ) -> Act | Done | None:
        """The record of an act, or its answer when it is done already; None while a token is asked first."""
        record: Act | Done | None = None
        match command:
            case Halt():
                record = self.halt(ticket, command, standing=standing, now=now)
            case Resume():
                record = self.resume(ticket, command, standing=standing, now=now)
            case Activate():
                record = self.activate(ticket, command, standing=standing, now=now)
            case UpdateTrust():
                record = self.update_trust(ticket, command, standing=standing, now=now)
            case AddKey():
                self.add_key(ticket, command, standing=standing)
            case RecordWaiver() | EndWaiver() | RecordApproval() | RevokeApproval():
                record = self.say(ticket, command, standing=standing, now=now)
            case KeyEvent():
                record = self.key_event(ticket, command, standing=standing, now=now)
            case RecordDeployment() | RevokeRelease():
                who = self._actor(command.principal)
                entry = release_acts.entry(command, who=who, standing=standing, reader=self._reader, now=now)
                record = Done(leaf=entry) if isinstance(entry, int) else _done(ticket, entry)
        return record

    def keep(self, ticket: int, command: KeepEvidence, *, standing: Standing, now: datetime) -> Act | None:
        """Keep verified evidence: one leaf for each piece that the ledger does not hold yet.

        None while large documents are copied: then the command comes back from `stowed`.
        """
        read_request_id(command.request_id)
        principal = read_principal(command.principal)
        if standing.access is None or not standing.access.allows(principal, action="evidence", policy=command.policy):
            raise out_of_reach()
        items = read_items(command.items)
        held = {digest: row.leaf for digest in items if (row := self._reader.evidence(digest)) is not None}
        new = [item for item in items.values() if item.digest not in held]
        large = [item for item in new if isinstance(item, SpooledItem)]
        if large and not self._stowing.stow(ticket, command, large):
            return None
        who = Pseudonyms(standing.access, self._persons).of_principal(principal)
        time = format_time(now)

        def kept(first: int) -> Reply:
            self._stowing.settle(large)
            leaves = held | {item.digest: first + at for at, item in enumerate(new)}
            return Kept(leaves=tuple((digest, leaves[digest]) for digest in items))

        entries = tuple(administration.evidence(item, principal=who, policy=command.policy, time=time) for item in new)
        return Act(ticket=ticket, entries=entries, reply=kept, stands=False)

    def halt(self, ticket: int, command: Halt, *, standing: Standing, now: datetime) -> Act | Done:
        """Stop all signing; a second halt answers with the first one's leaf."""
        if standing.halt is not None:
            return Done(leaf=standing.halt.leaf)
        try:
            who = self._actor(command.principal)
        except Unavailable:
            # Stopping must not depend on the table of pseudonyms.
            who = UNMAPPED
        return _done(ticket, administration.halt(command.reason, principal=who, time=format_time(now)), halts=True)

    def alarm(self, code: str, detail: str, *, now: datetime) -> Act:
        """Stop all signing because a token is not what the ledger recorded: a person must act (invariant I12)."""
        reason = f"{code}: {detail}"[: administration.MAX_REASON]
        return _done(None, administration.halt(reason, principal=CUSTODIAN, time=format_time(now)), halts=True)

    def resume(self, ticket: int, command: Resume, *, standing: Standing, now: datetime) -> Act:
        """Go on after a halt, by the owners' threshold."""
        who = self._actor(command.principal)
        entry = administration.resume(
            command, standing=standing, reader=self._reader, principal=who, time=format_time(now)
        )
        return _done(ticket, entry)

    def activate(self, ticket: int, command: Activate, *, standing: Standing, now: datetime) -> Act:
        """Put a policy or access document in force, by the owners' threshold; a refused one is a leaf too."""
        who = self._actor(command.principal)
        time = format_time(now)
        try:
            entry = administration.activation(command, standing=standing, reader=self._reader, principal=who, time=time)
        except (Malformed, Refused) as fault:
            refused = administration.refusal(command, fault, principal=who, time=time)
            return Act(ticket=ticket, entries=(refused,), reply=partial(_refused, fault), stands=False)
        return _done(ticket, entry)

    def update_trust(self, ticket: int, command: UpdateTrust, *, standing: Standing, now: datetime) -> Act:
        """Publish a newer trust document, by the owners' threshold of the one before."""
        who = self._actor(command.principal)
        entry = administration.trust_update(command, standing=standing, principal=who, time=format_time(now))
        return _done(ticket, entry)

    def say(self, ticket: int, command: Said, *, standing: Standing, now: datetime) -> Act | Done:
        """Record what people say of a release, or what they take back."""
        by, who = read_principal(command.principal), self._actor(command.principal)
        reader, persons = self._reader, self._persons
        entry: Entry | Done
        match command:
            case RecordWaiver():
                entry = waiver_acts.recording(
                    command, by=by, who=who, standing=standing, reader=reader, persons=persons, now=now
                )
            case EndWaiver():
                entry = waiver_acts.ending(command, by=by, who=who, standing=standing, reader=reader, now=now)
            case RecordApproval():
                entry = approval_acts.recording(
                    command, by=by, who=who, standing=standing, reader=reader, persons=persons, now=now
                )
            case RevokeApproval():
                entry = approval_acts.revoking(command, by=by, who=who, standing=standing, reader=reader, now=now)
        return entry if isinstance(entry, Done) else _done(ticket, entry)

    def add_key(self, ticket: int, command: AddKey, *, standing: Standing) -> None:
        """Look for a configured key in its token; the record follows when the token has answered."""
        place = self._keyring.place(command.name)
        who = self._actor(command.principal)
        key_acts.require_role(place, command.succeeds, standing=standing)
        require_named_so(place, command.succeeds or command.name, standing=standing)
        look = next(self._tickets)
        # A recorded key is never made anew: its pin would stay with the lost one.
        generate = command.generate and command.name not in standing.pins
        if not self._tokens.locate(look, place, generate=generate):
            raise Unavailable("token-unavailable", f"no device named {place.uri.device} is configured")
        self._locating[look] = _Look(ticket, place, command.succeeds, who)

    def hear(self, event: KeyLocated, *, stand: Callable[[], Standing], now: datetime) -> tuple[int, Act | Reply]:
        """Pin the key that a token showed: who waits for it, and the record or the answer."""
        look = self._locating.pop(event.ticket)
        if not event.spki:
            # What only a person can end is told as such: the command ends with exit code 78 and is not repeated.
            family = "misconfigured" if event.code in CONFIGURATION else "unavailable"
            return look.ticket, Failed(family=family, code=event.code, detail=event.detail, remedy=event.remedy)
        try:
            return look.ticket, self.record_key(event, look, standing=stand(), now=now)
        except (Malformed, Refused, Unavailable) as fault:
            return look.ticket, failed(fault)

    def record_key(self, event: KeyLocated, look: _Look, *, standing: Standing, now: datetime) -> Act | Done:
        """The record of a key; the same key again answers with its first leaf. Raises the three families."""
        place = look.place
        recorded = standing.lives.get(place.name)
        if recorded is not None:
            if recorded.created.spki == event.spki and recorded.created.succeeds == look.succeeds:
                return Done(leaf=recorded.created.leaf)
            raise Refused(
                "key-pin-mismatch",
                f"key {place.name} is recorded with another public key or role",
                remedy="configure a new key under a new name: a recorded one is never replaced",
            )
        entry = key_acts.created(
            place, event.spki, succeeds=look.succeeds, standing=standing, principal=look.who, time=now
        )
        return _done(look.ticket, entry)

    def key_event(self, ticket: int, command: KeyEvent, *, standing: Standing, now: datetime) -> Act | Done:
        """Rotate, retire or report a key; what the record says already is answered with its leaf."""
        who = self._actor(command.principal)
        entry = key_acts.event(command, standing=standing, principal=who, now=now)
        return Done(leaf=entry) if isinstance(entry, int) else _done(ticket, entry)

    def _actor(self, text: str) -> str:
        """How whoever acts stands in the leaf."""
        if OPERATOR.fullmatch(text) is not None:
            return text
        principal = read_principal(text)
        if principal.kind == "robot":
            return principal.id
        return self._persons.pseudonym(principal.name)


def _refused(fault: Malformed | Refused, leaf: int) -> Reply:
    return replace(failed(fault), detail=f"{fault.detail}; the refusal is leaf {leaf}")


def _done(ticket: int | None, entry: Entry, *, halts: bool = False) -> Act:
    return Act(ticket=ticket, entries=(entry,), reply=lambda first: Done(leaf=first), halts=halts)
