# SPDX-License-Identifier: Apache-2.0
"""All workers of the custodian: which pool serves which key, the channels of its workers, and the timestamp worker."""

from __future__ import annotations

import selectors
from collections.abc import Collection, Iterable, Mapping

from signer.custodian.timestamps import Timestamps
from signer.custodian.token_events import SigningJob, StampJob, TokenEvent
from signer.custodian.token_pool import TokenPool
from signer.custodian.token_process import TokenProcess
from signer.errors import Misconfigured, Unavailable
from signer.keys.keyring import KeyPlace, PinnedKey


class Tokens:
    """Finds the pool of a key and watches every worker's channel."""

    def __init__(
        self,
        pools: Mapping[str, TokenPool],
        *,
        selector: selectors.BaseSelector,
        timestamps: Timestamps | None = None,
    ) -> None:
        self._pools = pools
        self._timestamps = timestamps
        self._selector = selector
        self._watched: dict[int, TokenProcess] = {}

    def hindrance(self, key: PinnedKey) -> Unavailable | None:
        """Why `key` cannot be used now; None when it can, or soon can."""
        name = key.place.uri.device
        pool = self._pools.get(name)
        if pool is None:
            return Unavailable("token-unavailable", f"no device named {name} stands in the custodian's settings")
        return pool.hindrance(str(key.place.uri))

    @property
    def settled(self) -> bool:
        """Whether the first worker of each device became ready, or could not."""
        return all(pool.settled for pool in self._pools.values())

    def misconfigurations(self) -> list[Misconfigured]:
        """What was found so far that only a person can end."""
        return [each for pool in self._pools.values() for each in pool.misconfigurations()]

    def submit(self, job: SigningJob) -> None:
        """Queue one job with the pool of its device."""
        self._pools[job.key.place.uri.device].submit(job)

    def stamp_hindrance(self) -> Unavailable | None:
        """Why no signature can be timestamped now; None when it can, or soon can."""
        if self._timestamps is None:
            return Unavailable(
                "timestamp-unavailable",
                "the custodian's settings name no timestamp authority",
                remedy="add a [timestamp] section and restart the custodian",
            )
        return self._timestamps.hindrance()

    def stamp(self, job: StampJob) -> None:
        """Queue one signature with the timestamp worker."""
        assert self._timestamps is not None, "asked for only where nothing hinders"
        self._timestamps.submit(job)

    def locate(self, ticket: int, place: KeyPlace, *, generate: bool) -> bool:
        """Look for a key; False when no such device is configured."""
        pool = self._pools.get(place.uri.device)
        if pool is not None:
            pool.locate(ticket, place, generate=generate)
        return pool is not None

    def set_stop(self, *, stopped: bool) -> None:
        """Halt or resume every pool."""
        for pool in self._pools.values():
            pool.set_stop(stopped=stopped)

    def refuse(self, kids: Collection[str]) -> None:
        """Call the keys with these key ids no more."""
        for pool in self._pools.values():
            pool.refuse(kids)

    def take_events(self) -> list[TokenEvent]:
        """What ended in any pool since the last call."""
        events = [event for pool in self._pools.values() for event in pool.take_events()]
        return events if self._timestamps is None else [*events, *self._timestamps.take_events()]

    @property
    def waiting(self) -> bool:
        """Whether any pool has work that no worker was asked for."""
        stamping = self._timestamps is not None and self._timestamps.waiting
        return stamping or any(pool.waiting for pool in self._pools.values())

    def turn(self, readable: Iterable[TokenProcess]) -> None:
        """One turn of every pool; channels of new workers join the selector, those of lost ones leave it."""
        spoke = list(readable)
        # A closed descriptor leaves epoll by itself, but the selector's own table must forget it before its
        # number is used again.
        for pool in self._pools.values():
            pool.turn(spoke)
        if self._timestamps is not None:
            self._timestamps.turn()
        alive = {worker.fileno(): worker for pool in self._pools.values() for worker in pool.workers()}
        for descriptor, worker in list(self._watched.items()):
            if alive.get(descriptor) is not worker:
                self._selector.unregister(descriptor)
                del self._watched[descriptor]
        for descriptor, worker in alive.items():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.unsent else 0)
            if descriptor not in self._watched:
                self._selector.register(descriptor, events, worker)
                self._watched[descriptor] = worker
            elif self._selector.get_key(descriptor).events != events:
                self._selector.modify(descriptor, events, worker)

    def next_wake(self) -> int | None:
        """The earliest instant at which a pool wants a turn; CLOCK_MONOTONIC nanoseconds."""
        wakes = [pool.next_wake() for pool in self._pools.values()]
        if self._timestamps is not None:
            wakes.append(self._timestamps.next_wake())
        return min((wake for wake in wakes if wake is not None), default=None)

    def close(self) -> None:
        """End all workers."""
        for pool in self._pools.values():
            pool.close()
        if self._timestamps is not None:
            self._timestamps.close()
