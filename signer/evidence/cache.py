# SPDX-License-Identifier: Apache-2.0
"""Attestations that were verified before, so that the same bytes under the same trust are not verified again.

    policy name + policy digest + sha256 of the exact evidence bytes  →  VerifiedAttestation

Whether a signature verifies, and what the signed bytes say, is a function of these three and of no clock: the times of
certificates and timestamps are compared with each other. Whatever depends on now (how old a scan or its database is)
is judged anew from the facts each time.

Only what verified is kept. Bytes that are malformed, or that count as absent, are looked at again whenever they come:
nobody without a trusted key can put anything in here, or push anything out.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from policy.document import Policy
from signer.evidence.verifier import VerifiedAttestation

MOST_ITEMS = 4096
MOST_BYTES = 64 * 1024 * 1024
"""Of evidence; what is kept of it takes about as much."""


class VerifiedCache:
    """A bounded memory of verified attestations, the longest unused forgotten first; safe in any number of threads."""

    def __init__(
        self,
        *,
        most_items: int = MOST_ITEMS,
        most_bytes: int = MOST_BYTES,
        count: Callable[[bool], None] = lambda hit: None,  # noqa: ARG005 - what it is told is its interface
    ) -> None:
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._count = count
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[VerifiedAttestation, int]] = OrderedDict()
        self._trust: dict[str, str] = {}
        """Policy name → digest of the version under which its entries were verified."""
        self._bytes = 0

    def __len__(self) -> int:
        """How many attestations are kept."""
        return len(self._kept)

    def find(self, digest: str, *, policy: Policy) -> VerifiedAttestation | None:
        """What the evidence bytes with this sha256 were found to be under this very version of the policy."""
        with self._lock:
            self._follow(policy)
            entry = self._kept.get((policy.name, digest))
            if entry is not None:
                self._kept.move_to_end((policy.name, digest))
        self._count(entry is not None)
        return None if entry is None else entry[0]

    def keep(self, item: VerifiedAttestation, *, size: int, policy: Policy) -> None:
        """Remember an attestation of `size` bytes that the keys of this version of the policy verified."""
        with self._lock:
            self._follow(policy)
            before = self._kept.pop((policy.name, item.digest), None)
            self._bytes += size - (0 if before is None else before[1])
            self._kept[policy.name, item.digest] = (item, size)
            while len(self._kept) > self._most_items or self._bytes > self._most_bytes:
                _, (_, freed) = self._kept.popitem(last=False)
                self._bytes -= freed

    def _follow(self, policy: Policy) -> None:
        """Drop what was verified under another version of the policy: its trust may be another."""
        if self._trust.get(policy.name) == policy.digest:
            return
        self._trust[policy.name] = policy.digest
        for key in [key for key in self._kept if key[0] == policy.name]:
            self._bytes -= self._kept.pop(key)[1]
