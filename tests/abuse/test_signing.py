# SPDX-License-Identifier: Apache-2.0
"""Abuse cases S: the request, the key, the token and the record behind a signature."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from signer.custodian.commands import Resume
from signer.custodian.token_messages import BOARD_SIZE, Job
from signer.custodian.token_worker import Board, TokenWorker
from signer.domain.algorithm import Algorithm
from signer.domain.digest import Digest
from signer.domain.subject import Subject
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import pae
from signer.formats.spki import keyid, load_spki, spki_der, verify_signature
from signer.keys.backend import FoundKey
from signer.keys.uri import KeyUri
from signer.ledger.leaves import Decision, Outcome
from tests.abuse.stack import Answer, Release, Stack, question, signed_statement
from tests.integration.softhsm import TestToken

QUESTION: Callable[[Release], dict[str, Any]] = lambda release: question(  # noqa: E731 - a name for one shape
    [release.subject], release.evidence(), "demo", "release"
)


def signed_outcomes(stack: Stack) -> int:
    """How often a key signed."""
    return sum(1 for leaf in stack.leaves() if isinstance(leaf, Outcome) and leaf.status == "signed")


# S01


def test_S01_what_is_signed_is_what_was_judged(stack: Stack) -> None:
    release = stack.release()
    answer = stack.ask(release, release.evidence())
    decision = json.loads(base64.b64decode(answer.json["decision"]["leaf"]))
    documents = {name: base64.b64decode(data) for name, data in answer.json["documents"].items()}
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in documents.items())
    judged = json.loads(documents[decision["subjects"]])["subjects"]
    assert (
        signed_statement(answer)["subject"]
        == judged
        == [{"name": release.subject.name, "digest": {"sha256": release.subject.sha256}}]
    )
    outcome = json.loads(base64.b64decode(answer.json["outcome"]["leaf"]))
    bundle = json.loads(base64.b64decode(answer.json["bundles"][0]["bundle"]))
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    assert outcome["signatures"][0]["payload"] == sha256_hex(payload)


def test_S01_a_request_that_changes_under_its_key_is_a_conflict(stack: Stack) -> None:
    first, other = stack.release(), stack.release()
    assert stack.ask(first, first.evidence(), key="S01").status == 200
    with stack.unrecorded():
        assert stack.ask(other, other.evidence(), key="S01").said == (409, "idempotency-conflict")


# S02


@pytest.mark.parametrize(
    "member", ["key", "kid", "keyid", "key_name", "arn", "alias", "uri", "algorithm", "purpose", "payload", "formats"]
)
def test_S02_a_caller_names_no_key(stack: Stack, member: str) -> None:
    with stack.unrecorded():
        answer = stack.post("/v1/signatures", {**QUESTION(stack.release()), member: "spare"})
    assert answer.said == (400, "malformed-request")


def test_S02_another_teams_policy_is_not_there(stack: Stack) -> None:
    release = stack.release()
    with stack.unrecorded():
        theirs = stack.ask(release, release.evidence(), policy="other")
        absent = stack.ask(release, release.evidence(), policy="absent")
    assert theirs.said == absent.said == (404, "not-found")
    assert theirs.json["detail"] == absent.json["detail"]


# S03


@contextmanager
def another_key_in_the_token(stack: Stack) -> Iterator[None]:
    """Replace the release key by one of the same label and id, as somebody with the PIN could; put it back after."""
    token = TestToken(stack.authority.token.configuration.parent, stack.authority.token)
    objects = token.folder / "objects"
    kept = token.folder / "kept"
    shutil.copytree(objects, kept)
    try:
        token.run("remove('release')\nmake('release', bytes([1]))\n")
        yield
    finally:
        shutil.rmtree(objects)
        kept.rename(objects)


def restart_workers(stack: Stack) -> None:
    for worker in stack.authority.workers():
        worker.send_signal(signal.SIGKILL)


def end_halt(stack: Stack) -> None:
    """The owners resume whatever halt is in force."""
    reader = stack.authority.reader()
    row = reader.halted()
    if row is None:
        return
    signatures = stack.authority.sign_act("resume", row.leaf, sha256_hex(reader.leaf(row.leaf)))
    reply = stack.authority.ask(Resume(principal="operator:0", halt_index=row.leaf, signatures=signatures), admin=True)
    assert type(reply).__name__ == "Done", reply


def test_S03_a_key_that_is_not_the_pinned_one_signs_nothing_and_halts(stack: Stack) -> None:
    release = stack.release()
    assert stack.ask(release, release.evidence()).status == 200
    try:
        with another_key_in_the_token(stack):
            restart_workers(stack)
            stack.wait(stack.authority.reader().halted, what="no halt", seconds=20)
            before = signed_outcomes(stack)
            assert stack.ask(release, release.evidence()).said == (423, "halted")
            assert signed_outcomes(stack) == before
            row = stack.authority.reader().halted()
            assert row is not None
            assert "key-pin-mismatch" in row.reason
            assert stack.request("GET", "/readyz", may_fail=True).status == 503
    finally:
        restart_workers(stack)
        stack.wait(lambda: not stack.authority.status().problems or settle(stack), what="not well", seconds=20)
        stack.wait_until_it_signs()


def settle(stack: Stack) -> bool:
    end_halt(stack)
    return stack.authority.status().ready


# S04


@pytest.mark.parametrize(
    "digest",
    [
        pytest.param({"sha512": "a" * 128}, id="sha512 alone"),
        pytest.param({"sha1": "a" * 40}, id="20 bytes"),
        pytest.param({"sha256": base64.b64encode(b"a" * 32).decode()}, id="raw bytes in base64"),
        pytest.param({"raw": "a" * 64}, id="no algorithm"),
    ],
)
def test_S04_another_digest_than_sha256_is_no_request(stack: Stack, digest: dict[str, str]) -> None:
    body = {**QUESTION(stack.release()), "subjects": [{"name": "a", "digest": digest}]}
    with stack.unrecorded():
        assert stack.post("/v1/signatures", body).said == (400, "invalid-digest")


def test_S04_the_key_signs_our_statement_and_nothing_of_the_callers(stack: Stack) -> None:
    # A digest that is itself the hash of a payload: signed is a statement about it, never that digest.
    payload = pae("application/vnd.in-toto+json", b'{"_type":"https://in-toto.io/Statement/v1"}')
    wanted = Subject("payload", (Digest.of(payload),))
    release = stack.release()
    release.subject = wanted
    answer = stack.ask(release, release.evidence())
    assert answer.status == 200
    bundle = json.loads(base64.b64decode(answer.json["bundles"][0]["bundle"]))
    signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
    (row,) = stack.authority.reader().keys()
    key = load_spki(row.spki)
    ours = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    verify_signature(key, pae(bundle["dsseEnvelope"]["payloadType"], ours), signature)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    with pytest.raises(InvalidSignature):
        key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
    assert bundle["dsseEnvelope"]["signatures"][0]["keyid"] == keyid(row.spki)


# S05


def test_S05_a_repeat_is_the_same_answer_and_no_leaf(stack: Stack) -> None:
    release = stack.release()
    evidence = release.evidence()
    first = stack.ask(release, evidence, key="S05")
    with stack.unrecorded():
        again = [stack.ask(release, evidence, key="S05") for _ in range(3)]
    assert first.status == 200
    assert {answer.body for answer in again} == {first.body}
    denied = stack.release()
    bad = denied.evidence(scan=denied.scan(vulnerabilities=[("CVE-2026-1", "critical")]))
    refused = stack.ask(denied, bad, key="S05-denied")
    with stack.unrecorded():
        assert stack.ask(denied, bad, key="S05-denied").body == refused.body
    assert refused.said == (403, "denied")


@pytest.mark.parametrize("key", ["", " ", "a b", "\u00e9", "a" * 129, "a\tb"])
def test_S05_an_odd_key_is_refused(stack: Stack, key: str) -> None:
    release = stack.release()
    body = json.dumps(QUESTION(release)).encode()
    head = (
        "POST /v1/signatures HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\nIdempotency-Key: {key}\r\n\r\n"
    )
    with stack.unrecorded():
        answer = stack.raw(head.encode() + body)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"invalid-idempotency-key" in answer


def test_S05_the_same_request_at_once_is_judged_once(stack: Stack) -> None:
    release = stack.release()
    evidence = release.evidence()
    before = stack.size()
    bodies = in_threads(8, lambda _: stack.ask(release, evidence, key="S05-at-once").body)
    assert len(set(bodies)) == 1
    assert stack.size() == before + 2, "one decision and one outcome"


def in_threads(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Run `act` in as many threads at once; what each returned, in order."""
    results: list[Any] = [None] * count
    gate = threading.Barrier(count)

    def run(number: int) -> None:
        gate.wait()
        results[number] = act(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "it hangs"
    return results


# S06


def test_S06_a_hanging_token_costs_a_deadline_and_comes_back(stack: Stack) -> None:
    release = stack.release()
    (worker,) = stack.authority.workers()
    worker.suspend()
    try:
        answer = stack.ask(release, release.evidence(), key="S06", may_fail=True)
    finally:
        with contextlib.suppress(Exception):
            worker.resume()
    # The call had not begun, so it failed and may be tried again; had it begun, nobody could know.
    assert answer.said in {(503, "token-unavailable"), (503, "stale"), (409, "outcome-unknown")}
    assert "bundles" not in answer.json
    stack.wait_until_it_signs()
    assert stack.ask(release, release.evidence()).status == 200


def test_S06_a_wrong_pin_is_tried_once_and_no_other_key_stands_in(stack: Stack) -> None:
    pin_file = stack.authority.token.pin_file
    right = pin_file.read_text()
    before = stack.authority.log().count("PinIncorrect")
    try:
        pin_file.write_text("0000-wrong")
        restart_workers(stack)
        stack.wait(lambda: stack.authority.log().count("PinIncorrect") > before, what="the PIN was not tried")
        time.sleep(1.5)
        assert stack.authority.log().count("PinIncorrect") <= before + 2, "one attempt, told by worker and custodian"
        release = stack.release()
        signed = signed_outcomes(stack)
        answer = stack.ask(release, release.evidence(), may_fail=True)
        assert answer.status == 503, answer.body
        assert signed_outcomes(stack) == signed
        assert "0000-wrong" not in stack.authority.log()
    finally:
        pin_file.write_text(right)
        stack.wait_until_it_signs()


# S07

MIXED = 32

Ask = Callable[[Stack, Release], Answer]


def repeat(stack: Stack, release: Release) -> Answer:
    """Another body under the same key: fresh signatures are other bytes."""
    key = f"S07-{release.subject.name}"
    stack.ask(release, release.evidence(), key=key)
    return stack.ask(release, release.evidence(), key=key)


MIX: dict[str, tuple[tuple[int, str], Ask]] = {
    "good": ((200, ""), lambda stack, it: stack.ask(it, it.evidence())),
    "denied": ((403, "denied"), lambda stack, it: stack.ask(it, it.evidence(tests=it.tests(failed=1)))),
    "missing": ((409, "evidence-missing"), lambda stack, it: stack.ask(it, it.evidence(scan=None))),
    "mismatch": ((422, "subject-mismatch"), lambda stack, it: stack.ask(it, [stack.release().sbom()])),
    "malformed": ((400, "malformed-request"), lambda stack, it: stack.post("/v1/signatures", {"x": it.commit})),
    "forbidden": ((404, "not-found"), lambda stack, it: stack.ask(it, it.evidence(), policy="other")),
    "other": ((200, ""), lambda stack, it: stack.ask(it, it.evidence(), by="other", policy="other")),
    "repeat": ((409, "idempotency-conflict"), repeat),
}


def test_S07_many_callers_get_their_own_answers(stack: Stack) -> None:
    def act(number: int) -> list[tuple[str, Release, Answer]]:
        answers = []
        for turn in range(4):
            kind = list(MIX)[(number + turn) % len(MIX)]
            release = stack.release(f"part-{number}-{turn}")
            answers.append((kind, release, MIX[kind][1](stack, release)))
        return answers

    answers = [each for several in in_threads(MIXED, act) for each in several]
    assert {kind for kind, _, _ in answers} == set(MIX)
    assert len({answer.json["request_id"] for _, _, answer in answers}) == len(answers) == MIXED * 4
    for kind, release, answer in answers:
        assert answer.said == MIX[kind][0], (kind, answer.body[:300])
        subject = {"name": release.subject.name, "digest": {"sha256": release.subject.sha256}}
        if answer.status == 200:
            statement = signed_statement(answer)
            policy = "other" if kind == "other" else "demo"
            assert statement["subject"] == [subject]
            assert statement["predicate"]["resourceUri"].endswith(f"/{policy}/release")
        elif "decision" in answer.json:
            assert answer.json["decision"]["subjects"] == [subject]
            assert answer.json["decision"]["request_id"] == answer.json["request_id"]
    assert stack.authority.reader().open_decisions() == ()


def test_S07_a_worker_that_dies_while_it_signs_leaves_no_decision_open(stack: Stack) -> None:
    done = threading.Event()

    def act(number: int) -> Counter[tuple[int, str]]:
        said: Counter[tuple[int, str]] = Counter()
        release = stack.release(f"kill-{number}")
        evidence = release.evidence()
        while not done.is_set():
            said[stack.ask(release, evidence, may_fail=True).said] += 1
        return said

    def kill() -> None:
        for _ in range(4):
            time.sleep(0.25)
            restart_workers(stack)
        time.sleep(0.25)
        done.set()

    killer = threading.Thread(target=kill)
    killer.start()
    total: Counter[tuple[int, str]] = sum(in_threads(6, act), Counter())
    killer.join(10)
    assert total[200, ""] > 0
    assert {status for status, _ in total} <= {200, 409, 503}, total
    assert all(code == "outcome-unknown" for status, code in total if status == 409)
    stack.wait_until_it_signs()
    stack.wait(lambda: not stack.authority.reader().open_decisions(), what="a decision stays open")


# S08


def test_S08_without_a_durable_record_no_key_is_used(stack: Stack) -> None:
    release = stack.release()
    evidence = release.evidence()
    signed, size = signed_outcomes(stack), stack.size()
    database = stack.authority.directory / "state" / "ledger.db"
    other = sqlite3.connect(database, isolation_level=None, timeout=20)
    try:
        other.execute("BEGIN IMMEDIATE")
        answer = stack.ask(release, evidence, key="S08", may_fail=True)
        assert answer.said == (503, "ledger-unavailable"), answer.body
        assert int(answer.headers["Retry-After"]) >= 1
        # Reading goes on.
        assert stack.request("GET", "/v1/decisions").status == 200
        assert stack.request("GET", "/livez").status == 200
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert signed_outcomes(stack) == signed
    assert stack.size() == size
    stack.wait(lambda: stack.ask(release, evidence, key="S08", may_fail=True).status == 200, what="it does not heal")


def test_S08_a_full_disk_refuses_before_any_key_is_used(stack: Stack) -> None:
    assert stack.authority.process is not None
    custodian = stack.authority.process.pid
    # It may go on writing its log; every other file that it writes soon reaches the limit.
    limit = (stack.authority.directory / "custodian.log").stat().st_size + 256 * 1024
    soft, hard = resource.prlimit(custodian, resource.RLIMIT_FSIZE)
    resource.prlimit(custodian, resource.RLIMIT_FSIZE, (limit, hard))

    def refused() -> bool:
        fresh = stack.release()
        answer = stack.ask(fresh, fresh.evidence(), may_fail=True)
        assert answer.said in {(200, ""), (503, "ledger-unavailable")}, answer.body[:300]
        return answer.status == 503

    try:
        stack.wait(refused, what="the disk is never full")
        signed, size = signed_outcomes(stack), stack.size()
        assert all(refused() for _ in range(5))
        assert (signed_outcomes(stack), stack.size()) == (signed, size)
        # Reading goes on.
        assert stack.request("GET", "/v1/decisions").status == 200
    finally:
        resource.prlimit(custodian, resource.RLIMIT_FSIZE, (soft, hard))
    stack.wait(lambda: not refused(), what="it does not heal")


# S09


class Backend:
    """A token that shows the right key and answers with other bytes."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, answer: Callable[[bytes], bytes]) -> None:
        self._key = key
        self._answer = answer

    def public_key(self, uri: KeyUri, algorithm: Algorithm) -> FoundKey:  # noqa: ARG002 - the signature is the protocol's
        return FoundKey(spki=spki_der(self._key.public_key()), protection="none")

    def generate(self, uri: KeyUri, algorithm: Algorithm) -> FoundKey:
        raise NotImplementedError

    def sign(self, uri: KeyUri, algorithm: Algorithm, data: bytes) -> bytes:  # noqa: ARG002 - the signature is the protocol's
        return self._answer(data)


KEY = ec.generate_private_key(ec.SECP256R1())
WRONG: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "zeros": lambda _: b"\0" * 64,
    "the raw form": lambda _: os.urandom(64),
    "a signature of other bytes": lambda _: KEY.sign(b"other", ec.ECDSA(hashes.SHA256())),
    "a signature by another key": lambda digest: ec.generate_private_key(ec.SECP256R1()).sign(
        digest, ec.ECDSA(hashes.SHA256())
    ),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
def test_S09_a_wrong_signature_never_leaves_the_worker(answer: Callable[[bytes], bytes]) -> None:
    # SoftHSM signs rightly: the worker alone, over a token that does not.
    descriptor = os.memfd_create("board")
    try:
        os.truncate(descriptor, BOARD_SIZE)
        worker = TokenWorker(Backend(KEY, answer), board=Board(descriptor))
        result = worker.sign(
            Job(
                number=1,
                uri="pkcs11:token=signer;object=release;id=%01",
                spki=spki_der(KEY.public_key()),
                algorithm=Algorithm.ECDSA_P256,
                data=hashlib.sha256(b"statement").digest(),
                begin_by=time.monotonic_ns() + 10**9,
            )
        )
    finally:
        os.close(descriptor)
    assert (result.signature, result.code) == (b"", "self-check-failed")
    assert result.touched, "the device may have signed: the outcome says so"


# S10


def test_S10_a_halt_stops_every_worker_within_a_second(stack: Stack) -> None:
    release = stack.release()
    evidence = release.evidence()
    assert stack.ask(release, evidence, by="ci").status == 200
    assert stack.post("/v1/halt", {"reason": "drill"}).said == (403, "not-authorised")
    try:
        halt = stack.post("/v1/halt", {"reason": "drill"}, by="alice")
        assert halt.status == 200
        halted = time.monotonic()
        before = signed_outcomes(stack)
        answers = in_threads(12, lambda _: stack.ask(release, evidence))
        assert {answer.said for answer in answers} == {(423, "halted")}
        assert time.monotonic() - halted < 5
        assert signed_outcomes(stack) == before
        # Judging goes on, and so does looking.
        assert stack.ask(release, evidence, to="/v1/checks").status == 200
        assert stack.post("/v1/halt", {"reason": "again"}, by="alice").json == halt.json
        # Whoever may halt cannot resume alone, nor with the owners' words about another halt.
        index = halt.json["leaf"]
        act = stack.authority.sign_act("resume", index - 1, "0" * 64)
        for signatures in (act, act[:1]):
            body = {"halt_index": index, "signatures": [base64.b64encode(each).decode() for each in signatures]}
            assert stack.post("/v1/resume", body, by="alice").said == (403, "owner-threshold")
        assert stack.ask(release, evidence).said == (423, "halted")
    finally:
        end_halt(stack)
    assert stack.ask(release, evidence).status == 200


@pytest.mark.parametrize("status", ["retired", "compromised"])
def test_S10_a_key_that_owners_take_back_signs_nothing(stack: Stack, status: str) -> None:
    release = stack.release()
    version = stack.authority.trust().version
    try:
        stack.authority.publish_trust(version=version + 1, status=status)
        answer = stack.ask(release, release.evidence(), may_fail=True)
        assert answer.said == (503, "key-not-trusted")
    finally:
        stack.authority.publish_trust(version=version + 2)


def test_S10_the_settings_of_a_caller_start_no_second_authority(stack: Stack) -> None:
    # A second custodian over the same ledger could sign what the first halts.
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "signer.cli", "custodian", "--config", str(stack.settings)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 78, ended.stderr
    assert [leaf for leaf in stack.leaves() if isinstance(leaf, Decision)]
