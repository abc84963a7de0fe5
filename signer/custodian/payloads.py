# SPDX-License-Identifier: Apache-2.0
"""The bytes that get signed: built here from the decision alone, never taken from anyone (invariants I2 and I4).

statement (VSA) ▸ PAE(application/vnd.in-toto+json, statement) ▸ digest of the key's algorithm: what goes to a device
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from policy.decision import Decision
from policy.document import Policy
from policy.facts import Facts
from policy.levels import verified_levels
from signer.domain.subject import Subject
from signer.errors import Misconfigured
from signer.formats import bundle, dsse, vsa
from signer.formats.canonical import sha256_hex

PURPOSES = {"vsa": "statement"}
"""Which key purpose each output format needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who signs: the ledger's origin, whether it is a dev authority, and the software's version."""

    origin: str
    dev: bool
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One output: what is signed, and how it is called."""

    format: str
    payload_type: str
    payload: bytes

    @property
    def sha256(self) -> str:
        """Digest of the payload, as the outcome leaf names it."""
        return sha256_hex(self.payload)

    def pae(self) -> bytes:
        """The message that a signature covers."""
        return dsse.pae(self.payload_type, self.payload)

    def signed(self, *, kid: str, signature: bytes) -> bytes:
        """The Sigstore bundle around the payload and its signature."""
        return bundle.build_bundle(payload_type=self.payload_type, payload=self.payload, keyid=kid, signature=signature)


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
    """One payload for each format of the environment, in its order; `time` is the judged instant."""
    authority = f"https://{identity.origin}"
    payloads = []
    for name in policy.environments[environment].formats:
        if name != "vsa":
            raise Misconfigured("format-unknown", f"environment {environment} asks for the format {name[:32]}")
        statement = vsa.build_vsa(
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
        payloads.append(Payload(format=name, payload_type=dsse.IN_TOTO, payload=statement))
    return tuple(payloads)
