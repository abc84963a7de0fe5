# SPDX-License-Identifier: Apache-2.0
"""/livez and /readyz: the process answers; the authority can sign. Reasons are for authenticated callers alone."""

from __future__ import annotations

from flask import Blueprint, Response

from signer.errors import SignerError
from signer.formats.canonical import canonical
from signer.web.admission import identify, request_id
from signer.web.answers import JSON
from signer.web.application import Application
from signer.web.problems import MEDIA_TYPE, Problem
from signer.web.readiness import Readiness, look
from signer.web.resource import Answer, Resource


def health(application: Application) -> Blueprint:
    """The resource of health."""
    resource = Resource("health", "Liveness and readiness.")

    @resource.get("/livez", Answer(schema={"type": "object"}))
    def live() -> Response:
        """Say that this process answers."""
        return Response(canonical({"status": "alive"}), mimetype=JSON)

    @resource.get(
        "/readyz",
        Answer(schema={"type": "object"}),
        Answer(status=503, media_type=MEDIA_TYPE, schema={"type": "object"}, description="Not ready"),
    )
    def ready() -> Response:
        """Say whether the authority can sign; why not, to a caller that the access document knows."""
        found = look(application)
        try:
            identify(application)
            known = True
        except SignerError:
            known = False
        return answer_readiness(found, with_reasons=known)

    return resource.blueprint


def answer_readiness(found: Readiness, *, with_reasons: bool) -> Response:
    """200 or 503; the problems stand in the body only when the caller may read them."""
    keys = [
        {"name": each.name, "proved": each.proved or None, "probes": each.probes, "failed": each.failed}
        for each in found.proofs
    ]
    told = {"keys": keys, "warnings": list(found.warnings)}
    if found.ready:
        state = {"tree_size": found.tree_size, "halted": found.halted, **told} if with_reasons else {}
        return Response(canonical({"status": "ready", **state}), mimetype=JSON)
    problem = Problem(
        "not-ready",
        "the authority cannot sign now",
        remedy="signer doctor" if with_reasons else "",
        request_id=request_id(),
        members={"problems": list(found.problems), **told} if with_reasons else {},
    )
    return Response(problem.body(), status=problem.http_status, mimetype=MEDIA_TYPE)
