# SPDX-License-Identifier: Apache-2.0
"""Sigstore bundle v0.3 around one DSSE envelope, with a managed key.

    {"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",
     "verificationMaterial":{"publicKey":{"hint":"<keyid>"},"tlogEntries":[]},
     "dsseEnvelope":{"payload":"…","payloadType":"application/vnd.in-toto+json",
                     "signatures":[{"keyid":"<keyid>","sig":"…"}]}}

proto3 JSON of sigstore/protobuf-specs:protos/sigstore_bundle.proto. The hint is opaque and grants no trust.
A bundle carries exactly one signature. Log entries and timestamps inside are not evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from signer.errors import Malformed
from signer.formats.canonical import canonical
from signer.formats.dsse import MAX_ENVELOPE, Envelope, envelope_object, read_envelope
from signer.formats.shape import read_shape
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


@dataclass(frozen=True, slots=True)
class Bundle:
    """The envelope of a bundle and the hint at its key; the hint is None when a certificate signed it."""

    envelope: Envelope
    hint: str | None


class _PublicKey(msgspec.Struct):
    hint: str = ""


class _Material(msgspec.Struct, rename="camel"):
    public_key: _PublicKey | None = None
    certificate: dict[str, Any] | None = None
    x509_certificate_chain: dict[str, Any] | None = None


class _Bundle(msgspec.Struct, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: dict[str, Any] | None = None


def build_bundle(*, payload_type: str, payload: bytes, keyid: str, signature: bytes) -> bytes:
    """Canonical bytes of a bundle for a managed key; DSSE keyid and hint are equal."""
    return canonical(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": keyid}, "tlogEntries": []},
            "dsseEnvelope": envelope_object(payload_type, payload, [(keyid, signature)]),
        }
    )


def parse_bundle(data: bytes) -> Bundle:
    """Read bundle bytes; raises Malformed."""
    return read_bundle(parse_object(data, limit=MAX_BUNDLE, what="Sigstore bundle"))


def read_bundle(value: Any) -> Bundle:
    """Read a bundle from its loaded JSON object; raises Malformed."""
    wire = read_shape(value, _Bundle, what="Sigstore bundle")
    if wire.media_type not in MEDIA_TYPES:
        raise Malformed("evidence-invalid", "the media type is not a Sigstore bundle of version 0.1 to 0.3")
    if wire.dsse_envelope is None:
        raise Malformed(
            "evidence-invalid", "the bundle holds no DSSE envelope", remedy="attest with a statement, not a blob"
        )
    material = wire.verification_material
    choices = (material.public_key, material.certificate, material.x509_certificate_chain)
    if sum(choice is not None for choice in choices) != 1:
        raise Malformed("evidence-invalid", "the bundle names no key and no certificate, or more than one")
    envelope = read_envelope(wire.dsse_envelope)
    if len(envelope.signatures) != 1:
        raise Malformed("evidence-invalid", "a Sigstore bundle carries exactly one signature")
    return Bundle(envelope, None if material.public_key is None else material.public_key.hint)
