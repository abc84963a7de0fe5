# SPDX-License-Identifier: Apache-2.0
"""TLS for the client: one context with the client certificate, and alerts translated to causes.

With TLS 1.3 the server judges the client certificate after the client's handshake is done, so its alert arrives
with the first read, wrapped in whatever was being done then (RFC 8446 §4.4.2.4 and §6.2).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from signer.errors import Misconfigured, Refused, SignerError

_REFUSED: Mapping[str, tuple[str, str, str]] = {
    "CERTIFICATE_REQUIRED": (
        "client-identity-required",
        "the authority asks for a client certificate and none was sent",
        "set SIGNER_CLIENT_CERT and SIGNER_CLIENT_KEY",
    ),
    "CERTIFICATE_EXPIRED": (
        "client-certificate-expired",
        "the authority refuses the client certificate: it has expired or is not valid yet",
        "renew the client certificate, and check this machine's clock",
    ),
    "CERTIFICATE_REVOKED": (
        "client-certificate-revoked",
        "the authority refuses the client certificate: it was revoked",
        "ask the security team for a new one",
    ),
    "UNKNOWN_CA": (
        "client-certificate-unknown-ca",
        "the authority does not know the CA that issued the client certificate",
        "use a certificate of the authority's client CA, and send its intermediates with it",
    ),
    "UNSUPPORTED_CERTIFICATE": (
        "client-certificate-unsuitable",
        "the authority refuses the client certificate: its purpose is not client authentication",
        "issue it with the extended key usage clientAuth",
    ),
    "BAD_CERTIFICATE": (
        "client-certificate-unsuitable",
        "the authority refuses the client certificate: it is damaged or does not fit its key",
        "check the files of SIGNER_CLIENT_CERT and SIGNER_CLIENT_KEY",
    ),
    "HANDSHAKE_FAILURE": (
        "client-identity-required",
        "the authority refused the handshake: it wants a client certificate or other algorithms",
        "set SIGNER_CLIENT_CERT and SIGNER_CLIENT_KEY",
    ),
}
"""End of OpenSSL's name of an alert -> code, detail, remedy."""

_VERDICT = 0.5
"""Seconds of silence after which the server has accepted the certificate."""
_EXPIRED = (9, 10)
_UNKNOWN_CA = (2, 18, 19, 20, 21)
_OTHER_HOST = (62, 64)


def client_context(*, ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """A verifying context of TLS 1.2 or newer; raises Misconfigured for files that do not load."""
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as fault:
        raise Misconfigured("ca-unreadable", f"{ca}: {_reason(fault)}", remedy="set SIGNER_CA to a PEM file") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        try:
            # The callback keeps OpenSSL from asking on the terminal for a passphrase.
            context.load_cert_chain(certificate, key, password=_no_passphrase)
        except (OSError, ssl.SSLError) as fault:
            raise Misconfigured(
                "client-certificate-unreadable",
                f"{certificate} and its key do not load: {_reason(fault)}",
                remedy="SIGNER_CLIENT_CERT and SIGNER_CLIENT_KEY name a PEM certificate and its unencrypted key",
            ) from None
    elif key is not None:
        raise Misconfigured(
            "client-certificate-unreadable", "a client key without a certificate", remedy="set SIGNER_CLIENT_CERT"
        )
    return context


def tls_cause(fault: BaseException) -> SignerError | None:
    """What a failed handshake means to the caller; None when TLS was not the trouble."""
    for link in _chain(fault):
        if isinstance(link, ssl.SSLCertVerificationError):
            return _server_untrusted(link)
        if isinstance(link, ssl.SSLError) and link.reason:
            for ending, (code, detail, remedy) in _REFUSED.items():
                if link.reason.endswith(ending):
                    return Refused(code, detail, remedy=remedy)
            if link.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
                return Misconfigured(
                    "server-not-tls",
                    "the address answers, but not with TLS",
                    remedy="check host and port of SIGNER_URL",
                )
    return None


def handshake_cause(host: str, port: int, *, context: ssl.SSLContext) -> SignerError | None:
    """Ask the server again for its verdict on the client certificate, and nothing else.

    A server that refuses the certificate closes with our request unread. The kernel then resets the connection and
    may drop the alert that says why; on a connection without a request the alert always arrives.
    """
    try:
        with (
            socket.create_connection((host, port), timeout=_VERDICT) as plain,
            context.wrap_socket(plain, server_hostname=host) as channel,
        ):
            channel.recv(1)
    except OSError as fault:
        return tls_cause(fault)
    return None


def _server_untrusted(fault: ssl.SSLCertVerificationError) -> Misconfigured:
    if fault.verify_code in _OTHER_HOST:
        return Misconfigured(
            "server-other-host",
            "the server's certificate is for another host name",
            remedy="use in SIGNER_URL the name that stands in the certificate",
        )
    if fault.verify_code in _EXPIRED:
        return Misconfigured(
            "server-certificate-expired",
            "the server's certificate has expired or is not valid yet",
            remedy="check this machine's clock, then ask the operator",
        )
    if fault.verify_code in _UNKNOWN_CA:
        return Misconfigured(
            "server-unknown-ca",
            "the server's certificate was issued by a CA that is not trusted here",
            remedy="set SIGNER_CA to the PEM file of the authority's CA",
        )
    return Misconfigured("server-untrusted", f"the server's certificate was refused: {fault.verify_message}")


def _chain(fault: BaseException) -> Iterator[BaseException]:
    """The error, its causes and the errors in its arguments: urllib3 wraps in all three ways."""
    waiting: list[BaseException] = [fault]
    seen: set[int] = set()
    while waiting:
        link = waiting.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = (link.__cause__, link.__context__, getattr(link, "reason", None), *link.args)
        waiting += [other for other in inner if isinstance(other, BaseException)]


def _no_passphrase() -> str:
    raise OSError("the key is encrypted")


def _reason(fault: OSError) -> str:
    return str(getattr(fault, "reason", "") or fault.strerror or fault)
