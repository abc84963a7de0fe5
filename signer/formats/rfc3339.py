# SPDX-License-Identifier: Apache-2.0
"""Times on the wire: RFC 3339 with an offset, written in UTC.

2026-11-23T10:00:00.000001Z
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from signer.errors import Malformed

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_YEARS = range(1970, 9000)
"""Earlier years are unset clocks (Go prints the year 1); later ones overflow when a duration is added."""


def parse_time(text: str, *, what: str, code: str = "evidence-invalid") -> datetime:
    """Read one instant as UTC; raises Malformed for naive times, dates alone and leap seconds.

    Digits beyond microseconds are cut off.
    """
    parts = _TIME.fullmatch(text)
    if parts is None or int(parts[1]) not in _YEARS:
        raise _malformed(what, code)
    offset = "+00:00" if parts[8] == "Z" else parts[8]
    fraction = (parts[7] or "").ljust(6, "0")[:6]
    try:
        return datetime.fromisoformat(f"{text[:19]}.{fraction}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise _malformed(what, code) from None


def format_time(time: datetime) -> str:
    """Write an aware time in UTC with microseconds."""
    if time.tzinfo is None:
        raise ValueError("a time without zone has no meaning on the wire")
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _malformed(what: str, code: str) -> Malformed:
    return Malformed(
        code, f"{what} is not an RFC 3339 time with an offset", remedy="write it like 2026-11-23T10:00:00Z"
    )
