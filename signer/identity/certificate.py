# SPDX-License-Identifier: Apache-2.0
"""Peer certificate to identity (signing cycle, step 1; SPIFFE X509-SVID.md §2, §4, §5).

TLS has already verified chain, validity and possession of the key. What is left is to read one unambiguous name:
exactly one URI SAN, a SPIFFE ID, in a leaf that may sign, was issued to identify clients, and is no CA. The common
name is never read. X509-SVID.md §4.4 leaves the extended key usage out where an issuer likes; here it must be there:
an authority that issues for many purposes must have meant this one.
"""

from __future__ import annotations

from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from signer.errors import Refused
from signer.identity.spiffe import is_spiffe_id

MAX_CERTIFICATE = 16 * 1024

_UNREADABLE = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What the parser raises for certificates that are broken; these have no common base but Exception."""

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def caller_san(der: bytes) -> str:
    """The SPIFFE ID of the peer whose certificate is `der`; raises Refused("client-identity-required")."""
    if len(der) > MAX_CERTIFICATE:
        raise _refused("the client certificate is too large")
    try:
        certificate = x509.load_der_x509_certificate(der)
        extensions = certificate.extensions
    except _UNREADABLE:
        raise _refused("the client certificate cannot be read") from None
    if certificate.serial_number <= 0:
        raise _refused("the serial number of the client certificate is not positive")  # RFC 5280 §4.1.2.2
    _require_leaf(extensions)
    names = _find(extensions, x509.SubjectAlternativeName)
    uris = [] if names is None else names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise _refused(f"the client certificate has {len(uris)} URI names where exactly one is needed")
    if not is_spiffe_id(uris[0]):
        raise _refused("the URI name of the client certificate is not a SPIFFE ID")
    return uris[0]


def _require_leaf(extensions: x509.Extensions) -> None:
    constraints = _find(extensions, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise _refused("a CA certificate does not identify a caller")
    usage = _find(extensions, x509.KeyUsage)
    if usage is not None and (not usage.digital_signature or usage.key_cert_sign or usage.crl_sign):
        raise _refused("the key usage of the client certificate is not that of a leaf")
    purposes = _find(extensions, x509.ExtendedKeyUsage)
    if purposes is None or ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        raise _refused("the client certificate is not meant for client authentication")


def _find(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _refused(detail: str) -> Refused:
    return Refused(
        "client-identity-required",
        detail,
        remedy="use a certificate with extended key usage clientAuth and one URI SAN, spiffe://<trust domain>/<path>",
    )
