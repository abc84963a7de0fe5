# SPDX-License-Identifier: Apache-2.0
"""/v1/approvals: what people say of holds; recorded, listed hold by hold, and taken back.

The custodian verifies each signature and that everything fits the hold; the `approve` grant says who may say anything.
"""

from __future__ import annotations

import re

from flask import Blueprint, Response

from signer.custodian.commands import RecordApproval, RevokeApproval
from signer.errors import Malformed
from signer.formats.approval import parse_approval, read_approval
from signer.formats.canonical import canonical
from signer.ledger.rows import HoldRow
from signer.web.admission import caller, out_of_reach
from signer.web.answers import JSON, done
from signer.web.application import Application
from signer.web.holds import hold_object, may_see
from signer.web.resource import Answer, Resource
from signer.web.schemas import ApprovalQuery, ApprovalRequest, ApprovalRevocationRequest, Loaded

_DIGEST = re.compile(r"[0-9a-f]{64}")
_HOLD = {
    "type": "object",
    "required": ["request_id", "leaf", "time", "state", "sha256", "environment", "policy", "cited", "answers"],
    "properties": {
        "request_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "leaf": {"type": "integer"},
        "time": {"type": "string", "format": "date-time"},
        "state": {"enum": ["waiting", "rejected", "released", "superseded"]},
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "approvals": {"type": "array", "items": {"type": "object"}},
    },
}
_LIST = {
    "type": "object",
    "required": ["holds", "next"],
    "properties": {"holds": {"type": "array", "items": _HOLD}, "next": {"type": ["integer", "null"]}},
}


def approvals(application: Application) -> Blueprint:
    """The resource of approvals."""
    resource = Resource("approvals", "What people say of what waits for them.")

    @resource.get("/v1/approvals", Answer(schema=_LIST, description="Holds within reach"), query=ApprovalQuery)
    def list_approvals(wanted: Loaded) -> Response:
        """List holds, the newest first, each with everything that was said of it.

        Without `all` those that still wait or were rejected. A page may hold fewer than `limit` and still have a
        `next`: what is out of the caller's reach, or over, is left out.
        """
        filters = dict(wanted)
        every, one = filters.pop("all", False), filters.pop("hold", None)
        limit = filters["limit"]
        if one is not None:
            found = application.reader.hold(one)
            rows: tuple[HoldRow, ...] = () if found is None else (found,)
        else:
            rows = application.reader.holds(**filters)
        asking = caller()
        listed = [hold_object(row, application) for row in rows if may_see(asking, row)]
        shown = [each for each in listed if every or one is not None or each["state"] in ("waiting", "rejected")]
        page = {"holds": shown, "next": rows[-1].leaf if one is None and len(rows) == limit else None}
        return Response(canonical(page), mimetype=JSON)

    @resource.post(
        "/v1/approvals",
        Answer(status=201, schema={"type": "object"}, description="Recorded: its leaf and digest"),
        body=ApprovalRequest,
    )
    def record_approval(order: Loaded) -> Response:
        """Record what the approver signed about one hold, or, unsigned, what the caller's certificate vouches for."""
        asking = caller()
        asking.require("approve")
        if ("approval" in order) == ("statement" in order):
            raise Malformed("malformed-request", "send an approval, or the statement alone, and not both")
        signed = "approval" in order
        data = order["approval"] if signed else order["statement"]
        statement = read_approval(data)[1] if signed else parse_approval(data)
        reply = application.custodian.ask(RecordApproval(principal=asking.principal.id, statement=data, signed=signed))
        leaf = done(reply).leaf
        application.log.warning("approval", principal=asking.principal.id, leaf=leaf)
        return Response(canonical({"leaf": leaf, "digest": statement.digest}), status=201, mimetype=JSON)

    @resource.post(
        "/v1/approvals/<string:digest>/revoke",
        Answer(schema={"type": "object"}, description="Taken back: the leaf that says so"),
        body=ApprovalRevocationRequest,
    )
    def revoke_approval(order: Loaded, digest: str) -> Response:
        """Take back an own approval or rejection; taking it back again answers the same."""
        asking = caller()
        asking.require("approve")
        if _DIGEST.fullmatch(digest) is None:
            raise out_of_reach()
        command = RevokeApproval(
            principal=asking.principal.id,
            approval=digest,
            reason=order["reason"],
            statement=order.get("revocation", b""),
        )
        leaf = done(application.custodian.ask(command)).leaf
        application.log.warning("approval revoked", principal=asking.principal.id, leaf=leaf)
        return Response(canonical({"leaf": leaf, "digest": digest}), mimetype=JSON)

    return resource.blueprint
