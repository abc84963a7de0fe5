# SPDX-License-Identifier: Apache-2.0
"""`signer sign` and `signer check`: what is asked, what is kept, how each answer ends."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from signer.client.http import answer_malformed
from signer.errors import Malformed, Unavailable
from tests.unit.cli.conftest import FakeAuthority, Kept, Signer, answered, decision, finding
from tests.unit.verify.authority import SUBJECT, Authority

ASK = ("sign", "--policy", "demo", "--environment", "release")


def contents(authority: FakeAuthority) -> list[bytes]:
    return [base64.b64decode(item["content"]) for item in authority.body()["evidence"]]


def test_a_signature_is_kept_with_its_receipt(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    authority.answers = [kept.release.receipt]
    bundle, receipt = kept.path("out.json"), kept.path("out-receipt.json")
    ended = signer(*ASK, "--subject-file", kept.path("shop.tar.gz"), "--bundle", bundle, "--receipt", receipt)
    assert ended.code == 0, ended.err
    assert bundle.read_bytes() == kept.release.bundle
    assert receipt.read_bytes() == kept.release.receipt
    assert ended.out == ""
    assert ended.err.startswith("SIGNED  sha256:")
    assert authority.body()["subjects"] == [{"name": "shop.tar.gz", "digest": {"sha256": SUBJECT.sha256}}]


def test_what_ends_soon_is_told_beside_the_signature(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    authority.answers = [kept.release.receipt] * 2
    authority.warnings = ("policy demo v3 expires at 2026-12-01T00:00:00Z",)
    arguments = (*ASK, "--subject-file", kept.path("shop.tar.gz"))
    assert " ! policy demo v3 expires at 2026-12-01T00:00:00Z\n" in signer(*arguments).err
    assert signer(*arguments, "-o", "json").document["warnings"] == [*authority.warnings]


def test_the_answer_is_verified_when_a_trust_file_is_set(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    authority.answers = [kept.release.receipt]
    arguments = (*ASK, "--subject", f"shop@sha256:{SUBJECT.sha256}", "--trust", kept.path("trust.json"), "-o", "json")
    assert signer(*arguments).document["verified"] is True


def test_an_answer_that_does_not_verify_is_not_kept(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    authority.answers = [
        Authority().release(resource_uri="https://sign.example/authority/demo/staging").receipt,
    ]
    out = kept.path("out.json")
    ended = signer(
        *ASK, "--subject-file", kept.path("shop.tar.gz"), "--trust", kept.path("trust.json"), "--bundle", out
    )
    assert (ended.code, out.exists()) == (3, False)
    assert "environment-mismatch" in ended.err


def test_an_answer_about_another_digest_is_not_kept(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    authority.answers = [kept.release.receipt]
    out = kept.path("out.json")
    ended = signer(*ASK, "--subject", f"shop@sha256:{'00' * 32}", "--bundle", out)
    assert (ended.code, out.exists()) == (3, False)


@pytest.mark.parametrize("answer", [b"{}", b"", b"<html>"], ids=repr)
def test_an_answer_that_is_no_receipt_is_not_success(
    signer: Signer, authority: FakeAuthority, kept: Kept, answer: bytes
) -> None:
    authority.answers = [answer]
    assert signer(*ASK, "--subject-file", kept.path("shop.tar.gz")).code == 20


SPELLINGS = {
    "one option each": ("--evidence", "evidence-1.json", "--evidence", "evidence-2.json"),
    "one option before several words, as a shell expands a star": ("--evidence", "evidence-1.json", "evidence-2.json"),
    "words alone": ("evidence-1.json", "evidence-2.json"),
}


@pytest.mark.parametrize("words", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("verb", ["sign", "check"])
def test_evidence_may_be_spelt(
    signer: Signer, authority: FakeAuthority, kept: Kept, words: tuple[str, ...], verb: str
) -> None:
    authority.answers = [kept.release.receipt if verb == "sign" else decision("allow", [], leaf=None)]
    paths = [word if word.startswith("-") else kept.path(word) for word in words]
    ended = signer(verb, *ASK[1:], *paths, "--subject-file", kept.path("shop.tar.gz"))
    assert ended.code == 0, ended.err
    assert sorted(contents(authority)) == [b'{"payload":"1"}', b'{"payload":"2"}']


def test_each_run_has_its_own_idempotency_key(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    authority.answers = [kept.release.receipt, kept.release.receipt, kept.release.receipt]
    subject = ("--subject-file", kept.path("shop.tar.gz"))
    signer(*ASK, *subject)
    signer(*ASK, *subject)
    signer(*ASK, *subject, "--idempotency-key", "mine")
    first, second, third = (named["idempotency_key"] for _, _, named in authority.asked)
    assert first != second
    assert third == "mine"


def test_the_client_certificate_comes_from_the_settings(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    authority.answers = [kept.release.receipt]
    signer(
        *ASK,
        *("--subject-file", kept.path("shop.tar.gz"), "--client-key", "/key", "--timeout", "7"),
        SIGNER_CLIENT_CERT="/cert",
        SIGNER_CA="/ca",
    )
    endpoint = authority.endpoint
    assert endpoint is not None
    assert (endpoint.certificate, endpoint.key, endpoint.ca) == (Path("/cert"), Path("/key"), Path("/ca"))
    assert (endpoint.url, endpoint.timeout) == ("https://sign.example", 7.0)


FAILED = decision("deny", [finding("VUL-1", "fail")])
UNKNOWN = decision("deny", [finding("TST-1", "unknown")])

ENDINGS: dict[str, tuple[Exception, int, str]] = {
    "a rule fails": (answered(403, "denied", decision=FAILED), 10, "denied"),
    "a rule is unknown": (answered(409, "evidence-missing", decision=UNKNOWN), 12, "evidence-missing"),
    "waiting for approval": (answered(202, "waiting-for-approval", decision=decision("hold", [])), 11, "waiting"),
    "frozen": (answered(423, "frozen", decision=decision("deny", [])), 13, "frozen"),
    "no client certificate": (answered(401, "client-identity-required"), 4, "not-authorised"),
    "no grant": (answered(403, "not-authorised"), 4, "not-authorised"),
    "an unknown policy": (answered(404, "not-found"), 4, "not-authorised"),
    "halted": (answered(423, "halted"), 13, "halted"),
    "a malformed request": (answered(400, "malformed-request"), 2, "usage"),
    "a body too large": (answered(413, "too-large"), 2, "usage"),
    "evidence that does not parse": (answered(422, "evidence-invalid"), 12, "evidence-missing"),
    "evidence about another digest": (answered(422, "subject-mismatch"), 12, "evidence-missing"),
    "another body under the same key": (answered(409, "idempotency-conflict"), 2, "usage"),
    "an unknown outcome": (answered(409, "outcome-unknown"), 20, "undecided"),
    "over quota": (answered(429, "over-quota"), 20, "undecided"),
    "the ledger is away": (answered(503, "ledger-unavailable"), 20, "undecided"),
    "a fault of the server": (answered(500, "internal"), 20, "undecided"),
    "a page of a proxy": (answered(302, "x"), 1, "error"),
    "nobody there": (Unavailable("authority-unreachable", "nothing answers"), 20, "undecided"),
    "a garbled answer": (answer_malformed(Malformed("malformed-json", "no JSON")), 20, "undecided"),
}


@pytest.mark.parametrize(("fault", "code", "name"), ENDINGS.values(), ids=ENDINGS)
def test_a_request_ends(  # noqa: PLR0917 - one row of the table each
    fault: Exception, code: int, name: str, signer: Signer, authority: FakeAuthority, kept: Kept
) -> None:
    authority.answers = [fault]
    out = kept.path("out.json")
    ended = signer(*ASK, "--subject-file", kept.path("shop.tar.gz"), "--bundle", out, "-o", "json")
    assert (ended.code, ended.document["exit"], ended.document["result"]) == (code, code, name)
    assert ended.document["error"]["code"]
    assert ended.err
    assert not out.exists()


def test_a_check_ends_with_the_same_codes(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    subject = ("--subject-file", kept.path("shop.tar.gz"))
    authority.answers = [answered(403, "denied", decision={**FAILED, "leaf": None})]
    ended = signer("check", *ASK[1:], *subject)
    assert ended.code == 10
    assert "nothing was recorded" in ended.err
    authority.answers = [decision("allow", [finding("BLD-1", "pass")], leaf=None)]
    ended = signer("check", *ASK[1:], *subject, "-o", "json")
    assert (ended.code, ended.document["result"]) == (0, "allowed")
    assert ended.document["decision"]["verdict"] == "allow"


def test_a_denial_carries_its_decision_for_machines(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    authority.answers = [answered(403, "denied", decision=FAILED)]
    document = signer(*ASK, "--subject-file", kept.path("shop.tar.gz"), "-o", "json").document
    assert document["decision"] == FAILED
    assert document["request_id"] == FAILED["request_id"]
