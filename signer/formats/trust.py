# SPDX-License-Identifier: Apache-2.0
"""The trust file: who owns an authority, and which keys sign for it.

    {"document": "<base64 of the canonical trust document>", "signatures": [<DSSE envelope of an owner act>, …]}

The document inside:

    {"dev":true,"genesis":"<hex leaf hash of leaf 0>",
     "keys":[{"algorithm":"ecdsa-p256-sha256","kid":"<base64 sha256 of the SPKI>","name":"release","not_after":null,
              "not_before":"2026-11-23T10:00:00.000000Z","purpose":"statement","spki":"<base64 DER>",
              "status":"active"}],
     "ledger_keys":["<vkey>"],"origin":"…","owners":{"keys":["<base64 DER SPKI>"],"threshold":2},
     "type":"signing-authority/trust/v1","verifier":"https://<origin>","version":1}

A newer document is accepted only when the owners of the older one signed it. Where there are timestamp authorities they
stand under `timestamp_authorities` (`signer.formats.trust_authority`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from signer.domain.algorithm import Algorithm, parse_algorithm
from signer.domain.purpose import Purpose, parse_purpose
from signer.errors import Malformed, Refused
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.dsse import Envelope, encode_envelope, envelope_object, parse_envelope, read_envelope
from signer.formats.own_signature import require_key
from signer.formats.owner_act import OwnerAct, count_owners
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.shape import read_shape
from signer.formats.spki import keyid, load_spki
from signer.formats.strict_base64 import decode_base64, encode_base64
from signer.formats.strict_json import parse_object
from signer.formats.trust_authority import AuthorityWire, TimestampAuthority, authority_object, read_authority

TYPE = "signing-authority/trust/v1"
MEDIA_TYPE = "application/vnd.signing-authority.trust+json"
MAX_TRUST = 1024 * 1024

KeyStatus: TypeAlias = Literal["active", "retired", "compromised"]

_GENESIS = re.compile(r"[0-9a-f]{64}")
_CODE = "malformed-trust"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustKey:
    """One key of the authority, past or present."""

    name: str
    kid: str
    spki: bytes
    purpose: Purpose
    algorithm: Algorithm
    status: KeyStatus
    not_before: datetime
    not_after: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustDocument:
    """What the owners vouch for; `owners` are DER SubjectPublicKeyInfo."""

    version: int
    origin: str
    genesis: str
    dev: bool
    verifier: str
    ledger_keys: tuple[str, ...]
    threshold: int
    owners: tuple[bytes, ...]
    keys: tuple[TrustKey, ...]
    timestamp_authorities: tuple[TimestampAuthority, ...] = ()

    def key(self, kid: str) -> TrustKey | None:
        """The key with this key id."""
        return next((key for key in self.keys if key.kid == kid), None)


@dataclass(frozen=True, slots=True)
class TrustFile:
    """A parsed file: nothing in `trust` may be used before `verify_trust_file` accepted it."""

    document_bytes: bytes
    trust: TrustDocument
    signatures: tuple[Envelope, ...]


class _Owners(msgspec.Struct, forbid_unknown_fields=True):
    threshold: int
    keys: list[str]


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    kid: str
    spki: str
    purpose: str
    algorithm: str
    status: KeyStatus
    not_before: str
    not_after: str | None


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["signing-authority/trust/v1"]
    version: int
    origin: str
    genesis: str
    dev: bool
    verifier: str
    ledger_keys: list[str]
    owners: _Owners
    keys: list[_Key]
    timestamp_authorities: list[AuthorityWire] = []


class _File(msgspec.Struct, forbid_unknown_fields=True):
    document: str
    signatures: list[dict[str, Any]]


def build_trust_document(trust: TrustDocument) -> bytes:
    """The canonical bytes that owners sign."""
    authorities = [authority_object(each) for each in trust.timestamp_authorities]
    return canonical(
        {
            "type": TYPE,
            "version": trust.version,
            "origin": trust.origin,
            "genesis": trust.genesis,
            "dev": trust.dev,
            "verifier": trust.verifier,
            "ledger_keys": list(trust.ledger_keys),
            "owners": {"threshold": trust.threshold, "keys": [encode_base64(der) for der in trust.owners]},
            "keys": [
                {
                    "name": key.name,
                    "kid": key.kid,
                    "spki": encode_base64(key.spki),
                    "purpose": key.purpose.value,
                    "algorithm": key.algorithm.value,
                    "status": key.status,
                    "not_before": format_time(key.not_before),
                    "not_after": None if key.not_after is None else format_time(key.not_after),
                }
                for key in trust.keys
            ],
            **({"timestamp_authorities": authorities} if authorities else {}),
        }
    )


def parse_trust_document(data: bytes) -> TrustDocument:
    """Read the document inside a trust file; raises Malformed."""
    value = parse_object(data, limit=MAX_TRUST, what="trust document")
    wire = read_shape(value, _Document, what="trust document", code=_CODE)
    owners = tuple(decode_base64(text, what="owner key", code=_CODE) for text in wire.owners.keys)
    for der in owners:
        load_spki(der)
    if wire.version < 1 or not 1 <= wire.owners.threshold <= len(set(owners)) or len(set(owners)) != len(owners):
        raise Malformed(_CODE, "the version, the owners or their threshold cannot be right")
    if _GENESIS.fullmatch(wire.genesis) is None or not wire.ledger_keys or not wire.origin:
        raise Malformed(_CODE, "the trust document names no ledger")
    keys = tuple(_key(key) for key in wire.keys)
    if len({key.kid for key in keys}) != len(keys):
        raise Malformed(_CODE, "the trust document lists one key twice")
    stamping = tuple(read_authority(entry) for entry in wire.timestamp_authorities)
    if len({each.name for each in stamping}) != len(stamping):
        raise Malformed(_CODE, "the trust document lists one timestamp authority twice")
    return TrustDocument(
        version=wire.version,
        origin=wire.origin,
        genesis=wire.genesis,
        dev=wire.dev,
        verifier=wire.verifier,
        ledger_keys=tuple(wire.ledger_keys),
        threshold=wire.owners.threshold,
        owners=owners,
        keys=keys,
        timestamp_authorities=stamping,
    )


def encode_trust_file(document_bytes: bytes, envelopes: list[bytes] | tuple[bytes, ...]) -> bytes:
    """The trust file around a document and the owner acts that sign it."""
    signatures = [parse_envelope(envelope) for envelope in envelopes]
    return canonical(
        {
            "document": encode_base64(document_bytes),
            "signatures": [
                envelope_object(entry.payload_type, entry.payload, [(sig.keyid, sig.sig) for sig in entry.signatures])
                for entry in signatures
            ],
        }
    )


def parse_trust_file(data: bytes) -> TrustFile:
    """Read a trust file; raises Malformed. The signatures are not verified yet."""
    wire = read_shape(parse_object(data, limit=MAX_TRUST, what="trust file"), _File, what="trust file", code=_CODE)
    document = decode_base64(wire.document, what="trust document", code=_CODE)
    signatures = tuple(read_envelope(envelope) for envelope in wire.signatures)
    return TrustFile(document, parse_trust_document(document), signatures)


def signature_envelopes(file: TrustFile) -> tuple[bytes, ...]:
    """The owner acts of a trust file as envelope bytes."""
    return tuple(
        encode_envelope(entry.payload_type, entry.payload, [(sig.keyid, sig.sig) for sig in entry.signatures])
        for entry in file.signatures
    )


def trust_act(document_bytes: bytes, trust: TrustDocument) -> OwnerAct:
    """The act that owners sign to publish this document."""
    return OwnerAct("trust", trust.version, trust.origin, sha256_hex(document_bytes))


def verify_trust_file(file: TrustFile, *, previous: TrustDocument | None) -> TrustDocument:
    """The trust that `file` carries, once enough owners signed it.

    The owners of `previous` decide; a first file is decided by its own owners, so the caller must have got it
    from a trusted hand. Raises Refused for too few signatures, another ledger, or an older version.
    """
    trust = file.trust
    owners, threshold = trust.owners, trust.threshold
    if previous is not None:
        if (trust.origin, trust.genesis, trust.dev) != (previous.origin, previous.genesis, previous.dev):
            raise Refused("trust-foreign", "the trust file speaks of another ledger")
        if trust == previous:
            # Accepted before; its own signatures may be by the owners of a version that is gone.
            return previous
        if trust.version <= previous.version:
            raise Refused(
                "trust-rollback",
                f"version {trust.version} is not newer than the accepted version {previous.version}",
                remedy="fetch the newest trust file",
            )
        owners, threshold = previous.owners, previous.threshold
    count_owners(file.signatures, act=trust_act(file.document_bytes, trust), owners=owners, threshold=threshold)
    return trust


def _key(wire: _Key) -> TrustKey:
    spki = decode_base64(wire.spki, what="SPKI of a key", code=_CODE)
    # A key that this version cannot judge is not passed over: what it signed would count for nothing in silence.
    algorithm = parse_algorithm(wire.algorithm)
    require_key(algorithm, load_spki(spki))
    if keyid(spki) != wire.kid:
        raise Malformed(_CODE, "a key id is not the sha256 of its key")
    not_after = None if wire.not_after is None else parse_time(wire.not_after, what="not_after", code=_CODE)
    return TrustKey(
        name=wire.name,
        kid=wire.kid,
        spki=spki,
        purpose=parse_purpose(wire.purpose),
        algorithm=algorithm,
        status=wire.status,
        not_before=parse_time(wire.not_before, what="not_before", code=_CODE),
        not_after=not_after,
    )
