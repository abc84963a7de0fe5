# SPDX-License-Identifier: Apache-2.0
"""The processes of one device: who is ready, who is free, who hangs, and who makes room for a new session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from signer.custodian.device_place import DevicePlace
from signer.custodian.token_events import SigningJob
from signer.custodian.token_messages import Start
from signer.custodian.token_process import TokenProcess
from signer.keys.keyring import KeyPlace

Pins: TypeAlias = Callable[[str], Iterable[tuple[KeyPlace, bytes]]]
"""The recorded keys of a device, and the public key of each."""

START_DEADLINE_NS = 30_000_000_000
"""Until a new process has begun to use its device; from then on the deadline of a call counts."""


class TokenCrew:
    """Starts and ends workers; one start at a time, so that a wrong PIN is tried once and not once per worker."""

    def __init__(self, place: DevicePlace, *, pins: Pins, deadline: float) -> None:
        self._place = place
        self._pins = pins
        self._deadline = int(deadline * 1e9)
        self._workers: list[TokenProcess] = []
        self._ended: list[TokenProcess] = []
        self._stopped = False

    def __iter__(self) -> Iterator[TokenProcess]:
        return iter(list(self._workers))

    def __contains__(self, worker: TokenProcess) -> bool:
        return worker in self._workers

    @property
    def ready(self) -> bool:
        """Whether any worker is logged in."""
        return any(worker.ready for worker in self._workers)

    @property
    def starting(self) -> bool:
        """Whether a worker is not ready yet."""
        return any(not worker.ready for worker in self._workers)

    @property
    def wants_worker(self) -> bool:
        """Whether there is room for another, and none is on its way."""
        return len(self._workers) < self._place.workers and not self.starting

    def free(self) -> list[TokenProcess]:
        """Those that can take a job now."""
        return [worker for worker in self._workers if worker.free]

    def looker(self) -> TokenProcess | None:
        """One that can look at a key now."""
        return next((worker for worker in self._workers if worker.may_look), None)

    def hanging(self, *, now: int) -> list[TokenProcess]:
        """Those that owe an answer for too long."""
        return [each for each in self._workers if each.busy and now - each.silent_since > self._limit(each)]

    def deadlines(self) -> Iterator[int]:
        """When each busy worker counts as hanging; CLOCK_MONOTONIC nanoseconds."""
        return (worker.silent_since + self._limit(worker) for worker in self._workers if worker.busy)

    def set_stop(self, *, stopped: bool) -> None:
        """Tell all of them, and those that start later, that signing is halted or goes on."""
        self._stopped = stopped
        for worker in self._workers:
            worker.set_stop(stopped=stopped)

    def start(self, *, now: int) -> None:
        """Start one more."""
        keys = tuple((str(place.uri), place.algorithm, spki) for place, spki in self._pins(self._place.name))
        worker = TokenProcess(
            Start(device=self._place.device, keys=keys),
            environment=self._place.environment,
            now=now,
            threads=self._place.threads,
        )
        worker.set_stop(stopped=self._stopped)
        self._workers.append(worker)

    def end(self, worker: TokenProcess) -> tuple[list[SigningJob], list[SigningJob]]:
        """Kill one and part its jobs: (may have touched their key, certainly did not)."""
        self._workers.remove(worker)
        self._ended = [each for each in self._ended if not each.gone] + [worker]
        return worker.end()

    def prefer(self, worker: TokenProcess) -> None:
        """Let this one alone go on, which sees a key that the others may not see: they end once they are idle."""
        for other in self._workers:
            other.stale = other is not worker

    def renew(self, *, one: bool) -> Iterator[TokenProcess]:
        """End idle workers that may not see a key: the stale ones, and `one` more; a new one takes its place."""
        if self._place.threads > 1 or self.starting:
            return
        idle = [worker for worker in self._workers if worker.idle]
        for worker in {*(idle[:1] if one else ()), *(worker for worker in idle if worker.stale)}:
            self.end(worker)
            yield worker

    def close(self) -> None:
        """End all."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _limit(self, worker: TokenProcess) -> int:
        return self._deadline if worker.ready or worker.opening else START_DEADLINE_NS
