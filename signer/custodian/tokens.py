# SPDX-License-Identifier: Apache-2.0
"""All tokens of the custodian: which pool serves which key, and the channels of their workers."""

from __future__ import annotations

import selectors
from collections.abc import Iterable, Mapping

from signer.custodian.token_events import SigningJob, TokenEvent
from signer.custodian.token_pool import TokenPool
from signer.custodian.token_process import TokenProcess
from signer.keys.keyring import PinnedKey
from signer.keys.uri import KeyUri


class Tokens:
    """Finds the pool of a key and watches every worker's channel."""

    def __init__(self, pools: Mapping[str, TokenPool], *, selector: selectors.BaseSelector) -> None:
        self._pools = pools
        self._selector = selector
        self._watched: dict[int, TokenProcess] = {}

    def unavailable(self, key: PinnedKey) -> str:
        """Why `key` cannot be used now; empty when it can, or soon can."""
        pool = self._pools.get(key.place.uri.token)
        if pool is None:
            return f"no token named {key.place.uri.token} stands in the custodian's settings"
        return pool.unavailable(key.place.uri)

    def submit(self, job: SigningJob) -> None:
        """Queue one job with the pool of its token."""
        self._pools[job.key.place.uri.token].submit(job)

    def locate(self, ticket: int, uri: KeyUri, *, generate: bool) -> bool:
        """Look for a key; False when no configured token has that label."""
        pool = self._pools.get(uri.token)
        if pool is not None:
            pool.locate(ticket, uri, generate=generate)
        return pool is not None

    def set_stop(self, *, stopped: bool) -> None:
        """Halt or resume every pool."""
        for pool in self._pools.values():
            pool.set_stop(stopped=stopped)

    def take_events(self) -> list[TokenEvent]:
        """What ended in any pool since the last call."""
        return [event for pool in self._pools.values() for event in pool.take_events()]

    @property
    def waiting(self) -> bool:
        """Whether any pool has work that no worker was asked for."""
        return any(pool.waiting for pool in self._pools.values())

    def turn(self, readable: Iterable[TokenProcess]) -> None:
        """One turn of every pool; channels of new workers join the selector, those of lost ones leave it."""
        spoke = list(readable)
        # A closed descriptor leaves epoll by itself, but the selector's own table must forget it before its
        # number is used again.
        for pool in self._pools.values():
            pool.turn(spoke)
        alive = {worker.fileno(): worker for pool in self._pools.values() for worker in pool.workers()}
        for descriptor, worker in list(self._watched.items()):
            if alive.get(descriptor) is not worker:
                self._selector.unregister(descriptor)
                del self._watched[descriptor]
        for descriptor, worker in alive.items():
            if descriptor not in self._watched:
                self._selector.register(descriptor, selectors.EVENT_READ, worker)
                self._watched[descriptor] = worker

    def next_wake(self) -> int | None:
        """The earliest instant at which a pool wants a turn; CLOCK_MONOTONIC nanoseconds."""
        return min((wake for pool in self._pools.values() if (wake := pool.next_wake()) is not None), default=None)

    def close(self) -> None:
        """End all workers."""
        for pool in self._pools.values():
            pool.close()
