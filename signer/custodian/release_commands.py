# SPDX-License-Identifier: Apache-2.0
"""Commands about what became of a release: it was deployed, or it is taken back."""

from __future__ import annotations

from signer.custodian.message import Message


class GateReport(Message, frozen=True, kw_only=True, tag="gate-report"):
    """What the deployment system verified before it went on."""

    verifier: str
    """Program and version."""
    result: str
    """`passed` or `failed`."""
    reason: str
    """The code of the check that failed; empty when all held."""
    receipt: str
    """sha256 of the receipt that was verified; empty when none was."""
    time: str
    """RFC 3339."""


class RecordDeployment(Message, frozen=True, kw_only=True, tag="record-deployment"):
    """Record what reached an environment, or was refused by its gate; it is never refused for what the policy says."""

    principal: str
    policy: str
    environment: str
    status: str
    """`deployed` or `refused`."""
    reference: str
    """The artifact as the deployment named it, for example registry.example/shop:1.2."""
    sha256: str
    """Empty when the deployment named no digest."""
    at: str
    """When, as the deployment system says; RFC 3339."""
    approval: str
    """What approval it claims: the request id of a hold or of a decision, or any name; empty for none."""
    gate: GateReport | None


class RevokeRelease(Message, frozen=True, kw_only=True, tag="revoke-release"):
    """Take back what was signed for a digest; for good."""

    principal: str
    policy: str
    environment: str
    """One environment, or `*` for all of the policy."""
    sha256: str
    reason: str


class SealPack(Message, frozen=True, kw_only=True, tag="seal-pack"):
    """Sign the manifest of a digest's evidence pack with the ledger key; the custodian makes it from the ledger."""

    principal: str
    sha256: str
    size: int
    """Of the tree at which the pack is cut; 0 for the newest checkpoint."""


class Sealed(Message, frozen=True, kw_only=True, tag="sealed"):
    """The signed manifest, the same bytes each time for the same size."""

    size: int
    manifest: bytes
