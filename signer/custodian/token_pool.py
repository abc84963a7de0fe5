# SPDX-License-Identifier: Apache-2.0
"""The workers of one token, and their one queue, first come first served.

A worker that crashes, hangs past the deadline or loses its session is killed and replaced. What it had not
started goes back to the head of the queue; what may have touched the key ends as `unknown` and is never signed
again. While a token cannot be used at all, new work is refused before anything is decided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from signer.custodian.token_events import Alarm, JobEnded, KeyLocated, SigningJob, TokenEvent
from signer.custodian.token_messages import Fault, FromWorker, Locate, Located, Ready, Result, Signed, Start
from signer.custodian.token_process import TokenProcess
from signer.errors import Malformed
from signer.keys.backend import Scope
from signer.keys.keyring import KeyPlace
from signer.keys.uri import KeyUri
from signer.telemetry.logs import Log

MAX_ATTEMPTS = 2
"""A job whose worker lost its session before it signed is tried once more, by a worker that found the key anew."""
MAX_DEPTH = 64
ASK_NS = 2_000_000
"""An ask is at most this much work: a kill loses little, and a slow device gets one job at a time."""
START_DEADLINE_NS = 30_000_000_000
FIRST_PAUSE_NS = 50_000_000
LONGEST_PAUSE_NS = 10_000_000_000
RECHECK_NS = 1_000_000_000
"""How often a refused PIN file or an unusable key is looked at again."""


_ALARMS = frozenset({"key-pin-mismatch", "self-check-failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlace:
    """Where one token is: what its workers need to start."""

    label: str
    module: Path
    pin_file: Path
    workers: int
    environment: Mapping[str, str]
    lock: Path
    """File that serialises initialisation and login of all workers."""


class TokenPool:
    """The workers of one token, and its queue."""

    def __init__(
        self,
        place: TokenPlace,
        *,
        pins: Callable[[str], Iterable[tuple[KeyPlace, bytes]]],
        deadline: float,
        monotonic: Callable[[], int],
        log: Log,
    ) -> None:
        self._place = place
        self._pins = pins
        self._deadline = int(deadline * 1e9)
        self._monotonic = monotonic
        self._log = log
        self._workers: list[TokenProcess] = []
        self._ended: list[TokenProcess] = []
        self._queue: deque[SigningJob] = deque()
        self._asks: deque[tuple[int, Locate]] = deque()
        self._locating: dict[TokenProcess, int] = {}
        self._events: list[TokenEvent] = []
        self._stopped = False
        self._failures = 0
        self._next_start = 0
        self._next_recheck = 0
        self._refused_pin: tuple[int, ...] | None = None
        self._fault = ""
        self._problems: dict[str, str] = {}

    def unavailable(self, uri: KeyUri) -> str:
        """Why the key at `uri` cannot be used now; empty when it can, or soon can."""
        if not any(worker.ready for worker in self._workers) and self._failures:
            return self._fault or f"token {self._place.label} cannot be reached"
        return self._problems.get(str(uri), "")

    def submit(self, job: SigningJob) -> None:
        """Queue one job; its end comes as a JobEnded."""
        self._queue.append(job)

    def locate(self, ticket: int, uri: KeyUri, *, generate: bool) -> None:
        """Look for, or make, the key at `uri`; the answer comes as a KeyLocated."""
        self._asks.append((ticket, Locate(uri=str(uri), generate=generate)))

    def set_stop(self, *, stopped: bool) -> None:
        """Halt or resume: no worker calls a key while stopped, and what is queued ends as failed."""
        self._stopped = stopped
        for worker in self._workers:
            worker.set_stop(stopped=stopped)

    def take_events(self) -> list[TokenEvent]:
        """What ended since the last call."""
        events, self._events = self._events, []
        return events

    @property
    def waiting(self) -> bool:
        """Whether work is queued that no worker was asked for."""
        return bool(self._queue or self._asks)

    def workers(self) -> Iterator[TokenProcess]:
        """The processes now alive, to watch their channels."""
        yield from self._workers

    def turn(self, readable: Iterable[TokenProcess]) -> None:
        """One turn: hear the workers, end those that hang, start new ones, hand out work."""
        now = self._monotonic()
        for worker in readable:
            if worker in self._workers:
                self._hear(worker, now=now)
        for worker in [worker for worker in self._workers if self._hangs(worker, now=now)]:
            self._lose(worker, why="it did not answer in time", now=now)
        self._ended = [worker for worker in self._ended if not worker.gone]
        self._start(now=now)
        self._recheck(now=now)
        self._expire(now=now)
        self._hand_out(now=now)

    def next_wake(self) -> int | None:
        """CLOCK_MONOTONIC nanoseconds at which `turn` has something to do although nobody speaks; None for never."""
        wakes = [
            worker.heard + (self._deadline if worker.ready else START_DEADLINE_NS)
            for worker in self._workers
            if worker.busy
        ]
        wakes += [job.begin_by for job in self._queue]
        starting = any(not worker.ready for worker in self._workers)
        if len(self._workers) < self._place.workers and not starting and self._refused_pin is None:
            wakes.append(self._next_start)
        if self._refused_pin is not None or self._problems:
            wakes.append(self._next_recheck)
        return min(wakes, default=None)

    def close(self) -> None:
        """End all workers; what they had not answered stays without an outcome, for the sweep."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _hear(self, worker: TokenProcess, *, now: int) -> None:
        try:
            messages, alive = worker.receive(now=now)
            for message in messages:
                self._take(message, worker)
        except Malformed as fault:
            self._lose(worker, why=fault.detail, now=now)
            return
        if not alive:
            self._lose(worker, why="it ended", now=now)

    def _take(self, message: FromWorker, worker: TokenProcess) -> None:
        match message:
            case Ready():
                worker.ready = True
                self._fault = ""
                self._problems = {uri: detail for uri, _, detail in message.problems}
                for _, code, detail in message.problems:
                    self._alarm(code, detail)
                self._log.info("token worker ready", token=self._place.label, pid=worker.pid)
            case Signed():
                for result in message.results:
                    self._finish(worker.answered(result.number), result)
                worker.measure(len(message.results), elapsed=message.elapsed)
                worker.proved = True
                self._failures = 0
            case Located():
                self._located(worker, message)
                worker.proved = True
            case Fault():
                self._fault = message.detail
                if message.scope == Scope.NEVER:
                    # Not tried again with this PIN: every attempt counts towards a lock.
                    self._refused_pin = _identity(self._place.pin_file)
                self._log.warning("token worker fault", token=self._place.label, reason=message.detail)

    def _finish(self, job: SigningJob, result: Result) -> None:
        attempts = job.attempts + 1
        if not result.code:
            self._problems.pop(str(job.key.place.uri), None)
            self._end(job, status="signed", signature=result.signature, attempts=attempts)
            return
        self._alarm(result.code, result.detail)
        lost = result.scope in (Scope.SESSION, Scope.MODULE)
        if lost and not result.touched and attempts < MAX_ATTEMPTS:
            # The answer proves that nothing was signed: the next worker finds the key anew and tries once more.
            self._queue.appendleft(replace(job, attempts=attempts))
            return
        if result.scope == Scope.KEY and result.code != "self-check-failed":
            self._problems[str(job.key.place.uri)] = result.detail
        # A signature that failed its self-check is known and dropped; one that never came out is not known.
        unknown = result.touched and result.code != "self-check-failed"
        used = 0 if result.code in ("halted", "stale") else attempts
        self._end(
            job,
            status="unknown" if unknown else "failed",
            reason=result.code,
            detail=result.detail,
            attempts=used,
        )

    def _located(self, worker: TokenProcess, message: Located) -> None:
        worker.locating = None
        ticket = self._locating.pop(worker, None)
        if ticket is not None:
            self._events.append(KeyLocated(ticket=ticket, spki=message.spki, code=message.code, detail=message.detail))
            return
        # A look at a key that was unusable: back in service only when it is the pinned one again.
        for place, spki in self._pins(self._place.label):
            if str(place.uri) == message.uri and spki == message.spki:
                self._problems.pop(message.uri, None)

    def _lose(self, worker: TokenProcess, *, why: str, now: int) -> None:
        self._workers.remove(worker)
        touched, untouched = worker.end()
        self._ended.append(worker)
        for job in touched:
            detail = "the token worker ended while it may have been using the key"
            self._end(job, status="unknown", reason="worker-lost", detail=detail, attempts=job.attempts + 1)
        self._queue.extendleft(reversed(untouched))
        ticket = self._locating.pop(worker, None)
        if ticket is not None:
            detail = self._fault or "the token worker ended"
            self._events.append(KeyLocated(ticket=ticket, spki=b"", code="token-unavailable", detail=detail))
        if not worker.proved:
            self._failures += 1
        pause = min(LONGEST_PAUSE_NS, FIRST_PAUSE_NS << min(self._failures, 16)) if self._failures else 0
        self._next_start = now + pause
        self._log.warning("token worker lost", token=self._place.label, pid=worker.pid, reason=self._fault or why)

    def _hangs(self, worker: TokenProcess, *, now: int) -> bool:
        limit = self._deadline if worker.ready else START_DEADLINE_NS
        return worker.busy and now - worker.heard > limit

    def _start(self, *, now: int) -> None:
        if self._refused_pin is not None:
            if now < self._next_recheck or _identity(self._place.pin_file) == self._refused_pin:
                return
            self._refused_pin = None
        starting = any(not worker.ready for worker in self._workers)
        # One start at a time: a wrong PIN is tried once, not once per worker.
        if starting or len(self._workers) >= self._place.workers or now < self._next_start:
            return
        keys = tuple((str(place.uri), spki) for place, spki in self._pins(self._place.label))
        worker = TokenProcess(
            Start(
                module=str(self._place.module),
                label=self._place.label,
                pin_file=str(self._place.pin_file),
                lock=str(self._place.lock),
                keys=keys,
            ),
            environment=self._place.environment,
            now=now,
        )
        worker.set_stop(stopped=self._stopped)
        self._workers.append(worker)

    def _recheck(self, *, now: int) -> None:
        if now < self._next_recheck:
            return
        self._next_recheck = now + RECHECK_NS
        idle = next((worker for worker in self._workers if worker.idle), None)
        if idle is not None and self._problems and not self._queue:
            idle.locate(Locate(uri=next(iter(self._problems)), generate=False), now=now)

    def _expire(self, *, now: int) -> None:
        hopeless = not any(worker.ready for worker in self._workers) and bool(self._failures)
        kept: deque[SigningJob] = deque()
        for job in self._queue:
            if self._stopped:
                self._end(job, status="failed", reason="halted", detail="signing is halted", attempts=job.attempts)
            elif now > job.begin_by:
                detail = "the key was not called in time"
                self._end(job, status="failed", reason="stale", detail=detail, attempts=job.attempts)
            elif hopeless:
                detail = self._fault or "no token worker can be started"
                self._end(job, status="failed", reason="token-unavailable", detail=detail, attempts=job.attempts)
            else:
                kept.append(job)
        self._queue = kept
        if hopeless:
            for ticket, _ in self._asks:
                detail = self._fault or "no token worker can be started"
                self._events.append(KeyLocated(ticket=ticket, spki=b"", code="token-unavailable", detail=detail))
            self._asks.clear()

    def _hand_out(self, *, now: int) -> None:
        idle = [worker for worker in self._workers if worker.idle]
        while idle and self._asks:
            ticket, ask = self._asks.popleft()
            worker = idle.pop()
            self._locating[worker] = ticket
            worker.locate(ask, now=now)
        while idle and self._queue:
            worker = idle.pop()
            # Shared out evenly, so that the last job of a burst waits for no longer queue than needed.
            share = -(-len(self._queue) // (len(idle) + 1))
            depth = min(share, MAX_DEPTH, int(ASK_NS / worker.pace) if worker.pace else 1)
            worker.sign([self._queue.popleft() for _ in range(max(1, depth))], now=now)

    def _alarm(self, code: str, detail: str) -> None:
        if code in _ALARMS:
            self._events.append(Alarm(code, detail))

    def _end(
        self,
        job: SigningJob,
        *,
        status: str,
        attempts: int,
        signature: bytes = b"",
        reason: str = "",
        detail: str = "",
    ) -> None:
        self._events.append(
            JobEnded(
                ticket=job.ticket,
                status=status,
                signature=signature,
                reason=reason,
                detail=detail,
                attempts=attempts,
            )
        )


def _identity(path: Path) -> tuple[int, ...]:
    """What changes when the PIN file is written anew; empty when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_ino, status.st_mtime_ns, status.st_size)
