# SPDX-License-Identifier: Apache-2.0
"""A period of grace for each severity, counted from the ledger's first receipt of the finding for this digest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from policy.facts import VulnerabilityScan


@dataclass(frozen=True, slots=True)
class Grace:
    """How long findings of each severity may stand, and which scans had each finding."""

    lengths: Mapping[str, timedelta]
    holding: Mapping[str, tuple[VulnerabilityScan, ...]]
    """Id of a vulnerability → the scans with it, in receipt order."""

    def end(self, vulnerability: str, severity: str) -> datetime | None:
        """When the grace of this finding ends; None when it has none."""
        length = self.lengths.get(severity)
        if length is None:
            return None
        since = {scan.first_received for scan in self.starting(vulnerability)}
        start = since.pop() if len(since) == 1 else None
        return None if start is None else start + length

    def starting(self, vulnerability: str) -> tuple[VulnerabilityScan, ...]:
        """The scans that started the grace of this finding.

        One whose time of receipt is not known may be older than all others: the finding then has no grace.
        """
        holding = self.holding.get(vulnerability, ())
        undated = tuple(scan for scan in holding if scan.first_received is None)
        first = min((scan.first_received for scan in holding if scan.first_received is not None), default=None)
        return undated or tuple(scan for scan in holding if scan.first_received == first)


_NONE: Final = Grace(lengths={}, holding={})


def since(scans: Iterable[VulnerabilityScan], lengths: Mapping[str, timedelta]) -> Grace:
    """The grace of every finding in `scans`, all by accepted scanners and about the same digest."""
    if not lengths:
        return _NONE
    holding: dict[str, list[VulnerabilityScan]] = {}
    for scan in scans:
        for name in {each.id for each in scan.vulnerabilities}:
            holding.setdefault(name, []).append(scan)
    return Grace(lengths, {name: tuple(those) for name, those in holding.items()})
