# SPDX-License-Identifier: Apache-2.0
"""The operations listener on loopback: metrics, liveness and readiness, without reasons."""

from __future__ import annotations

from flask import Blueprint, Flask, Response
from prometheus_client import CONTENT_TYPE_LATEST

import signer
from signer.telemetry.metrics import StateCollector, exposition
from signer.web.admission import admit
from signer.web.application import Application
from signer.web.health import answer_readiness
from signer.web.readiness import look
from signer.web.shadow import gauges

OPEN_TO_ALL = frozenset({"operations"})


def create_operations_app(application: Application) -> Flask:
    """The application of the operations listener."""
    app = Flask("signer.web", static_folder=None, template_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=0, PROVIDE_AUTOMATIC_OPTIONS=False)
    admit(app, application, open_to_all=OPEN_TO_ALL)
    operations = Blueprint("operations", "signer.web")

    @operations.get("/metrics")
    def metrics() -> Response:
        """Serve the metrics of all workers."""
        found = look(application)
        state = StateCollector(
            lambda: (*found.gauges(), *found.key_gauges(), *gauges(application)), version=signer.__version__
        )
        return Response(exposition(application.metrics_directory, state), content_type=CONTENT_TYPE_LATEST)

    @operations.get("/livez")
    def live() -> Response:
        """Say that this process answers."""
        return Response(b'{"status":"alive"}', mimetype="application/json")

    @operations.get("/readyz")
    def ready() -> Response:
        """Say whether the authority can sign."""
        return answer_readiness(look(application), with_reasons=False)

    app.register_blueprint(operations)
    return app
