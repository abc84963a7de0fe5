# SPDX-License-Identifier: Apache-2.0
"""gunicorn's threaded worker, with handshakes that hold no thread and refusals in our own words.

The stock worker gives every accepted connection a thread before it has proved anything, so a few peers that
send three bytes of a ClientHello stop the service. Here a connection waits in the poller until bytes arrive,
the handshake runs without blocking, and a peer that has not finished it in time is dropped.
"""

from __future__ import annotations

import errno
import selectors
import ssl
import time
from functools import partial
from typing import Any

from gunicorn import http, sock, util
from gunicorn.http import errors
from gunicorn.workers import gthread

from signer.web.problems import Problem, status_of

HANDSHAKE_SECONDS = 2.0
"""From accept to the end of the handshake."""

# gunicorn's mark for 'back to the poller'; its stubs lag behind it, here and at the two header errors below.
_DEFER: Any = vars(gthread)["_DEFER"]
_OUR_HEADERS: tuple[type[Exception], ...] = (
    vars(errors)["InvalidResponseHeader"],
    vars(errors)["InvalidResponseHeaderName"],
)


class Connection(gthread.TConn):
    """A connection that knows how long its handshake may still take."""

    def __init__(self, cfg: Any, client: Any, peer: Any, server: Any) -> None:
        super().__init__(cfg, client, peer, server)
        self.handshake_until = time.monotonic() + HANDSHAKE_SECONDS
        self._tls: ssl.SSLSocket | None = None

    def advance(self) -> bool:
        """Take the handshake one step on; False when the peer's next bytes are needed."""
        if self.cfg.is_ssl:
            if self._tls is None:
                self.sock = self._tls = sock.ssl_wrap_socket(self.sock, self.cfg)
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
        self.parser = http.get_parser(self.cfg, self.sock, self.client)
        self.initialized = True
        return True


class Worker(gthread.ThreadWorker):
    """One process of a listener."""

    def accept(self, listener: Any) -> None:
        """Accept and wait for the first bytes in the poller, not in a thread."""
        try:
            client, address = listener.accept()
        except OSError as fault:
            if fault.errno in (errno.EAGAIN, errno.ECONNABORTED):
                return
            raise
        self.nr_conns += 1
        self._park(Connection(self.cfg, client, address, listener.getsockname()))

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Park a connection whose handshake goes on; everything else is as in gunicorn."""
        if not fs.cancelled() and fs.exception() is None and fs.result() is _DEFER and self.alive:
            self._park(conn)
        else:
            super().finish_request(conn, fs)

    def handle(self, conn: Any) -> Any:
        """Serve one request, or one step of the handshake (runs in a thread)."""
        if not conn.initialized:
            try:
                if not conn.advance():
                    return _DEFER
            except OSError as fault:
                # ssl.SSLError is an OSError: no certificate, an unknown authority, a revoked one, an old version.
                self.cfg.handshake_failed(conn.client, fault)
                return False
        return super().handle(conn)

    def handle_error(self, _req: Any, client: Any, _addr: Any, exc: BaseException) -> None:
        """Answer a request that never became one with a problem document; the connection closes after it."""
        problem = refusal(exc)
        if problem.code == "internal":
            self.log.error("failed before the application: %s", type(exc).__name__)
        else:
            self.log.warning("refused before the application: %s", type(exc).__name__)
        status = status_of(problem.code)
        body = problem.body()
        head = (
            f"HTTP/1.1 {status} {problem.title}\r\nConnection: close\r\n"
            f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            util.write(client, head.encode("ascii") + body)
        except OSError:
            self.log.debug("the peer left before its answer")

    def _park(self, conn: Connection) -> None:
        conn.sock.setblocking(False)
        conn.timeout = until = conn.handshake_until
        # murder_pending looks at the oldest only: deadlines count from accept, so order by deadline.
        place = len(self.pending_conns)
        while place and (self.pending_conns[place - 1].timeout or until) > until:
            place -= 1
        self.pending_conns.insert(place, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))


def refusal(error: BaseException) -> Problem:
    """What the caller hears when gunicorn could not read the request."""
    if isinstance(error, _OUR_HEADERS):
        return Problem("internal", "the server failed")
    match error:
        case errors.LimitRequestLine():
            return Problem("uri-too-long", "the request line is too long")
        case errors.LimitRequestHeaders():
            return Problem("headers-too-large", "the header fields are too many or too long")
        case errors.InvalidHeaderName():
            return Problem(
                "untrusted-header",
                "a header name is not accepted here",
                remedy="send no header with an underscore; identity comes from the client certificate alone",
            )
        case errors.ParseException():
            return Problem(
                "malformed-request", "the bytes are not one unambiguous HTTP/1.1 request", remedy="send RFC 9112 HTTP"
            )
        case _:
            return Problem("internal", "the server failed")
