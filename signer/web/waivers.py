# SPDX-License-Identifier: Apache-2.0
"""/v1/waivers: what two people excuse for a while; recorded, listed with what became of it, and ended.

The custodian verifies both signatures; the `waive` grant says who may approve, bring and end a waiver.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Blueprint, Response

from policy.document import SOON
from signer.custodian.commands import EndWaiver, RecordWaiver
from signer.formats.canonical import canonical
from signer.formats.rfc3339 import format_time
from signer.formats.strict_json import parse_object
from signer.formats.waiver import MAX_WAIVER, WaiverStatement, parse_waiver, read_waiver
from signer.ledger.reader import Reader
from signer.ledger.rows import WaiverRow
from signer.web.admission import Caller, caller
from signer.web.answers import JSON, done
from signer.web.application import Application
from signer.web.resource import Answer, Resource
from signer.web.schemas import Loaded, WaiverEndRequest, WaiverQuery, WaiverRequest

_WAIVER = {
    "type": "object",
    "required": ["digest", "leaf", "recorded", "renewal", "state", "uses", "statement", "end"],
    "properties": {
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "leaf": {"type": "integer"},
        "recorded": {"type": "string", "format": "date-time"},
        "renewal": {"type": "integer"},
        "state": {"enum": ["early", "in-force", "expiring", "expired", "used-up", "ended"]},
        "uses": {"type": "integer", "description": "ALLOW decisions that rest on it and did not come to nothing"},
        "statement": {"type": "object", "description": "what both people signed"},
        "end": {"type": ["object", "null"]},
    },
}
_LIST = {"type": "object", "required": ["waivers"], "properties": {"waivers": {"type": "array", "items": _WAIVER}}}


def waivers(application: Application) -> Blueprint:
    """The resource of waivers."""
    resource = Resource("waivers", "What two people excuse for a while.")

    @resource.get("/v1/waivers", Answer(schema=_LIST, description="The waivers within reach"), query=WaiverQuery)
    def list_waivers(wanted: Loaded) -> Response:
        """List recorded waivers, the newest first: expiring, expired, used-up and ended ones as well."""
        asking, now = caller(), application.clock()
        listed = [
            _listed(row, application.reader, now)
            for row in reversed(application.reader.waivers())
            if _may_see(asking, row)
            and wanted.get("policy", row.policy) == row.policy
            and wanted.get("environment", row.environment) == row.environment
        ]
        return Response(canonical({"waivers": listed}), mimetype=JSON)

    @resource.post(
        "/v1/waivers",
        Answer(status=201, schema={"type": "object"}, description="Recorded: its leaf and digest"),
        body=WaiverRequest,
    )
    def record_waiver(order: Loaded) -> Response:
        """Record a waiver that its requester and its approver signed; needs the `waive` grant for its scope."""
        asking = caller()
        asking.require("waive")
        _, statement = read_waiver(order["waiver"])
        reply = application.custodian.ask(RecordWaiver(principal=asking.principal.id, envelope=order["waiver"]))
        leaf = done(reply).leaf
        application.log.warning("waiver", principal=asking.principal.id, leaf=leaf)
        return Response(canonical({"leaf": leaf, "digest": statement.digest}), status=201, mimetype=JSON)

    @resource.post(
        "/v1/waivers/<string:digest>/end",
        Answer(schema={"type": "object"}, description="Ended: the leaf that says so"),
        body=WaiverEndRequest,
    )
    def end_waiver(order: Loaded, digest: str) -> Response:
        """End a waiver before its time; ending it again answers the same."""
        asking = caller()
        asking.require("waive")
        reply = application.custodian.ask(
            EndWaiver(principal=asking.principal.id, waiver=digest, reason=order["reason"])
        )
        leaf = done(reply).leaf
        application.log.warning("waiver ended", principal=asking.principal.id, leaf=leaf)
        return Response(canonical({"leaf": leaf, "digest": digest}), mimetype=JSON)

    return resource.blueprint


def _may_see(asking: Caller, row: WaiverRow) -> bool:
    return any(
        asking.allows(action, policy=row.policy, environment=row.environment) for action in ("read", "waive", "audit")
    )


def _listed(row: WaiverRow, reader: Reader, now: datetime) -> dict[str, Any]:
    statement = parse_waiver(row.statement)
    uses = sum(use.status not in ("failed", "unknown") for use in reader.waiver_uses(row.digest))
    end = None
    if row.end is not None:
        end = {"leaf": row.end.leaf, "reason": row.end.reason, "time": format_time(row.end.time)}
    return {
        "digest": row.digest,
        "leaf": row.leaf,
        "recorded": format_time(row.time),
        "renewal": row.renewal,
        "state": "ended" if row.end is not None else _state(statement, uses, now),
        "uses": uses,
        "statement": parse_object(row.statement, limit=MAX_WAIVER, what="waiver"),
        "end": end,
    }


def _state(statement: WaiverStatement, uses: int, now: datetime) -> str:
    for state, holds in (
        ("expired", now >= statement.expires),
        ("used-up", uses >= statement.max_uses),
        ("early", now < statement.not_before),
        ("expiring", now + SOON >= statement.expires),
    ):
        if holds:
            return state
    return "in-force"
