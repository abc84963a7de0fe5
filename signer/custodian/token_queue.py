# SPDX-License-Identifier: Apache-2.0
"""The one queue of a device, first come first served: what waits for a worker, and why it waits no longer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator

from signer.custodian.token_events import SigningJob

MAX_DEPTH = 64
MAX_ASK = 256 * 1024
"""Bytes of inputs after which an ask takes no further job."""
ASK_NS = 2_000_000
"""An ask is at most this much work: a kill loses little, and a slow device gets one job at a time."""


class TokenQueue:
    """The jobs that no worker was asked for."""

    def __init__(self) -> None:
        self._jobs: deque[SigningJob] = deque()
        self._probes: deque[SigningJob] = deque()

    def __len__(self) -> int:
        return len(self._jobs) + len(self._probes)

    def add(self, job: SigningJob) -> None:
        """Queue one job behind all others of its sort; a probe is taken when nothing else waits."""
        (self._probes if job.probe else self._jobs).append(job)

    def put_back(self, jobs: Iterable[SigningJob]) -> None:
        """Queue jobs in front of all others, in their order: they waited already."""
        for job in reversed(list(jobs)):
            (self._probes if job.probe else self._jobs).appendleft(job)

    def next_end(self) -> int | None:
        """When the first job is too late; None when none waits. CLOCK_MONOTONIC nanoseconds."""
        return min((job.begin_by for job in (*self._jobs, *self._probes)), default=None)

    def expire(
        self, *, stopped: bool, refused: Collection[str], hopeless: str, now: int
    ) -> Iterator[tuple[SigningJob, str, str]]:
        """Take out what no key may be called for any more: (job, reason, detail).

        `refused` are key ids; `hopeless` says why no worker will come, or is empty.
        """
        jobs = (*self._jobs, *self._probes)
        self._jobs.clear()
        self._probes.clear()
        for job in jobs:
            if stopped:
                yield job, "halted", "signing is halted"
            elif job.key.pin.kid in refused:
                yield job, "key-compromised", f"key {job.key.pin.name} was reported compromised"
            elif now > job.begin_by:
                yield job, "stale", "the key was not called in time"
            elif hopeless:
                yield job, "token-unavailable", hopeless
            else:
                self.add(job)

    def take(self, count: int, *, pausing: Callable[[SigningJob], object]) -> list[SigningJob]:
        """The first jobs whose keys do not pause, at most `count` and about `MAX_ASK` bytes."""
        taken: list[SigningJob] = []
        later: list[SigningJob] = []
        size = 0
        while self._jobs and len(taken) < count and size < MAX_ASK:
            job = self._jobs.popleft()
            if pausing(job):
                later.append(job)
                continue
            taken.append(job)
            size += len(job.data)
        self.put_back(later)
        if not self._jobs and not taken and self._probes:
            taken.append(self._probes.popleft())
        return taken

    def share(self, workers: int, *, pace: float) -> int:
        """How many jobs one of `workers` that are free takes at once; `pace` is its nanoseconds for one, or 0."""
        # Shared out evenly, so that the last job of a burst waits for no longer queue than needed.
        even = -(-len(self._jobs) // workers)
        return max(1, min(even, MAX_DEPTH, int(ASK_NS / pace) if pace else 1))
