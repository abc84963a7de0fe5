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
from signer.custodian.protocols import Reader
from signer.custodian.records import Act
from signer.formats.rfc3339 import format_time
from signer.ledger.leaves import Outcome
from signer.ledger.sequencer import Entry

SWEEP = 256
"""Orphans closed in one append."""


def orphan_act(reader: Reader, *, in_flight: Collection[str], reason: str, now: datetime) -> Act:
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
