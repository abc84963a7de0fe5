# SPDX-License-Identifier: Apache-2.0
"""What was recorded of rules and policies in shadow, and whether they may come into force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from policy.document import Policy, parse_policy
from policy.promotion import Watched, refusal, watched_document, watched_rule
from policy.shadow import in_shadow
from signer.errors import SignerError
from signer.formats.rfc3339 import format_time
from signer.ledger.rows import ActiveDocument, ShadowRow
from signer.web.application import Application


def watched(live: ActiveDocument, shadow: ActiveDocument | None, *, application: Application) -> dict[str, Any]:
    """Everything in shadow of one policy, as JSON values."""
    policy, now, reader = parse_policy(live.data), application.clock(), application.reader
    counts = reader.shadow_counts(live.digest)
    document = None
    if shadow is not None:
        found = watched_document(shadow.version, reader.shadow_counts(shadow.digest))
        document = {
            "version": shadow.version,
            "digest": shadow.digest,
            "leaf": shadow.leaf,
            **_record(found, policy, now),
        }
    return {
        "policy": {"name": live.name, "version": live.version, "digest": live.digest},
        "rules": [
            {
                "rule": rule.id,
                "effective_on": None if rule.effective_on is None else format_time(rule.effective_on),
                **_record(watched_rule(rule.id, counts), policy, now),
            }
            for rule in policy.rules
            if in_shadow(rule, now)
        ],
        "document": document,
    }


def _record(found: Watched, policy: Policy, now: datetime) -> dict[str, Any]:
    fault = refusal(found, policy.promotion, acknowledged=found.flips, now=now)
    return {
        "decisions": found.decisions,
        "since": None if found.since is None else format_time(found.since),
        "flips": {name: count for name, count in found.flips.items() if count},
        "waits": "" if fault is None else fault.detail,
    }


def said(rows: Iterable[ShadowRow]) -> list[dict[str, Any]]:
    """What rules and policies in shadow would have said of one decision, as JSON values."""
    return [{"policy": row.digest, "rule": row.rule, "outcome": row.outcome, "flip": row.flip} for row in rows]


def gauges(application: Application) -> Iterator[tuple[str, str, float]]:
    """What is in shadow now as metrics; nothing where the ledger cannot be read."""
    try:
        active = {each.name: each for each in application.reader.active_all("policy")}
        newer = [
            each
            for each in application.reader.active_all("shadow")
            if each.name in active and each.version > active[each.name].version
        ]
        documents, rules = (
            [count for each in those for count in application.reader.shadow_counts(each.digest)]
            for those in (newer, active.values())
        )
    except SignerError:
        return
    # Of a version in shadow its verdict counts, of a version in force each of its rules in shadow.
    counted = [*(count for count in documents if not count.rule), *rules]
    total, deny, allow = (
        float(sum(each.count for each in counted if flip in (None, each.flip))) for flip in (None, "deny", "allow")
    )
    yield from (
        ("signer_shadow_decisions", "Times that something in shadow was judged beside a decision.", total),
        ("signer_shadow_would_deny", "How many of them would have denied what was allowed.", deny),
        ("signer_shadow_would_allow", "How many of them would have allowed what was denied.", allow),
    )
