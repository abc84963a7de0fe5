# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import given, strategies as st

from signer.domain.principal import Principal
from signer.errors import Malformed
from signer.formats.canonical import sha256_hex
from signer.formats.spki import spki_pem
from signer.identity.access import parse_access
from signer.identity.grants import ACTIONS, DEFAULT_QUOTA, Quota
from tests.unit.formats.keys import ed25519, p256, p384

ALICE_KEY = spki_pem(p256(1).public_key())
BOB_KEY = spki_pem(ed25519(2).public_key())
SHOP = "github.com/acme/shop"

DOCUMENT: dict[str, Any] = {
    "schema": "signing-access/v1",
    "metadata": {"name": "access", "version": 3},
    "people": [
        {
            "id": "alice",
            "sans": ["spiffe://dev.invalid/person/alice"],
            "emails": ["Alice@dev.invalid"],
            "logins": [{"issuer": "https://github.com", "id": 1234}],
            "approvalKeys": [ALICE_KEY],
        },
        {"id": "bob", "sans": ["spiffe://dev.invalid/person/bob"], "approvalKeys": [BOB_KEY]},
    ],
    "robots": [{"id": "ci", "sans": ["spiffe://dev.invalid/robot/ci"]}],
    "groups": [{"id": "approvers", "kind": "release", "members": ["alice", "bob"]}],
    "grants": [
        {
            "to": "robot:ci",
            "actions": ["sign", "check"],
            "policies": ["demo"],
            "environments": ["staging", "release"],
            "repositories": [SHOP],
        },
        {"to": "robot:ci", "actions": ["read"], "policies": ["*"], "environments": ["staging"], "repositories": ["*"]},
        {
            "to": "group:approvers",
            "actions": ["approve"],
            "policies": ["demo"],
            "environments": ["*"],
            "repositories": ["*"],
        },
        {"to": "person:bob", "actions": ["audit"], "policies": ["demo"], "environments": ["*"], "repositories": ["*"]},
    ],
    "quotas": [
        {"to": "robot:ci", "requestsPerMinute": 600, "evidenceBytes": 1024},
        {"to": "group:approvers", "requestsPerMinute": 30, "evidenceBytes": 0},
        {"to": "person:bob", "requestsPerMinute": 10, "evidenceBytes": 5},
    ],
}
CI = Principal("robot", "ci")
ALICE = Principal("person", "alice")
BOB = Principal("person", "bob")


def render(document: Any) -> bytes:
    return yaml.dump(document, Dumper=_NoAliases, sort_keys=False).encode()


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - yaml's signature
        return True


DATA = render(DOCUMENT)
ACCESS = parse_access(DATA)


def test_the_document_is_named_by_the_digest_of_its_bytes() -> None:
    assert (ACCESS.name, ACCESS.version, ACCESS.digest) == ("access", 3, sha256_hex(DATA))


@pytest.mark.parametrize(
    ("san", "principal"),
    [
        ("spiffe://dev.invalid/robot/ci", CI),
        ("spiffe://dev.invalid/person/alice", ALICE),
        ("spiffe://dev.invalid/robot/CI", None),
        ("spiffe://dev.invalid/robot/ci2", None),
        ("", None),
    ],
)
def test_a_certificate_name_leads_to_its_principal(san: str, principal: Principal | None) -> None:
    assert ACCESS.principal(san) == principal


@pytest.mark.parametrize(
    ("identifier", "person"),
    [
        pytest.param("email:alice@dev.invalid", "alice", id="an address"),
        pytest.param("email:ALICE@DEV.invalid", "alice", id="an address in another case"),
        pytest.param("email:alice@dev.invalid\u212a", None, id="an address outside ASCII"),
        pytest.param("email:carol@dev.invalid", None, id="an unknown address"),
        pytest.param("login:https://github.com#1234", "alice", id="a login"),
        pytest.param("login:https://gitlab.com#1234", None, id="the same number at another issuer"),
        pytest.param("login:https://github.com#alice", None, id="a login name"),
        pytest.param("san:spiffe://dev.invalid/person/bob", "bob", id="a certificate name"),
        pytest.param("san:spiffe://dev.invalid/robot/ci", None, id="a robot is no person"),
        pytest.param("alice", None, id="a bare id"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_identifiers_of_evidence_lead_to_persons(identifier: str, person: str | None) -> None:
    assert ACCESS.person_of(identifier) == person


def test_identifiers_of_evidence_may_lead_to_robots() -> None:
    assert ACCESS.identified("san:spiffe://dev.invalid/robot/ci") == CI


ALLOWED = [
    pytest.param(CI, "sign", "demo", "release", SHOP, True, id="all parts match"),
    pytest.param(CI, "sign", "demo", "release", None, True, id="no repository in question"),
    pytest.param(CI, "sign", "demo", "release", "", False, id="a repository that is not known"),
    pytest.param(CI, "sign", "demo", "release", "github.com/acme/shop-evil", False, id="another repository"),
    pytest.param(CI, "sign", "demo", "production", SHOP, False, id="another environment"),
    pytest.param(CI, "sign", "other", "release", SHOP, False, id="another policy"),
    pytest.param(CI, "approve", "demo", "release", SHOP, False, id="another action"),
    pytest.param(CI, "read", "other", "staging", "", True, id="a star reaches what is not known"),
    pytest.param(CI, "read", "demo", "release", SHOP, False, id="two grants do not add up"),
    pytest.param(CI, "halt", None, None, None, False, id="an action that nobody granted"),
    pytest.param(CI, "Sign", "demo", "release", SHOP, False, id="an action that does not exist"),
    pytest.param(CI, "*", "demo", "release", SHOP, False, id="a star is no action"),
    pytest.param(CI, "sign", "*", "release", SHOP, False, id="a star is no policy"),
    pytest.param(ALICE, "approve", "demo", "release", SHOP, True, id="a member of the group"),
    pytest.param(ALICE, "sign", "demo", "release", SHOP, False, id="a member, another action"),
    pytest.param(BOB, "read", "demo", "release", SHOP, True, id="audit includes read"),
    pytest.param(BOB, "read", "other", "release", SHOP, False, id="audit of one policy reads that policy"),
    pytest.param(ALICE, "read", "demo", "release", SHOP, False, id="approve does not include read"),
    pytest.param(Principal("person", "ci"), "sign", "demo", "release", SHOP, False, id="a person named like a robot"),
    pytest.param(Principal("robot", "nobody"), "sign", "demo", "release", SHOP, False, id="nobody"),
]


@pytest.mark.parametrize(("principal", "action", "policy", "environment", "repository", "answer"), ALLOWED)
def test_allows(
    *,
    principal: Principal,
    action: str,
    policy: str | None,
    environment: str | None,
    repository: str | None,
    answer: bool,
) -> None:
    assert (
        ACCESS.allows(principal, action=action, policy=policy, environment=environment, repository=repository) is answer
    )


@given(
    st.sampled_from(ACTIONS),
    st.none() | st.text(max_size=8),
    st.none() | st.text(max_size=8),
    st.none() | st.text(max_size=8),
)
def test_a_document_without_grants_allows_nothing(
    action: str, policy: str | None, environment: str | None, repository: str | None
) -> None:
    empty = parse_access(render({**DOCUMENT, "grants": []}))
    for principal in (CI, ALICE, BOB):
        assert not empty.allows(principal, action=action, policy=policy, environment=environment, repository=repository)


def test_quotas() -> None:
    assert ACCESS.quota(CI) == Quota(600, 1024)
    assert ACCESS.quota(ALICE) == Quota(30, 0), "the group's"
    assert ACCESS.quota(BOB) == Quota(10, 5), "one's own goes before the group's"
    assert ACCESS.quota(Principal("robot", "nobody")) == DEFAULT_QUOTA


def test_of_several_groups_the_widest_quota_counts() -> None:
    document = deepcopy(DOCUMENT)
    document["groups"].append({"id": "readers", "kind": "operations", "members": ["alice"]})
    document["quotas"].append({"to": "group:readers", "requestsPerMinute": 5, "evidenceBytes": 900})
    assert parse_access(render(document)).quota(ALICE) == Quota(30, 900)


def test_approval_keys_belong_to_one_person() -> None:
    assert [spki_pem(key) for key in ACCESS.approval_keys["alice"]] == [ALICE_KEY]
    assert [spki_pem(key) for key in ACCESS.approval_keys["bob"]] == [BOB_KEY]


def change(edit: Callable[[dict[str, Any]], Any]) -> bytes:
    document = deepcopy(DOCUMENT)
    edit(document)
    return render(document)


def first(kind: str, /, **changes: Any) -> bytes:
    return change(lambda document: document[kind][0].update(changes))


def more(kind: str, entry: Any) -> bytes:
    return change(lambda document: document[kind].append(entry))


REFUSED = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b"schema: signing-access/v1\nschema: signing-access/v1\n", id="Y02 a key twice"),
    pytest.param(b"a: &a 1\nb: *a\n", id="Y02 an alias"),
    pytest.param(b"a: !!python/object:os.system {}\n", id="Y02 a tag"),
    pytest.param(b"a: no\n", id="Y02 a Norway boolean"),
    pytest.param(b"\xff\xfe", id="P04 no UTF-8"),
    pytest.param(b"a" * 300_000, id="more than 256 KiB"),
    pytest.param(change(lambda document: document.update(schema="signing-access/v2")), id="another schema"),
    pytest.param(change(lambda document: document.update(extra=1)), id="Y03 an unknown key"),
    pytest.param(change(lambda document: document["metadata"].update(owner="a")), id="Y03 an unknown key inside"),
    pytest.param(change(lambda document: document["metadata"].update(version=0)), id="version 0"),
    pytest.param(change(lambda document: document["metadata"].update(version="3")), id="P07 a version that is text"),
    pytest.param(change(lambda document: document["metadata"].update(version=True)), id="P07 a version that is true"),
    pytest.param(change(lambda document: document["metadata"].update(name="a b")), id="a name with a space"),
    pytest.param(change(lambda document: document.pop("metadata")), id="no metadata"),
    pytest.param(first("people", id="al/ice"), id="an id with a slash"),
    pytest.param(first("people", id="bob"), id="an id twice"),
    pytest.param(first("people", sans="spiffe://dev.invalid/person/alice"), id="SANs that are text"),
    pytest.param(first("people", sans=["https://dev.invalid/alice"]), id="a SAN that is no SPIFFE ID"),
    pytest.param(first("people", sans=["spiffe://dev.invalid/person/bob"]), id="one SAN, two people"),
    pytest.param(first("people", sans=["spiffe://dev.invalid/robot/ci"]), id="one SAN, a person and a robot"),
    pytest.param(first("people", emails=["alice"]), id="an address without host"),
    pytest.param(first("people", emails=["a@dev.invalid", "A@dev.invalid"]), id="an address twice"),
    pytest.param(first("people", emails=["\u0430@dev.invalid"]), id="an address outside ASCII"),
    pytest.param(first("people", logins=[{"issuer": "github.com", "id": 1}]), id="an issuer without scheme"),
    pytest.param(first("people", logins=[{"issuer": "https://github.com", "id": "alice"}]), id="a login by name"),
    pytest.param(first("people", logins=[{"issuer": "https://github.com", "id": -1}]), id="a negative login"),
    pytest.param(first("people", approvalKeys=["junk"]), id="an approval key that is none"),
    pytest.param(first("people", approvalKeys=[BOB_KEY]), id="A02 one approval key, two people"),
    pytest.param(first("people", approvalKeys=[ALICE_KEY, ALICE_KEY]), id="an approval key twice"),
    pytest.param(first("people", approvalKeys=[spki_pem(p384().public_key())]), id="an approval key on P-384"),
    pytest.param(first("groups", kind="friends"), id="an unknown kind of group"),
    pytest.param(first("groups", members=["alice", "carol"]), id="a member who is nobody"),
    pytest.param(first("groups", members=["alice", "ci"]), id="a member that is a robot"),
    pytest.param(first("groups", members=["alice", "alice"]), id="a member twice"),
    pytest.param(more("groups", DOCUMENT["groups"][0]), id="a group twice"),
    pytest.param(first("grants", to="ci"), id="a grant to a bare id"),
    pytest.param(first("grants", to="robot:nobody"), id="a grant to nobody"),
    pytest.param(first("grants", to="*"), id="a grant to everybody"),
    pytest.param(first("grants", actions=[]), id="no action"),
    pytest.param(first("grants", actions=["*"]), id="every action"),
    pytest.param(first("grants", actions=["sign", "sign"]), id="an action twice"),
    pytest.param(first("grants", actions=["launch"]), id="Y03 an unknown action"),
    pytest.param(first("grants", policies=[]), id="no policy"),
    pytest.param(first("grants", policies=["*", "demo"]), id="a star among names"),
    pytest.param(first("grants", policies=["demo*"]), id="E14 a pattern"),
    pytest.param(first("grants", environments=["demo", "demo"]), id="an environment twice"),
    pytest.param(first("grants", repositories=["https://github.com/acme/shop"]), id="a repository with scheme"),
    pytest.param(first("grants", repositories=["github.com/acme/shop.git"]), id="a repository with .git"),
    pytest.param(first("grants", repositories=["github.com/acme/shop@main"]), id="a repository with a ref"),
    pytest.param(first("grants", repositories=["github.com/acme/*"]), id="E14 a repository pattern"),
    pytest.param(change(lambda document: document["grants"][0].pop("repositories")), id="no repositories"),
    pytest.param(first("quotas", requestsPerMinute=0), id="a quota of zero requests"),
    pytest.param(first("quotas", evidenceBytes=-1), id="a negative quota"),
    pytest.param(first("quotas", to="robot:nobody"), id="a quota for nobody"),
    pytest.param(more("quotas", DOCUMENT["quotas"][0]), id="two quotas for one"),
]


@pytest.mark.parametrize("data", REFUSED)
def test_refuses(data: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        parse_access(data)
    assert refused.value.code == "access-invalid"
    assert refused.value.detail
    assert refused.value.remedy


@given(st.data())
def test_a_damaged_document_never_crashes(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(DATA)))
    with suppress(Malformed):
        parse_access(
            DATA[:position] + data.draw(st.binary(max_size=4)) + DATA[position + data.draw(st.integers(0, 3)) :]
        )
