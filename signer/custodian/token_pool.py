# SPDX-License-Identifier: Apache-2.0
"""The workers of one device, and who of them does what.

A worker that crashes, hangs past the deadline or loses its session is killed and replaced. What it had not
started goes back to the head of the queue; what may have touched the key ends as `unknown` and is never signed
again. While a device or a key cannot be used, new work is refused before anything is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from signer.custodian.device_place import DevicePlace
from signer.custodian.device_state import DeviceState
from signer.custodian.job_ends import conclude, ended, lost
from signer.custodian.key_looks import KeyLooks
from signer.custodian.token_crew import Pins, TokenCrew
from signer.custodian.token_events import Alarm, SigningJob, TokenEvent
from signer.custodian.token_messages import (
    Fault,
    FromWorker,
    Locate,
    Located,
    Problem,
    Progress,
    Ready,
    Result,
    Signed,
)
from signer.custodian.token_process import TokenProcess
from signer.custodian.token_queue import TokenQueue
from signer.errors import Malformed, Misconfigured, Unavailable
from signer.keys.backend import Scope
from signer.keys.keyring import KeyPlace
from signer.telemetry.logs import Log

_ALARMS = frozenset({"key-pin-mismatch", "self-check-failed"})


class TokenPool:
    """The workers of one device, and its queue."""

    def __init__(
        self,
        place: DevicePlace,
        *,
        pins: Pins,
        deadline: float,
        monotonic: Callable[[], int],
        log: Log,
    ) -> None:
        self._place = place
        self._pins = pins
        self._monotonic = monotonic
        self._log = log
        self._crew = TokenCrew(place, pins=pins, deadline=deadline)
        self._queue = TokenQueue()
        self._looks = KeyLooks()
        self._state = DeviceState(place.name, pin_file=place.pin_file)
        self._events: list[TokenEvent] = []
        self._stopped = False
        self._refused_kids: frozenset[str] = frozenset()

    def hindrance(self, uri: str) -> Unavailable | None:
        """Why the key at `uri` cannot be used now, as the error to answer; None when it can, or soon can."""
        return self._state.hindrance(uri, ready=self._crew.ready, now=self._monotonic())

    @property
    def settled(self) -> bool:
        """Whether the first worker became ready, or could not."""
        return self._crew.ready or self._state.failing or self._state.fault is not None

    def misconfigurations(self) -> Iterator[Misconfigured]:
        """What was found so far that only a person can end."""
        yield from self._state.misconfigurations()

    def submit(self, job: SigningJob) -> None:
        """Queue one job; its end comes as a JobEnded."""
        self._queue.add(job)

    def locate(self, ticket: int, place: KeyPlace, *, generate: bool) -> None:
        """Look for, or make, the key at `place`; the answer comes as a KeyLocated."""
        self._looks.ask(ticket, Locate(uri=str(place.uri), algorithm=place.algorithm, generate=generate))

    def set_stop(self, *, stopped: bool) -> None:
        """Halt or resume: no worker calls a key while stopped, and what is queued ends as failed."""
        self._stopped = stopped
        self._crew.set_stop(stopped=stopped)

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
        return bool(self._queue or self._looks)

    def workers(self) -> Iterator[TokenProcess]:
        """The processes now alive, to watch their channels."""
        yield from self._crew

    def turn(self, readable: Iterable[TokenProcess]) -> None:
        """One turn: hear the workers, end those that hang, start new ones, hand out work."""
        now = self._monotonic()
        for worker in readable:
            if worker in self._crew:
                worker.flush()
                self._hear(worker, now=now)
        for worker in self._crew.hanging(now=now):
            self._lose(worker, why="it did not answer in time", now=now)
        for worker in self._crew.renew(one=not self._queue and self._state.wants_renewal(now=now)):
            self._log.info("token worker renewed", token=self._place.name, pid=worker.pid)
        if self._crew.wants_worker and self._state.may_start(now=now):
            self._crew.start(now=now)
        self._recheck(now=now)
        self._expire(now=now)
        self._hand_out(now=now)

    def next_wake(self) -> int | None:
        """CLOCK_MONOTONIC nanoseconds at which `turn` has something to do although nobody speaks; None for never."""
        wakes = [*self._crew.deadlines()]
        state = self._state.next_wake(wants_worker=self._crew.wants_worker, now=self._monotonic())
        wakes += [wake for wake in (self._queue.next_end(), state) if wake is not None]
        return min(wakes, default=None)

    def close(self) -> None:
        """End all workers; what they had not answered stays without an outcome, for the sweep."""
        self._crew.close()

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
            case Progress():
                worker.opening = True
            case Ready():
                worker.ready = True
                news, came_back = self._state.opened(message.problems, now=now)
                if came_back:
                    self._crew.prefer(worker)
                for problem in news:
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
                self._state.proved()
            case Located():
                self._located(worker, message)
                worker.proved = True
            case Fault():
                self._state.broken(message)
                self._log.warning(
                    "token worker fault", token=self._place.name, code=message.code, reason=message.detail
                )

    def _finish(self, job: SigningJob, result: Result, *, now: int) -> None:
        uri = str(job.key.place.uri)
        state = self._state
        self._alarm(result.code, result.detail)
        if not result.code:
            state.usable(uri)
            state.throttle.signed(uri)
        elif result.scope == Scope.BUSY:
            self._log.warning("key throttled", key=uri, count=state.throttle.note(uri, now=now), reason=result.detail)
        elif result.scope == Scope.KEY and result.code != "self-check-failed":
            problem = Problem(uri=uri, code=result.code, detail=result.detail, remedy=result.remedy)
            state.unusable(problem, now=now)
        end = conclude(job, result)
        if isinstance(end, SigningJob):
            self._queue.put_back([end])
        else:
            self._events.append(end)

    def _located(self, worker: TokenProcess, message: Located) -> None:
        worker.locating = None
        event = self._looks.answered(worker, message)
        if event is not None:
            self._events.append(event)
            if message.spki:
                self._log.info("key found", key=message.uri, detail=message.protection)
            return
        # A look at a key that was unusable: back in service only when it is the pinned one again.
        for place, spki in self._pins(self._place.name):
            if str(place.uri) == message.uri and spki == message.spki:
                self._state.usable(message.uri)

    def _lose(self, worker: TokenProcess, *, why: str, now: int) -> None:
        touched, untouched = self._crew.end(worker)
        self._events += map(lost, touched)
        self._queue.put_back(untouched)
        state = self._state
        self._events += self._looks.lost(worker, fault=state.fault, otherwise=state.why("the token worker ended"))
        state.lost(proved=worker.proved, now=now)
        self._log.warning("token worker lost", token=self._place.name, pid=worker.pid, reason=state.why(why))

    def _recheck(self, *, now: int) -> None:
        """Look once a second at each key that could not be used; back in service when it is the pinned one again."""
        due = self._state.due(now=now)
        if due:
            self._looks.look_again(
                Locate(uri=str(place.uri), algorithm=place.algorithm, generate=False)
                for place, _ in self._pins(self._place.name)
                if str(place.uri) in due
            )
        if not self._queue or self._place.threads > 1:
            # One thread: whoever waits for a signature comes first.
            self._looks.hand_out_again(self._crew.looker, wanted=self._state.is_unusable, now=now)

    def _expire(self, *, now: int) -> None:
        state = self._state
        hopeless = state.why("no token worker can be started") if not self._crew.ready and state.failing else ""
        for job, reason, detail in self._queue.expire(
            stopped=self._stopped, refused=self._refused_kids, hopeless=hopeless, now=now
        ):
            self._events.append(ended(job, status="failed", reason=reason, detail=detail, attempts=job.attempts))
        if hopeless:
            self._events += self._looks.give_up(fault=state.fault, otherwise=hopeless)

    def _hand_out(self, *, now: int) -> None:
        self._looks.hand_out(self._crew.looker, now=now)
        while self._queue:
            able = self._crew.free()
            if not able:
                return
            worker = max(able, key=lambda each: each.free)
            count = 1 if self._place.threads > 1 else self._queue.share(len(able), pace=worker.pace)
            jobs = self._queue.take(
                count, pausing=lambda job: self._state.throttle.remaining(str(job.key.place.uri), now=now)
            )
            if not jobs:
                return
            worker.sign(jobs, now=now)

    def _alarm(self, code: str, detail: str) -> None:
        if code in _ALARMS:
            self._events.append(Alarm(code, detail))
