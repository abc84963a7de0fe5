# SPDX-License-Identifier: Apache-2.0
"""What `signer doctor` looks at on a client: its certificate, the way to the authority, the clock, the trust file."""

from __future__ import annotations

import http.client
import ssl
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.x509.oid import ExtendedKeyUsageOID

from signer.cli.checkup import Expectation, Line, certificate_lines, run_check, secret_line
from signer.client.settings import ClientSettings
from signer.client.tls import client_context, tls_cause
from signer.errors import Unavailable
from signer.formats.trust import parse_trust_file, verify_trust_file

MAX_SKEW = timedelta(seconds=60)
CONNECT = 10.0


def examine_client(settings: ClientSettings, *, now: datetime) -> list[Line]:
    """All checks of a client, each on its own."""
    lines = [_setting_line(settings, name) for name in ("url", "client_cert", "client_key", "trust")]
    certificate, key = settings.get("client_cert"), settings.get("client_key")
    if certificate is not None and key is not None:
        lines += certificate_lines(
            "client",
            chain=Path(certificate),
            key=Path(key),
            usage=ExtendedKeyUsageOID.CLIENT_AUTH,
            san="exactly one SPIFFE URI, known to the authority's access document",
            now=now,
        )
        lines.append(secret_line("client key", Path(key)))
    if settings.get("url") is not None:
        lines += _authority_lines(settings, now=now)
    if settings.get("trust") is not None:
        lines.append(_trust_line(Path(settings.require("trust"))))
    return lines


def _setting_line(settings: ClientSettings, name: str) -> Line:
    held = settings.values[name]

    def look() -> tuple[bool, str]:
        return held.value is not None, "unset" if held.value is None else f"{held.value} ({held.origin})"

    return run_check(
        Expectation(f"setting {name}", "set", f"set SIGNER_{name.upper()} or write it in {settings.file}"), look
    )


def _authority_lines(settings: ClientSettings, *, now: datetime) -> list[Line]:
    """One request to `/livez`: TLS both ways, then the server's clock."""
    seen: list[datetime] = []

    def reach() -> tuple[bool, str]:
        status, date = _ask(settings)
        seen.append(date)
        return status == http.client.OK, f"HTTP {status} over mutual TLS"

    def clock() -> tuple[bool, str]:
        skew = abs(seen[0] - now)
        return skew <= MAX_SKEW, f"{skew.total_seconds():.0f} s apart"

    url = settings.require("url")
    answer = run_check(
        Expectation("authority", f"{url} answers this certificate", "ask the operator for `signer doctor --config`"),
        reach,
    )
    if not seen:
        return [answer]
    limit = f"at most {MAX_SKEW.total_seconds():.0f} s from the authority's"
    return [answer, run_check(Expectation("clock", limit, "synchronise this machine's clock"), clock)]


def _ask(settings: ClientSettings) -> tuple[int, datetime]:
    parts = urlsplit(settings.require("url"))
    ca, certificate, key = (settings.get(name) for name in ("ca", "client_cert", "client_key"))
    context = client_context(
        ca=None if ca is None else Path(ca),
        certificate=None if certificate is None else Path(certificate),
        key=None if key is None else Path(key),
    )
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=CONNECT, context=context)
    try:
        connection.request("GET", "/livez")
        response = connection.getresponse()
        response.read()
        return response.status, parsedate_to_datetime(response.headers["Date"])
    except (ssl.SSLError, http.client.HTTPException, OSError) as fault:
        cause = tls_cause(fault)
        raise (cause or _unreachable(fault)) from None
    finally:
        connection.close()


def _unreachable(fault: Exception) -> Unavailable:
    return Unavailable("unreachable", f"no answer: {type(fault).__name__}", remedy="check SIGNER_URL and the network")


def _trust_line(path: Path) -> Line:
    def look() -> tuple[bool, str]:
        file = parse_trust_file(path.read_bytes())
        trust = verify_trust_file(file, previous=None)
        kind = "DEV, trusted by nobody else" if trust.dev else "production"
        return True, f"{trust.origin} version {trust.version}, {len(trust.keys)} keys, {kind}"

    return run_check(Expectation("trust file", "signed by the owners' threshold", "signer trust update"), look)
