# SPDX-License-Identifier: Apache-2.0
"""The custodian's loop: one thread, one selector, one commit per turn.

    wait ▸ take frames and results ▸ gather a moment ▸ authority.turn: judge, append, call keys ▸ answer

While a commit waits for the disk, the sockets queue what comes next: the following turn drains them all into one
transaction. There is no thread and no lock; the order of the code is the order of the effects. What the loop
cannot do while the disk hangs is answer, so its liveness is watched from outside.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from signer.custodian.commands import Command, Failed, Halt, Reply, Resume, Status
from signer.custodian.connections import Connection, Connections, Listener
from signer.custodian.frames import decode_body
from signer.custodian.token_events import TokenEvent
from signer.custodian.token_process import TokenProcess
from signer.errors import Malformed
from signer.telemetry.logs import Log

GATHER_SECONDS = 0.0004
"""How long a turn waits for company when more than one command is in work."""
LONGEST_GATHER_SECONDS = 0.002
TICK_SECONDS = 1.0
DRAIN_SECONDS = 10.0


class Judge(Protocol):
    """The authority as the loop sees it."""

    @property
    def in_work(self) -> int:
        """Commands that have no answer yet."""

    @property
    def unfinished(self) -> bool:
        """Whether the next turn has work although nobody spoke."""

    @property
    def commit_seconds(self) -> float:
        """What one durable append took lately."""

    def turn(self, arrivals: Iterable[tuple[int, Command]], events: Iterable[TokenEvent]) -> list[tuple[int, Reply]]:
        """Take one turn: every answer whose time has come, by ticket."""

    def rest(self) -> bool:
        """Do one piece of what nobody waits for; whether there may be more."""


class Workers(Protocol):
    """The tokens as the loop sees them."""

    def turn(self, readable: Iterable[TokenProcess]) -> None:
        """Hear, end, start and ask the workers."""

    def take_events(self) -> list[TokenEvent]:
        """What ended since the last call."""

    @property
    def waiting(self) -> bool:
        """Whether work was queued that no worker has been asked for."""

    def next_wake(self) -> int | None:
        """When a turn is due although nobody speaks; CLOCK_MONOTONIC nanoseconds."""


class Server:
    """Moves frames between peers and the authority, and digests between the authority and the tokens."""

    def __init__(
        self,
        listeners: Iterable[Listener],
        *,
        authority: Judge,
        tokens: Workers,
        selector: selectors.BaseSelector,
        queue: int,
        log: Log,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._connections = Connections(list(listeners), selector=selector, log=log)
        self._authority = authority
        self._tokens = tokens
        self._selector = selector
        self._queue = queue
        self._log = log
        self._monotonic = monotonic
        self._waiting: dict[int, Connection] = {}
        self._eager: list[Connection] = []
        """Peers that were just answered and may have sent their next frame already."""
        self._tickets = 0
        self._stopping = False
        self._restless = False
        """Whether there may be something to do that nobody waits for."""

    def stop(self) -> None:
        """Take nothing new; `run` returns when everything in work is answered, or after ten seconds."""
        self._stopping = True

    def run(self) -> None:
        """Turn until stopped."""
        while not self._stopping:
            self.turn()
        self._connections.stop_listening()
        deadline = self._monotonic() + int(DRAIN_SECONDS * 1e9)
        while self._authority.in_work and self._monotonic() < deadline:
            self.turn()
        for connection in self._connections:
            self._connections.close(connection)

    def turn(self) -> None:
        """One turn of the loop."""
        arrivals, spoke = self._poll(self._timeout())
        if self._is_worth_gathering(len(arrivals) + len(spoke)):
            time.sleep(min(LONGEST_GATHER_SECONDS, max(GATHER_SECONDS, self._authority.commit_seconds / 10)))
            more, others = self._poll(0)
            arrivals += more
            spoke += [worker for worker in others if worker not in spoke]
        self._tokens.turn(spoke)
        answers = self._authority.turn(arrivals, self._tokens.take_events())
        # Keys before answers: an ask that waits idles a token, an answer that waits idles nobody here.
        if self._tokens.waiting:
            self._tokens.turn(())
        now = self._monotonic()
        for ticket, reply in answers:
            connection = self._waiting.pop(ticket, None)
            if connection is not None:
                self._connections.tell(connection, reply, now=now)
                self._eager.append(connection)
        self._connections.expire(now=now)
        # Nobody waits: what is in shadow may be judged, one decision at a turn.
        self._restless = not self._waiting and not self._authority.in_work and self._authority.rest()

    def _poll(self, timeout: float | None) -> tuple[list[tuple[int, Command]], list[TokenProcess]]:
        """Wait for the sockets and read them: whole commands, and the workers that spoke."""
        arrivals: list[tuple[int, Command]] = []
        spoke: list[TokenProcess] = []
        now = self._monotonic()
        eager, self._eager = self._eager, []
        for connection in eager:
            if len(connection.reader):
                self._take(connection, arrivals, now=now)
        for key, events in self._selector.select(0 if arrivals else timeout):
            match key.data:
                case Listener():
                    self._connections.accept(key.data)
                case TokenProcess():
                    spoke.append(key.data)
                case Connection():
                    if events & selectors.EVENT_WRITE:
                        self._connections.flush(key.data)
                    if events & selectors.EVENT_READ:
                        self._take(key.data, arrivals, now=now)
        return arrivals, spoke

    def _take(self, connection: Connection, arrivals: list[tuple[int, Command]], *, now: int) -> None:
        """Read one command of one peer, or tell it what is wrong."""
        try:
            body = self._connections.read(connection, now=now)
            if body is None:
                return
            command: Command = decode_body(body, connection.listener.decoder)
        except Malformed as fault:
            # After a frame that cannot be read the stream has no meaning: answer once and hang up.
            connection.closing = True
            self._connections.tell(connection, failed("malformed", fault), now=now)
            return
        urgent = isinstance(command, Halt | Resume | Status)
        if not urgent and self._authority.in_work + len(arrivals) >= self._queue:
            overloaded = Failed(
                family="unavailable",
                code="overloaded",
                detail="too many requests are in work",
                remedy="send the request again after a moment, with the same Idempotency-Key",
                retry_after=1,
            )
            self._connections.tell(connection, overloaded, now=now)
            self._eager.append(connection)
            return
        self._tickets += 1
        connection.ticket = self._tickets
        self._waiting[self._tickets] = connection
        arrivals.append((self._tickets, command))

    def _is_worth_gathering(self, arrived: int) -> bool:
        """Whether other commands in work may join this turn's commit if it waits a moment."""
        return arrived > 0 and len(self._waiting) > 1 and arrived < len(self._waiting)

    def _timeout(self) -> float:
        if self._restless or self._authority.unfinished or any(len(connection.reader) for connection in self._eager):
            return 0
        now = self._monotonic()
        wakes = [self._tokens.next_wake(), self._connections.next_wake()]
        due = min((wake for wake in wakes if wake is not None), default=now + int(TICK_SECONDS * 1e9))
        return max(0.0, min(TICK_SECONDS, (due - now) / 1e9))


def failed(family: str, fault: Malformed) -> Failed:
    """An error as it stands on the wire."""
    return Failed(family=family, code=fault.code, detail=fault.detail, remedy=fault.remedy)
