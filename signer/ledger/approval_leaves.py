# SPDX-License-Identifier: Apache-2.0
"""Leaf kinds about what people say of a hold (see signer.ledger.leaves)."""

from __future__ import annotations

from signer.ledger.base_leaf import BaseLeaf


class ApprovalLeaf(BaseLeaf, frozen=True, kw_only=True, tag="approval"):
    """One person said something of one hold, which fixes digest, environment, policy and cited evidence."""

    verb: str
    """`approve`, `reject`, `cosign` or `review`."""
    digest: str
    """sha256 of the statement, by which decisions name the approval."""
    envelope: str
    """sha256 of the DSSE envelope around the statement; empty when no key signed it (`recorded`)."""
    kid: str
    """Key id of the registered approval key that signed it; empty when none did."""
    hold: str
    """Request id of the hold."""
    decision: int
    """Index of the hold's leaf."""
    sha256: str
    """Of the one subject."""
    environment: str
    policy: str
    policy_digest: str
    cited: str
    answers: str
    person: str
    """Pseudonym of whoever said it."""
    groups: tuple[str, ...]
    """Groups that the hold waits for and that the person belonged to at this instant."""
    at: str
    """When the person said it, by the statement."""
    principal: str
    """Who brought it."""


class ApprovalRevocationLeaf(BaseLeaf, frozen=True, kw_only=True, tag="approval-revocation"):
    """Whoever said it takes it back; no later ALLOW rests on it."""

    approval: str
    """Digest of its statement."""
    envelope: str
    """sha256 of the DSSE envelope of the signed revocation; empty when none was signed."""
    reason: str
    principal: str
