# SPDX-License-Identifier: Apache-2.0
"""POST /v1/halt and /v1/resume: stop all signing at once; start again with the owners' threshold."""

from __future__ import annotations

from flask import Blueprint, Response

from signer.custodian.commands import Halt, Resume
from signer.formats.canonical import canonical
from signer.web.admission import Caller, caller
from signer.web.answers import JSON, done
from signer.web.application import Application
from signer.web.resource import Answer, Resource
from signer.web.schemas import HaltRequest, Loaded, ResumeRequest

_ACT = Answer(schema={"type": "object"}, description="Durable: the index of its leaf")


def halts(application: Application) -> Blueprint:
    """The resource of halts."""
    resource = Resource("halts", "Stop all signing, and start again.")

    @resource.post("/v1/halt", _ACT, body=HaltRequest)
    def halt(order: Loaded) -> Response:
        """Stop all signing at once."""
        asking = _authorised()
        reply = application.custodian.ask(Halt(principal=asking.principal.id, reason=order["reason"]))
        application.log.warning("halt", principal=asking.principal.id, leaf=done(reply).leaf)
        return _leaf(done(reply).leaf)

    @resource.post("/v1/resume", _ACT, body=ResumeRequest)
    def resume(order: Loaded) -> Response:
        """End one halt; the custodian verifies the owners' signatures."""
        asking = _authorised()
        reply = application.custodian.ask(
            Resume(principal=asking.principal.id, halt_index=order["halt_index"], signatures=order["signatures"])
        )
        application.log.warning("resume", principal=asking.principal.id, leaf=done(reply).leaf)
        return _leaf(done(reply).leaf)

    return resource.blueprint


def _authorised() -> Caller:
    asking = caller()
    asking.require("halt")
    return asking


def _leaf(index: int) -> Response:
    return Response(canonical({"leaf": index}), mimetype=JSON)
