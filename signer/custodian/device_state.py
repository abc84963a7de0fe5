# SPDX-License-Identifier: Apache-2.0
"""What keeps a device or its keys from signing now, and when it is tried again.

no worker starts    tried again after a pause that doubles; a refused PIN only when its file changed
a key is unusable   looked at again once a second, by a new session every other time; compared with its pin
a key is throttled  it pauses
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from signer.custodian.throttle import Throttle
from signer.custodian.token_messages import Fault, Problem
from signer.errors import Misconfigured, Unavailable
from signer.keys.backend import CONFIGURATION, Scope
from signer.keys.pin import file_state

FIRST_PAUSE_NS = 50_000_000
LONGEST_PAUSE_NS = 2_000_000_000
"""With the start of a worker it stays within the five seconds of the contract (signer.keys.recovery)."""
RECHECK_NS = 1_000_000_000
"""How often a refused PIN file or an unusable key is looked at again."""
RENEW_NS = 2_000_000_000
"""How often a session is replaced while a key stays unusable: an old one may never see what came back."""


class DeviceState:
    """The faults of one device and of its keys; instants are CLOCK_MONOTONIC nanoseconds."""

    def __init__(self, name: str, *, pin_file: Path | None) -> None:
        self._name = name
        self._pin_file = pin_file
        self._failures = 0
        """Workers in a row that ended without having answered anything."""
        self._next_start = 0
        self._next_recheck = 0
        self._next_renewal = 0
        self._refused_pin: tuple[int, ...] | None = None
        self.fault: Fault | None = None
        """Why the last worker could not go on; None once another is ready."""
        self._problems: dict[str, Problem] = {}
        self.throttle = Throttle()

    # What stands in the way

    @property
    def failing(self) -> bool:
        """Whether no worker can be started now: the last one ended without an answer, or its PIN was refused."""
        return bool(self._failures) or self._refused_pin is not None

    def hindrance(self, uri: str, *, ready: bool, now: int) -> Unavailable | None:
        """Why the key at `uri` cannot be used now, as the error to answer; `ready` says whether a worker is."""
        if not ready and self.failing:
            remedy = self.fault.remedy if self.fault is not None else "look at the device and the custodian's log"
            return Unavailable("token-unavailable", self.why("cannot be reached"), remedy=remedy)
        problem = self._problems.get(uri)
        if problem is not None:
            return Unavailable("token-unavailable", problem.detail, remedy=problem.remedy)
        pause = self.throttle.remaining(uri, now=now)
        if pause:
            seconds = 1 + pause // 1_000_000_000
            return Unavailable(
                "key-throttled", f"the device throttles {uri}", remedy="send the request again", retry_after=seconds
            )
        return None

    def misconfigurations(self) -> Iterator[Misconfigured]:
        """What was found so far that only a person can end."""
        found: list[Fault | Problem] = [*([] if self.fault is None else [self.fault]), *self._problems.values()]
        yield from (
            Misconfigured(each.code, each.detail, remedy=each.remedy) for each in found if each.code in CONFIGURATION
        )

    def why(self, otherwise: str) -> str:
        """The device's own words for its fault, or ours."""
        return self.fault.detail if self.fault is not None else f"{self._name}: {otherwise}"

    # The device

    def opened(self, problems: tuple[Problem, ...], *, now: int) -> tuple[list[Problem], bool]:
        """A worker is ready, and found these keys unusable: what is new of it, and whether a key came back."""
        before = {problem.uri: problem.code for problem in self._problems.values()}
        self.fault = None
        self._problems = {problem.uri: problem for problem in problems}
        self._next_renewal = now + RENEW_NS
        news = [problem for problem in problems if before.get(problem.uri) != problem.code]
        return news, not before.keys() <= self._problems.keys()

    def proved(self) -> None:
        """A worker answered: the device works."""
        self._failures = 0

    def broken(self, fault: Fault) -> None:
        """A worker cannot go on."""
        self.fault = fault
        if fault.scope == Scope.NEVER and self._pin_file is not None:
            # Not tried again with this PIN: every attempt counts towards a lock.
            self._refused_pin = file_state(self._pin_file)

    def lost(self, *, proved: bool, now: int) -> None:
        """A worker ended; `proved` says whether it had answered anything."""
        if not proved:
            self._failures += 1
        pause = min(LONGEST_PAUSE_NS, FIRST_PAUSE_NS << min(self._failures, 16)) if self._failures else 0
        self._next_start = now + pause

    def may_start(self, *, now: int) -> bool:
        """Whether a worker may be started now."""
        if self._refused_pin is not None:
            if now < self._next_recheck or self._pin_state() == self._refused_pin:
                return False
            self._refused_pin = None
        return now >= self._next_start

    # Its keys

    def unusable(self, problem: Problem, *, now: int) -> None:
        """One key is out of service."""
        if not self._problems:
            self._next_renewal = now + RENEW_NS
        self._problems[problem.uri] = problem

    def usable(self, uri: str) -> None:
        """One key is in service again."""
        self._problems.pop(uri, None)

    def is_unusable(self, uri: str) -> bool:
        """Whether a key is out of service."""
        return uri in self._problems

    def due(self, *, now: int) -> tuple[str, ...]:
        """The unusable keys, once in each interval; nothing in between."""
        if now < self._next_recheck:
            return ()
        self._next_recheck = now + RECHECK_NS
        return tuple(self._problems)

    def wants_renewal(self, *, now: int) -> bool:
        """Whether a session ought to be replaced, so that a new one looks at an unusable key."""
        return bool(self._problems) and now >= self._next_renewal

    def next_wake(self, *, wants_worker: bool, now: int) -> int | None:
        """When something is due although nobody speaks; None for never."""
        wakes = []
        pause = self.throttle.next_end(now=now)
        if pause is not None:
            wakes.append(pause)
        if wants_worker and self._refused_pin is None:
            wakes.append(self._next_start)
        if self._refused_pin is not None or self._problems:
            wakes.append(self._next_recheck)
        return min(wakes, default=None)

    def _pin_state(self) -> tuple[int, ...]:
        return () if self._pin_file is None else file_state(self._pin_file)
