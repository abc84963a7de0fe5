# SPDX-License-Identifier: Apache-2.0
"""A loopback HTTPS server that asks for client certificates and answers from a script."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import trustme

from signer.client.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted answer; status 0 hangs up without a word."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def problem(status: int, code: str, **members: Any) -> Reply:
    document = {
        "type": f"urn:signing-authority:problem:{code}",
        "title": code,
        "status": status,
        "detail": f"because of {code}",
        "retryable": status == 503,
        "violations": [],
        **members,
    }
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/problem+json"})


@dataclass(slots=True)
class Pki:
    """A CA for both sides, and the files of a server and a client."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.ca.cert_pem.write_to_path(self.folder / "ca.pem")
        self.identity("client", self.ca)
        self.identity("localhost", self.ca)

    def identity(self, name: str, ca: trustme.CA, **options: Any) -> None:
        issued = ca.issue_cert(name, common_name=name, **options)
        issued.private_key_pem.write_to_path(self.folder / f"{name}.key")
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        (self.folder / f"{name}.pem").write_bytes(chain)

    def endpoint(self, url: str, *, client: str | None = "client", ca: str = "ca", timeout: float = 10.0) -> Endpoint:
        return Endpoint(
            url=url,
            ca=self.folder / f"{ca}.pem",
            certificate=None if client is None else self.folder / f"{client}.pem",
            key=None if client is None else self.folder / f"{client}.key",
            timeout=timeout,
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Handshakes fail on purpose here."""


class Scripted:
    """A running server: give it replies, look at what it saw."""

    def __init__(self, server: _Server, replies: list[Reply], seen: list[Seen]) -> None:
        self.url = f"https://localhost:{server.server_address[1]}"
        self.replies, self.seen = replies, seen

    def script(self, replies: Sequence[Reply]) -> None:
        self.replies[:] = replies


@contextmanager
def serving(pki: Pki) -> Iterator[Scripted]:
    replies: list[Reply] = []
    seen: list[Seen] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout: ClassVar[float] = 5.0

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.append(Seen(self.command, self.path, headers, body))
            reply = replies.pop(0) if replies else Reply()
            if reply.status == 0:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = _answer  # noqa: N815 - the names that the library calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.folder / "localhost.pem", pki.folder / "localhost.key")
    context.load_verify_locations(pki.folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = _Server(("127.0.0.1", 0), Handler)
    # The handshake happens in the connection's own thread, at its first read.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Scripted(server, replies, seen)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
