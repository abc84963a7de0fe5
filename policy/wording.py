# SPDX-License-Identifier: Apache-2.0
"""How findings write values down: bounded, printable ASCII, so that no evidence text reaches a reader raw (I6)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

MAX_QUOTED = 200
_PLAIN = re.compile(rf"[ !#-\[\]-~]{{0,{MAX_QUOTED}}}")
"""Printable ASCII without the quotation mark and the backslash."""
MAX_LISTED = 5


def quote(text: str) -> str:
    """The value between quotes, escaped, and cut when it is long."""
    if _PLAIN.fullmatch(text) is not None:
        return f'"{text}"'
    shown = text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"
    escaped = shown.encode("unicode_escape").decode("ascii").replace('"', '\\"').replace("\\u2026", "...")
    return f'"{escaped}"'


def listed(words: Iterable[str]) -> str:
    """The first few words, separated by commas, and how many more there are."""
    every = tuple(words)
    more = f" and {len(every) - MAX_LISTED} more" if len(every) > MAX_LISTED else ""
    return ", ".join(every[:MAX_LISTED]) + more


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


def span(length: timedelta) -> str:
    """A duration in the two largest units that it needs: 9d4h, 35m."""
    seconds = int(length.total_seconds())
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"
