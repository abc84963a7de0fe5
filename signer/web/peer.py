# SPDX-License-Identifier: Apache-2.0
"""The one adapter between the server and the caller's certificate (signing cycle, step 1).

The certificate comes from the TLS connection itself and from nothing a caller can write: a request that carries
an identity header is refused, whatever the header says.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias

from signer.errors import Refused
from signer.identity.certificate import caller_san
from signer.web.wsgi.tls import BoundedSocket

WSGIEnvironment: TypeAlias = dict[str, Any]
Peer: TypeAlias = Callable[[WSGIEnvironment], str]
"""The SAN of the caller of a request; raises Refused."""

_IDENTITY_HEADER = re.compile(
    r"x[-_]forwarded[-_].*|forwarded|.*client[-_]?cert.*|x[-_]client[-_].*|x?[-_]?(ssl|tls|mtls)[-_].*"
    r"|.*(remote|authenticated|forwarded|auth)[-_]?user.*|x[-_]amzn[-_]mtls.*|x[-_]spiffe.*|x[-_]real[-_]ip"
    r"|script[-_]name|path[-_]info|x[-_](original|rewrite)[-_](url|uri|method)|x[-_]http[-_]method.*",
    re.IGNORECASE,
)

_cached_san = lru_cache(maxsize=4096)(caller_san)
"""Reading a certificate costs more than serving a key; the same bytes always say the same."""


def gunicorn_peer(environ: WSGIEnvironment) -> str:
    """The SAN in the client certificate that gunicorn's TLS connection verified."""
    connection = environ.get("gunicorn.socket")
    der = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
    if der is None:
        raise Refused(
            "client-identity-required",
            "the connection carries no client certificate",
            remedy="connect over mutual TLS, directly or through TLS pass-through",
        )
    return _cached_san(der)


def grant_time(environ: WSGIEnvironment, seconds: float) -> None:
    """Let the body of this request take so much longer: its peer moves on."""
    connection = environ.get("gunicorn.socket")
    if isinstance(connection, BoundedSocket):
        connection.grant(seconds)


def check_headers(names: Iterable[str]) -> None:
    """Refuse a request that claims an identity or another path in a header; raises Refused("untrusted-header")."""
    for name in names:
        if _IDENTITY_HEADER.fullmatch(name):
            raise Refused(
                "untrusted-header",
                f"the header {name[:64]!a} is not accepted here",
                remedy="identity comes from the client certificate of this very connection; put nothing but TLS"
                " pass-through in front",
            )
