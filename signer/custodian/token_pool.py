# SPDX-License-Identifier: Apache-2.0
"""The workers of one device, and their one queue, first come first served.

A worker that crashes, hangs past the deadline or loses its session is killed and replaced. What it had not
started goes back to the head of the queue; what may have touched the key ends as `unknown` and is never signed
again. While a device or a key cannot be used, new work is refused before anything is decided.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from signer.custodian.throttle import Throttle
from signer.custodian.token_events import Alarm, JobEnded, KeyLocated, SigningJob, TokenEvent
from signer.custodian.token_messages import Fault, FromWorker, Locate, Located, Problem, Ready, Result, Signed, Start
from signer.custodian.token_process import TokenProcess
from signer.errors import Malformed, Misconfigured, Unavailable
from signer.keys.backend import CONFIGURATION, Scope
from signer.keys.devices import Device
from signer.keys.keyring import KeyPlace
from signer.keys.pin import file_state
from signer.telemetry.logs import Log

MAX_ATTEMPTS = 2
"""A job that provably was not signed is tried once more: after a pause, or by a worker that found the key anew."""
MAX_DEPTH = 64
MAX_ASK = 256 * 1024
"""Bytes of inputs after which an ask takes no further job."""
ASK_NS = 2_000_000
"""An ask is at most this much work: a kill loses little, and a slow device gets one job at a time."""
START_DEADLINE_NS = 30_000_000_000
FIRST_PAUSE_NS = 50_000_000
LONGEST_PAUSE_NS = 10_000_000_000
RECHECK_NS = 1_000_000_000
"""How often a refused PIN file or an unusable key is looked at again."""


_ALARMS = frozenset({"key-pin-mismatch", "self-check-failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlace:
    """One device that holds keys, and what its workers need to start."""

    name: str
    """As key URIs name it: the label of a token, or AWS KMS in a region."""
    device: Device
    pin_file: Path | None
    """Whatever a refused login waits for."""
    workers: int
    """Processes."""
    threads: int = 1
    """Calls at a time in each."""
    environment: Mapping[str, str]


class TokenPool:
    """The workers of one device, and its queue."""

    def __init__(
        self,
        place: DevicePlace,
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
        self._refused_kids: frozenset[str] = frozenset()
        self._failures = 0
        self._next_start = 0
        self._next_recheck = 0
        self._rechecks: deque[str] = deque()
        self._refused_pin: tuple[int, ...] | None = None
        self._fault: Fault | None = None
        self._problems: dict[str, Problem] = {}
        self._throttle = Throttle()

    def hindrance(self, uri: str) -> Unavailable | None:
        """Why the key at `uri` cannot be used now, as the error to answer; None when it can, or soon can."""
        if not self._is_ready and self._failures:
            remedy = self._fault.remedy if self._fault is not None else "look at the device and the custodian's log"
            return Unavailable("token-unavailable", self._why("cannot be reached"), remedy=remedy)
        problem = self._problems.get(uri)
        if problem is not None:
            return Unavailable("token-unavailable", problem.detail, remedy=problem.remedy)
        pause = self._throttle.remaining(uri, now=self._monotonic())
        if pause:
            seconds = 1 + pause // 1_000_000_000
            return Unavailable(
                "key-throttled", f"the device throttles {uri}", remedy="send the request again", retry_after=seconds
            )
        return None

    @property
    def settled(self) -> bool:
        """Whether the first worker became ready, or could not."""
        return self._is_ready or bool(self._failures) or self._fault is not None

    def misconfigurations(self) -> Iterator[Misconfigured]:
        """What was found so far that only a person can end."""
        found: list[Fault | Problem] = [*([] if self._fault is None else [self._fault]), *self._problems.values()]
        yield from (
            Misconfigured(each.code, each.detail, remedy=each.remedy) for each in found if each.code in CONFIGURATION
        )

    def submit(self, job: SigningJob) -> None:
        """Queue one job; its end comes as a JobEnded."""
        self._queue.append(job)

    def locate(self, ticket: int, place: KeyPlace, *, generate: bool) -> None:
        """Look for, or make, the key at `place`; the answer comes as a KeyLocated."""
        self._asks.append((ticket, Locate(uri=str(place.uri), algorithm=place.algorithm, generate=generate)))

    def set_stop(self, *, stopped: bool) -> None:
        """Halt or resume: no worker calls a key while stopped, and what is queued ends as failed."""
        self._stopped = stopped
        for worker in self._workers:
            worker.set_stop(stopped=stopped)

    def refuse(self, kids: Collection[str]) -> None:
        """Call the keys with these key ids no more; what is queued for them ends as failed at the next turn."""
        self._refused_kids = frozenset(kids)

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
                worker.flush()
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
            worker.silent_since + (self._deadline if worker.ready else START_DEADLINE_NS)
            for worker in self._workers
            if worker.busy
        ]
        wakes += [job.begin_by for job in self._queue]
        pause = self._throttle.next_end(now=self._monotonic())
        if pause is not None:
            wakes.append(pause)
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
                self._take(message, worker, now=now)
        except Malformed as fault:
            self._lose(worker, why=fault.detail, now=now)
            return
        if not alive:
            self._lose(worker, why="it ended", now=now)

    def _take(self, message: FromWorker, worker: TokenProcess, *, now: int) -> None:
        match message:
            case Ready():
                worker.ready = True
                self._fault = None
                self._problems = {problem.uri: problem for problem in message.problems}
                for problem in message.problems:
                    self._alarm(problem.code, problem.detail)
                    self._log.warning("key unusable", key=problem.uri, code=problem.code, detail=problem.detail)
                for uri, protection in message.found:
                    self._log.info("key found", key=uri, detail=protection)
                self._log.info("token worker ready", token=self._place.name, pid=worker.pid)
            case Signed():
                for result in message.results:
                    self._finish(worker.answered(result.number), result, now=now)
                worker.measure(len(message.results), elapsed=message.elapsed)
                worker.proved = True
                self._failures = 0
            case Located():
                self._located(worker, message)
                worker.proved = True
            case Fault():
                self._fault = message
                if message.scope == Scope.NEVER and self._place.pin_file is not None:
                    # Not tried again with this PIN: every attempt counts towards a lock.
                    self._refused_pin = file_state(self._place.pin_file)
                self._log.warning(
                    "token worker fault", token=self._place.name, code=message.code, reason=message.detail
                )

    def _finish(self, job: SigningJob, result: Result, *, now: int) -> None:
        attempts = job.attempts + 1
        uri = str(job.key.place.uri)
        if not result.code:
            self._problems.pop(uri, None)
            self._throttle.signed(uri)
            self._end(job, status="signed", signature=result.signature, attempts=attempts)
            return
        self._alarm(result.code, result.detail)
        if result.scope == Scope.BUSY:
            self._log.warning("key throttled", key=uri, count=self._throttle.note(uri, now=now), reason=result.detail)
        passing = result.scope in (Scope.SESSION, Scope.MODULE, Scope.BUSY)
        if passing and not result.touched and attempts < MAX_ATTEMPTS:
            # The answer proves that nothing was signed: tried once more, after the pause or by the next worker.
            self._queue.appendleft(replace(job, attempts=attempts))
            return
        if result.scope == Scope.KEY and result.code != "self-check-failed":
            self._problems[uri] = Problem(uri=uri, code=result.code, detail=result.detail, remedy=result.remedy)
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
            self._events.append(
                KeyLocated(
                    ticket=ticket, spki=message.spki, code=message.code, detail=message.detail, remedy=message.remedy
                )
            )
            if message.spki:
                self._log.info("key found", key=message.uri, detail=message.protection)
            return
        # A look at a key that was unusable: back in service only when it is the pinned one again.
        for place, spki in self._pins(self._place.name):
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
            self._events.append(self._not_located(ticket, otherwise="the token worker ended"))
        if not worker.proved:
            self._failures += 1
        pause = min(LONGEST_PAUSE_NS, FIRST_PAUSE_NS << min(self._failures, 16)) if self._failures else 0
        self._next_start = now + pause
        self._log.warning("token worker lost", token=self._place.name, pid=worker.pid, reason=self._why(why))

    def _hangs(self, worker: TokenProcess, *, now: int) -> bool:
        limit = self._deadline if worker.ready else START_DEADLINE_NS
        return worker.busy and now - worker.silent_since > limit

    def _start(self, *, now: int) -> None:
        if self._refused_pin is not None:
            if now < self._next_recheck or self._pin_state() == self._refused_pin:
                return
            self._refused_pin = None
        starting = any(not worker.ready for worker in self._workers)
        # One start at a time: a wrong PIN is tried once, not once per worker.
        if starting or len(self._workers) >= self._place.workers or now < self._next_start:
            return
        keys = tuple((str(place.uri), place.algorithm, spki) for place, spki in self._pins(self._place.name))
        worker = TokenProcess(
            Start(device=self._place.device, keys=keys),
            environment=self._place.environment,
            now=now,
            threads=self._place.threads,
        )
        worker.set_stop(stopped=self._stopped)
        self._workers.append(worker)

    def _recheck(self, *, now: int) -> None:
        """Look once a second at each key that could not be used; back in service when it is the pinned one again."""
        if now >= self._next_recheck:
            self._next_recheck = now + RECHECK_NS
            if not self._rechecks:
                self._rechecks.extend(self._problems)
        if self._queue and self._place.threads == 1:
            # One thread: whoever waits for a signature comes first.
            return
        while self._rechecks and (looker := self._looker()):
            uri = self._rechecks.popleft()
            for place, _ in self._pins(self._place.name) if uri in self._problems else ():
                if str(place.uri) == uri:
                    looker.locate(Locate(uri=uri, algorithm=place.algorithm, generate=False), now=now)
                    break

    def _expire(self, *, now: int) -> None:
        hopeless = not self._is_ready and bool(self._failures)
        kept: deque[SigningJob] = deque()
        for job in self._queue:
            if self._stopped:
                self._end(job, status="failed", reason="halted", detail="signing is halted", attempts=job.attempts)
            elif job.key.pin.kid in self._refused_kids:
                detail = f"key {job.key.pin.name} was reported compromised"
                self._end(job, status="failed", reason="key-compromised", detail=detail, attempts=job.attempts)
            elif now > job.begin_by:
                detail = "the key was not called in time"
                self._end(job, status="failed", reason="stale", detail=detail, attempts=job.attempts)
            elif hopeless:
                detail = self._why("no token worker can be started")
                self._end(job, status="failed", reason="token-unavailable", detail=detail, attempts=job.attempts)
            else:
                kept.append(job)
        self._queue = kept
        if hopeless:
            self._events += [
                self._not_located(ticket, otherwise="no token worker can be started") for ticket, _ in self._asks
            ]
            self._asks.clear()

    def _hand_out(self, *, now: int) -> None:
        while self._asks and (looker := self._looker()):
            ticket, ask = self._asks.popleft()
            self._locating[looker] = ticket
            looker.locate(ask, now=now)
        while self._queue:
            able = [worker for worker in self._workers if worker.free]
            if not able:
                return
            worker = max(able, key=lambda each: each.free)
            # Shared out evenly, so that the last job of a burst waits for no longer queue than needed.
            share = -(-len(self._queue) // len(able))
            depth = min(share, MAX_DEPTH, int(ASK_NS / worker.pace) if worker.pace else 1)
            jobs = self._next_jobs(1 if self._place.threads > 1 else max(1, depth), now=now)
            if not jobs:
                return
            worker.sign(jobs, now=now)

    def _next_jobs(self, depth: int, *, now: int) -> list[SigningJob]:
        """The first jobs of the queue whose keys do not pause."""
        taken: list[SigningJob] = []
        pausing: list[SigningJob] = []
        size = 0
        while self._queue and len(taken) < depth and size < MAX_ASK:
            job = self._queue.popleft()
            if self._throttle.remaining(str(job.key.place.uri), now=now):
                pausing.append(job)
                continue
            taken.append(job)
            size += len(job.data)
        self._queue.extendleft(reversed(pausing))
        return taken

    def _looker(self) -> TokenProcess | None:
        return next((worker for worker in self._workers if worker.may_look), None)

    @property
    def _is_ready(self) -> bool:
        return any(worker.ready for worker in self._workers)

    def _why(self, otherwise: str) -> str:
        return self._fault.detail if self._fault is not None else f"{self._place.name}: {otherwise}"

    def _not_located(self, ticket: int, *, otherwise: str) -> KeyLocated:
        fault = self._fault
        if fault is None:
            return KeyLocated(ticket=ticket, spki=b"", code="token-unavailable", detail=self._why(otherwise))
        return KeyLocated(ticket=ticket, spki=b"", code=fault.code, detail=fault.detail, remedy=fault.remedy)

    def _pin_state(self) -> tuple[int, ...]:
        return () if self._place.pin_file is None else file_state(self._place.pin_file)

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
