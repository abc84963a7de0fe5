# SPDX-License-Identifier: Apache-2.0
"""The waivers that may speak of a request, with their uses counted: facts of the ledger (signing cycle, step 5).

Each ALLOW that rests on a waiver uses it once, whatever becomes of the signature. When its outcome is *failed* or
*unknown*, the use is given back to one request that is identical in subjects, environment, policy and evidence, and to
no other: nobody else may gain by a signature that may exist.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from policy.ledger_facts import Waiver
from signer.custodian.protocols import Reader
from signer.custodian.standing import StandingWaiver
from signer.errors import Misconfigured
from signer.ledger.documents import read_evidence_uses
from signer.ledger.rows import WaiverUseRow

SHOWN_AFTER: Final = timedelta(days=30)
"""So long after its end an expired waiver still stands in facts, so that a denial can say that it expired."""


@dataclass(frozen=True, slots=True)
class Asked:
    """By what identical requests are told."""

    subjects: str
    """sha256 of the subjects document."""
    environment: str
    policy_digest: str
    evidence: frozenset[str]


def waiver_facts(
    waivers: Iterable[StandingWaiver],
    *,
    asked: Asked,
    digests: Collection[str],
    repositories: Collection[str],
    now: datetime,
    reader: Reader,
) -> tuple[Waiver, ...]:
    """Facts of those that reach a requested digest or a repository that trusted provenance names."""
    found = []
    for each in waivers:
        stated = each.statement
        reaches = not set(stated.digests).isdisjoint(digests) or (
            not stated.digests and not set(stated.repositories).isdisjoint(repositories)
        )
        if reaches and now < stated.expires + SHOWN_AFTER:
            uses = count_uses(reader.waiver_uses(each.row.digest), asked=asked, reader=reader)
            found.append(_fact(each, uses))
    return tuple(found)


def count_uses(rows: Iterable[WaiverUseRow], *, asked: Asked, reader: Reader) -> int:
    """How often a waiver was used, as the request `asked` has to count it; `rows` are oldest first."""
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


def _asked(row: WaiverUseRow, reader: Reader) -> Asked:
    document = reader.document(row.evidence)
    if document is None:
        raise Misconfigured("ledger-damaged", f"the document {row.evidence} that a leaf names is missing")
    evidence = frozenset(use.digest for use in read_evidence_uses(document.data))
    return Asked(row.subjects, row.environment, row.policy_digest, evidence)


def _fact(waiver: StandingWaiver, uses: int) -> Waiver:
    row, stated = waiver.row, waiver.statement
    return Waiver(
        digest=row.digest,
        policy=stated.policy,
        environment=stated.environment,
        rules=stated.rules,
        outcome=stated.outcome,
        offenders=stated.offenders,
        found=stated.found,
        digests=stated.digests,
        repositories=stated.repositories,
        requested_by=row.requester,
        approved_by=row.approver,
        not_before=stated.not_before,
        expires=stated.expires,
        uses=uses,
        max_uses=stated.max_uses,
        renewal=row.renewal,
    )
