# SPDX-License-Identifier: Apache-2.0
"""The listeners of `signer serve`: the API over mutual TLS, the public one over TLS, operations on loopback.

Each listener is one gunicorn arbiter with its own processes. Nothing is opened before the fork: a worker builds
its application, with its own database and custodian connections, after it started.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from signer.errors import Misconfigured
from signer.telemetry.logs import Log
from signer.telemetry.metrics import forget_worker, share_directory
from signer.web.app import create_app
from signer.web.application import Application
from signer.web.operations import create_operations_app
from signer.web.public import create_public_app
from signer.web.wsgi.journal import Journal
from signer.web.wsgi.supervisor import supervise
from signer.web.wsgi.tls import ServerTls, TlsContexts, check_tls
from signer.web.wsgi.worker import Worker, end_old_connection

KEEPALIVE_SECONDS = 60
GRACEFUL_SECONDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the listeners need; `public_bind` and `metrics_bind` are off when None."""

    bind: str
    certificate: Path
    key: Path
    client_ca: Path
    crl: Path | None
    public_bind: str | None
    metrics_bind: str | None
    metrics_directory: Path
    """A directory of this process alone, emptied at start; tmpfs serves best."""
    workers: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One address, what answers there, and how it is protected."""

    name: str
    bind: str
    tls: ServerTls | None
    workers: int
    threads: int
    create: Callable[[Application], Flask]


def serve(settings: ServerSettings, *, build: Callable[[], Application], log: Log, only: Collection[str] = ()) -> int:
    """Serve until told to stop; `build` is called in each worker. Returns the exit code.

    `only` names the listeners to serve (api, public, operations), all that the settings ask for when it is empty.
    Raises Misconfigured before anything is bound.
    """
    listeners = [each for each in plan(settings) if not only or each.name in only]
    absent = sorted(set(only) - {each.name for each in listeners})
    if absent:
        raise Misconfigured(
            "listener-off",
            f"the settings ask for no listener {', '.join(absent)}",
            remedy="set public_bind or metrics_bind in [web]",
        )
    for listener in listeners:
        if listener.tls is not None:
            check_tls(listener.tls)
    share_directory(settings.metrics_directory)
    servers = {
        listener.name: Server(listener, build=build, log=log, metrics_directory=settings.metrics_directory).run
        for listener in listeners
    }
    return supervise(servers, log=log)


def plan(settings: ServerSettings) -> tuple[Listener, ...]:
    """The listeners that the settings ask for; raises Misconfigured for an exposed operations listener."""
    server = ServerTls(certificate=settings.certificate, key=settings.key)
    mutual = ServerTls(
        certificate=settings.certificate, key=settings.key, client_ca=settings.client_ca, crl=settings.crl
    )
    listeners = [
        Listener(
            name="api",
            bind=settings.bind,
            tls=mutual,
            workers=settings.workers,
            threads=settings.threads,
            create=create_app,
        )
    ]
    if settings.public_bind is not None:
        listeners.append(
            Listener(
                name="public",
                bind=settings.public_bind,
                tls=server,
                workers=1,
                threads=settings.threads,
                create=create_public_app,
            )
        )
    if settings.metrics_bind is not None:
        _check_loopback(settings.metrics_bind)
        listeners.append(
            Listener(
                name="operations",
                bind=settings.metrics_bind,
                tls=None,
                workers=1,
                threads=2,
                create=create_operations_app,
            )
        )
    return tuple(listeners)


class Server(BaseApplication):
    """One listener as a gunicorn application, configured in code alone: no file, no environment, no arguments."""

    def __init__(
        self, listener: Listener, *, build: Callable[[], Application], log: Log, metrics_directory: Path
    ) -> None:
        self._listener = listener
        self._build = build
        self._log = log.bind(listener=listener.name)
        self._metrics_directory = metrics_directory
        self._application: Application | None = None
        self._contexts = None if listener.tls is None else TlsContexts(listener.tls)
        super().__init__()

    def load(self) -> Any:
        """Build the application (in the worker, after the fork)."""
        self._application = self._build()
        return self._listener.create(self._application)

    def load_config(self) -> None:
        """Every setting that matters, stated; the rest of gunicorn's defaults are harmless to us."""
        options: dict[str, Any] = {
            "bind": [self._listener.bind],
            "proc_name": f"signer-web-{self._listener.name}",
            "workers": self._listener.workers,
            "threads": self._listener.threads,
            "worker_class": Worker,
            "preload_app": False,
            "keepalive": KEEPALIVE_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,  # noqa: S108, PTH112 - gunicorn's heartbeat belongs in memory
            # One message boundary, one source of the path, no identity from a header.
            "limit_request_line": 4094,
            "limit_request_fields": 50,
            "limit_request_field_size": 8190,
            "forwarder_headers": "",
            "forwarded_allow_ips": "",
            "header_map": "refuse",
            "http_protocols": "h1",
            "http2_cleartext": "off",
            "http_parser": "python",
            "proxy_protocol": False,
            # Nobody reloads or stops a signing service over a socket.
            "control_socket_disable": True,
            "accesslog": None,
            "logger_class": Journal,
            "child_exit": self._child_exit,
            "pre_request": end_old_connection,
        }
        for name, value in options.items():
            self.cfg.set(name, value)
        self.cfg.journal = self._log
        self.cfg.handshake_failed = self._handshake_failed
        tls = self._listener.tls
        if tls is not None and self._contexts is not None:
            self.cfg.set("certfile", str(tls.certificate))
            self.cfg.set("keyfile", str(tls.key))
            self.cfg.set("cert_reqs", ssl.CERT_NONE if tls.client_ca is None else ssl.CERT_REQUIRED)
            self.cfg.set("ssl_context", self._contexts.hook)

    def _child_exit(self, _arbiter: Any, worker: Any) -> None:
        forget_worker(worker.pid, self._metrics_directory)

    def _handshake_failed(self, client: Any, fault: OSError) -> None:
        reason = handshake_reason(fault)
        if self._application is not None:
            self._application.metrics.handshake_failures.labels(reason).inc()
        self._log.info("handshake failed", peer=str(client[0]) if client else "", reason=reason)


def handshake_reason(fault: OSError) -> str:
    """A failed handshake as one of a few words, for a metric label."""
    text = getattr(fault, "reason", None) or ""
    for fragment, reason in (
        ("PEER_DID_NOT_RETURN", "no-certificate"),
        ("CERTIFICATE_VERIFY_FAILED", "certificate-refused"),
        ("UNSUPPORTED_PROTOCOL", "old-protocol"),
        ("HTTP_REQUEST", "plain-http"),
    ):
        if fragment in text:
            return reason
    return "protocol" if isinstance(fault, ssl.SSLError) else "connection"


def _check_loopback(bind: str) -> None:
    host = bind.rpartition(":")[0].strip("[]")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise Misconfigured(
            "metrics-exposed",
            f"metrics_bind {bind} is not a loopback address",
            remedy="bind 127.0.0.1 and let a scraper on this machine read it",
        )
