# SPDX-License-Identifier: Apache-2.0
"""Per-principal quotas of the access document, as token buckets.

Each worker process keeps its own buckets and grants its share, the quota divided by the number of workers. A
caller whose connections all land on one worker so gets less than the quota, never more. A restart fills the
buckets. `requestsPerMinute` refills within a minute, `evidenceBytes` within a day.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from signer.domain.principal import Principal
from signer.errors import Unavailable
from signer.identity.access import Quota

MINUTE = 60.0
DAY = 86_400.0


@dataclass(slots=True)
class _Bucket:
    """What is left, and when that was last true."""

    left: float
    at: float


class Quotas:
    """The buckets of one worker."""

    def __init__(self, *, workers: int, monotonic: Callable[[], float]) -> None:
        self._workers = workers
        self._monotonic = monotonic
        self._lock = threading.Lock()
        # Bounded by the access document: only principals that it knows get a bucket.
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def take_request(self, principal: Principal, quota: Quota) -> None:
        """Count one request; raises Unavailable("over-quota") when the minute is used up."""
        self._take(principal, "requests", 1, capacity=quota.requests_per_minute, period=MINUTE)

    def take_evidence(self, principal: Principal, quota: Quota, size: int) -> None:
        """Count `size` bytes of new evidence; raises Unavailable("over-quota") when the day is used up."""
        self._take(principal, "evidence", size, capacity=quota.evidence_bytes, period=DAY)

    def _take(self, principal: Principal, what: str, amount: int, *, capacity: int, period: float) -> None:
        if amount == 0:
            return
        # The share is at least one request: a small quota must not become none.
        share = max(capacity / self._workers, 1.0)
        now = self._monotonic()
        with self._lock:
            bucket = self._buckets.setdefault((principal.id, what), _Bucket(share, now))
            bucket.left = min(share, bucket.left + (now - bucket.at) * share / period)
            bucket.at = now
            if bucket.left >= amount:
                bucket.left -= amount
                return
            wait = (min(amount, share) - bucket.left) * period / share
        raise Unavailable(
            "over-quota",
            f"the quota of {what} for {principal.id} is used up",
            remedy="wait as Retry-After says, or ask for a larger quota in the access document",
            retry_after=max(1, math.ceil(wait)),
        )
