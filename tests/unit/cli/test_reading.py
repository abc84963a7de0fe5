# SPDX-License-Identifier: Apache-2.0
"""Commands that read: explain, decision, evidence, keys, and the ledger."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from signer.tlog.tiles import Tile
from tests.unit.cli.conftest import FakeAuthority, Kept, Signer, answered, bytes_answer, decision, finding
from tests.unit.verify.authority import Authority, halt_leaf

ID = "5d41402abc4b2a76b9719d911017c592"


def test_explain_shows_reasons_on_stdout(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [{**decision("deny", [finding("VUL-1", "fail")]), "outcome": None}]
    ended = signer("explain", ID)
    assert ended.code == 0
    assert "required by VUL-1" in ended.out
    assert authority.asked[0][:2] == ("decision", (ID,))


def test_explain_of_an_unknown_request_ends_with_4(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [answered(404, "not-found")]
    assert signer("explain", ID).code == 4


def test_decisions_are_listed_by_filters(signer: Signer, authority: FakeAuthority) -> None:
    row = {
        "leaf": 7,
        "request_id": ID,
        "time": "2026-11-23T10:00:00Z",
        "principal": "robot:ci",
        "environment": "release",
        "verdict": "deny",
        "first": "ab" * 32,
    }
    authority.answers = [{"decisions": [row], "next": 7}]
    ended = signer("decision", "list", "--verdict", "deny", "--digest", "sha256:" + "ab" * 32, "--limit", "1")
    assert ended.out == f"2026-11-23T10:00:00Z  {ID}  deny  release  robot:ci  sha256:abababababab…\n"
    assert "--before 7" in ended.err
    assert authority.asked[0][1] == ({"verdict": "deny", "digest": "ab" * 32, "limit": "1"},)


def test_a_decision_is_shown_as_it_is_served(signer: Signer, authority: FakeAuthority) -> None:
    document = decision("deny", [])
    authority.answers = [document]
    assert json.loads(signer("decision", "show", ID).out) == document


def test_evidence_is_fetched_byte_for_byte(signer: Signer, authority: FakeAuthority, tmp_path: Path) -> None:
    data = b"\x00\xff exact bytes \n"
    digest = hashlib.sha256(data).hexdigest()
    authority.answers = [bytes_answer(data, "text/plain")]
    out = tmp_path / "evidence"
    assert signer("evidence", "show", f"sha256:{digest}", "--out", out).code == 0
    assert out.read_bytes() == data
    assert authority.asked[0][:2] == ("fetch_evidence", (digest,))


def test_evidence_with_another_digest_is_refused(signer: Signer, authority: FakeAuthority, tmp_path: Path) -> None:
    authority.answers = [bytes_answer(b"others")]
    ended = signer("evidence", "show", "ab" * 32, "--out", tmp_path / "evidence")
    assert (ended.code, (tmp_path / "evidence").exists()) == (3, False)


def test_evidence_is_kept_as_attestations_or_documents(
    signer: Signer, authority: FakeAuthority, tmp_path: Path
) -> None:
    (tmp_path / "log").write_bytes(b"log")
    authority.answers = [{"evidence": [{"digest": "ab" * 32, "leaf": 9}]}] * 2
    ended = signer("evidence", "add", "--policy", "demo", tmp_path / "log")
    assert ended.out == f"sha256:{'ab' * 32}  leaf 9\n"
    assert authority.body() == {"policy": "demo", "evidence": [{"content": "bG9n"}]}
    kind = ("--kind", "build-log", "--media-type", "text/plain", "--subject", "shop@sha256:" + "ab" * 32)
    assert signer("evidence", "add", "--policy", "demo", *kind, tmp_path / "log").code == 0
    assert authority.body()["evidence"][0]["subjects"] == ["sha256:" + "ab" * 32]


def test_keys_are_listed(signer: Signer, authority: FakeAuthority) -> None:
    key = {
        "name": "release-2",
        "role": "release",
        "kid": "K=",
        "purpose": "statement",
        "algorithm": "ecdsa-p256-sha256",
        "status": "next",
        "trust": "unpublished",
        "uses": 3,
    }
    authority.answers = [{"keys": [key]}]
    assert signer("keys", "list").out == (
        "release-2  release  K=  statement  ecdsa-p256-sha256  next  unpublished  3\n"
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Authority:
    """A ledger as a directory of tiles, with a receipt and a trust file beside it."""
    made = Authority()
    release = made.release()
    made.append(halt_leaf())
    folder = tmp_path / "ledger"
    size = len(made.bodies)
    for level in (None, 0):
        path = folder / Tile(level, 0, size).path()
        path.parent.mkdir(parents=True)
        path.write_bytes(made.tile(Tile(level, 0, size)))
    (folder / "checkpoint").write_bytes(made.checkpoint())
    (tmp_path / "trust.json").write_bytes(made.trust())
    (tmp_path / "receipt.json").write_bytes(release.receipt)
    return made


def test_a_ledger_is_proven_from_a_directory(signer: Signer, ledger: Authority, tmp_path: Path) -> None:
    words = ("log", "verify", "--trust", tmp_path / "trust.json", "--directory", tmp_path / "ledger")
    document = signer(*words, "--receipt", tmp_path / "receipt.json", "-o", "json").document
    assert (document["result"], document["size"]) == ("verified", len(ledger.bodies))
    assert document["leaves"] == {"genesis": 1, "decision": 1, "outcome": 1, "halt": 1}


def test_a_tampered_ledger_ends_with_3(signer: Signer, ledger: Authority, tmp_path: Path) -> None:
    entries = tmp_path / "ledger" / Tile(None, 0, len(ledger.bodies)).path()
    entries.write_bytes(entries.read_bytes().replace(b"robot:ci", b"robot:xx", 1))
    words = ("log", "verify", "--trust", tmp_path / "trust.json", "--directory", tmp_path / "ledger")
    ended = signer(*words, "-o", "json")
    assert (ended.code, ended.document["error"]["code"]) == (3, "leaf-altered")
    assert "leaf 1 " in ended.err


def test_a_ledger_that_lost_a_tile_ends_with_3_and_its_name(signer: Signer, ledger: Authority, tmp_path: Path) -> None:
    tile = Tile(None, 0, len(ledger.bodies)).path()
    (tmp_path / "ledger" / tile).unlink()
    words = ("log", "verify", "--trust", tmp_path / "trust.json", "--directory", tmp_path / "ledger")
    ended = signer(*words)
    assert (ended.code, f"has no {tile}" in ended.err) == (3, True)


def test_a_checkpoint_is_printed_as_it_was_signed(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    text = Authority().checkpoint()
    authority.answers = [text, text]
    assert signer("log", "checkpoint", "--trust", kept.path("trust.json")).out.encode() == text
    unverified = signer("log", "checkpoint")
    assert (unverified.code, unverified.out.encode()) == (0, text)
    assert "not verified" in unverified.err


def test_a_forged_checkpoint_ends_with_3(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    authority.answers = [Authority().checkpoint().replace(b"\n1\n", b"\n2\n")]
    ended = signer("log", "checkpoint", "--trust", kept.path("trust.json"), "--out", kept.path("kept.txt"))
    assert (ended.code, kept.path("kept.txt").exists()) == (3, False)


def test_one_leaf_is_printed_byte_for_byte(signer: Signer, ledger: Authority, tmp_path: Path) -> None:
    words = ("log", "entry", "3", "--trust", tmp_path / "trust.json", "--directory", tmp_path / "ledger")
    assert signer(*words).out.encode() == ledger.bodies[3]
    assert signer("log", "entry", "4", *words[3:]).code == 4


def test_a_large_document_is_uploaded_and_named(signer: Signer, authority: FakeAuthority, tmp_path: Path) -> None:
    document, digest = tmp_path / "build.log", "cd" * 32
    document.write_bytes(b"line\n" * 300_000)
    authority.answers = [{"digest": digest, "size": 1_500_000}, {"evidence": [{"digest": digest, "leaf": 7}]}]
    about = ("--kind", "build-log", "--media-type", "text/plain", "--subject", f"sha256:{'ab' * 32}")
    ended = signer("evidence", "add", document, "--policy", "demo", *about)
    assert (ended.code, ended.out) == (0, f"sha256:{digest}  leaf 7\n")
    assert [name for name, _, _ in authority.asked] == ["upload", "keep_evidence"]
    assert authority.body()["evidence"] == [
        {"kind": "build-log", "media_type": "text/plain", "subjects": [f"sha256:{'ab' * 32}"], "upload": digest}
    ]
