# SPDX-License-Identifier: Apache-2.0
"""A policy on its way: tested, compared, replayed over what was decided, signed by the owners, in force at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.running import Ran, Running

Sign = Callable[..., list[str | Path]]


def in_force(authority: Running) -> int:
    """The version of the policy that is in force."""
    (policy,) = authority.signer("policy", "list", "-o", "json", identity="auditor").json["policies"]
    version: int = policy["version"]
    return version


def newer(authority: Running, path: Path, *, old: str = "", new: str = "", ahead: int = 1) -> Path:
    """The first policy as a version that is newer than the one in force, with one thing changed."""
    text = authority.directory.policy.read_text()
    assert old in text
    path.write_text(text.replace("version: 1", f"version: {in_force(authority) + ahead}", 1).replace(old, new, 1))
    return path


@pytest.fixture
def signed(own_authority: Running, tmp_path: Path) -> Sign:
    def sign(
        document: Path, *, owners: tuple[str, ...] = ("owner-1", "owner-2"), action: str = "policy"
    ) -> list[str | Path]:
        found: list[str | Path] = []
        for owner in owners:
            out = tmp_path / f"{document.stem}.{owner}"
            own_authority.owner_signs("--action", action, "--document", document, owner=owner, out=out)
            found += ["--signature", out]
        return found

    return sign


def activate(authority: Running, document: Path, signatures: list[str | Path], *, identity: str = "owner-1") -> Ran:
    return authority.signer("policy", "activate", document, *signatures, "-o", "json", identity=identity)


def test_a_newer_policy_is_in_force_at_once_and_can_be_taken_back_by_a_newer_one(
    own_authority: Running, signed: Sign, tmp_path: Path
) -> None:
    assert own_authority.sign().code == 0
    tighter = newer(own_authority, tmp_path / "v2.yaml", old="minComponents: 1", new="minComponents: 999")
    done = activate(own_authority, tighter, signed(tighter))
    assert done.code == 0, done.err
    assert done.json["version"] == in_force(own_authority)
    denied = own_authority.sign("-o", "json")
    assert denied.code == 10
    assert denied.json["problem"]["decision"]["policy"]["digest"] == done.json["digest"]
    back = newer(own_authority, tmp_path / "v3.yaml")
    assert activate(own_authority, back, signed(back)).code == 0
    assert own_authority.sign().code == 0
    listed = own_authority.signer("policy", "list", identity="auditor")
    assert listed.out.startswith(f"demo v{in_force(own_authority)}  sha256:")
    shown = own_authority.signer("policy", "show", "demo", identity="auditor")
    assert shown.out == back.read_text()


def test_a_document_is_refused_with_its_reason(own_authority: Running, signed: Sign, tmp_path: Path) -> None:
    second = newer(own_authority, tmp_path / "v2.yaml")
    both = signed(second)
    tampered = newer(own_authority, tmp_path / "v2x.yaml", old="minComponents: 1", new="minComponents: 2")
    stranger = tmp_path / "stranger"
    ran = own_authority.signer(
        *("owner", "sign", "--action", "policy", "--document", second, "--out", stranger),
        *("--key", own_authority.directory.signer_key("builder")),
    )
    assert ran.code == 0, ran.err
    refused = {
        "owner-threshold one": activate(own_authority, second, both[:2]),
        "owner-threshold one twice": activate(own_authority, second, [*both[:2], *both[:2]]),
        "owner-threshold stranger": activate(own_authority, second, [*both[:2], "--signature", stranger]),
        "owner-threshold tampered": activate(own_authority, tampered, both),
        "not-authorised ci": activate(own_authority, second, both, identity="ci"),
    }
    assert {name: (ran.code, ran.json["error"]["code"]) for name, ran in refused.items()} == {
        name: (4, name.split()[0]) for name in refused
    }
    assert activate(own_authority, second, both).code == 0
    again = activate(own_authority, second, both)
    assert (again.code, again.json["error"]["code"]) == (2, "version-not-newer")
    older = activate(own_authority, own_authority.directory.policy, signed(own_authority.directory.policy))
    assert (older.code, older.json["error"]["code"]) == (2, "version-not-newer")


def test_an_access_document_is_activated_in_the_same_way(own_authority: Running, signed: Sign, tmp_path: Path) -> None:
    document = tmp_path / "access.yaml"
    text = own_authority.directory.access.read_text()
    document.write_text(text.replace("version: 1", "version: 2", 1).replace("  - sign\n", "", 1))
    signatures = signed(document, action="access")
    done = own_authority.signer("access", "activate", document, *signatures, identity="owner-1")
    assert done.code == 0, done.err
    assert own_authority.sign().code == 4
    shown = own_authority.signer("access", "show", identity="auditor")
    assert shown.out == document.read_text()
    again = tmp_path / "again.yaml"
    again.write_text(text.replace("version: 1", "version: 3", 1))
    assert (
        own_authority.signer("access", "activate", again, *signed(again, action="access"), identity="owner-1").code == 0
    )
    assert own_authority.sign().code == 0


def test_replay_over_https_over_a_file_and_over_the_database_agree(own_authority: Running, tmp_path: Path) -> None:
    since = ("--since", datetime.now(UTC).isoformat())
    assert own_authority.sign().code == 0
    denied = own_authority.signer(
        *("sign", "--policy", "demo", "--environment", "release"),
        *("--subject-file", own_authority.sample("bad-artifact.txt"), *own_authority.evidence("bad")),
    )
    assert denied.code == 10, denied.err
    active = own_authority.directory.policy
    same = own_authority.signer("policy", "replay", "--policy", active, *since, "-o", "json", identity="auditor")
    assert (same.code, same.json["counts"]["same"], sum(same.json["counts"].values())) == (0, 2, 2), same.out
    tighter = newer(own_authority, tmp_path / "tight.yaml", old="minComponents: 1", new="minComponents: 999")
    found = own_authority.signer("policy", "replay", "--policy", tighter, *since, "-o", "json", identity="auditor")
    assert (found.code, found.json["counts"]["allow-to-deny"]) == (0, 1)
    export = tmp_path / "decisions.jsonl"
    out = own_authority.signer("decision", "export", "--policy", "demo", *since, "--out", export, identity="auditor")
    assert out.code == 0, out.err
    database = own_authority.directory.state / "ledger.db"
    for place in (("--export", export), ("--database", database)):
        again = own_authority.signer("policy", "replay", "--policy", tighter, *since, *place, "-o", "json")
        assert again.json == found.json
    nobody = own_authority.signer("decision", "export", "--policy", "demo", "--out", tmp_path / "no.jsonl")
    assert nobody.code == 4
