# SPDX-License-Identifier: Apache-2.0
"""DSSE v1.0.2: the envelope around everything signed.

    {"payload":"<base64>","payloadType":"application/vnd.in-toto+json",
     "signatures":[{"keyid":"<hint>","sig":"<base64>"}]}

What is signed is PAE(payloadType, payload), never the base64 text. `keyid` is unauthenticated: it may only
order the keys that are tried (secure-systems-lab/dsse:protocol.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.errors import Malformed, Refused
from signer.formats.canonical import canonical
from signer.formats.shape import read_shape
from signer.formats.spki import PublicKey, keyid, spki_der, verify_signature
from signer.formats.strict_base64 import decode_base64, encode_base64
from signer.formats.strict_json import parse_object

MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
MAX_ENVELOPE = 1024 * 1024
MAX_SIGNATURES = 16
MAX_SIGNATURE = 8192
MAX_TYPE = 256

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | Ed25519PrivateKey
"""A key that somebody holds in a file: an owner's, or one that signs evidence; never the authority's."""


@dataclass(frozen=True, slots=True)
class EnvelopeSignature:
    """One signature and the hint at its key; the hint is empty when absent."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope: `payload` holds the decoded bytes that the signatures cover."""

    payload_type: str
    payload: bytes
    signatures: tuple[EnvelopeSignature, ...]


class _Signature(msgspec.Struct):
    sig: str
    keyid: str | None = None


class _Envelope(msgspec.Struct, rename="camel"):
    payload: str
    payload_type: str
    signatures: list[_Signature]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Pre-authentication encoding: `DSSEv1 SP len(type) SP type SP len(payload) SP payload`."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse_envelope(data: bytes, *, limit: int = MAX_ENVELOPE) -> Envelope:
    """Read envelope bytes; raises Malformed. Unknown fields are ignored, as the standard demands."""
    return read_envelope(parse_object(data, limit=limit, what="DSSE envelope"))


def read_envelope(value: Any) -> Envelope:
    """Read an envelope from its loaded JSON object; raises Malformed."""
    wire = read_shape(value, _Envelope, what="DSSE envelope")
    if not wire.signatures:
        raise Malformed("evidence-invalid", "the envelope holds no signature", remedy="sign it first")
    if len(wire.signatures) > MAX_SIGNATURES:
        raise Malformed("too-large", f"an envelope holds at most {MAX_SIGNATURES} signatures")
    if not wire.payload_type.isascii() or not 0 < len(wire.payload_type) <= MAX_TYPE:
        raise Malformed("evidence-invalid", "the payload type is not a media type")
    signatures = tuple(EnvelopeSignature(entry.keyid or "", _signature(entry.sig)) for entry in wire.signatures)
    return Envelope(wire.payload_type, decode_base64(wire.payload, what="payload of the envelope"), signatures)


def verify_envelope(
    envelope: Envelope, keys: Mapping[str, PublicKey], *, hints: Mapping[str, str] | None = None
) -> frozenset[str]:
    """Names of the `keys` under which at least one signature verifies; empty when none does.

    `hints` maps key ids to names that are tried first. Each name counts once, however often its key signed;
    a caller that needs a threshold must not give one key two names.
    """
    message = pae(envelope.payload_type, envelope.payload)
    verified: set[str] = set()
    for signature in envelope.signatures:
        hinted = (hints or {}).get(signature.keyid)
        order = [*([hinted] if hinted in keys else []), *(name for name in keys if name != hinted)]
        name = next((name for name in order if name is not None and _verifies(keys[name], message, signature)), None)
        if name is not None:
            verified.add(name)
    return frozenset(verified)


def encode_envelope(payload_type: str, payload: bytes, signatures: Iterable[tuple[str, bytes]]) -> bytes:
    """Canonical JSON of an envelope with the given (keyid, signature) pairs."""
    return canonical(envelope_object(payload_type, payload, signatures))


def sign_envelope(payload_type: str, payload: bytes, key: PrivateKey) -> bytes:
    """Sign `payload` with a key held in memory: P-256 with SHA-256, or Ed25519."""
    name = keyid(spki_der(key.public_key()))
    return encode_envelope(payload_type, payload, [(name, _sign(key, pae(payload_type, payload)))])


def envelope_object(payload_type: str, payload: bytes, signatures: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    """The JSON object of an envelope, to stand inside another document."""
    return {
        "payload": encode_base64(payload),
        "payloadType": payload_type,
        "signatures": [{"keyid": keyid, "sig": encode_base64(sig)} for keyid, sig in signatures],
    }


def _sign(key: PrivateKey, message: bytes) -> bytes:
    match key:
        case Ed25519PrivateKey():
            return key.sign(message)
        case ec.EllipticCurvePrivateKey():
            return key.sign(message, ec.ECDSA(hashes.SHA256()))


def _signature(text: str) -> bytes:
    if not 0 < len(text) <= MAX_SIGNATURE:
        raise Malformed("evidence-invalid", "a signature of the envelope is empty or too long")
    return decode_base64(text, what="signature of the envelope")


def _verifies(key: PublicKey, message: bytes, signature: EnvelopeSignature) -> bool:
    try:
        verify_signature(key, message, signature.sig)
    except Refused:
        return False
    return True
