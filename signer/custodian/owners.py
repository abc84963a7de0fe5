# SPDX-License-Identifier: Apache-2.0
"""The owners' threshold: what puts a document in force, publishes trust or ends a halt (design, "First trust").

Until a trust document is published the owners are those of the genesis leaf; afterwards those of the newest trust
document, so that owners can replace each other by a signed act.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from signer.errors import Malformed, Refused
from signer.formats.owner_act import Action, OwnerAct, verify_owner_acts

MAX_SIGNATURES = 32
MAX_SIGNATURE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Owners:
    """DER SPKIs of the owners now in charge, and how many must agree."""

    keys: tuple[bytes, ...]
    threshold: int

    def verify(
        self, signatures: Sequence[bytes], *, action: Action, number: int, origin: str, sha256: str
    ) -> tuple[str, ...]:
        """Key ids of the owners who signed exactly this act; raises Refused("owner-threshold") or Malformed."""
        if len(signatures) > MAX_SIGNATURES or any(len(each) > MAX_SIGNATURE for each in signatures):
            raise Malformed("too-large", f"at most {MAX_SIGNATURES} owner signatures of {MAX_SIGNATURE} bytes each")
        if len(set(signatures)) != len(signatures):
            raise Refused("owner-threshold", "the same owner signature was sent twice")
        act = OwnerAct(action, number, origin, sha256)
        return verify_owner_acts(signatures, act=act, owners=self.keys, threshold=self.threshold)
