# SPDX-License-Identifier: Apache-2.0
"""How often something that an ALLOW uses up was used, as one request has to count it.

Each ALLOW that rests on a waiver or an approval uses it once, whatever becomes of the signature. When its outcome is
*failed* or *unknown*, the use is given back to one request that is identical in subjects, environment, policy and
evidence, and to no other: nobody else may gain by a signature that may exist.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from signer.custodian.protocols import Reader
from signer.errors import Misconfigured
from signer.ledger.documents import read_evidence_uses
from signer.ledger.rows import UseRow


@dataclass(frozen=True, slots=True)
class Asked:
    """By what identical requests are told."""

    subjects: str
    """sha256 of the subjects document."""
    environment: str
    policy_digest: str
    evidence: frozenset[str]


def count_uses(rows: Iterable[UseRow], *, asked: Asked, reader: Reader) -> int:
    """How often it was used, as the request `asked` has to count it; `rows` are oldest first."""
    count = 0
    given_back: Counter[Asked] = Counter()
    for row in rows:
        came_to_nothing = row.status in ("failed", "unknown")
        # Comparing costs reading a document, so it waits until there is something to give back.
        by = _asked(row, reader) if came_to_nothing or given_back else None
        if by is not None and given_back[by] > 0:
            given_back[by] -= 1
        else:
            count += 1
        if by is not None and came_to_nothing:
            given_back[by] += 1
    return count - (1 if given_back[asked] > 0 else 0)


def _asked(row: UseRow, reader: Reader) -> Asked:
    document = reader.document(row.evidence)
    if document is None:
        raise Misconfigured("ledger-damaged", f"the document {row.evidence} that a leaf names is missing")
    evidence = frozenset(use.digest for use in read_evidence_uses(document.data))
    return Asked(row.subjects, row.environment, row.policy_digest, evidence)
