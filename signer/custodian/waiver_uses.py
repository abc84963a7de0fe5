# SPDX-License-Identifier: Apache-2.0
"""The waivers that may speak of a request, with their uses counted: facts of the ledger (signing cycle, step 5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from policy.ledger_facts import Waiver
from signer.custodian.protocols import Reader
from signer.custodian.standing import StandingWaiver
from signer.custodian.uses import Asked, count_uses

SHOWN_AFTER: Final = timedelta(days=30)
"""So long after its end an expired waiver still stands in facts, so that a denial can say that it expired."""


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
