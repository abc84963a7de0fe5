# SPDX-License-Identifier: Apache-2.0
"""TLS of the listeners: version 1.3 only, one cached context that follows its files, bounded connections.

The context is read again whenever the certificate, key, authorities or revocation list change on disk, so a
revocation list swapped by an operator counts for the next connection without a reload. A file that cannot be
read refuses every new connection: no older list is used instead.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gunicorn.http.errors import NoMoreData

from signer.errors import Misconfigured
from signer.identity.authorities import load_authorities

REQUEST_SECONDS = 30.0
"""A request's head and body arrive within this time, however its bytes are dealt out."""
CONNECTION_SECONDS = 600.0
"""After this the next answer is the connection's last: certificates end, and a handshake looks again."""
STALL_SECONDS = 5.0
"""No single wait for the peer, reading or writing, lasts longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """The files of one listener. With `client_ca`, every client must show a certificate of that authority."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    crl: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the context is made of."""
        return tuple(path for path in (self.certificate, self.key, self.client_ca, self.crl) if path is not None)


class BoundedSocket(ssl.SSLSocket):
    """A connection on which no peer can hold a thread for long.

    The server switches a socket to blocking mode when a thread begins to serve it; the request's clock starts
    there. A peer that is late looks like one that hung up.
    """

    _deadline: float | None = None
    _opened: float | None = None

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature is ssl's
        """Take the handshake on, and remember when the connection began."""
        if self._opened is None:
            self._opened = time.monotonic()
        super().do_handshake(block)

    @property
    def is_old(self) -> bool:
        """Whether the connection has lasted long enough."""
        return self._opened is not None and time.monotonic() - self._opened > CONNECTION_SECONDS

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - the signature is socket's
        """Blocking means: within the bounds of this class."""
        if flag:
            self._deadline = time.monotonic() + REQUEST_SECONDS
            self.settimeout(STALL_SECONDS)
        else:
            self._deadline = None
            super().setblocking(False)

    def grant(self, seconds: float) -> None:
        """Let the request take so much longer."""
        if self._deadline is not None:
            self._deadline += seconds

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read what came, waiting no longer than the request may still take."""
        if self._deadline is not None:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise NoMoreData
            self.settimeout(min(remaining, STALL_SECONDS))
        try:
            return super().recv(buflen, flags)
        except TimeoutError:
            raise NoMoreData from None


class TlsContexts:
    """The one context of a process for one listener, rebuilt when its files change."""

    def __init__(self, tls: ServerTls) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._stamp: tuple[tuple[int, int, int], ...] = ()
        self._context: ssl.SSLContext | None = None

    def current(self) -> ssl.SSLContext:
        """The context made of the files as they are now; raises OSError when one cannot be read."""
        stamp = tuple((entry.st_ino, entry.st_mtime_ns, entry.st_size) for entry in map(os.stat, self._tls.files))
        with self._lock:
            if self._context is None or stamp != self._stamp:
                self._context, self._stamp = build_context(self._tls), stamp
            return self._context

    def hook(self, _config: Any, _default: Any) -> ssl.SSLContext:
        """Answer gunicorn's `ssl_context`, called for every accepted connection."""
        return self.current()


def build_context(tls: ServerTls) -> ssl.SSLContext:
    """A server context that accepts nothing older than TLS 1.3; raises OSError (ssl.SSLError is one)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # An encrypted key fails here instead of asking a terminal.
    context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
    # Every connection proves its certificate afresh: a ticket would outlive revocation and expiry.
    context.num_tickets = 0
    context.sslsocket_class = BoundedSocket
    if tls.client_ca is not None:
        load_authorities(context, tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        if tls.crl is not None:
            context.load_verify_locations(cafile=tls.crl)
            if context.cert_store_stats()["crl"] == 0:
                raise ssl.SSLError(f"{tls.crl} holds no revocation list")
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def check_tls(tls: ServerTls) -> None:
    """Read all files once before anything is bound; raises Misconfigured with the file that fails."""
    for path in tls.files:
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as fault:
            raise Misconfigured(
                "tls-files", f"cannot read {path}: {fault.strerror}", remedy="correct [web] in the settings file"
            ) from None
    try:
        build_context(tls)
    except OSError as fault:
        raise Misconfigured(
            "tls-files",
            f"the TLS files do not fit together: {str(fault)[:400]}",
            remedy="certificate and key belong together; client_ca holds your own CAs alone; crl is PEM and not empty",
        ) from None
