# SPDX-License-Identifier: Apache-2.0
"""Probes: signatures over bytes that say nothing, so that the health of a key is proved and not assumed.

    signing-authority probe v1 ⏎ origin ⏎ key id ⏎ 32 random hexadecimal digits ⏎

A statement is signed as `DSSEv1 …` (DSSE v1, PAE), so no probe can ever be one. Only a key that signed nothing for an
interval is probed; a worker takes a probe only when no request waits. A leaf allows the probes of an hour before the
first of them (invariant I1) and says what came of those before it: whoever counts at the device can reconcile
(invariant I13).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count

from signer.custodian.commands import Done, KeyProof
from signer.custodian.commit import Commit
from signer.custodian.key_health import KeyHealth
from signer.custodian.protocols import Clock, Tokens
from signer.custodian.records import Act
from signer.custodian.standing import Standing
from signer.custodian.token_events import JobEnded, SigningJob
from signer.domain.algorithm import key_input
from signer.errors import Unavailable
from signer.formats.rfc3339 import format_time
from signer.keys.keyring import Keyring, PinnedKey
from signer.ledger.leaves import ProbeCount, ProbeLeaf
from signer.ledger.sequencer import Entry

PREFIX = b"signing-authority probe v1\n"
LOOK_NS = 250_000_000
RETRY_NS = 1_000_000_000
"""How soon after a failed probe the next one is made."""
BEGIN_NS = 5_000_000_000
HOUR_NS = 3600 * 1_000_000_000
ALLOWED = 240
"""Probes of one key that one leaf allows."""
MAX_KEYS = 32
"""Keys of one leaf."""


@dataclass(slots=True)
class _Allowance:
    """What the last leaf about a key allows, and what it told."""

    until: int
    left: int
    told: tuple[int, int]
    """Probes made and signed until then."""


class Probing:
    """Watches the health of the keys that sign, and probes those that are idle."""

    def __init__(
        self, *, origin: str, keyring: Keyring, tokens: Tokens, limited: Collection[str], interval: float, clock: Clock
    ) -> None:
        """`limited` names keys whose calls are numbered: none is spent on a probe. No probes at an `interval` of 0."""
        self._origin = origin
        self._keyring = keyring
        self._tokens = tokens
        self._limited = limited
        self._interval = int(interval * 1e9)
        self._clock = clock
        self._health: dict[str, KeyHealth] = {}
        """By key id."""
        self._tickets = count(1)
        self._next_look = 0
        self._allowances: dict[str, _Allowance] = {}
        """By key id."""

    def turn(self, standing: Standing, *, commit: Commit) -> None:
        """Look at every key that signs for a role, and probe one that is due."""
        now = self._clock.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_NS
        halted = standing.halt is not None
        due = [key for key in self._signing_keys(standing) if self._look(key, halted=halted, now=now)]
        if due:
            self._allow(due, standing=standing, commit=commit, now=now)
        for key in due:
            if self._is_allowed(key, now=now):
                self._probe(key, now=now)

    def health(self, key: PinnedKey) -> KeyHealth:
        """What is known of a key."""
        return self._health.setdefault(key.pin.kid, KeyHealth(since=self._clock.monotonic()))

    def trouble(self, key: PinnedKey) -> str:
        """Why the device of a key does not sign with it, by the last look; empty when it does."""
        health = self.health(key)
        if not health.looked:
            self._look(key, halted=False, now=self._clock.monotonic())
        return health.trouble

    def proofs(self, standing: Standing) -> Iterator[KeyProof]:
        """What each key that signs has proved."""
        for key in self._signing_keys(standing):
            health = self.health(key)
            yield KeyProof(
                name=key.pin.name,
                proved="" if health.proved is None else format_time(health.proved),
                probes=health.made,
                failed=health.made - health.signed,
            )

    def hear(self, event: JobEnded) -> bool:
        """Take the end of any key call; whether it was a probe."""
        health = self._health.get(event.kid)
        if health is not None and event.status == "signed":
            health.prove(at=self._clock.now(), now=self._clock.monotonic())
        if not event.probe:
            return False
        if health is not None:
            health.end_probe(code=event.reason, detail=event.detail, called=event.attempts > 0)
        return True

    def _signing_keys(self, standing: Standing) -> Iterator[PinnedKey]:
        for name, life in standing.lives.items():
            place = self._keyring.places.get(name)
            if place is not None and life.status == "active":
                try:
                    yield self._keyring.resolve(name, purpose=place.purpose, pins=standing.pins)
                except Unavailable:
                    # Settings and ledger differ: readiness says so.
                    continue

    def _look(self, key: PinnedKey, *, halted: bool, now: int) -> bool:
        """Look at one key; whether a probe of it is due."""
        health, hindrance = self.health(key), self._tokens.hindrance(key)
        interval = 0 if halted or key.pin.name in self._limited else self._interval
        health.look("" if hindrance is None else hindrance.detail, interval=interval, now=now)
        return bool(interval) and hindrance is None and health.is_due(interval=interval, retry=RETRY_NS, now=now)

    def _is_allowed(self, key: PinnedKey, *, now: int) -> bool:
        allowance = self._allowances.get(key.pin.kid)
        return allowance is not None and allowance.left > 0 and now < allowance.until

    def _allow(self, due: list[PinnedKey], *, standing: Standing, commit: Commit, now: int) -> None:
        """Write the leaf that allows further probes, where a key that is due has none left."""
        if all(self._is_allowed(key, now=now) for key in due):
            return
        others = [key for key in self._signing_keys(standing) if key.pin.name not in self._limited]
        # Those that wait first; with them whoever is next, so that one leaf serves all.
        keys = list({key.pin.kid: key for key in (*due, *others)}.values())[:MAX_KEYS]
        made = {key.pin.kid: (self.health(key).made, self.health(key).signed) for key in keys}
        before = {kid: self._allowances[kid].told if kid in self._allowances else (0, 0) for kid in made}
        leaf = ProbeLeaf(
            time=format_time(self._clock.now()),
            allowed=ALLOWED,
            keys=tuple(
                ProbeCount(kid=kid, made=now_made - before[kid][0], signed=now_signed - before[kid][1])
                for kid, (now_made, now_signed) in made.items()
            ),
        )
        commit.add(Act(ticket=None, entries=(Entry(leaf),), reply=lambda first: Done(leaf=first), stands=False))
        commit.settle(is_halted=standing.halt is not None)
        if not commit.uncertain:
            # Else it may stand in the ledger or not: no key is called for it.
            for kid, told in made.items():
                self._allowances[kid] = _Allowance(until=now + HOUR_NS, left=ALLOWED, told=told)

    def _probe(self, key: PinnedKey, *, now: int) -> None:
        health = self.health(key)
        health.tried_at, health.probing = now, True
        self._allowances[key.pin.kid].left -= 1
        text = PREFIX + f"{self._origin}\n{key.pin.kid}\n{secrets.token_hex(16)}\n".encode()
        data = key_input(key.place.algorithm, text)
        self._tokens.submit(
            SigningJob(ticket=next(self._tickets), key=key, data=data, begin_by=now + BEGIN_NS, probe=True)
        )
