# SPDX-License-Identifier: Apache-2.0
"""What owners and operators do: sign acts, renew trust, halt and resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from signer.formats.canonical import sha256_hex
from signer.formats.owner_act import OwnerAct, parse_owner_act, verify_owner_acts
from signer.formats.trust import build_trust_document
from signer.ledger.leaves import encode_leaf
from tests.policy.factory import document, encode
from tests.unit.cli.conftest import FakeAuthority, Kept, Signer
from tests.unit.verify.authority import ORIGIN, OWNERS, Authority, halt_leaf, p256, spki


def pem(key: Any, *, passphrase: bytes | None = None) -> bytes:
    encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    data: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return data


@pytest.fixture
def owner_key(tmp_path: Path) -> Path:
    path = tmp_path / "owner.pem"
    path.write_bytes(pem(OWNERS[0]))
    return path


def accepted(envelope: bytes, act: OwnerAct) -> bool:
    return bool(verify_owner_acts([envelope], act=act, owners=[spki(OWNERS[0])], threshold=1))


def test_a_policy_is_signed_for_its_own_version(signer: Signer, kept: Kept, owner_key: Path) -> None:
    policy = encode(document())
    kept.path("policy.yaml").write_bytes(policy)
    out = kept.path("signature")
    ended = signer(
        *("owner", "sign", "--action", "policy", "--document", kept.path("policy.yaml")),
        *("--trust", kept.path("trust.json"), "--key", owner_key, "--out", out),
    )
    assert ended.code == 0, ended.err
    assert accepted(out.read_bytes(), OwnerAct("policy", 1, ORIGIN, sha256_hex(policy)))
    assert sha256_hex(policy) in ended.err


def test_a_trust_document_names_its_own_version_and_origin(signer: Signer, tmp_path: Path, owner_key: Path) -> None:
    data = build_trust_document(Authority().trust_document(version=4))
    (tmp_path / "document").write_bytes(data)
    words = ("owner", "sign", "--action", "trust", "--document", tmp_path / "document", "--key", owner_key)
    assert signer(*words, "--out", tmp_path / "signature").code == 0
    assert accepted((tmp_path / "signature").read_bytes(), OwnerAct("trust", 4, ORIGIN, sha256_hex(data)))


def test_the_end_of_a_halt_is_signed_by_its_index_and_bytes(signer: Signer, tmp_path: Path, owner_key: Path) -> None:
    leaf = encode_leaf(halt_leaf())
    (tmp_path / "leaf").write_bytes(leaf)
    words = ("owner", "sign", "--action", "resume", "--key", owner_key, "--origin", ORIGIN)
    out = tmp_path / "signature"
    assert signer(*words, "--number", 17, "--document", tmp_path / "leaf", "--out", out).code == 0
    assert parse_owner_act(out.read_bytes()) == OwnerAct("resume", 17, ORIGIN, sha256_hex(leaf))
    assert signer(*words, "--document", tmp_path / "leaf", "--out", out).code == 2
    (tmp_path / "leaf").write_bytes(Authority().bodies[0])
    assert signer(*words, "--number", 17, "--document", tmp_path / "leaf", "--out", out).code == 2


WRONG = {
    "another version than the document's": ("--number", "2"),
    "another digest than the document's": ("--sha256", "00" * 32),
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_a_claim_that_the_document_contradicts_is_refused(
    signer: Signer, kept: Kept, owner_key: Path, words: tuple[str, ...]
) -> None:
    kept.path("policy.yaml").write_bytes(encode(document()))
    out = kept.path("signature")
    ended = signer(
        *("owner", "sign", "--action", "policy", "--document", kept.path("policy.yaml"), "--key", owner_key),
        *("--trust", kept.path("trust.json"), "--out", out, *words),
    )
    assert (ended.code, out.exists()) == (2, False)


def test_a_document_that_is_not_valid_is_not_signed(signer: Signer, kept: Kept, owner_key: Path) -> None:
    kept.path("policy.yaml").write_bytes(b"schema: nothing/v0\n")
    words = ("owner", "sign", "--action", "policy", "--document", kept.path("policy.yaml"), "--key", owner_key)
    assert signer(*words, "--origin", ORIGIN, "--out", kept.path("signature")).code == 2


def test_an_encrypted_key_needs_its_passphrase(signer: Signer, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(pem(Ed25519PrivateKey.generate(), passphrase=b"secret"))
    (tmp_path / "passphrase").write_bytes(b"secret\n")
    words = ("owner", "sign", "--action", "access", "--sha256", "ab" * 32, "--number", 1, "--origin", ORIGIN)
    key = ("--key", tmp_path / "key", "--out", tmp_path / "signature")
    assert signer(*words, *key).code == 78
    assert signer(*words, *key, "--passphrase-file", tmp_path / "passphrase").code == 0


def test_a_newer_trust_file_replaces_the_old_one(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    newer = Authority().trust(version=2)
    authority.answers = [newer, newer]
    path = kept.path("trust.json")
    assert signer("trust", "update", "--trust", path, "-o", "json").document["result"] == "updated"
    assert path.read_bytes() == newer
    assert signer("trust", "update", "--trust", path, "-o", "json").document["result"] == "current"


UNTRUSTED = {
    "an older version": Authority().trust(version=1),
    "strangers signed": Authority().trust(version=3, signers=(p256(50), p256(51))),
    "another ledger": Authority(origin="evil.example/authority").trust(version=3),
    "junk": b"{}",
    "owners who have not signed themselves": Authority().trust(version=3, owners=(spki(p256(50)), spki(p256(51)))),
}


@pytest.mark.parametrize("newer", UNTRUSTED.values(), ids=UNTRUSTED)
def test_a_trust_file_that_the_owners_did_not_sign_is_not_kept(
    signer: Signer, authority: FakeAuthority, kept: Kept, newer: bytes
) -> None:
    path = kept.path("trust.json")
    path.write_bytes(Authority().trust(version=2))
    before = path.read_bytes()
    authority.answers = [newer]
    assert signer("trust", "update", "--trust", path).code == 3
    assert path.read_bytes() == before


def test_a_first_trust_file_is_never_fetched(signer: Signer, authority: FakeAuthority, tmp_path: Path) -> None:
    assert signer("trust", "update", "--trust", tmp_path / "none").code == 78
    assert authority.asked == []


def test_a_trust_file_is_shown(signer: Signer, kept: Kept) -> None:
    ended = signer("trust", "show", "--trust", kept.path("trust.json"))
    assert f"origin    {ORIGIN}" in ended.out
    assert "owners    2 of 3" in ended.out
    shown = signer("trust", "show", "--trust", kept.path("trust.json"), "-o", "json").document["trust"]
    assert shown["genesis"] == Authority().trust_document().genesis


def test_a_halt_says_how_to_resume(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [{"leaf": 17}]
    ended = signer("halt", "--reason", "key ceremony")
    assert ended.code == 0
    assert authority.asked[0][1] == ("key ceremony",)
    assert "signer resume --halt-index 17" in ended.err


def test_a_resume_sends_the_owners_signatures(signer: Signer, authority: FakeAuthority, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    authority.answers = [{"leaf": 18}]
    words = ("--signature", tmp_path / "a", "--signature", tmp_path / "b")
    assert signer("resume", "--halt-index", 17, *words).code == 0
    assert authority.body() == {"halt_index": 17, "signatures": ["YQ==", "Yg=="]}


def test_an_answer_without_a_leaf_is_no_halt(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [{}]
    assert signer("halt", "--reason", "x").code == 20
