# SPDX-License-Identifier: Apache-2.0
"""The bytes that get signed: built here from the decision alone, never taken from anyone (invariants I2 and I4).

vsa       statement ▸ PAE(application/vnd.in-toto+json, statement) ▸ digest of the key's algorithm
cosign    for each subject: simple signing document ▸ digest of the key's algorithm
artifact  for each subject: its sha256, as it was requested and judged

What the last column says is what goes to a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from policy.decision import Decision
from policy.document import Environment, Policy
from policy.facts import Facts
from policy.levels import verified_levels
from policy.outputs import ARTIFACT, COSIGN, VSA
from signer.domain.algorithm import Algorithm, key_input
from signer.domain.subject import Subject
from signer.errors import Malformed, Misconfigured
from signer.formats import bundle, dsse, simple_signing, vsa
from signer.formats.canonical import sha256_hex
from signer.ledger.documents import StoredDocument

MOST_EACH = 4
"""Subjects of one request where each is signed by itself: every signature is an entry of the one outcome leaf."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who signs: the ledger's origin, whether it is a dev authority, and the software's version."""

    origin: str
    dev: bool
    version: str


@dataclass(frozen=True, slots=True)
class StatementPayload:
    """What was decided, as an in-toto statement."""

    payload: bytes
    format: str = VSA

    @property
    def sha256(self) -> str:
        """Digest of the payload, as the outcome leaf names it."""
        return sha256_hex(self.payload)

    def key_input(self, algorithm: Algorithm) -> bytes:
        """What a key is given."""
        return key_input(algorithm, dsse.pae(dsse.IN_TOTO, self.payload))

    def signed(self, *, kid: str, signature: bytes, timestamps: Sequence[bytes]) -> tuple[StoredDocument, ...]:
        """The Sigstore bundle around the payload and its signature."""
        data = bundle.build_bundle(
            payload_type=dsse.IN_TOTO, payload=self.payload, keyid=kid, signature=signature, timestamps=timestamps
        )
        return (StoredDocument.of(data, media_type=bundle.MEDIA_TYPE),)


@dataclass(frozen=True, slots=True)
class ImagePayload:
    """A simple signing document about one image."""

    payload: bytes
    format: str = COSIGN

    @property
    def sha256(self) -> str:
        """Digest of the document, as the outcome leaf names it."""
        return sha256_hex(self.payload)

    def key_input(self, algorithm: Algorithm) -> bytes:
        """What a key is given."""
        return key_input(algorithm, self.payload)

    def signed(self, *, kid: str, signature: bytes, timestamps: Sequence[bytes]) -> tuple[StoredDocument, ...]:
        """The Sigstore bundle with the signature, and the document that it is about."""
        data = bundle.build_message_bundle(sha256=self.sha256, keyid=kid, signature=signature, timestamps=timestamps)
        return (
            StoredDocument.of(data, media_type=bundle.MEDIA_TYPE),
            StoredDocument.of(self.payload, media_type=simple_signing.MEDIA_TYPE),
        )


@dataclass(frozen=True, slots=True)
class ArtifactPayload:
    """An artifact whose bytes nobody here has: the one payload that is a caller's digest."""

    sha256: str
    """Digest of the artifact; it is what a key is given, and what the outcome leaf names."""
    format: str = ARTIFACT

    def key_input(self, algorithm: Algorithm) -> bytes:  # noqa: ARG002 - settings allow keys over a sha256 alone
        """What a key is given; the keyring holds no key for artifacts that would sign anything but a sha256."""
        return bytes.fromhex(self.sha256)

    def signed(self, *, kid: str, signature: bytes, timestamps: Sequence[bytes]) -> tuple[StoredDocument, ...]:
        """The Sigstore bundle with the signature."""
        data = bundle.build_message_bundle(sha256=self.sha256, keyid=kid, signature=signature, timestamps=timestamps)
        return (StoredDocument.of(data, media_type=bundle.MEDIA_TYPE),)


Payload: TypeAlias = StatementPayload | ImagePayload | ArtifactPayload


def require_signable(environment: Environment, subjects: Sequence[Subject]) -> None:
    """Raise Malformed for subjects that the environment's formats cannot speak of; before anything is judged."""
    each = [name for name in environment.formats if name != VSA]
    if each and len(subjects) > MOST_EACH:
        raise Malformed(
            "too-many-subjects",
            f"{environment.name} signs each subject by itself ({', '.join(each)}), at most {MOST_EACH} in one request",
            remedy="send several requests",
        )
    if COSIGN in each:
        for subject in subjects:
            simple_signing.require_repository(subject.name)


def build_payloads(
    *,
    identity: Identity,
    policy: Policy,
    environment: str,
    subjects: Sequence[Subject],
    facts: Facts,
    decision: Decision,
    request_id: str,
    time: datetime,
    evidence: Sequence[str],
) -> tuple[Payload, ...]:
    """The payloads of each format of the environment, in its order; `time` is the judged instant."""
    authority = f"https://{identity.origin}"
    optional = {"authority": identity.origin, "environment": environment, "policy": policy.name, "request": request_id}

    def statement() -> bytes:
        return vsa.build_vsa(
            subjects=subjects,
            verifier=authority,
            resource_uri=f"{authority}/{policy.name}/{environment}",
            policy_uri=f"{authority}/policies/{policy.name}",
            policy_digest=policy.digest,
            time=time,
            inputs=evidence,
            levels=verified_levels(policy, facts, decision),
            request_id=request_id,
            dev=identity.dev,
            version=identity.version,
        )

    payloads: list[Payload] = []
    for name in policy.environments[environment].formats:
        match name:
            case "vsa":
                payloads.append(StatementPayload(statement()))
            case "cosign":
                payloads += (
                    ImagePayload(
                        simple_signing.build_simple_signing(
                            reference=subject.name, sha256=subject.sha256, optional=optional
                        )
                    )
                    for subject in subjects
                )
            case "artifact":
                payloads += (ArtifactPayload(subject.sha256) for subject in subjects)
            case _:
                raise Misconfigured("format-unknown", f"environment {environment} asks for the format {name[:32]}")
    return tuple(payloads)
