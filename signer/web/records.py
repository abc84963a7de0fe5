# SPDX-License-Identifier: Apache-2.0
"""GET /v1/decisions/records: recorded decisions with everything that a replay needs, page by page, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response

from signer.formats.replay_record import (
    MEDIA_TYPE,
    DecisionRecord,
    PolicyRecord,
    RecordedPolicy,
    encode_decision,
    encode_policy,
)
from signer.ledger.rows import DecisionRow
from signer.web.admission import caller, out_of_reach
from signer.web.application import Application
from signer.web.resource import Answer, Resource
from signer.web.schemas import MAX_PAGE, NAME, Decimal, Instant, Loaded, Strict, Text

MAX_PAGE_BYTES = 8 * 1024 * 1024
"""A page ends with the record that goes beyond this; a record may be larger by itself."""


class RecordQuery(Strict):
    """Which recorded decisions of one policy; `before` is the `Next` of the page before."""

    policy = Text(NAME, limit=128, told="the name of a policy", required=True)
    environment = Text(NAME, limit=128, told="the name of an environment")
    since = Instant()
    until = Instant()
    before = Decimal(least=0, most=2**53 - 1)
    limit = Decimal(least=1, most=MAX_PAGE, load_default=MAX_PAGE)


def records(application: Application) -> Blueprint:
    """The resource of records."""
    resource = Resource("records", "Recorded decisions with their facts, for replaying them under another policy.")

    @resource.get(
        "/v1/decisions/records",
        Answer(media_type=MEDIA_TYPE, description="JSON Lines; the header Next names the page that follows"),
        query=RecordQuery,
    )
    def page(filters: Loaded) -> Response:
        """Serve recorded decisions of one policy with facts and findings; needs the `audit` grant for that policy."""
        wanted: dict[str, Any] = dict(filters)
        if not caller().allows("audit", policy=wanted["policy"], environment=wanted.get("environment")):
            raise out_of_reach()
        rows = application.reader.decisions(**wanted)
        lines: list[bytes] = []
        last: DecisionRow | None = None
        known: set[str] = set()
        size = 0
        for row in rows:
            for line in _lines(application, row, known):
                lines.append(line)
                size += len(line)
            last = row
            if size > MAX_PAGE_BYTES:
                break
        response = Response(b"".join(line + b"\n" for line in lines), mimetype=MEDIA_TYPE)
        if last is not None and (last is not rows[-1] or len(rows) == wanted["limit"]):
            response.headers["Next"] = str(last.leaf)
        return response

    return resource.blueprint


def _lines(application: Application, row: DecisionRow, known: set[str]) -> Iterator[bytes]:
    """The record of one decision, and before it the policy that it names when that has not been said."""
    digests = [row.facts, row.findings]
    if row.policy.digest not in known:
        digests.append(row.policy.digest)
    found = application.reader.contents(digests)
    if row.policy.digest not in known:
        known.add(row.policy.digest)
        yield encode_policy(PolicyRecord(digest=row.policy.digest, data=found[row.policy.digest]))
    yield encode_decision(
        DecisionRecord(
            leaf=row.leaf,
            request_id=row.request_id,
            time=row.time,
            principal=row.principal,
            policy=RecordedPolicy(row.policy.name, row.policy.version, row.policy.digest),
            environment=row.environment,
            verdict=row.verdict,
            facts=found[row.facts],
            findings=found[row.findings],
        )
    )
