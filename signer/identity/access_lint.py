# SPDX-License-Identifier: Apache-2.0
"""What is lawful in an access document and still likely to be a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from signer.domain.principal import Principal
from signer.identity.grants import ANY, Access

FEW = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRemark:
    """One warning."""

    path: str
    what: str
    remedy: str


def lint_access(access: Access) -> tuple[AccessRemark, ...]:
    """Every remark, by who it is about."""
    return (*_idle(access), *_wide(access), *_both(access), *_approvers(access), *_administration(access))


def _principals(access: Access) -> list[Principal]:
    return sorted(set(access.identifiers.values()), key=lambda principal: principal.id)


def _idle(access: Access) -> Iterator[AccessRemark]:
    for principal in _principals(access):
        if not access.grants.get(principal.id) and principal.kind == "robot":
            yield AccessRemark(
                path=principal.id,
                what="authenticates, and no grant names it",
                remedy="remove it: a certificate that nobody needs should not be known",
            )


def _wide(access: Access) -> Iterator[AccessRemark]:
    for name, grants in sorted(access.grants.items()):
        for grant in grants:
            wide = ANY in grant.policies and ANY in grant.environments and ANY in grant.repositories
            if wide and "sign" in grant.actions:
                yield AccessRemark(
                    path=name,
                    what="may ask for signatures under every policy, for every environment and repository",
                    remedy="name the policies, environments or repositories that it needs",
                )


def _both(access: Access) -> Iterator[AccessRemark]:
    for name, grants in sorted(access.grants.items()):
        actions = {action for grant in grants for action in grant.actions}
        if {"sign", "approve"} <= actions:
            yield AccessRemark(
                path=name,
                what="may both ask for signatures and approve",
                remedy="part the two: whoever requests cannot approve",
            )


def _approvers(access: Access) -> Iterator[AccessRemark]:
    for group in sorted(access.groups.values(), key=lambda each: each.id):
        able = [member for member in group.members if access.approval_keys.get(member)]
        approving = any(
            "approve" in grant.actions
            for member in group.members
            for grant in access.grants.get(f"person:{member}", ())
        )
        if approving and len(able) < FEW:
            yield AccessRemark(
                path=f"group:{group.id}",
                what=f"approves, and {len(able)} of its members have an approval key",
                remedy="give approvalKeys to at least two of its members",
            )


def _administration(access: Access) -> Iterator[AccessRemark]:
    for action, what in (("halt", "stop all signing"), ("policy", "bring a policy or access document")):
        if not any(action in grant.actions for grants in access.grants.values() for grant in grants):
            yield AccessRemark(
                path="grants",
                what=f"nobody may {what} over HTTPS",
                remedy=f"grant `{action}` to two people",
            )
