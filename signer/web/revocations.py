# SPDX-License-Identifier: Apache-2.0
"""The signed revocation list, open to all: what the authority took back, and when the list is replaced."""

from __future__ import annotations

from flask import Blueprint, Response

from signer.errors import Unavailable
from signer.formats.dsse import MEDIA_TYPE
from signer.web.admission import absent
from signer.web.application import Application
from signer.web.resource import Answer, Resource, fresh


def revocations(application: Application) -> Blueprint:
    """The resource of what was taken back."""
    resource = Resource("revocations", "What the authority took back.")

    @resource.get("/v1/revocations", Answer(media_type=MEDIA_TYPE, schema={"type": "object"}))
    def revocation_list() -> Response:
        """Serve the revocation list as the custodian published it, signed by the ledger key."""
        try:
            data = application.revocations.read_bytes()
        except FileNotFoundError:
            raise absent() from None
        except OSError as fault:
            raise Unavailable("ledger-unavailable", f"the revocation list cannot be read: {fault.strerror}") from None
        return fresh(Response(data, mimetype=MEDIA_TYPE))

    return resource.blueprint
