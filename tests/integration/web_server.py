# SPDX-License-Identifier: Apache-2.0
"""The real listeners over a prepared ledger, with a custodian that only answers that it is well.

python -m tests.integration.web_server SETTINGS.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from signer.custodian.commands import Command, Reply, Status, StatusReport
from signer.db.engine import open_engine
from signer.errors import Misconfigured, Unavailable
from signer.ledger.guard import Guard
from signer.ledger.reader import open_reader
from signer.telemetry.logs import open_log
from signer.web.application import Application, open_application
from signer.web.expiry import TlsFiles
from signer.web.wsgi import tls, worker
from signer.web.wsgi.server import ServerSettings, serve


class Idle:
    """Writes down what it was asked."""

    def __init__(self, record: Path) -> None:
        self._record = record

    def ask(self, command: Command) -> Reply:
        if isinstance(command, Status):
            return StatusReport(
                ready=True, halted=False, tree_size=4, origin="o", problems=(), keys=(("release", True),)
            )
        with self._record.open("a") as file:
            file.write(f"{type(command).__name__}\n")
        raise Unavailable("custodian-unavailable", "this custodian only idles")


def main(path: str) -> int:
    given = json.loads(Path(path).read_text())
    folder = Path(given["folder"])
    log = open_log(sys.stderr.buffer, room="web")
    # The product's bounds are for slow networks; a test waits for less.
    tls.REQUEST_SECONDS, tls.STALL_SECONDS, worker.LINGER_SECONDS = 3.0, 1.0, 0.2
    optional = {name: given.get(name) for name in ("public_bind", "metrics_bind")}
    settings = ServerSettings(
        bind=given["bind"],
        certificate=folder / "server.pem",
        key=folder / "server.key",
        client_ca=Path(given["client_ca"]),
        crl=Path(given["crl"]) if given.get("crl") else None,
        metrics_directory=folder / "metrics",
        workers=given.get("workers", 1),
        threads=given.get("threads", 4),
        **optional,
    )

    def build() -> Application:
        return open_application(
            reader=open_reader(open_engine(f"sqlite:///{folder}/ledger.db", read_only=True)),
            custodian=Idle(folder / "asked"),
            guard=Guard(folder / "guard"),
            revocations=folder / "revocations.json",
            log=log,
            body_limit=1024 * 1024,
            store=None,
            spool=None,
            workers=settings.workers,
            tls=TlsFiles(certificate=settings.certificate, client_ca=settings.client_ca, crl=settings.crl),
            metrics_directory=settings.metrics_directory,
        )

    try:
        return serve(settings, build=build, log=log)
    except Misconfigured as fault:
        log.critical("misconfigured", code=fault.code, detail=fault.detail)
        return 78


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
