# SPDX-License-Identifier: Apache-2.0
"""RFC 3161 timestamps over a signature: the request, and what makes a response count.

    TimeStampReq   version 1 · imprint SHA-256 of the signature's bytes · nonce of 64 bits · certReq
    TimeStampResp  granted · CMS SignedData over TSTInfo {imprint, genTime, nonce}

A response counts when its status is granted, its imprint and nonce are those of the request, exactly one signer signed
it with a certificate whose only and critical extended key usage is id-kp-timeStamping, and the chain leads to a pinned
certificate at genTime. The cryptography is the rfc3161-client library's; whoever reads no timestamp never loads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signer.errors import Malformed, Refused

QUERY_TYPE: Final = "application/timestamp-query"
REPLY_TYPE: Final = "application/timestamp-reply"
MAX_TIMESTAMP = 32 * 1024
MAX_CHAIN = 8
_GRANTED = 0
_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")


@dataclass(frozen=True, slots=True)
class TimestampRequest:
    """One question to a timestamp authority, and the nonce that its answer must carry."""

    der: bytes
    nonce: int


@dataclass(frozen=True, slots=True)
class Timestamp:
    """What a response says once it was verified."""

    time: datetime
    """genTime, aware, in UTC."""
    serial: int


def build_request(signature: bytes) -> TimestampRequest:
    """Ask for a timestamp over the bytes of a signature."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder  # noqa: PLC0415 - loaded on use, see the module

    request = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA256).build()
    assert request.nonce is not None, "the builder makes one unless told otherwise"
    return TimestampRequest(request.as_bytes(), request.nonce)


def verify_timestamp(
    response: bytes, *, signature: bytes, chain: Sequence[bytes], nonce: int | None = None
) -> Timestamp:
    """The time that an authority attests for `signature`; raises Refused("timestamp-invalid").

    `chain` holds the pinned certificates, DER: those of its CAs and, where it is pinned too, first the authority's own.
    `nonce` is that of the request, for whoever has it.
    """
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response  # noqa: PLC0415 - see above

    if not 0 < len(response) <= MAX_TIMESTAMP:
        raise _invalid(f"it is empty, or has more than {MAX_TIMESTAMP} bytes")
    own, authorities = _parted(chain)
    verifier = VerifierBuilder(tsa_certificate=own, roots=list(authorities), nonce=nonce).build()
    try:
        parsed = decode_timestamp_response(response)
        # Only what is granted holds a token.
        info = parsed.tst_info if parsed.status == _GRANTED else None
        if info is not None:
            verifier.verify(parsed, hashlib.sha256(signature).digest())
    except VerificationError as fault:
        # What OpenSSL adds is of its own files and lines.
        raise _invalid(str(fault).partition(": ErrorStack")[0]) from None
    except Exception as fault:  # noqa: BLE001 - the library hands on what any of its parsers raise, no two alike
        raise _invalid(f"it cannot be read: {type(fault).__name__}") from None
    if info is None:
        raise _invalid(f"the status is {parsed.status}, not granted")
    if info.message_imprint.hash_algorithm != _SHA256:
        raise _invalid("the imprint is of another algorithm than SHA-256")
    when = info.gen_time
    return Timestamp(when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC), info.serial_number)


def read_chain(pem: bytes) -> tuple[bytes, ...]:
    """The certificates of a PEM file as a chain that can be pinned, DER; raises Malformed."""
    try:
        found = tuple(each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise Malformed("invalid-certificate", "not a PEM file of certificates") from None
    check_chain(found)
    return found


def check_chain(chain: Sequence[bytes]) -> None:
    """Raise Malformed unless these certificates can be pinned: CAs, before them at most the authority's own."""
    if not 1 <= len(chain) <= MAX_CHAIN or len(set(chain)) != len(chain):
        raise Malformed("invalid-certificate", f"a chain holds 1 to {MAX_CHAIN} certificates, none twice")
    _parted(chain)


def _parted(chain: Sequence[bytes]) -> tuple[x509.Certificate | None, Sequence[x509.Certificate]]:
    try:
        certificates = [x509.load_der_x509_certificate(each) for each in chain]
        authorities = [each for each in certificates if _is_authority(each)]
    except ValueError:
        raise Malformed("invalid-certificate", "a pinned certificate cannot be read") from None
    own = None if authorities == certificates else certificates[0]
    if not authorities or certificates not in (authorities, [own, *authorities]):
        raise Malformed(
            "invalid-certificate",
            "the chain is not one certificate of a timestamp authority and its CAs, nor its CAs alone",
            remedy="write the PEM file as: the authority's certificate, intermediates, root",
        )
    return own, authorities


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _invalid(why: str) -> Refused:
    return Refused("timestamp-invalid", f"the timestamp does not count: {why}")
