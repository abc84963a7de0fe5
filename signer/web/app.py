# SPDX-License-Identifier: Apache-2.0
"""The API over mutual TLS: registers resources, and holds no logic."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Blueprint, Flask

import signer
from signer.web.admission import admit, answer_http_error
from signer.web.application import Application
from signer.web.approvals import approvals
from signer.web.checks import checks
from signer.web.decisions import decisions
from signer.web.deployments import deployments
from signer.web.evidence import evidence
from signer.web.halt import halts
from signer.web.health import health
from signer.web.holds import holds
from signer.web.keys import keys
from signer.web.log import entries, log
from signer.web.packs import packs
from signer.web.policies import policies
from signer.web.records import records
from signer.web.releases import releases
from signer.web.resource import Api
from signer.web.revocations import revocations
from signer.web.signatures import signatures
from signer.web.uploads import uploads
from signer.web.waivers import waivers

OPEN_TO_ALL = frozenset({"health", "keys", "revocations", "log", "api-docs"})
"""Resources that ask for no principal: what they say is public, or no secret."""


def create_app(application: Application) -> Flask:
    """The application of the mutual TLS listener."""
    return assemble(
        application,
        (
            signatures(application),
            checks(application),
            evidence(application),
            uploads(application),
            decisions(application),
            records(application),
            keys(application),
            revocations(application),
            log(application),
            entries(application),
            halts(application),
            policies(application),
            waivers(application),
            deployments(application),
            approvals(application),
            holds(application),
            packs(application),
            releases(application),
            health(application),
        ),
        open_to_all=OPEN_TO_ALL,
    )


def assemble(application: Application, resources: Iterable[Blueprint], *, open_to_all: frozenset[str]) -> Flask:
    """A Flask application of these resources, with one admission, one error table and one document."""
    app = Flask("signer.web", static_folder=None, template_folder=None)
    app.config.update(
        # One more than the cap: werkzeug cuts a chunked body off at this length without a word (see StrictParser).
        MAX_CONTENT_LENGTH=application.body_limit + 1,
        # A method that no view has is refused; Flask would answer OPTIONS without asking who wants to know.
        PROVIDE_AUTOMATIC_OPTIONS=False,
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
    )
    # One spelling per path: no redirect from another one.
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    admit(app, application, open_to_all=open_to_all)
    api = Api(app, title="Signing Authority", version=signer.__version__, answer=answer_http_error)
    for resource in resources:
        api.register_blueprint(resource)
    return app
