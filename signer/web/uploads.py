# SPDX-License-Identifier: Apache-2.0
"""POST /v1/uploads: the bytes of one large document, to be named as evidence afterwards."""

from __future__ import annotations

from flask import Blueprint, Response, request
from gunicorn.http.errors import ParseException

from signer.errors import Malformed
from signer.formats.canonical import canonical
from signer.web.admission import caller
from signer.web.answers import JSON
from signer.web.application import Application
from signer.web.peer import grant_time
from signer.web.resource import Answer, Resource
from signer.web.spool import Spool

MEDIA_TYPE = "application/octet-stream"
SLOWEST = 512 * 1024
"""Bytes per second below which an upload or a download is ended."""


def uploads(application: Application) -> Blueprint:
    """The resource of uploads."""
    resource = Resource("uploads", "Bytes of large documents, until they are named in POST /v1/evidence.")

    @resource.get("/v1/uploads", Answer(schema={"type": "object"}, description="Bytes of one document at most"))
    def limits() -> Response:
        """Say how large a document may be, before it is sent in vain."""
        caller().require("evidence")
        return Response(canonical({"limit": require_spool(application).limit}), mimetype=JSON)

    @resource.receive(
        "/v1/uploads",
        Answer(status=201, schema={"type": "object"}, description="Received: digest and size"),
        media_type=MEDIA_TYPE,
    )
    def receive() -> Response:
        """Receive the bytes of one document of more than 1 MiB; they wait an hour to be named."""
        caller().require("evidence")
        spool = require_spool(application)
        if request.mimetype != MEDIA_TYPE or "Content-Encoding" in request.headers:
            raise Malformed("unsupported-media-type", f"the body must be {MEDIA_TYPE}, as it is")

        def moved(size: int) -> None:
            grant_time(request.environ, size / SLOWEST)

        try:
            # The server's own stream: werkzeug's would end at the cap of JSON bodies.
            upload = spool.receive(
                caller().principal, request.environ["wsgi.input"], length=request.content_length, moved=moved
            )
        except ParseException:
            raise Malformed("malformed-request", "the body has no unambiguous end", remedy="send it all") from None
        return Response(canonical({"digest": upload.digest, "size": upload.size}), status=201, mimetype=JSON)

    return resource.blueprint


def require_spool(application: Application) -> Spool:
    """The spool of this server; raises Malformed when it takes no large documents."""
    if application.spool is None:
        raise Malformed(
            "too-large",
            "this server keeps no documents of more than 1 MiB",
            remedy="send a smaller one; the operator allows larger ones by [documents] in the settings",
        )
    return application.spool
