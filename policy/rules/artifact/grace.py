# SPDX-License-Identifier: Apache-2.0
"""A period of grace for each severity, counted from the ledger's first receipt of the finding for this digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from policy.facts import VulnerabilityScan


@dataclass(frozen=True, slots=True)
class Start:
    """When the grace of one finding began, and by which scans."""

    at: datetime | None
    """None: a scan whose time of receipt is not known may be older than all others, so there is no grace."""
    scans: tuple[VulnerabilityScan, ...]


@dataclass(frozen=True, slots=True)
class Grace:
    """How long findings of each severity may stand, and since when each finding is known."""

    lengths: Mapping[str, timedelta]
    starts: Mapping[str, Start]
    """By the id of the vulnerability."""

    def end(self, vulnerability: str, severity: str) -> datetime | None:
        """When the grace of this finding ends; None when it has none."""
        length = self.lengths.get(severity)
        start = self.starts[vulnerability].at if length is not None and vulnerability in self.starts else None
        return None if length is None or start is None else start + length


_NONE: Final = Grace(lengths={}, starts={})


def since(scans: Iterable[VulnerabilityScan], lengths: Mapping[str, timedelta]) -> Grace:
    """The grace of every finding in `scans`, all by accepted scanners and about the same digest."""
    if not lengths:
        return _NONE
    holding: dict[str, list[VulnerabilityScan]] = {}
    for scan in scans:
        for name in {each.id for each in scan.vulnerabilities}:
            holding.setdefault(name, []).append(scan)
    return Grace(lengths, {name: _start(those) for name, those in holding.items()})


def _start(holding: list[VulnerabilityScan]) -> Start:
    undated = tuple(scan for scan in holding if scan.first_received is None)
    if undated:
        return Start(None, undated)
    first = min(scan.first_received for scan in holding if scan.first_received is not None)
    return Start(first, tuple(scan for scan in holding if scan.first_received == first))
