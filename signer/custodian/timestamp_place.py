# SPDX-License-Identifier: Apache-2.0
"""Where the timestamp authority is; what settings say, apart from the process that asks it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampPlace:
    """The one timestamp authority, and how long it may take."""

    url: str
    ca: str
    """File of CAs for https; empty for those of the system."""
    timeout: float
    """Seconds for one answer."""
    threads: int
    """Questions at a time."""
