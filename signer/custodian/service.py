# SPDX-License-Identifier: Apache-2.0
"""The custodian as a process: recover, listen, turn until told to stop.

gate (wiring) ▸ close orphans ▸ start token workers ▸ bind the sockets ▸ loop ▸ SIGTERM ▸ finish what is in work
"""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from signer.custodian.acts import Acts
from signer.custodian.authority import Authority
from signer.custodian.commit import Commit
from signer.custodian.connections import ADMIN_COMMANDS, WEB_COMMANDS, Listener
from signer.custodian.device_place import DevicePlace
from signer.custodian.judging import Judging
from signer.custodian.payloads import Identity
from signer.custodian.probing import Probing
from signer.custodian.protocols import Persons, Reader, Receipts, Sequencer
from signer.custodian.revocations import Revocations
from signer.custodian.sealing import Sealing
from signer.custodian.server import Server
from signer.custodian.shadowing import Shadowing
from signer.custodian.signing import Signing
from signer.custodian.standing import load_standing
from signer.custodian.stowing import Stowing
from signer.custodian.timestamp_place import TimestampPlace
from signer.custodian.timestamps import Timestamps
from signer.custodian.token_pool import TokenPool
from signer.custodian.token_process import TokenProcess
from signer.custodian.tokens import Tokens
from signer.errors import Misconfigured, Unavailable
from signer.keys.keyring import KeyPlace, Keyring, keyring_of
from signer.ledger.store import Intake
from signer.telemetry.logs import Log

SETTLE_NS = 10_000_000_000
"""How long a start waits for the first word of each device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What settings say of the custodian."""

    socket: Path
    admin_socket: Path
    web_uids: Collection[int]
    admin_uids: Collection[int]
    queue: int
    """Commands in work at most."""
    token_deadline: float
    """Seconds."""
    probe_interval: float
    """Seconds; 0 for no probes."""
    keys: Collection[tuple[str, str, str, str]]
    """(name, URI, purpose, algorithm)."""
    key_limits: Mapping[str, int]
    """How often a key may be called in its life, by its name; a key that is not in it has no limit."""
    devices: Collection[DevicePlace]
    timestamp: TimestampPlace | None
    version: str
    """Of this software; stands in payloads."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> int:
        """CLOCK_MONOTONIC, which token workers read too."""
        return time.monotonic_ns()


def serve(
    service: Service,
    *,
    reader: Reader,
    sequencer: Sequencer,
    receipts: Receipts,
    persons: Persons,
    intake: Intake | None,
    revocations: Revocations,
    sealing: Sealing,
    log: Log,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, on a ledger that passed its gate; `ready` is called once both sockets listen.

    Raises Misconfigured when the settings contradict each other or the ledger turns out damaged.
    """
    clock = SystemClock()
    if intake is not None and (removed := intake.prepare(lambda digest: reader.evidence(digest) is not None)):
        log.warning("documents without a leaf removed", count=removed)
    keyring = keyring_of(service.keys)
    devices = {device.name for device in service.devices}
    for place in keyring.places.values():
        if place.uri.device not in devices:
            raise Misconfigured(
                "settings-invalid",
                f"key {place.name} is in {place.uri.device}, which no [[tokens]] or [[aws_kms]] entry names",
                remedy="add the token's module and PIN file, or the region, to the settings",
            )
    with closing(selectors.DefaultSelector()) as selector:
        tokens = Tokens(
            _pools(service, keyring=keyring, reader=reader, clock=clock, log=log),
            selector=selector,
            timestamps=None
            if service.timestamp is None
            else Timestamps(service.timestamp, selector=selector, monotonic=clock.monotonic, log=log),
        )
        genesis = load_standing(reader, previous=None).genesis
        identity = Identity(origin=genesis.origin, dev=genesis.dev, version=service.version)
        signing = Signing(
            identity=identity, keyring=keyring, tokens=tokens, limits=service.key_limits, uses=reader.key_use
        )
        commit = Commit(sequencer=sequencer, signing=signing, receipts=receipts, tokens=tokens, log=log)
        authority = Authority(
            reader=reader,
            receipts=receipts,
            judging=Judging(reader=reader, persons=persons, clock=clock),
            signing=signing,
            acts=Acts(reader=reader, persons=persons, keyring=keyring, tokens=tokens, stowing=Stowing(intake)),
            commit=commit,
            tokens=tokens,
            keyring=keyring,
            revocations=revocations,
            shadowing=Shadowing(reader=reader, clock=clock),
            sealing=sealing,
            probing=Probing(
                origin=genesis.origin,
                keyring=keyring,
                tokens=tokens,
                limited=service.key_limits,
                interval=service.probe_interval,
                clock=clock,
            ),
            clock=clock,
            log=log,
        )
        authority.recover()
        with closing(tokens):
            faults = _meet(tokens, selector=selector, clock=clock)
            # A wrong key halts signing first: whatever is done about it, it stands in the ledger (invariant I12).
            authority.turn((), tokens.take_events())
            if faults:
                raise _unusable(faults, log=log)
            server = Server(
                _listeners(service),
                authority=authority,
                tokens=tokens,
                selector=selector,
                queue=service.queue,
                log=log,
            )
            with _stopped_by_signals(server, selector=selector):
                log.info("custodian ready", size=reader.head().size)
                ready()
                server.run()
        log.info("custodian stopped")


def _pools(
    service: Service, *, keyring: Keyring, reader: Reader, clock: SystemClock, log: Log
) -> Mapping[str, TokenPool]:
    def pins(device: str) -> tuple[tuple[KeyPlace, bytes], ...]:
        try:
            events = reader.keys()
        except Unavailable:
            # The worker then finds each key when it first signs with it.
            return ()
        recorded = {event.name: event.spki for event in events if event.event == "created"}
        return tuple(
            (place, recorded[place.name])
            for place in keyring.places.values()
            if place.uri.device == device and place.name in recorded
        )

    return {
        place.name: TokenPool(place, pins=pins, deadline=service.token_deadline, monotonic=clock.monotonic, log=log)
        for place in service.devices
    }


def _meet(tokens: Tokens, *, selector: selectors.BaseSelector, clock: SystemClock) -> list[Misconfigured]:
    """Start the workers and hear what they found; what only a person can end.

    A device that cannot be reached, or does not answer in time, is none of it: it is waited for while serving.
    """
    deadline = clock.monotonic() + SETTLE_NS
    tokens.turn(())
    while not tokens.settled and clock.monotonic() < deadline:
        tokens.turn([key.data for key, _ in selector.select(0.1) if isinstance(key.data, TokenProcess)])
    return tokens.misconfigurations()


def _unusable(faults: list[Misconfigured], *, log: Log) -> Misconfigured:
    for fault in faults:
        log.error("key or device unusable", code=fault.code, detail=fault.detail, remedy=fault.remedy)
    first = faults[0]
    others = f" (and {len(faults) - 1} more in the log)" if len(faults) > 1 else ""
    return Misconfigured(first.code, f"{first.detail}{others}", remedy=first.remedy)


def _listeners(service: Service) -> tuple[Listener, Listener]:
    return (
        Listener.bind("web", service.socket, uids=service.web_uids, commands=WEB_COMMANDS),
        Listener.bind("admin", service.admin_socket, uids=service.admin_uids, commands=ADMIN_COMMANDS),
    )


@contextmanager
def _stopped_by_signals(server: Server, *, selector: selectors.BaseSelector) -> Iterator[None]:
    """SIGTERM and SIGINT stop the loop, also while it waits: the kernel's wake-up byte ends the wait."""
    waking, wake = socket.socketpair()
    with waking, wake:
        wake.setblocking(False)
        selector.register(waking, selectors.EVENT_READ, None)
        before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        handlers = {
            number: signal.signal(number, lambda _number, _frame: server.stop())
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
            selector.unregister(waking)
