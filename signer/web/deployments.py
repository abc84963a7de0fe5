# SPDX-License-Identifier: Apache-2.0
"""/v1/deployments: what reached which environment, recorded as it is told; and POST /v1/revocations: taken back.

A deployment is never refused for what the policy says of it, nor for a tag without a digest: whatever is wrong with
it is found by comparing, and a record that can be refused holds good deployments only.
"""

from __future__ import annotations

import re
from typing import Any

import marshmallow as ma
from flask import Blueprint, Response

from signer.custodian.release_commands import GateReport, RecordDeployment, RevokeRelease
from signer.formats.canonical import canonical
from signer.formats.deployment import Deployment, Gate, cd_event, pinned_digest, require_deployment
from signer.formats.rfc3339 import format_time
from signer.ledger.leaves import Genesis, decode_leaf, read_deployment
from signer.ledger.rows import DeploymentRow
from signer.web.admission import Caller, caller
from signer.web.answers import JSON, done
from signer.web.application import Application
from signer.web.resource import Answer, Resource
from signer.web.schemas import MAX_PAGE, NAME, REASON, Decimal, Instant, Loaded, Strict, Text

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OPTIONAL_SHA256 = re.compile(r"|[0-9a-f]{64}")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_SLUG = re.compile(r"[a-z0-9-]*")
_SCOPE = re.compile(rf"\*|{NAME.pattern}")


class _GateRequest(Strict):
    """What the deployment system verified."""

    verifier = Text(_PRINTABLE, limit=128, told="program and version", required=True)
    result = ma.fields.String(validate=ma.validate.OneOf(["passed", "failed"]), required=True)
    reason = Text(_SLUG, limit=64, told="the code of the check that failed, or nothing", load_default="")
    receipt = Text(_OPTIONAL_SHA256, limit=64, told="sha256 of the receipt, or nothing", load_default="")
    time = Instant(required=True)


class DeploymentRequest(Strict):
    """A deployment as its system tells it; without a digest it is one by tag alone, and is recorded all the same."""

    policy = Text(NAME, limit=128, told="the name of a policy", required=True)
    environment = Text(NAME, limit=128, told="the name of an environment", required=True)
    reference = Text(_VISIBLE, limit=512, told="the artifact as the deployment named it", required=True)
    digest = Text(_DIGEST, limit=71, told="sha256:HEX of what was deployed")
    status = ma.fields.String(validate=ma.validate.OneOf(["deployed", "refused"]), load_default="deployed")
    at = Instant()
    approval = Text(_PRINTABLE, limit=256, told="the approval that it claims", load_default="")
    gate = ma.fields.Nested(_GateRequest, allow_none=True, load_default=None)


class DeploymentQuery(Strict):
    """Filters of the list; `before` is the `next` of the page before."""

    digest = Text(_SHA256, limit=64, told="a sha256 in lower-case hexadecimal")
    policy = Text(NAME, limit=128, told="the name of a policy")
    environment = Text(NAME, limit=128, told="the name of an environment")
    since = Instant()
    before = Decimal(least=0, most=2**53 - 1)
    limit = Decimal(least=1, most=MAX_PAGE, load_default=50)


class RevocationRequest(Strict):
    """Which release is taken back, and why."""

    digest = Text(_DIGEST, limit=71, told="sha256:HEX of the artifact", required=True)
    policy = Text(NAME, limit=128, told="the name of a policy", required=True)
    environment = Text(_SCOPE, limit=128, told="the name of an environment, or * for all", required=True)
    reason = Text(REASON, limit=500, told="one line of text", required=True)


def deployments(application: Application) -> Blueprint:
    """The resource of deployments and of what is taken back."""
    resource = Resource("deployments", "What reached which environment, and what was taken back.")

    @resource.post(
        "/v1/deployments",
        Answer(status=201, schema={"type": "object"}, description="Recorded: its leaf and id"),
        body=DeploymentRequest,
    )
    def record(order: Loaded) -> Response:
        """Record a deployment as it is; telling the same again answers the same leaf. Needs the `deploy` grant."""
        asking, told = caller(), _told(application, order)
        asking.require("deploy")
        reply = application.custodian.ask(
            RecordDeployment(
                principal=asking.principal.id,
                policy=told.policy,
                environment=told.environment,
                status=told.status,
                reference=told.reference,
                sha256=told.sha256,
                at=format_time(told.at),
                approval=told.approval,
                gate=None if told.gate is None else _report(told.gate),
            )
        )
        return Response(canonical({"leaf": done(reply).leaf, "id": told.id}), status=201, mimetype=JSON)

    @resource.get(
        "/v1/deployments",
        Answer(schema={"type": "object"}, description="One page of CDEvents, the newest first"),
        query=DeploymentQuery,
    )
    def listed(filters: Loaded) -> Response:
        """List recorded deployments within reach as CDEvents bodies; refusals by a gate are among them.

        A page may hold fewer than `limit` rows and still have a `next`: rows out of the caller's reach are left out.
        """
        wanted: dict[str, Any] = dict(filters)
        rows = application.reader.deployments(**wanted)
        asking, origin = caller(), _origin(application)
        page = {
            "deployments": [_event(row, origin) for row in rows if _may_read(asking, row)],
            "next": rows[-1].leaf if len(rows) == wanted["limit"] else None,
        }
        return Response(canonical(page), mimetype=JSON)

    @resource.post(
        "/v1/revocations",
        Answer(status=201, schema={"type": "object"}, description="Taken back: the leaf that says so"),
        body=RevocationRequest,
    )
    def revoke(order: Loaded) -> Response:
        """Take back a release for good; it enters the signed revocation list. Needs the `revoke` grant."""
        asking = caller()
        asking.require("revoke")
        reply = application.custodian.ask(
            RevokeRelease(
                principal=asking.principal.id,
                policy=order["policy"],
                environment=order["environment"],
                sha256=order["digest"].removeprefix("sha256:"),
                reason=order["reason"],
            )
        )
        leaf = done(reply).leaf
        application.log.warning("release revoked", principal=asking.principal.id, leaf=leaf)
        return Response(canonical({"leaf": leaf}), status=201, mimetype=JSON)

    return resource.blueprint


def _told(application: Application, order: Loaded) -> Deployment:
    stated, gate = order.get("digest", "").removeprefix("sha256:"), order["gate"]
    pinned = pinned_digest(order["reference"])
    told = Deployment(
        policy=order["policy"],
        environment=order["environment"],
        status=order["status"],
        reference=order["reference"],
        sha256=stated or pinned,
        at=order.get("at") or application.clock(),
        approval=order["approval"],
        gate=None if gate is None else Gate(**gate),
    )
    require_deployment(told)
    return told


def _report(gate: Gate) -> GateReport:
    return GateReport(
        verifier=gate.verifier,
        result=gate.result,
        reason=gate.reason,
        receipt=gate.receipt,
        time=format_time(gate.time),
    )


def _event(row: DeploymentRow, origin: str) -> dict[str, Any]:
    return dict(cd_event(read_deployment(row.body), leaf=row.leaf, recorded=row.body.time, origin=origin))


def _origin(application: Application) -> str:
    genesis = decode_leaf(application.reader.leaf(0))
    assert isinstance(genesis, Genesis)
    return genesis.origin


def _may_read(asking: Caller, row: DeploymentRow) -> bool:
    return any(
        asking.allows(action, policy=row.body.policy, environment=row.body.environment)
        for action in ("read", "deploy", "audit")
    )
