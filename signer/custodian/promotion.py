# SPDX-License-Identifier: Apache-2.0
"""The gate between shadow and force: what the ledger recorded of a rule or a document while it was watched."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from policy.document import Policy
from policy.promotion import Watched, changed, promoted, refusal, watched_document, watched_rule
from signer.custodian.protocols import Reader
from signer.custodian.standing import Standing
from signer.errors import Refused


def require_promotable(
    draft: Policy, *, standing: Standing, reader: Reader, acknowledged: Collection[str], now: datetime
) -> None:
    """Let a policy into force, unless it takes what is in shadow along too early or unseen; raises Refused."""
    live = standing.policies.get(draft.name)
    if live is None:
        return
    for watched in _steps(live, draft, standing=standing, reader=reader, now=now):
        fault = refusal(watched, live.promotion, acknowledged=acknowledged, now=now)
        if fault is not None:
            raise Refused(fault.code, fault.detail, remedy=fault.remedy)


def _steps(live: Policy, draft: Policy, *, standing: Standing, reader: Reader, now: datetime) -> Iterator[Watched]:
    for rule in promoted(live, draft, now=now):
        counts = () if changed(live, draft, rule) else reader.shadow_counts(live.digest)
        yield watched_rule(rule, counts)
    shadow = standing.shadows.get(draft.name)
    if shadow is not None and shadow.policy.digest == draft.digest:
        yield watched_document(draft.version, reader.shadow_counts(draft.digest))
