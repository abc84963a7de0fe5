# SPDX-License-Identifier: Apache-2.0
"""Keys that their device throttles: how long each pauses, and how often it was told to."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_PAUSE_NS = 200_000_000
LONGEST_PAUSE_NS = 3_200_000_000


@dataclass(slots=True)
class _Key:
    until: int = 0
    in_a_row: int = 0
    count: int = 0


class Throttle:
    """Pauses of keys by URI; instants are CLOCK_MONOTONIC nanoseconds."""

    def __init__(self) -> None:
        self._keys: dict[str, _Key] = {}

    def note(self, uri: str, *, now: int) -> int:
        """The device throttled this key just now: it pauses, twice as long each time; how often that happened."""
        key = self._keys.setdefault(uri, _Key())
        if now >= key.until:
            # Calls that were under way together are one refusal.
            key.until = now + min(LONGEST_PAUSE_NS, FIRST_PAUSE_NS << min(key.in_a_row, 16))
            key.in_a_row += 1
        key.count += 1
        return key.count

    def signed(self, uri: str) -> None:
        """The key signed: the next pause is short again."""
        if uri in self._keys:
            self._keys[uri].in_a_row = 0

    def remaining(self, uri: str, *, now: int) -> int:
        """Nanoseconds that this key still pauses; 0 when it does not."""
        key = self._keys.get(uri)
        return max(0, key.until - now) if key is not None else 0

    def next_end(self, *, now: int) -> int | None:
        """When the next pause ends; None when no key pauses."""
        return min((key.until for key in self._keys.values() if key.until > now), default=None)
