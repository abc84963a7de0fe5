# SPDX-License-Identifier: Apache-2.0
"""GET /v1/releases/{digest} and GET /v1/findings: where a digest stands, and what is wrong over the whole ledger."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response

from signer.errors import Malformed
from signer.formats.canonical import canonical
from signer.formats.deployment import DEPLOYED
from signer.ledger.rows import DecisionRow, DeploymentRow
from signer.releases.findings import RULES, ReleaseFinding, find
from signer.releases.gather import gather, policies_of
from signer.releases.source import Source
from signer.releases.view import release_view
from signer.web.admission import Caller, caller, out_of_reach
from signer.web.answers import JSON
from signer.web.application import Application
from signer.web.packs import source_of
from signer.web.resource import Answer, Resource
from signer.web.schemas import NAME, Decimal, Instant, Loaded, Strict, Text

MAX_PAGE = 100
"""Decisions and deployments that one page of findings goes through."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class FindingQuery(Strict):
    """Which part of the ledger is looked at; `before` is the `next` of the page before."""

    policy = Text(NAME, limit=128, told="the name of a policy")
    environment = Text(NAME, limit=128, told="the name of an environment")
    since = Instant()
    before = Decimal(least=0, most=2**53 - 1)
    limit = Decimal(least=1, most=MAX_PAGE, load_default=MAX_PAGE)


def releases(application: Application) -> Blueprint:
    """The resource of releases and of what is wrong with them."""
    resource = Resource("releases", "What is known of a digest, and what is wrong with it.")

    @resource.get(
        "/v1/releases/<string:sha256>",
        Answer(schema={"type": "object"}, description="Timeline, matrix, questions, findings, approvals, deployments"),
    )
    def release(sha256: str) -> Response:
        """Show where a digest stands; needs the `read` grant for every policy that its record belongs to."""
        source = source_of(application)
        if not _SHA256.fullmatch(sha256) or not _may_read(source, caller(), sha256):
            raise out_of_reach()
        return Response(canonical(release_view(gather(source, sha256, prove=False))), mimetype=JSON)

    @resource.get(
        "/v1/findings",
        Answer(schema={"type": "object"}, description="One page, the newest record first"),
        query=FindingQuery,
    )
    def listed(filters: Loaded) -> Response:
        """List the findings F1 to F8 of the releases within reach that were judged or deployed since."""
        wanted: dict[str, Any] = dict(filters)
        limit, environment = wanted["limit"], wanted.get("environment")
        reader, source, asking = application.reader, source_of(application), caller()
        rows: list[DecisionRow | DeploymentRow] = [*reader.decisions(**wanted), *reader.deployments(**wanted)]
        rows = sorted(rows, key=lambda row: row.leaf, reverse=True)[:limit]
        found: list[Mapping[str, Any]] = []
        for sha256 in dict.fromkeys(_digest(row) for row in rows):
            if sha256 and _may_read(source, asking, sha256):
                found += _findings(source, sha256, environment)
        found += _by_tag(rows, asking)
        page = {
            "findings": found,
            "unknown": [_reconciliation()],
            "next": rows[-1].leaf if len(rows) == limit else None,
        }
        return Response(canonical(page), mimetype=JSON)

    return resource.blueprint


def _may_read(source: Source, asking: Caller, sha256: str) -> bool:
    policies = policies_of(source, sha256)
    return bool(policies) and all(asking.allows("read", policy=policy) for policy in policies)


def _digest(row: DecisionRow | DeploymentRow) -> str:
    return row.first if isinstance(row, DecisionRow) else row.body.digest


def _findings(source: Source, sha256: str, environment: str | None) -> Iterator[Mapping[str, Any]]:
    try:
        contents = gather(source, sha256, prove=False)
    except Malformed:
        return  # recorded in the last moment: the next page of the future has it
    for each in find(contents):
        # The tags of deployments are told once, below; the count of key calls is the ledger's, not a release's.
        told = each.id == "F7" or (each.id == "F1" and not each.evidence)
        if not told and environment in (None, each.environment):
            yield {"digest": f"sha256:{sha256}", **asdict(each)}


def _by_tag(rows: list[DecisionRow | DeploymentRow], asking: Caller) -> Iterator[Mapping[str, Any]]:
    rule = RULES[0]
    for row in rows:
        if isinstance(row, DecisionRow) or row.body.digest or row.body.status != DEPLOYED:
            continue
        if asking.allows("read", policy=row.body.policy, environment=row.body.environment):
            finding = ReleaseFinding(
                id=rule.id,
                status="found",
                title=rule.title,
                detail=f"deployed {row.body.reference} names no digest",
                environment=row.body.environment,
                leaves=(row.leaf,),
                evidence=(),
                remedy=rule.remedy,
            )
            yield {"digest": "", **asdict(finding)}


def _reconciliation() -> Mapping[str, Any]:
    rule = next(rule for rule in RULES if rule.id == "F7")
    return {"id": rule.id, "title": rule.title, "detail": "no counter of a device is configured", "remedy": rule.remedy}
