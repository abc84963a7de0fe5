# SPDX-License-Identifier: Apache-2.0
"""The access document: people, robots, groups, and what they may do. A closed schema on strict YAML.

    schema: signing-access/v1
    metadata: {name: access, version: 1}
    people:
      - {id: alice, sans: ["spiffe://dev.invalid/person/alice"], emails: [a@dev.invalid],
         logins: [{issuer: "https://github.com", id: 1234}], approvalKeys: ["-----BEGIN PUBLIC KEY-----…"]}
    robots:
      - {id: ci, sans: ["spiffe://dev.invalid/robot/ci"]}
    groups:
      - {id: approvers, kind: release, members: [alice]}
    grants:
      - {to: "robot:ci", actions: [sign, check], policies: [demo], environments: [release], repositories: ["*"]}
    quotas:
      - {to: "robot:ci", requestsPerMinute: 600, evidenceBytes: 1073741824}

Every SAN, address, login and approval key names one principal; `*` stands alone or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from policy.strict_yaml import YamlError, load
from signer.domain.principal import Principal
from signer.errors import Malformed
from signer.formats.canonical import sha256_hex
from signer.formats.shape import read_shape
from signer.formats.source_uri import find_source_uri
from signer.formats.spki import PublicKey, keyid, load_pem, spki_der
from signer.identity.grants import ANY, Access, Action, Grant, Group, GroupKind, Quota
from signer.identity.spiffe import is_spiffe_id

__all__ = ["Access", "Action", "Grant", "Group", "Quota", "parse_access"]

_CODE = "access-invalid"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EMAIL = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,190}")
_ISSUER = re.compile(r"https://[a-z0-9.-]{1,253}(?::[1-9][0-9]{0,4})?(?:/[A-Za-z0-9._~-]+)*")
_MAX_VERSION = 2**31


class _Closed(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Unknown keys refuse the document."""


class _Metadata(_Closed):
    name: str
    version: int


class _Login(_Closed):
    issuer: str
    id: int


class _Robot(_Closed):
    id: str
    sans: list[str]


class _Person(_Closed):
    id: str
    sans: list[str] = []
    emails: list[str] = []
    logins: list[_Login] = []
    approval_keys: list[str] = []


class _Group(_Closed):
    id: str
    kind: GroupKind
    members: list[str]


class _Grant(_Closed):
    to: str
    actions: list[Action]
    policies: list[str]
    environments: list[str]
    repositories: list[str]


class _Quota(_Closed):
    to: str
    requests_per_minute: int
    evidence_bytes: int


class _Document(_Closed):
    schema: Literal["signing-access/v1"]
    metadata: _Metadata
    people: list[_Person] = []
    robots: list[_Robot] = []
    groups: list[_Group] = []
    grants: list[_Grant] = []
    quotas: list[_Quota] = []


DOCUMENT = _Document  # its shape, for the published schema


def parse_access(data: bytes) -> Access:
    """Read an access document; raises Malformed("access-invalid") that names the fault."""
    try:
        value = load(data)
    except YamlError as fault:
        raise Malformed(_CODE, fault.detail, remedy=fault.remedy) from None
    wire = read_shape(value, _Document, what="access document", code=_CODE, remedy="correct the named key")
    _name(wire.metadata.name, "metadata.name")
    if not 1 <= wire.metadata.version < _MAX_VERSION:
        raise _invalid("metadata.version", "must be an integer of at least 1")
    people = _unique((person.id for person in wire.people), "people")
    robots = _unique((robot.id for robot in wire.robots), "robots")
    groups = {group.id: _group(group, people) for group in wire.groups}
    _unique((group.id for group in wire.groups), "groups")
    principals = _Principals(people, robots, groups)
    return Access(
        name=wire.metadata.name,
        version=wire.metadata.version,
        digest=sha256_hex(data),
        identifiers=_identifiers(wire),
        approval_keys=_approval_keys(wire.people),
        groups=groups,
        grants=_grants(wire.grants, principals),
        quotas=_quotas(wire.quotas, principals),
    )


class _Principals:
    """Resolves `robot:<id>`, `person:<id>` and `group:<id>` to principal ids."""

    def __init__(self, people: frozenset[str], robots: frozenset[str], groups: Mapping[str, Group]) -> None:
        self._known = {
            **{f"person:{name}": (f"person:{name}",) for name in people},
            **{f"robot:{name}": (f"robot:{name}",) for name in robots},
            **{
                f"group:{name}": tuple(sorted(f"person:{member}" for member in group.members))
                for name, group in groups.items()
            },
        }

    def of(self, to: str, where: str) -> tuple[str, ...]:
        found = self._known.get(to)
        if found is None:
            raise _invalid(f"{where}.to", f"{to[:80]!r} is nobody in this document")
        return found


def _identifiers(wire: _Document) -> dict[str, Principal]:
    found: dict[str, Principal] = {}
    for principal, identifier in _stated_identifiers(wire):
        if identifier in found:
            raise _invalid(principal.id, f"{identifier[:120]!r} stands twice; one identifier names one principal")
        found[identifier] = principal
    return found


def _stated_identifiers(wire: _Document) -> Iterator[tuple[Principal, str]]:
    for robot in wire.robots:
        for san in robot.sans:
            yield Principal("robot", robot.id), f"san:{_san(san, robot.id)}"
    for person in wire.people:
        principal = Principal("person", person.id)
        for san in person.sans:
            yield principal, f"san:{_san(san, person.id)}"
        for email in person.emails:
            if _EMAIL.fullmatch(email) is None:
                raise _invalid(principal.id, f"{email[:80]!r} is not an e-mail address")
            yield principal, f"email:{email.lower()}"
        for login in person.logins:
            if _ISSUER.fullmatch(login.issuer) is None or login.id < 0:
                raise _invalid(principal.id, "a login is an https issuer and a numeric id")
            yield principal, f"login:{login.issuer}#{login.id}"


def _approval_keys(people: Sequence[_Person]) -> dict[str, tuple[PublicKey, ...]]:
    seen: set[str] = set()
    keys: dict[str, tuple[PublicKey, ...]] = {}
    for person in people:
        loaded = [_approval_key(pem, person.id) for pem in person.approval_keys]
        for key in loaded:
            kid = keyid(spki_der(key))
            if kid in seen:
                raise _invalid(f"person:{person.id}", "an approval key stands twice; one key is one person")
            seen.add(kid)
        keys[person.id] = tuple(loaded)
    return keys


def _approval_key(pem: str, person: str) -> PublicKey:
    try:
        key = load_pem(pem)
    except Malformed as fault:
        raise _invalid(f"person:{person}", f"approvalKeys: {fault.detail}") from None
    if not isinstance(key, Ed25519PublicKey) and not (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        raise _invalid(f"person:{person}", "approvalKeys: an approval key is ECDSA P-256 or Ed25519")
    return key


def _group(wire: _Group, people: frozenset[str]) -> Group:
    _name(wire.id, "groups")
    members = frozenset(wire.members)
    strangers = sorted(members - people)
    if strangers or len(members) != len(wire.members):
        raise _invalid(f"group:{wire.id}", f"{(strangers or wire.members)[0][:64]!r} is no person, or stands twice")
    return Group(id=wire.id, kind=wire.kind, members=members)


def _grants(wires: Sequence[_Grant], principals: _Principals) -> dict[str, tuple[Grant, ...]]:
    grants: dict[str, tuple[Grant, ...]] = {}
    for index, wire in enumerate(wires):
        where = f"grants[{index}]"
        if not wire.actions or len(set(wire.actions)) != len(wire.actions):
            raise _invalid(f"{where}.actions", "is empty or repeats an action")
        grant = Grant(
            actions=frozenset(wire.actions),
            policies=_scope(wire.policies, f"{where}.policies"),
            environments=_scope(wire.environments, f"{where}.environments"),
            repositories=_repositories(wire.repositories, f"{where}.repositories"),
        )
        for principal in principals.of(wire.to, where):
            grants[principal] = (*grants.get(principal, ()), grant)
    return grants


def _quotas(wires: Sequence[_Quota], principals: _Principals) -> dict[str, Quota]:
    """A principal's own quota goes before those of its groups; of several groups the widest counts."""
    own: dict[str, Quota] = {}
    by_group: dict[str, Quota] = {}
    _unique((wire.to for wire in wires), "quotas", named=False)
    for index, wire in enumerate(wires):
        if wire.requests_per_minute < 1 or wire.evidence_bytes < 0:
            raise _invalid(f"quotas[{index}]", "requestsPerMinute is at least 1, evidenceBytes at least 0")
        quota = Quota(wire.requests_per_minute, wire.evidence_bytes)
        for principal in principals.of(wire.to, f"quotas[{index}]"):
            if not wire.to.startswith("group:"):
                own[principal] = quota
            else:
                other = by_group.get(principal, quota)
                by_group[principal] = Quota(
                    max(quota.requests_per_minute, other.requests_per_minute),
                    max(quota.evidence_bytes, other.evidence_bytes),
                )
    return {**by_group, **own}


def _scope(values: Sequence[str], where: str) -> frozenset[str]:
    scope = frozenset(values)
    if not scope or len(scope) != len(values) or (ANY in scope and len(scope) > 1):
        raise _invalid(where, "list names once each, or '*' alone")
    for value in scope - {ANY}:
        _name(value, where)
    return scope


def _repositories(values: Sequence[str], where: str) -> frozenset[str]:
    scope = frozenset(values)
    if not scope or len(scope) != len(values) or (ANY in scope and len(scope) > 1):
        raise _invalid(where, "list repositories once each, or '*' alone")
    for value in scope - {ANY}:
        location = find_source_uri(f"https://{value}")
        if location is None or location.ref is not None or location.repository != value:
            raise _invalid(where, f"{value[:120]!r} is not written like github.com/acme/shop")
    return scope


def _unique(names: Iterable[str], where: str, *, named: bool = True) -> frozenset[str]:
    seen: set[str] = set()
    for name in names:
        if named:
            _name(name, where)
        if name in seen:
            raise _invalid(where, f"{name[:64]!r} stands twice")
        seen.add(name)
    return frozenset(seen)


def _san(text: str, owner: str) -> str:
    if not is_spiffe_id(text):
        raise _invalid(owner, f"{text[:120]!r} is not a SPIFFE ID")
    return text


def _name(text: str, where: str) -> None:
    if _NAME.fullmatch(text) is None:
        raise _invalid(where, f"{text[:64]!r} is not a name: letters, digits, '.', '_' and '-', at most 64")


def _invalid(where: str, fault: str) -> Malformed:
    return Malformed(_CODE, f"{where}: {fault}", remedy="correct the access document")
