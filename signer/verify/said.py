# SPDX-License-Identifier: Apache-2.0
"""What people said of releases, followed leaf by leaf: no decision rests on what was not said, or was taken back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.leaves import Decision, Outcome, WaiverEndLeaf, WaiverLeaf
from signer.verify.checks import OneCheck


@dataclass(slots=True)
class Said:
    """Waivers and approvals that are in force at one leaf of the log."""

    waivers: set[str] = field(default_factory=set)
    """Digests of the waivers that are recorded and not ended."""
    approvals: dict[str, int | None] = field(default_factory=dict)
    """Digest of each approval that is recorded and not revoked -> the ALLOW leaf that used it up, if one did."""

    def hear(
        self,
        index: int,
        leaf: WaiverLeaf | WaiverEndLeaf | ApprovalLeaf | ApprovalRevocationLeaf,
        check: OneCheck,
    ) -> None:
        """Follow what somebody says or takes back; only what was said can be taken back."""
        match leaf:
            case WaiverLeaf():
                self.waivers.add(leaf.digest)
            case WaiverEndLeaf():
                self._require_waivers(index, (leaf.waiver,), check)
                self.waivers.remove(leaf.waiver)
            case ApprovalLeaf():
                self.approvals[leaf.digest] = None
            case ApprovalRevocationLeaf():
                self._require_approvals(index, (leaf.approval,), check)
                del self.approvals[leaf.approval]

    def decide(self, index: int, leaf: Decision, check: OneCheck) -> None:
        """A decision rests on waivers in force and on approvals that nothing else has used up."""
        self._require_waivers(index, leaf.waivers, check)
        self._require_approvals(index, leaf.approvals, check)
        self.approvals.update(dict.fromkeys(leaf.approvals, index))

    def end(self, leaf: Outcome) -> None:
        """Where nothing was signed, nobody gained by it: the approvals may allow the same request once more."""
        if leaf.status != "signed":
            self.approvals.update({name: None for name, by in self.approvals.items() if by == leaf.decision})

    def _require_waivers(self, index: int, waivers: Iterable[str], check: OneCheck) -> None:
        for digest in waivers:
            check.require(
                digest in self.waivers,
                code="waiver-not-in-force",
                expected=f"a waiver sha256:{digest[:64]} recorded before leaf {index} and not ended",
                found="none",
            )

    def _require_approvals(self, index: int, approvals: Iterable[str], check: OneCheck) -> None:
        for digest in approvals:
            check.require(
                self.approvals.get(digest, index) is None,
                code="approval-not-in-force",
                expected=f"an approval sha256:{digest[:64]} recorded before leaf {index}, neither revoked nor used up",
                found="none",
            )
