# SPDX-License-Identifier: Apache-2.0
"""What one key was called for: the first question after a compromise, answered from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from signer.ledger.reader import MAX_DECISIONS, Reader

MARGIN = timedelta(minutes=10)
"""A decision is older than its outcome by less than this: a key call begins within seconds or never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCall:
    """One payload that a key was called for; `released` tells whether its signature left."""

    time: datetime
    request_id: str
    decision: int
    outcome: int
    environment: str
    format: str
    first: str
    """sha256 of the first subject."""
    count: int
    released: bool


def key_calls(reader: Reader, *, kid: str, since: datetime) -> Iterator[KeyCall]:
    """Every call of the key `kid` whose outcome was written at or after `since`, the newest decision first."""
    before: int | None = None
    while True:
        page = reader.decisions(verdict="allow", since=since - MARGIN, before=before, limit=MAX_DECISIONS)
        for row in page:
            outcome = reader.outcome(row.leaf)
            if outcome is None or outcome.time < since:
                continue
            for entry in outcome.signatures:
                if entry.kid == kid and entry.attempts:
                    yield KeyCall(
                        time=outcome.time,
                        request_id=outcome.request_id,
                        decision=row.leaf,
                        outcome=outcome.leaf,
                        environment=row.environment,
                        format=entry.format,
                        first=row.first,
                        count=row.count,
                        released=entry.bundle is not None,
                    )
        if len(page) < MAX_DECISIONS:
            return
        before = page[-1].leaf
