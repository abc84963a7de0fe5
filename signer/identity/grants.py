# SPDX-License-Identifier: Apache-2.0
"""Who may do what, as the access document in force says (signing cycle, step 2).

An answer is *no* unless one grant says yes to everything that was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from signer.domain.principal import Principal
from signer.formats.spki import PublicKey

Action: TypeAlias = Literal[
    "sign", "check", "evidence", "read", "approve", "waive", "deploy", "revoke", "halt", "policy", "audit"
]
ACTIONS: Final[tuple[str, ...]] = get_args(Action)
GroupKind: TypeAlias = Literal["release", "security", "operations"]
ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Quota:
    """How much one principal may ask for."""

    requests_per_minute: int
    evidence_bytes: int


DEFAULT_QUOTA: Final = Quota(requests_per_minute=120, evidence_bytes=256 * 1024 * 1024)
"""For a principal that no quota names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Some actions on some policies, environments and repositories; `*` alone stands for all."""

    actions: frozenset[str]
    policies: frozenset[str]
    environments: frozenset[str]
    repositories: frozenset[str]

    def covers(self, *, action: str, policy: str | None, environment: str | None, repository: str | None) -> bool:
        """Whether this one grant says yes to all of it; None asks nothing."""
        # An auditor reads everything that the grant's scope reaches, also what others asked for.
        acts = action in self.actions or (action == "read" and "audit" in self.actions)
        return (
            acts
            and _reaches(self.policies, policy)
            and _reaches(self.environments, environment)
            and _reaches(self.repositories, repository)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """People who act in one role; `members` are person ids."""

    id: str
    kind: GroupKind
    members: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The document in force, ready for look-ups."""

    name: str
    version: int
    digest: str
    """sha256 of the document's bytes, in hexadecimal."""
    identifiers: Mapping[str, Principal]
    """`san:<uri>`, `email:<address>` or `login:<issuer>#<numeric id>` → who it is."""
    approval_keys: Mapping[str, tuple[PublicKey, ...]]
    """Person id → the keys with which that person approves."""
    groups: Mapping[str, Group]
    grants: Mapping[str, tuple[Grant, ...]]
    """Principal id → all grants, its groups' included."""
    quotas: Mapping[str, Quota]

    def principal(self, san: str) -> Principal | None:
        """Who authenticates with this URI SAN; None when the document does not know it."""
        return self.identifiers.get(f"san:{san}")

    def identified(self, identifier: str) -> Principal | None:
        """Who an identifier names that evidence states; addresses compare without regard to ASCII case."""
        kind, _, value = identifier.partition(":")
        if kind == "email" and value.isascii():
            return self.identifiers.get(f"email:{value.lower()}")
        return self.identifiers.get(identifier)

    def person_of(self, identifier: str) -> str | None:
        """The id of the person that an identifier names; None for robots and for nobody."""
        found = self.identified(identifier)
        return found.name if found is not None and found.kind == "person" else None

    def allows(
        self,
        principal: Principal,
        *,
        action: str,
        policy: str | None = None,
        environment: str | None = None,
        repository: str | None = None,
    ) -> bool:
        """Whether one grant allows all that is asked; an action that does not exist is never allowed.

        None means that the question has no such part; a part that is there but not known, as the repository of
        provenance that names none, is asked as the empty text, which only `*` reaches.
        """
        return any(
            grant.covers(action=action, policy=policy, environment=environment, repository=repository)
            for grant in self.grants.get(principal.id, ())
        )

    def quota(self, principal: Principal) -> Quota:
        """What this principal may use up."""
        return self.quotas.get(principal.id, DEFAULT_QUOTA)


def _reaches(scope: frozenset[str], asked: str | None) -> bool:
    return asked is None or ANY in scope or asked in scope
