# SPDX-License-Identifier: Apache-2.0
"""RFC 3161 timestamps: the worker against an authority in every mood, and the custodian with both."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rfc3161_client import VerifierBuilder, decode_timestamp_response

from signer.custodian.commands import Failed, Reply, Signed
from signer.custodian.timestamp_messages import Stamp, StampStart
from signer.custodian.timestamp_worker import Stamper
from signer.formats.bundle import parse_bundle, parse_message_bundle
from signer.formats.receipt import Receipt, parse_receipt
from signer.formats.timestamp import verify_timestamp
from signer.formats.trust_authority import TimestampAuthority
from signer.ledger.leaves import Outcome, decode_leaf
from signer.verify.answer import VerifiedRelease, verify_release
from signer.verify.bundle import Expectation
from signer.verify.checks import CheckFailed
from tests.authority import LiveAuthority
from tests.integration.test_outputs import image
from tests.timestamp_authority import MOODS, OwnAuthority, TimestampServer

OUTPUTS = "formats: [vsa, cosign, artifact], imageKey: images, artifactKey: files, timestamp: {}"
SIGNATURE = b"the bytes of a signature"
WITHIN = 5.0
"""Seconds within which the service is well again after a fault has ended."""


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimestampServer]:
    with TimestampServer(OwnAuthority(tmp_path_factory.mktemp("tsa"))) as server:
        yield server


@pytest.fixture(autouse=True)
def well(tsa: TimestampServer) -> Iterator[None]:
    yield
    tsa.mood, tsa.delay = "", 0.0


# The worker alone


@pytest.fixture
def stamper(tsa: TimestampServer) -> Stamper:
    return Stamper(StampStart(url=tsa.url, ca="", timeout=1.5, threads=2))


def ask(tsa: TimestampServer) -> Stamp:
    return Stamp(number=7, signature=SIGNATURE, chains=(tsa.authority.chain,))


@pytest.mark.parametrize("mood", MOODS)
def test_an_authority_that_does_wrong_gives_no_timestamp(stamper: Stamper, tsa: TimestampServer, mood: str) -> None:
    tsa.mood = mood
    before = time.monotonic()
    ended = stamper.stamp(ask(tsa))
    assert (ended.number, ended.response) == (7, b"")
    assert ended.detail
    assert time.monotonic() - before < 5, "no mood holds the worker beyond its deadline"
    # And what it said is not taken for the answer to the next question.
    tsa.mood = ""
    assert stamper.stamp(ask(tsa)).response


def test_a_redirect_is_not_followed(stamper: Stamper, tsa: TimestampServer) -> None:
    tsa.mood = "a redirect"
    asked = len(tsa.asked)
    stamper.stamp(ask(tsa))
    assert len(tsa.asked) == asked + 1


def test_a_proxy_of_the_environment_is_not_used(tsa: TimestampServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert Stamper(StampStart(url=tsa.url, ca="", timeout=1.5, threads=1)).stamp(ask(tsa)).response


def test_nobody_at_the_address_is_no_timestamp() -> None:
    stamper = Stamper(StampStart(url="http://127.0.0.1:9/", ca="", timeout=0.5, threads=1))
    assert "did not answer" in stamper.stamp(Stamp(number=1, signature=SIGNATURE, chains=())).detail


def test_without_a_pin_no_answer_counts(stamper: Stamper) -> None:
    assert "pins no timestamp authority" in stamper.stamp(Stamp(number=1, signature=SIGNATURE, chains=())).detail


# The custodian


def found(folder: Path, tsa: TimestampServer, *, mode: str) -> LiveAuthority:
    section = f'[timestamp]\nurl = "{tsa.url}"\ntimeout = 1.5\n'
    authority = LiveAuthority.found(folder, outputs=OUTPUTS.format(mode), timestamp=section)
    pinned = TimestampAuthority(name="tsa", certificates=tsa.authority.chain, not_before=authority.now, not_after=None)
    authority.stamping = (pinned,)
    return authority


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, tsa: TimestampServer) -> Iterator[LiveAuthority]:
    with found(tmp_path_factory.mktemp("required"), tsa, mode="required").running() as authority:
        yield authority


@pytest.fixture
def ready(live: LiveAuthority) -> LiveAuthority:
    """The custodian once it has forgotten the failures of the test before."""
    live.wait_until_ready(WITHIN)
    return live


def ask_for(live: LiveAuthority, name: str) -> Reply:
    return live.ask(live.decide(None, image(name.encode())))


def receipt_of(reply: Reply) -> Receipt:
    assert isinstance(reply, Signed), reply
    return parse_receipt(reply.receipt)


def verify(live: LiveAuthority, receipt: bytes, name: str, *, timestamp: bool) -> VerifiedRelease:
    row = live.reader().trust()
    assert row is not None
    (statement, *_) = parse_receipt(receipt).bundles
    expect = Expectation(subjects=(image(name.encode()),), timestamp=timestamp)
    return verify_release(row.file, bundle=statement.bundle, receipt=receipt, expect=expect, allow_dev=False)


def last_outcome(live: LiveAuthority) -> Outcome:
    reader = live.reader()
    leaf = decode_leaf(reader.leaf(reader.head().size - 1))
    assert isinstance(leaf, Outcome)
    return leaf


def worker_of(live: LiveAuthority) -> psutil.Process:
    (worker,) = (each for each in live.workers() if "signer.custodian.timestamp_worker" in each.cmdline())
    return worker


def test_every_signature_is_timestamped_and_the_leaf_says_so(
    ready: LiveAuthority, tsa: TimestampServer, tmp_path: Path
) -> None:
    reply = ask_for(ready, "a")
    receipt = receipt_of(reply)
    assert [(each.format, each.result, each.timestamp) for each in last_outcome(ready).signatures] == [
        ("vsa", "signed", "granted"),
        ("cosign", "signed", "granted"),
        ("artifact", "signed", "granted"),
    ]
    statement, *others = receipt.bundles
    envelope = parse_bundle(statement.bundle)
    pairs = [(envelope.envelope.signatures[0].sig, envelope.timestamps)]
    pairs += [(each.signature, each.timestamps) for each in (parse_message_bundle(one.bundle) for one in others)]
    (tmp_path / "root.pem").write_bytes(tsa.authority.pem)
    for signature, (stamp,) in pairs:
        # By our verifier, by the library alone, and by OpenSSL.
        verify_timestamp(stamp, signature=signature, chain=tsa.authority.chain)
        library = VerifierBuilder().add_root_certificate(tsa.authority.root).build()
        assert library.verify_message(decode_timestamp_response(stamp), signature)
        (tmp_path / "stamp").write_bytes(stamp)
        (tmp_path / "signature").write_bytes(signature)
        command = ["openssl", "ts", "-verify", "-data", "signature", "-in", "stamp", "-CAfile", "root.pem"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert isinstance(reply, Signed)
    verified = verify(ready, reply.receipt, "a", timestamp=True)
    assert verified.bundle.timestamp is not None
    assert verified.bundle.timestamp.authority == "tsa"


def test_the_worker_speaks_to_the_authority_and_to_nobody_else(ready: LiveAuthority, tsa: TimestampServer) -> None:
    receipt_of(ask_for(ready, "b"))
    worker = worker_of(ready)
    assert {each.raddr[1] for each in worker.net_connections("inet")} == {tsa.port}
    custodian = psutil.Process(worker.ppid())
    assert custodian.net_connections("inet") == [], "the custodian itself opens none"
    assert not any("softhsm" in each.path for each in worker.memory_maps()), "the worker loads no key library"


@pytest.mark.parametrize("mood", ["rejection", "another nonce", "another imprint", "another authority", "silent"])
def test_without_the_timestamp_that_the_policy_requires_nothing_is_released(
    ready: LiveAuthority, tsa: TimestampServer, mood: str
) -> None:
    tsa.mood = mood
    about = image(mood.encode())
    evidence = ready.evidence(about)
    reply = ready.ask(ready.decide(evidence, about, key=mood))
    assert isinstance(reply, Failed)
    assert (reply.code, reply.family) == ("timestamp-unavailable", "unavailable")
    leaf = last_outcome(ready)
    assert (leaf.status, leaf.reason) == ("failed", "timestamp")
    assert {(each.result, each.timestamp, each.bundle) for each in leaf.signatures} == {("signed", "failed", None)}
    # The authority is well again: the same request goes on, with no restart.
    tsa.mood = ""
    ready.wait_until_ready(WITHIN)
    receipt_of(ready.ask(ready.decide(evidence, about, key=mood)))


def test_while_the_authority_fails_nothing_is_decided(ready: LiveAuthority, tsa: TimestampServer) -> None:
    tsa.mood = "an error"
    assert isinstance(ask_for(ready, "c"), Failed)
    size = ready.status().tree_size
    report = ready.status()
    assert not report.ready
    assert any("timestamp" in problem for problem in report.problems)
    reply = ask_for(ready, "d")
    assert isinstance(reply, Failed)
    assert reply.code == "timestamp-unavailable"
    assert ready.status().tree_size == size


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_a_worker_that_is_lost_is_replaced(ready: LiveAuthority, tsa: TimestampServer, sent: signal.Signals) -> None:
    worker = worker_of(ready)
    tsa.delay = 0.3
    os.kill(worker.pid, sent)
    replies = [ask_for(ready, f"{sent.name}-first")]
    tsa.delay = 0.0
    deadline = time.monotonic() + WITHIN
    while not isinstance(replies[-1], Signed):
        assert time.monotonic() < deadline, replies
        assert isinstance(replies[-1], Failed)
        time.sleep(0.1)
        replies.append(ask_for(ready, f"{sent.name}-{len(replies)}"))
    assert worker_of(ready).pid != worker.pid


def test_a_trust_document_that_pins_no_authority_lets_nothing_be_decided(tmp_path: Path, tsa: TimestampServer) -> None:
    authority = found(tmp_path / "unpinned", tsa, mode="required")
    authority.stamping = ()
    with authority.running():
        size = authority.status().tree_size
        reply = ask_for(authority, "e")
        assert isinstance(reply, Failed)
        assert (reply.code, "pins no timestamp authority" in reply.detail) == ("timestamp-unavailable", True)
        assert authority.status().tree_size == size


def test_a_policy_that_can_do_without_gets_its_signature_and_the_leaf_says_what_is_missing(
    tmp_path: Path, tsa: TimestampServer
) -> None:
    with found(tmp_path / "best-effort", tsa, mode="best-effort").running() as authority:
        tsa.mood = "an error"
        reply = ask_for(authority, "f")
        assert isinstance(reply, Signed)
        assert [each.timestamp for each in last_outcome(authority).signatures] == ["failed"] * 3
        assert verify(authority, reply.receipt, "f", timestamp=False).bundle.timestamp is None
        with pytest.raises(CheckFailed) as caught:
            verify(authority, reply.receipt, "f", timestamp=True)
        assert caught.value.code == "timestamp-missing"
        # While it fails it is not even asked; once it is well, it is again.
        tsa.mood = ""
        deadline = time.monotonic() + WITHIN
        while True:
            receipt_of(ask_for(authority, f"g{time.monotonic()}"))
            if last_outcome(authority).signatures[0].timestamp == "granted":
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)
