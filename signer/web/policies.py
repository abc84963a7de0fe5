# SPDX-License-Identifier: Apache-2.0
"""/v1/policies and /v1/access: the documents in force, with their exact bytes; putting a newer one in force.

The custodian counts the owners' signatures over exactly these bytes and this version; the `policy` grant only says
who may bring them.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from policy.document import parse_policy
from policy.schema import NAME, PolicyError
from signer.custodian.commands import Activate
from signer.errors import Malformed
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.rfc3339 import format_time
from signer.formats.strict_base64 import encode_base64
from signer.identity.access import parse_access
from signer.ledger.rows import ActiveDocument
from signer.web.activation import ActivationRequest, PolicyActivationRequest
from signer.web.admission import Caller, caller, out_of_reach
from signer.web.answers import JSON, done
from signer.web.application import Application
from signer.web.resource import Answer, Resource
from signer.web.schemas import Loaded
from signer.web.shadow import watched

_IN_FORCE = Answer(status=201, schema={"type": "object"}, description="In force: its leaf, name, version and digest")


def policies(application: Application) -> Blueprint:
    """The resource of documents in force."""
    resource = Resource("policies", "The policy and access documents in force.")

    @resource.get("/v1/policies", Answer(schema={"type": "object"}, description="The policies within reach"))
    def list_policies() -> Response:
        """List the policies in force that the caller may see."""
        asking = caller()
        active = application.reader.active_all("policy")
        listed = [_policy(application, each) for each in active if _may_see(asking, each.name)]
        versions = {each.name: each.version for each in active}
        shadows = [
            _document(each)
            for each in application.reader.active_all("shadow")
            if each.version > versions.get(each.name, 0) and _may_see(asking, each.name)
        ]
        return Response(canonical({"policies": listed, "shadows": shadows}), mimetype=JSON)

    @resource.get(
        "/v1/policies/<string:name>/shadow",
        Answer(schema={"type": "object"}, description="What is in shadow, and what was recorded of it"),
    )
    def show_shadow(name: str) -> Response:
        """Say how rules and a version in shadow would have ended, and whether they may come into force."""
        live = application.reader.active("policy", name) if NAME.fullmatch(name) else None
        if live is None or not _may_see(caller(), name):
            raise out_of_reach()
        shadow = application.reader.active("shadow", name)
        if shadow is not None and shadow.version <= live.version:
            shadow = None
        return Response(canonical(watched(live, shadow, application=application)), mimetype=JSON)

    @resource.get("/v1/access", Answer(schema={"type": "object"}, description="The access document"))
    def show_access() -> Response:
        """Serve the access document in force."""
        asking = caller()
        if not _may_see(asking, ""):
            asking.require("policy", policy="")
        listed = [_document(each) for each in application.reader.active_all("access")]
        return Response(canonical({"access": listed}), mimetype=JSON)

    @resource.post("/v1/policies", _IN_FORCE, body=PolicyActivationRequest)
    def activate_policy(order: Loaded) -> Response:
        """Put a policy in force, or in shadow, that the owners' threshold signed; needs its `policy` grant."""
        caller().require("policy")
        try:
            policy = parse_policy(order["document"])
        except PolicyError as fault:
            raise Malformed("policy-invalid", fault.detail, remedy=fault.remedy) from None
        sort = "shadow" if order["shadow"] else "policy"
        return _activate(application, sort, policy.name, policy.version, order)

    @resource.post("/v1/access", _IN_FORCE, body=ActivationRequest)
    def activate_access(order: Loaded) -> Response:
        """Put an access document in force that the owners' threshold signed; needs a `policy` grant for all."""
        caller().require("policy", policy="")
        access = parse_access(order["document"])
        return _activate(application, "access", access.name, access.version, order)

    return resource.blueprint


def _activate(application: Application, document: str, name: str, version: int, order: Loaded) -> Response:
    asking = caller()
    asking.require("policy", policy="" if document == "access" else name)
    reply = application.custodian.ask(
        Activate(
            principal=asking.principal.id,
            document=document,
            data=order["document"],
            signatures=order["signatures"],
            acknowledged=tuple(order.get("acknowledge", ())),
        )
    )
    leaf = done(reply).leaf
    application.log.warning("activation", principal=asking.principal.id, leaf=leaf)
    answer = {"leaf": leaf, "name": name, "version": version, "digest": sha256_hex(order["document"])}
    return Response(canonical(answer), status=201, mimetype=JSON)


def _may_see(asking: Caller, policy: str) -> bool:
    """Whether one of the two grants reaches this policy; only a grant for all reaches the nameless."""
    return any(asking.allows(action, policy=policy) for action in ("policy", "audit"))


def _policy(application: Application, active: ActiveDocument) -> dict[str, Any]:
    found = application.documents.policy(active.name)
    end = None if found is None else found.policy.expires
    return {**_document(active), "expires": None if end is None else format_time(end)}


def _document(active: ActiveDocument) -> dict[str, Any]:
    return {
        "name": active.name,
        "version": active.version,
        "digest": active.digest,
        "leaf": active.leaf,
        "content": encode_base64(active.data),
    }
