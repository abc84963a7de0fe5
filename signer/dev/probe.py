# SPDX-License-Identifier: Apache-2.0
"""Whether the web server answers, asked as `ci` over mutual TLS."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from signer.dev.directory import DevDirectory

TIMEOUT = 5.0


def answers(directory: DevDirectory, url: str) -> bool:
    """One GET of /livez; False while it is refused or nobody is there."""
    identity = directory.identity("ci")
    context = ssl.create_default_context(cafile=str(directory.ca / "ca.pem"))
    context.load_cert_chain(identity / "cert.pem", identity / "key.pem")
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=TIMEOUT, context=context)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
