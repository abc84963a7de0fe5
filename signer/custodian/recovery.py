# SPDX-License-Identifier: Apache-2.0
"""The recovery sweep: an allowed decision without an outcome, that nobody works on, ends as *unknown*.

A crash between the ALLOW leaf and the outcome leaf leaves such a decision, and so does a disk that failed in
between. A key may have signed; whatever it made was dropped with the process. It is never signed again.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from itertools import islice

from signer.custodian.commands import Done
from signer.custodian.commit import Commit
from signer.custodian.protocols import Reader
from signer.custodian.records import Act
from signer.errors import Unavailable
from signer.formats.rfc3339 import format_time
from signer.ledger.leaves import Outcome
from signer.ledger.sequencer import Entry
from signer.telemetry.logs import Log

SWEEP = 256
"""Orphans closed in one append."""


def close_orphans(
    commit: Commit, reader: Reader, *, in_flight: Collection[str], reason: str, now: datetime, log: Log
) -> bool:
    """Add an act for the oldest orphans to the next append; False when there is none, or nobody can tell."""
    try:
        act = _orphan_act(reader, in_flight=in_flight, reason=reason, now=now)
    except Unavailable as fault:
        log.warning("sweep failed", code=fault.code)
        return False
    commit.uncertain = False
    if not act.entries:
        return False
    log.warning("orphans closed", count=len(act.entries), reason=reason)
    commit.add(act)
    return True


def _orphan_act(reader: Reader, *, in_flight: Collection[str], reason: str, now: datetime) -> Act:
    """Outcome leaves for the oldest orphans; `in_flight` are the request ids that are in work here."""
    open_decisions = (row for row in reader.open_decisions() if row.request_id not in in_flight)
    time = format_time(now)
    entries = tuple(
        Entry(
            Outcome(
                time=time, request=row.request_id, decision=row.leaf, status="unknown", reason=reason, signatures=()
            )
        )
        for row in islice(open_decisions, SWEEP)
    )
    return Act(ticket=None, entries=entries, reply=lambda first: Done(leaf=first), stands=False)
