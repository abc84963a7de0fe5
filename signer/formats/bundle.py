# SPDX-License-Identifier: Apache-2.0
"""Sigstore bundles: v0.3 out, with a managed key; v0.1 to v0.3 in, with a managed key or a certificate.

    {"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",
     "verificationMaterial":{"publicKey":{"hint":"<keyid>"},"tlogEntries":[]},
     "dsseEnvelope":{"payload":"…","payloadType":"application/vnd.in-toto+json",
                     "signatures":[{"keyid":"<keyid>","sig":"…"}]}}

proto3 JSON of sigstore/protobuf-specs:protos/sigstore_bundle.proto. The hint is opaque and grants no trust.
A bundle carries exactly one signature: over a DSSE envelope, or over an artifact's own bytes (`messageSignature`),
which states nothing and is no evidence. What a certificate's bundle proves, `signer.evidence.keyless` finds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from signer.errors import Malformed, Refused
from signer.formats.canonical import canonical
from signer.formats.dsse import MAX_ENVELOPE, Envelope, envelope_object, read_envelope
from signer.formats.shape import read_shape
from signer.formats.spki import PublicKey, verify_signature
from signer.formats.strict_base64 import decode_base64, encode_base64
from signer.formats.strict_json import parse_object

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MEDIA_TYPES = frozenset(
    {
        MEDIA_TYPE,
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
    }
)
MAX_BUNDLE = MAX_ENVELOPE
MAX_PARTS = 16
"""Certificates, log entries and timestamps that a bundle may bring, each; real ones bring three at most."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The envelope of a bundle and the hint at its key; the hint is None when a certificate signed it."""

    envelope: Envelope
    hint: str | None
    certificate: bytes | None = None
    """The signer's own certificate, DER; None when a key signed."""
    entries: int = 0
    """How many log entries it carries."""
    timestamps: tuple[bytes, ...] = ()
    """RFC 3161 responses over the signature, DER."""


@dataclass(frozen=True, slots=True)
class MessageBundle:
    """A signature over an artifact's own bytes, and the hint at its key."""

    hint: str | None
    signature: bytes
    timestamps: tuple[bytes, ...]
    """RFC 3161 responses over the signature, DER."""
    sha256: bytes | None
    """The digest that the bundle names; unauthenticated, so it can refuse an artifact and never accept one."""

    def verify(self, artifact: bytes, key: PublicKey) -> None:
        """Raises Refused("signature-invalid") unless `key` signed the artifact and the named digest is its own."""
        if self.sha256 is not None and self.sha256 != sha256(artifact).digest():
            raise Refused("signature-invalid", "the bundle names the digest of another artifact")
        verify_signature(key, artifact, self.signature)


class _PublicKey(msgspec.Struct):
    hint: str = ""


class _Certificate(msgspec.Struct, rename="camel"):
    raw_bytes: str


class _Chain(msgspec.Struct):
    certificates: list[_Certificate]


class _Timestamp(msgspec.Struct, rename="camel"):
    signed_timestamp: str


class _Timestamps(msgspec.Struct):
    # Not "camel": that would spell the RFC's number apart.
    rfc3161: list[_Timestamp] | None = msgspec.field(default=None, name="rfc3161Timestamps")


class _Material(msgspec.Struct, rename="camel"):
    public_key: _PublicKey | None = None
    certificate: _Certificate | None = None
    x509_certificate_chain: _Chain | None = None
    tlog_entries: list[dict[str, Any]] | None = None
    timestamp_verification_data: _Timestamps | None = None


class _Digest(msgspec.Struct):
    algorithm: str
    digest: str


class _Message(msgspec.Struct, rename="camel"):
    signature: str
    message_digest: _Digest | None = None


class _Bundle(msgspec.Struct, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: dict[str, Any] | None = None
    message_signature: _Message | None = None


def build_bundle(
    *, payload_type: str, payload: bytes, keyid: str, signature: bytes, timestamps: Sequence[bytes] = ()
) -> bytes:
    """Canonical bytes of a bundle for a managed key; DSSE keyid and hint are equal.

    `timestamps` are RFC 3161 responses over the signature, DER.
    """
    return canonical(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": _material(keyid, timestamps),
            "dsseEnvelope": envelope_object(payload_type, payload, [(keyid, signature)]),
        }
    )


def build_message_bundle(*, sha256: str, keyid: str, signature: bytes, timestamps: Sequence[bytes] = ()) -> bytes:
    """Canonical bytes of a bundle for a managed key's signature over the bytes whose sha256 (hexadecimal) is given."""
    return canonical(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": _material(keyid, timestamps),
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": encode_base64(bytes.fromhex(sha256))},
                "signature": encode_base64(signature),
            },
        }
    )


def _material(keyid: str, timestamps: Sequence[bytes]) -> dict[str, Any]:
    stamped = [{"signedTimestamp": encode_base64(each)} for each in timestamps]
    return {
        "publicKey": {"hint": keyid},
        "tlogEntries": [],
        **({"timestampVerificationData": {"rfc3161Timestamps": stamped}} if stamped else {}),
    }


def parse_bundle(data: bytes) -> Bundle:
    """Read bundle bytes; raises Malformed."""
    return read_bundle(parse_object(data, limit=MAX_BUNDLE, what="Sigstore bundle"))


def read_bundle(value: Any) -> Bundle:
    """Read a bundle around a DSSE envelope from its loaded JSON object; raises Malformed."""
    wire = _read(value)
    if wire.dsse_envelope is None:
        raise Malformed(
            "evidence-invalid", "the bundle holds no DSSE envelope", remedy="attest with a statement, not a blob"
        )
    material = wire.verification_material
    envelope = read_envelope(wire.dsse_envelope)
    if len(envelope.signatures) != 1:
        raise Malformed("evidence-invalid", "a Sigstore bundle carries exactly one signature")
    return Bundle(
        envelope,
        _hint(material),
        certificate=_leaf(material),
        entries=len(material.tlog_entries or ()),
        timestamps=_responses(material),
    )


def parse_message_bundle(data: bytes) -> MessageBundle:
    """Read the bytes of a bundle with a signature over an artifact; raises Malformed."""
    wire = _read(parse_object(data, limit=MAX_BUNDLE, what="Sigstore bundle"))
    message = wire.message_signature
    if message is None or wire.dsse_envelope is not None:
        raise Malformed("evidence-invalid", "the bundle holds no signature over an artifact, or more than that")
    stated = message.message_digest
    return MessageBundle(
        hint=_hint(wire.verification_material),
        signature=decode_base64(message.signature, what="signature of the bundle"),
        timestamps=_responses(wire.verification_material),
        sha256=None
        if stated is None or stated.algorithm != "SHA2_256"
        else decode_base64(stated.digest, what="digest of the bundle"),
    )


def _read(value: Any) -> _Bundle:
    wire = read_shape(value, _Bundle, what="Sigstore bundle")
    if wire.media_type not in MEDIA_TYPES:
        raise Malformed("evidence-invalid", "the media type is not a Sigstore bundle of version 0.1 to 0.3")
    material = wire.verification_material
    chain = material.x509_certificate_chain
    # Counted before any of them is parsed, here or by a library.
    for what, parts in (
        ("certificates", chain.certificates if chain is not None else ()),
        ("log entries", material.tlog_entries or ()),
        ("timestamps", _timestamps(material)),
    ):
        if len(parts) > MAX_PARTS:
            raise Malformed("too-large", f"a bundle holds at most {MAX_PARTS} {what}")
    choices = (material.public_key, material.certificate, chain)
    if sum(choice is not None for choice in choices) != 1:
        raise Malformed("evidence-invalid", "the bundle names no key and no certificate, or more than one")
    return wire


def _timestamps(material: _Material) -> Sequence[_Timestamp]:
    stamps = material.timestamp_verification_data
    return (stamps.rfc3161 or ()) if stamps is not None else ()


def _responses(material: _Material) -> tuple[bytes, ...]:
    stamps = _timestamps(material)
    return tuple(decode_base64(stamp.signed_timestamp, what="timestamp of the bundle") for stamp in stamps)


def _hint(material: _Material) -> str | None:
    return None if material.public_key is None else material.public_key.hint


def _leaf(material: _Material) -> bytes | None:
    """The first certificate is the signer's; what else the bundle brings is never used to build a chain."""
    chain = material.x509_certificate_chain
    if chain is not None and not chain.certificates:
        raise Malformed("evidence-invalid", "the certificate chain of the bundle is empty")
    leaf = chain.certificates[0] if chain is not None else material.certificate
    return None if leaf is None else decode_base64(leaf.raw_bytes, what="certificate of the bundle")
