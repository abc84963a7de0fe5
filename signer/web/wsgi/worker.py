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
from signer.web.wsgi.tls import BoundedSocket

HANDSHAKE_SECONDS = 2.0
"""How long a peer may keep us waiting during its handshake, all waits together; our own delays do not count."""
FIRST_REQUEST_SECONDS = 10.0
"""How long after its handshake a peer may stay silent."""
LINGER_SECONDS = 1.0
"""How long the rest of a request is read and thrown away, so that its sender can read the answer."""

# gunicorn's mark for 'back to the poller'; its stubs lag behind it, here and at the two header errors below.
_DEFER: Any = vars(gthread)["_DEFER"]
_OUR_HEADERS: tuple[type[Exception], ...] = (
    vars(errors)["InvalidResponseHeader"],
    vars(errors)["InvalidResponseHeaderName"],
)


class Connection(gthread.TConn):
    """A connection that knows how long its peer may still keep it waiting."""

    def __init__(self, cfg: Any, client: Any, peer: Any, server: Any) -> None:
        super().__init__(cfg, client, peer, server)
        self.patience = HANDSHAKE_SECONDS if cfg.is_ssl else FIRST_REQUEST_SECONDS
        self.parked = 0.0
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
        self.patience = FIRST_REQUEST_SECONDS
        # A request that came with the end of the handshake may stand in OpenSSL's buffer, where no poller sees it.
        return self._tls is None or self._tls.pending() > 0

    def close(self, graceful: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the signature is gunicorn's
        """Close at once: gunicorn would wait here, in the loop that serves everybody, for the peer to hang up."""
        util.close(self.sock)

    @property
    def is_outdated(self) -> bool:
        """Whether the TLS files changed since the handshake: its certificate may be revoked by now."""
        return self._tls is not None and self._tls.context is not sock.ssl_context(self.cfg)


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
        try:
            if not conn.initialized:
                if not conn.advance():
                    return _DEFER
            elif conn.is_outdated:
                # Closed before the request is read, as an idle connection may be any time: the client comes again.
                return False
        except OSError as fault:
            # ssl.SSLError is an OSError: no certificate, an unknown authority, a revoked one, an old version.
            self.cfg.handshake_failed(conn.client, fault)
            return False
        kept = super().handle(conn)
        if kept is False:
            util.close_graceful(conn.sock, timeout=LINGER_SECONDS)
        return kept

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:
        """Take what came to a thread; the time that the peer took is spent."""
        conn.patience -= time.monotonic() - conn.parked
        super().on_pending_socket_readable(conn, client)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:  # noqa: FBT001 - the signature is gunicorn's
        """Keep the connection only when the rest of the request comes soon; after a broken end nothing can follow."""
        if not keepalive:
            return False
        try:
            return bool(conn.parser.finish_body(deadline=time.monotonic() + LINGER_SECONDS))
        except (errors.ParseException, OSError):
            return False

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
        conn.parked = time.monotonic()
        conn.timeout = until = conn.parked + conn.patience
        # murder_pending looks at the oldest only, so they stand in the order of their ends.
        place = len(self.pending_conns)
        while place and (self.pending_conns[place - 1].timeout or until) > until:
            place -= 1
        self.pending_conns.insert(place, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))


def end_old_connection(_worker: Any, request: Any) -> None:
    """Make this answer the last of a connection that has lasted long enough (gunicorn's `pre_request`)."""
    connection = getattr(request.unreader, "sock", None)
    if isinstance(connection, BoundedSocket) and connection.is_old:
        request.force_close()


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
