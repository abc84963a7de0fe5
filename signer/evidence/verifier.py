# SPDX-License-Identifier: Apache-2.0
"""Is the proof genuine (signing cycle, step 3).

    1  bytes → DSSE envelope or Sigstore bundle, strictly
    2  verify: at least one signature by a key that the policy trusts, where keyid only orders the attempts; or the
       certificate of a bundle under a trusted root that the policy pins (signer/evidence/keyless.py)
    3  check the payload type
    4  parse the verified payload once: statement, then predicate

Evidence that verifies under no trusted key and no root counts as absent and its payload is never read. Whatever
verifies and then does not parse as its declared type is Malformed: a parse failure never passes for absence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from policy.facts import CertificateIdentity
from policy.trust import Accept, Trust
from signer.errors import Malformed, Unavailable
from signer.evidence.predicates import Predicate, read_predicate
from signer.formats import bundle, dsse
from signer.formats.canonical import sha256_hex
from signer.formats.opaque import OpaqueDocument
from signer.formats.spki import PublicKey, keyid, load_pem, spki_der
from signer.formats.statement import Statement, parse_statement
from signer.formats.strict_json import parse_object

if TYPE_CHECKING:
    from signer.evidence.keyless import Instance

MAX_ATTESTATION = 16 * 1024 * 1024
"""Bytes of one attestation at most; an opaque document, which nobody parses, may be larger."""
MAX_LOOSE_VALUES = 10_000
"""JSON values around the payload of an attestation of more than 1 MiB."""
MAX_SIGNED_VALUES = 1_000_000
"""JSON values in a signed payload of more than 1 MiB."""

_PAYLOAD_TYPE = re.compile(r"application/vnd\.in-toto(?:\.[a-z0-9.-]+)?\+json")


class PinnedRoot:
    """A trusted root that a policy pins, opened when the first bundle with a certificate asks for it."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text
        self._instance: Instance | None = None

    def verify(self, data: bytes, parsed: bundle.Bundle) -> CertificateIdentity | None:
        """Who signed, when all of it verifies under this root; raises Unavailable when the root cannot be used."""
        if self._instance is None:
            # Two threads may both open it; the one that is kept equals the other.
            self._instance = self._open()
        return self._instance.verify(data, parsed, root=self._name)

    def _open(self) -> Instance:
        try:
            # The library takes long to load, and neither the offline verifier nor most policies need it.
            from signer.evidence.keyless import Instance  # noqa: PLC0415 - loaded on use, so that others never load it
        except ImportError:
            raise Unavailable(
                "keyless-missing",
                "the policy pins trusted roots, and this installation cannot verify certificates",
                remedy="install signing-authority[keyless]",
            ) from None
        try:
            return Instance(self._text)
        except ValueError as fault:
            raise Unavailable(
                "trust-unusable",
                f"the policy's root {self._name} cannot be used: {type(fault).__name__}",
                remedy="activate a corrected policy",
            ) from None


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The keys and roots of one policy, loaded once: distinct keys and the names that the policy gives them."""

    keys: Mapping[str, PublicKey]
    """By key id."""
    names: Mapping[str, tuple[str, ...]]
    """Key id → names, sorted."""
    roots: Mapping[str, PinnedRoot] = field(default_factory=dict)
    """By the name that the policy gives them."""
    accept: Accept = field(default_factory=Accept)
    """Older spellings that the policy still reads."""
    hints: Mapping[str, str] = field(init=False)
    """Each key id as the name of its key, for envelopes that name it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hints", {kid: kid for kid in self.keys})

    @classmethod
    def of_trust(cls, trust: Trust) -> TrustedKeys:
        """Load all keys and roots of a policy's `trust`; raises Unavailable when a key cannot be used."""
        loaded = cls.of(trust.keys)
        roots = {name: PinnedRoot(name, text) for name, text in sorted(trust.roots.items())}
        return cls(loaded.keys, loaded.names, roots, trust.accept)

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
    """A statement that a trusted key or a certified identity signed; `predicate` is None for a type not known."""

    digest: str
    """sha256 of the exact evidence bytes, in hexadecimal."""
    payload: str
    """sha256 of the bytes that were signed: other evidence bytes around them say nothing new."""
    media_type: str
    keys: tuple[str, ...]
    """Names of the trusted keys that verified it, sorted; empty when a certificate did."""
    statement: Statement
    """Without its claim."""
    predicate: Predicate | None
    identity: CertificateIdentity | None = None
    """Who signed, when a certificate under a pinned root did."""

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


def verify_item(
    data: bytes, trusted: TrustedKeys, *, limit: int = dsse.MAX_ENVELOPE, digest: str | None = None
) -> Attestation:
    """Verify one piece of evidence; raises Malformed when it does not parse as what it declares to be, within bounds.

    `limit` bytes are read: those of evidence that travels in a command, or MAX_ATTESTATION for a file of the store.
    `digest` is the sha256 of `data` where the caller has it already.
    """
    if len(data) > dsse.MAX_ENVELOPE:
        # Counted before parsing: in so many bytes, values that nobody signed would become a hundred times as many.
        _require_narrow(data, MAX_LOOSE_VALUES)
    envelope, certified = _parse(data, limit=limit)
    media_type = dsse.MEDIA_TYPE if certified is None else bundle.MEDIA_TYPE
    digest = digest or sha256_hex(data)
    kids = dsse.verify_envelope(envelope, trusted.keys, hints=trusted.hints)
    identity = _certified(data, certified, trusted) if certified is not None and not kids else None
    if not kids and identity is None:
        return UnverifiedAttestation(digest=digest, media_type=media_type)
    if _PAYLOAD_TYPE.fullmatch(envelope.payload_type) is None:
        raise Malformed(
            "evidence-invalid", "the payload type is not an in-toto statement", remedy=f"sign it as {dsse.IN_TOTO}"
        )
    if len(envelope.payload) > dsse.MAX_ENVELOPE:
        _require_narrow(envelope.payload, MAX_SIGNED_VALUES)
    statement = parse_statement(envelope.payload, old=bool(trusted.accept.statements), limit=limit)
    predicate = read_predicate(statement, trusted.accept)
    return VerifiedAttestation(
        digest=digest,
        payload=sha256_hex(envelope.payload),
        media_type=media_type,
        keys=tuple(sorted(name for kid in kids for name in trusted.names[kid])),
        # What was read of the claim is kept; the claim itself may be a megabyte of JSON values.
        statement=replace(statement, predicate={}),
        predicate=predicate,
        identity=identity,
    )


def _certified(data: bytes, parsed: bundle.Bundle, trusted: TrustedKeys) -> CertificateIdentity | None:
    if parsed.certificate is None:
        return None
    found = (root.verify(data, parsed) for root in trusted.roots.values())
    return next((identity for identity in found if identity is not None), None)


def index_digests(item: VerifiedAttestation | OpaqueDocument) -> tuple[str, ...]:
    """`sha256:`, `gitCommit:` and `gitTree:<hex>` digests under which the ledger finds the evidence again, sorted."""
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
                elif subject.tree is not None:
                    # Beside a commit the tree only tells what that commit holds.
                    found.add(f"gitTree:{subject.tree}")
            return tuple(sorted(found))


def _require_narrow(data: bytes, limit: int) -> None:
    if sum(map(data.count, (b",", b"[", b"{"))) > limit:
        raise Malformed("too-large", f"the evidence holds more than {limit} values", remedy="attest less, or in parts")


def _parse(data: bytes, *, limit: int) -> tuple[dsse.Envelope, bundle.Bundle | None]:
    value = parse_object(data, limit=limit, what="evidence")
    if "mediaType" in value:
        parsed = bundle.read_bundle(value)
        return parsed.envelope, parsed
    return dsse.read_envelope(value), None
