# SPDX-License-Identifier: Apache-2.0
"""What one key signed since an instant, as the ledger has it: the first question after a compromise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signer.cli.operator import calls_since
from signer.cli.output import clean
from signer.formats.rfc3339 import format_time

if TYPE_CHECKING:
    from signer.ledger.key_calls import KeyCall

SHOWN = 50
"""How many people are shown; the JSON object has all of them."""


@dataclass(frozen=True, slots=True)
class SignedReport:
    """Every payload that the key was called for since `since`, the newest first."""

    since: datetime
    entries: tuple[KeyCall, ...]

    def members(self) -> list[dict[str, Any]]:
        """For machines."""
        return [
            {
                "time": format_time(entry.time),
                "request_id": entry.request_id,
                "decision_leaf": entry.decision,
                "outcome_leaf": entry.outcome,
                "environment": entry.environment,
                "format": entry.format,
                "first": f"sha256:{entry.first}",
                "count": entry.count,
                "released": entry.released,
            }
            for entry in self.entries
        ]

    def story(self) -> str:
        """For people."""
        released = sum(entry.released for entry in self.entries)
        head = f" signed since {format_time(self.since)}: {len(self.entries)}, of them released: {released}"
        rows = [
            f"  {format_time(entry.time)}  leaf {entry.outcome}  {clean(entry.environment)}  sha256:{entry.first}"
            + (f" and {entry.count - 1} more" if entry.count > 1 else "")
            + ("" if entry.released else "  (not released)")
            for entry in self.entries[:SHOWN]
        ]
        more = len(self.entries) - len(rows)
        return "\n".join([head, *rows, *([f"  and {more} more: -o json lists all"] if more else [])])


def signed_report(config: Path, *, kid: str, since: datetime) -> SignedReport:
    """Read the report from the ledger's database."""
    return SignedReport(since, calls_since(config, kid=kid, since=since))
