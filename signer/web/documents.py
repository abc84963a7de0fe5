# SPDX-License-Identifier: Apache-2.0
"""The policy and access documents in force, parsed once per digest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from policy.document import Policy, parse_policy
from policy.schema import PolicyError
from signer.errors import SignerError, Unavailable
from signer.evidence.verifier import TrustedKeys
from signer.identity.access import Access, parse_access
from signer.ledger.reader import Reader
from signer.ledger.rows import ActiveDocument

KEPT = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """A policy and the keys it trusts, ready for use."""

    policy: Policy
    keys: TrustedKeys


class Documents:
    """What is in force now: the ledger is asked each time, the parsed form is kept by digest."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._access: _Parsed[Access] = _Parsed(parse_access)
        self._policies: _Parsed[PolicyInForce] = _Parsed(_open_policy)

    def access(self) -> Access:
        """The access document in force; raises Unavailable when there is none, or none that can be read."""
        active = self._reader.active_all("access")
        if len(active) != 1:
            raise Unavailable(
                "access-missing", "no access document is in force", remedy="activate one: signer access activate"
            )
        return self._access.of(active[0])

    def policy(self, name: str) -> PolicyInForce | None:
        """The policy of this name that is in force; None when there is none."""
        active = self._reader.active("policy", name)
        return None if active is None else self._policies.of(active)


class _Parsed(Generic[T]):
    """A bounded memory of parsed documents; their digest is their identity."""

    def __init__(self, parse: Callable[[bytes], T]) -> None:
        self._parse = parse
        self._lock = threading.Lock()
        self._kept: dict[str, T] = {}

    def of(self, active: ActiveDocument) -> T:
        with self._lock:
            found = self._kept.get(active.digest)
        if found is not None:
            return found
        try:
            parsed = self._parse(active.data)
        except (SignerError, PolicyError) as fault:
            # It was activated by an older release that read it differently: nothing can be decided under it.
            raise Unavailable(
                "document-unusable",
                f"the document {active.name} version {active.version} in force cannot be read: {fault.code}",
                remedy="activate a corrected version",
            ) from None
        with self._lock:
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[active.digest] = parsed
        return parsed


def _open_policy(data: bytes) -> PolicyInForce:
    policy = parse_policy(data)
    return PolicyInForce(policy, TrustedKeys.of_trust(policy.trust))
