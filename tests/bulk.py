# SPDX-License-Identifier: Apache-2.0
"""Many leaves in little time: the real sequencer, with batches of a size that no service sees."""

from __future__ import annotations

import hashlib
from datetime import datetime

from signer.formats.rfc3339 import format_time
from signer.ledger.leaves import Refusal
from signer.ledger.reader import Reader
from signer.ledger.sequencer import Entry, Sequencer

BATCH = 8192


def grow_to(sequencer: Sequencer, reader: Reader, size: int, *, at: datetime) -> None:
    """Append leaves of about 300 bytes, which change no projection, until the ledger has `size` of them."""
    while (held := reader.head().size) < size:
        sequencer.append([Entry(bulk_leaf(index, at=at)) for index in range(held, min(size, held + BATCH))])


def bulk_leaf(index: int, *, at: datetime) -> Refusal:
    """A leaf like no other."""
    return Refusal(
        time=format_time(at),
        document="policy",
        name="bulk",
        version=index,
        digest=hashlib.sha256(str(index).encode()).hexdigest(),
        reason="owner-threshold",
        principal="person:olga",
    )
