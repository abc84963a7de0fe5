# SPDX-License-Identifier: Apache-2.0
"""The health of one key: what its device proved last, and whether it counts as ready.

Proved by a verified signature alone: opening a session or finding a key proves nothing. With hysteresis, so that
nobody who watches is sent back and forth: not ready after one second of trouble, ready after two without any.
Instants are CLOCK_MONOTONIC nanoseconds, and wall clock where people read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

TROUBLE_NS = 1_000_000_000
"""How long a trouble lasts before the key is not ready."""
CALM_NS = 2_000_000_000
"""How long none lasts before it is ready again."""
FAILURES = 2
"""Failed probes in a row that are a trouble: one alone is tried again first."""
STALE = 3
"""Intervals without a proof that are a trouble."""


@dataclass(slots=True)
class KeyHealth:
    """What is known of one key since this process began."""

    since: int
    """When it was first looked at."""
    proved: datetime | None = None
    """Its last verified signature, of a request or of a probe."""
    proved_at: int = 0
    tried_at: int = 0
    """When the last probe was asked for."""
    probing: bool = False
    """Whether a probe is under way."""
    failures: int = 0
    """Failed probes since the last proof."""
    reason: str = ""
    """Why the last of them failed."""
    made: int = 0
    """Probes that may have used the key."""
    signed: int = 0
    """Probes whose signature verified."""
    trouble: str = ""
    """Why the key is not ready; empty when it is."""
    _troubled_since: int | None = None
    _calm_since: int | None = None

    def prove(self, *, at: datetime, now: int) -> None:
        """A signature was verified under the pin."""
        self.proved, self.proved_at = at, now
        self.failures = 0

    def end_probe(self, *, code: str, detail: str, called: bool) -> None:
        """A probe ended; no code when it was signed."""
        self.probing = False
        self.made += called
        if code:
            self.failures += 1
            self.reason = f"its last probe failed: {detail}"
        else:
            self.signed += 1

    @property
    def looked(self) -> bool:
        """Whether anybody has looked yet."""
        return self._troubled_since is not None or self._calm_since is not None

    def is_due(self, *, interval: int, retry: int, now: int) -> bool:
        """Whether a probe is to be made: after an interval without a signature, or soon after one that failed."""
        last = max(self.since, self.proved_at, self.tried_at)
        return not self.probing and now - last >= (retry if self.failures else interval)

    def look(self, hindrance: str, *, interval: int, now: int) -> None:
        """Take in what stands in the way now; `interval` is that of probes, or 0 when none are made."""
        trouble = hindrance
        if not trouble and self.failures >= FAILURES:
            trouble = self.reason
        if not trouble and interval and now - max(self.since, self.proved_at) > STALE * interval:
            trouble = "no signature has proved it for longer than three intervals of probes"
        if not trouble:
            self._troubled_since = None
            self._calm_since = now if self._calm_since is None else self._calm_since
            if now - self._calm_since >= CALM_NS:
                self.trouble = ""
            return
        first = not self.looked
        self._calm_since = None
        self._troubled_since = now if self._troubled_since is None else self._troubled_since
        if self.trouble or first or now - self._troubled_since >= TROUBLE_NS:
            self.trouble = trouble
