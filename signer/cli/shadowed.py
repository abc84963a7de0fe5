# SPDX-License-Identifier: Apache-2.0
"""What would have stopped a signed release, were the rules in shadow in force: told while there is time to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.decision import LETS_THROUGH, Outcome
from signer.errors import Malformed
from signer.formats.findings import decode_findings
from signer.ledger.leaves import Decision, decode_leaf

if TYPE_CHECKING:
    from policy.decision import Finding
    from signer.formats.receipt import Receipt


def shadowed(receipt: Receipt) -> tuple[Finding, ...]:
    """The findings in shadow that would not have let it through; raises Malformed."""
    leaf = decode_leaf(receipt.decision.leaf)
    if not isinstance(leaf, Decision) or leaf.findings not in receipt.documents:
        raise Malformed("malformed-receipt", "the receipt does not hold the findings of its decision")
    findings = decode_findings(receipt.documents[leaf.findings])
    return tuple(each for each in findings if each.outcome is Outcome.SHADOW and each.would not in LETS_THROUGH)
