# SPDX-License-Identifier: Apache-2.0
"""GET /v1/policies and /v1/access: the documents in force, with their exact bytes."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from signer.formats.canonical import canonical
from signer.formats.strict_base64 import encode_base64
from signer.ledger.rows import ActiveDocument
from signer.web.admission import Caller, caller
from signer.web.answers import JSON
from signer.web.application import Application
from signer.web.resource import Answer, Resource


def policies(application: Application) -> Blueprint:
    """The resource of documents in force."""
    resource = Resource("policies", "The policy and access documents in force.")

    @resource.get("/v1/policies", Answer(schema={"type": "object"}, description="The policies within reach"))
    def list_policies() -> Response:
        """List the policies in force that the caller may see."""
        asking = caller()
        active = application.reader.active_all("policy")
        listed = [_document(each) for each in active if _may_see(asking, each.name)]
        return Response(canonical({"policies": listed}), mimetype=JSON)

    @resource.get("/v1/access", Answer(schema={"type": "object"}, description="The access document"))
    def show_access() -> Response:
        """Serve the access document in force."""
        asking = caller()
        if not _may_see(asking, ""):
            asking.require("policy", policy="")
        listed = [_document(each) for each in application.reader.active_all("access")]
        return Response(canonical({"access": listed}), mimetype=JSON)

    return resource.blueprint


def _may_see(asking: Caller, policy: str) -> bool:
    """Whether one of the two grants reaches this policy; only a grant for all reaches the nameless."""
    return any(asking.allows(action, policy=policy) for action in ("policy", "audit"))


def _document(active: ActiveDocument) -> dict[str, Any]:
    return {
        "name": active.name,
        "version": active.version,
        "digest": active.digest,
        "leaf": active.leaf,
        "content": encode_base64(active.data),
    }
