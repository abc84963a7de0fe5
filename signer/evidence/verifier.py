# SPDX-License-Identifier: Apache-2.0
"""Is the proof genuine (signing cycle, step 3).

    1  bytes → DSSE envelope or Sigstore bundle, strictly
    2  verify: at least one signature by a key that the policy trusts; keyid only orders the attempts
    3  check the payload type
    4  parse the verified payload once: statement, then predicate

Evidence that verifies under no trusted key counts as absent and its payload is never read. Whatever verifies and
then does not parse as its declared type is Malformed: a parse failure never passes for absence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from signer.errors import Malformed, Unavailable
from signer.formats import bundle, dsse, provenance, source_vsa, spdx, test_result, vulns
from signer.formats.canonical import sha256_hex
from signer.formats.opaque import OpaqueDocument
from signer.formats.provenance import Provenance
from signer.formats.source_vsa import SourceVsa
from signer.formats.spdx import SpdxDocument
from signer.formats.spki import PublicKey, keyid, load_pem, spki_der
from signer.formats.statement import Statement, parse_statement
from signer.formats.strict_json import parse_object
from signer.formats.test_result import TestReport
from signer.formats.vulns import ScanReport

_PAYLOAD_TYPE = re.compile(r"application/vnd\.in-toto(?:\.[a-z0-9.-]+)?\+json")

Predicate: TypeAlias = Provenance | SourceVsa | TestReport | ScanReport | SpdxDocument


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The keys of one policy, loaded once: distinct public keys and the names that the policy gives them."""

    keys: Mapping[str, PublicKey]
    """By key id."""
    names: Mapping[str, tuple[str, ...]]
    """Key id → names, sorted."""

    @classmethod
    def of(cls, pems: Mapping[str, str]) -> TrustedKeys:
        """Load the policy's `trust.keys` (name → PEM); raises Unavailable when one cannot be used."""
        keys: dict[str, PublicKey] = {}
        names: dict[str, tuple[str, ...]] = {}
        for name, pem in sorted(pems.items()):
            try:
                key = load_pem(pem)
            except Malformed as fault:
                # The active policy is at fault, not the caller: nothing can be decided under it.
                raise Unavailable(
                    "trust-unusable", f"the policy's key {name}: {fault.detail}", remedy="activate a corrected policy"
                ) from None
            kid = keyid(spki_der(key))
            keys[kid] = key
            names[kid] = (*names.get(kid, ()), name)
        return cls(keys, names)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAttestation:
    """A statement that at least one trusted key signed; `predicate` is None when its type is not known."""

    digest: str
    """sha256 of the exact evidence bytes, in hexadecimal."""
    payload: str
    """sha256 of the bytes that were signed: other evidence bytes around them say nothing new."""
    media_type: str
    keys: tuple[str, ...]
    """Names of the trusted keys that verified it, sorted."""
    statement: Statement
    predicate: Predicate | None

    @property
    def kind(self) -> str:
        """The predicate type."""
        return self.statement.predicate_type


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedAttestation:
    """An envelope that no trusted key signed: it counts as absent, and what it claims stays unread."""

    digest: str
    media_type: str


Attestation: TypeAlias = VerifiedAttestation | UnverifiedAttestation
Evidence: TypeAlias = VerifiedAttestation | UnverifiedAttestation | OpaqueDocument


def verify_item(data: bytes, trusted: TrustedKeys) -> Attestation:
    """Verify one piece of evidence; raises Malformed when it does not parse as what it declares to be."""
    envelope, media_type = _parse(data)
    digest = sha256_hex(data)
    hints = {kid: kid for kid in trusted.keys}
    kids = dsse.verify_envelope(envelope, trusted.keys, hints=hints)
    if not kids:
        return UnverifiedAttestation(digest=digest, media_type=media_type)
    if _PAYLOAD_TYPE.fullmatch(envelope.payload_type) is None:
        raise Malformed(
            "evidence-invalid", "the payload type is not an in-toto statement", remedy=f"sign it as {dsse.IN_TOTO}"
        )
    statement = parse_statement(envelope.payload)
    return VerifiedAttestation(
        digest=digest,
        payload=sha256_hex(envelope.payload),
        media_type=media_type,
        keys=tuple(sorted(name for kid in kids for name in trusted.names[kid])),
        statement=statement,
        predicate=_read_predicate(statement),
    )


def index_digests(item: VerifiedAttestation | OpaqueDocument) -> tuple[str, ...]:
    """`sha256:<hex>` and `gitCommit:<hex>` digests under which the ledger finds the evidence again, sorted."""
    match item:
        case OpaqueDocument():
            return tuple(sorted(f"sha256:{digest}" for digest in item.subjects))
        case VerifiedAttestation():
            found = set()
            for subject in item.statement.subjects:
                if "sha256" in subject.artifact:
                    found.add(f"sha256:{subject.artifact['sha256']}")
                if subject.commit is not None:
                    found.add(f"gitCommit:{subject.commit}")
            return tuple(sorted(found))


def _parse(data: bytes) -> tuple[dsse.Envelope, str]:
    value = parse_object(data, limit=dsse.MAX_ENVELOPE, what="evidence")
    if "mediaType" in value:
        parsed = bundle.read_bundle(value)
        return parsed.envelope, bundle.MEDIA_TYPE
    return dsse.read_envelope(value), dsse.MEDIA_TYPE


def _read_predicate(statement: Statement) -> Predicate | None:
    kind = statement.predicate_type
    if kind == provenance.PREDICATE_TYPE:
        return provenance.read_provenance(statement.predicate)
    if kind == vulns.PREDICATE_TYPE:
        return vulns.read_scan(statement.predicate)
    if kind == test_result.PREDICATE_TYPE:
        return test_result.read_test_report(statement.predicate)
    if spdx.is_spdx(kind):
        return spdx.read_spdx(kind, statement.predicate)
    if source_vsa.is_source_vsa(statement):
        return source_vsa.read_source_vsa(statement)
    return None
