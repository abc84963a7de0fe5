# SPDX-License-Identifier: Apache-2.0
"""The custodian as a process, on SQLite and SoftHSM: the sign flow, and what may stop it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from signer.custodian.commands import (
    Check,
    Checked,
    Decide,
    Done,
    Failed,
    Halt,
    KeepEvidence,
    Kept,
    NotSigned,
    Reply,
    Resume,
    Signed,
)
from signer.formats.bundle import parse_bundle
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import pae
from signer.formats.receipt import parse_receipt
from signer.formats.spki import load_spki, spki_pem
from signer.formats.strict_json import parse_object
from signer.ledger.guard import Guard
from signer.ledger.leaves import Decision, HaltLeaf, Outcome, decode_leaf
from signer.tlog.checkpoint import parse_checkpoint
from signer.tlog.merkle import leaf_hash, verify_inclusion
from signer.tlog.proof import parse_proof
from tests.authority import LABEL, LiveAuthority, subject
from tests.integration.softhsm import TestToken

STRANGER = """\
import os, socket, sys
os.setgid(65534)
os.setuid(65534)
channel = socket.socket(socket.AF_UNIX)
channel.settimeout(10)
channel.connect(sys.argv[1])
try:
    channel.sendall(bytes.fromhex("0000000e81a474797065a6737461747573"))
    print(channel.recv(100))
except (BrokenPipeError, ConnectionResetError):
    print(b"")
"""
"""Asks for the status as another user."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAuthority]:
    authority = LiveAuthority.found(tmp_path_factory.mktemp("authority"))
    with authority.running():
        yield authority


@pytest.fixture
def own(tmp_path: Path) -> LiveAuthority:
    """An authority that a test may break."""
    return LiveAuthority.found(tmp_path / "authority", token_deadline=1.0)


def code(reply: Reply) -> str:
    assert isinstance(reply, Failed), reply
    return reply.code


def test_a_signature_verifies_with_openssl_and_both_leaves_with_the_published_tree(
    live: LiveAuthority, tmp_path: Path
) -> None:
    reply = live.ask(live.decide(None, subject(1)))
    assert isinstance(reply, Signed)
    receipt = parse_receipt(reply.receipt)
    (output,) = receipt.bundles
    envelope = parse_bundle(output.bundle).envelope
    (key,) = live.trust().keys
    (tmp_path / "key.pem").write_text(spki_pem(load_spki(key.spki)))
    (tmp_path / "pae").write_bytes(pae(envelope.payload_type, envelope.payload))
    (tmp_path / "sig").write_bytes(envelope.signatures[0].sig)
    subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "pae"], cwd=tmp_path, check=True
    )
    published = Guard(live.settings.ledger.guard).read()
    assert published is not None
    for proven, kind in ((receipt.decision, Decision), (receipt.outcome, Outcome)):
        assert isinstance(decode_leaf(proven.leaf), kind)
        proof = parse_proof(proven.proof)
        checkpoint, _ = parse_checkpoint(proof.checkpoint.encode())
        verify_inclusion(leaf_hash(proven.leaf), proven.index, checkpoint.size, proof.hashes, checkpoint.root)
        assert checkpoint.size <= published.size, "nothing is seen outside that the guard does not hold"


def test_a_denial_names_its_leaf_and_a_check_leaves_none(live: LiveAuthority) -> None:
    size = live.status().tree_size
    checked = live.ask(Check(judge=live.judge((), subject(2))))
    assert isinstance(checked, Checked)
    assert live.status().tree_size == size
    denied = live.ask(Decide(judge=live.judge((), subject(2))))
    assert isinstance(denied, NotSigned)
    document = parse_object(denied.decision, limit=1 << 20)
    assert (document["verdict"], document["leaf"]) == ("deny", denied.leaf)
    assert live.status().tree_size == size + 1


def test_kept_evidence_is_used_without_being_sent_again(live: LiveAuthority) -> None:
    items = live.judge(live.evidence(subject(3)), subject(3)).new
    kept = live.ask(KeepEvidence(request_id="0" * 32, principal="robot:ci", policy="demo", items=items))
    assert isinstance(kept, Kept)
    command = live.decide((), subject(3))
    assert command.judge.new == ()
    assert isinstance(live.ask(command), Signed)


def test_a_replay_is_the_same_receipt_byte_for_byte(live: LiveAuthority) -> None:
    evidence = live.evidence(subject(4))
    first = live.ask(live.decide(evidence, subject(4), key="replay"))
    assert isinstance(first, Signed)
    live.ask(live.decide(None, subject(5)))
    assert live.ask(live.decide(evidence, subject(4), key="replay")) == first
    other = live.evidence(subject(6))
    assert code(live.ask(live.decide(other, subject(6), key="replay"))) == "idempotency-conflict"


def test_a_replay_survives_a_restart(own: LiveAuthority) -> None:
    with own.running():
        evidence = own.evidence()
        first = own.ask(own.decide(evidence, key="k"))
        assert own.stop() == 0
        own.start()
        assert own.ask(own.decide(evidence, key="k")) == first
        assert isinstance(own.ask(own.decide(None, subject(1))), Signed)


def test_a_thousand_subjects_are_signed_as_one(live: LiveAuthority) -> None:
    subjects = [subject(10_000 + number) for number in range(1000)]
    reply = live.ask(live.decide(None, *subjects))
    assert isinstance(reply, Signed)
    assert len(parse_receipt(reply.receipt).bundles) == 1


def test_the_owners_resume_after_a_halt(own: LiveAuthority) -> None:
    with own.running():
        halted = own.ask(Halt(principal="person:alice", reason="drill"))
        assert isinstance(halted, Done)
        assert code(own.ask(own.decide())) == "halted"
        digest = sha256_hex(own.reader().leaf(halted.leaf))
        for owners, expected in ((1, Failed), (2, Done)):
            signatures = own.sign_act("resume", halted.leaf, digest, owners=owners)
            reply = own.ask(Resume(principal="person:alice", halt_index=halted.leaf, signatures=signatures))
            assert isinstance(reply, expected)
        assert isinstance(own.ask(own.decide()), Signed)


def test_one_ledger_has_one_custodian(own: LiveAuthority) -> None:
    with own.running(ready=False):
        second = subprocess.run(
            [sys.executable, "-P", sys.modules[LiveAuthority.__module__].__file__ or "", own.directory / "signer.toml"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert second.returncode != 0
        assert "ledger-in-use" in second.stderr
        assert own.status().tree_size == 1


def test_a_token_that_goes_away_costs_503_and_no_leaf_until_it_returns(own: LiveAuthority) -> None:
    token = TestToken(own.directory / "token", own.token)
    with own.running():
        assert isinstance(own.ask(own.decide(None, subject(1))), Signed)
        token.vanish()
        # The first request finds out: its ALLOW stands, its outcome is failed, no signature left.
        assert code(own.ask(own.decide(None, subject(2)))) == "token-unavailable"
        while own.status().ready:
            time.sleep(0.05)
        size = own.status().tree_size
        assert code(own.ask(own.decide(None, subject(3)))) == "token-unavailable"
        assert own.status().tree_size == size, "zero key operations, nothing decided"
        assert isinstance(own.ask(Decide(judge=own.judge((), subject(4)))), NotSigned), "denials go on"
        token.return_()
        own.wait_until_ready()
        assert isinstance(own.ask(own.decide(None, subject(5))), Signed)


def test_a_wrong_pin_never_reaches_a_log_and_the_right_one_helps_without_a_restart(own: LiveAuthority) -> None:
    right = own.token.pin_file.read_text()
    with own.running():
        own.token.pin_file.write_text("20406080")
        own.kill_token_worker()
        while own.status().ready:
            time.sleep(0.05)
        assert code(own.ask(own.decide())) == "token-unavailable"
        own.token.pin_file.write_text(right)
        own.wait_until_ready()
        assert isinstance(own.ask(own.decide()), Signed)
    assert "20406080" not in own.log()
    assert right not in own.log()


def test_a_start_with_a_wrong_pin_tries_it_once_however_often_it_is_started(own: LiveAuthority) -> None:
    right = own.token.pin_file.read_text()
    with own.running():
        own.stop()
        own.token.pin_file.write_text("20406080")
        assert "PinIncorrect" in own.refuses_to_start()
        again = own.refuses_to_start()
        assert again.startswith("pin-refused")
        assert "PinIncorrect" not in again
        assert str(own.token.pin_file) in again
        own.token.pin_file.write_text(right)
        own.start()
        own.wait_until_ready()
    assert own.log().count('login to token signer: PinIncorrect","room') == 1
    assert "20406080" not in own.log()


def test_a_key_that_was_swapped_halts_all_signing(own: LiveAuthority) -> None:
    token = TestToken(own.directory / "token", own.token)
    with own.running():
        token.run("remove('release')")
        token.make_key()
        own.kill_token_worker()
        while not own.status().halted:
            time.sleep(0.05)
        assert code(own.ask(own.decide())) == "halted"
        assert any("key-pin-mismatch" in problem for problem in own.status().problems)
        # A start with the wrong key serves nobody.
        own.stop()
        assert own.refuses_to_start().startswith("key-pin-mismatch")


def test_a_start_with_a_swapped_key_is_refused_and_stands_in_the_ledger(own: LiveAuthority) -> None:
    token = TestToken(own.directory / "token", own.token)
    with own.running():
        own.stop()
        token.run("remove('release')")
        token.make_key()
        assert own.refuses_to_start().startswith("key-pin-mismatch")
        reader = own.reader()
        newest = decode_leaf(reader.leaf(reader.head().size - 1))
        assert isinstance(newest, HaltLeaf)
        assert "key-pin-mismatch" in newest.reason


def test_a_start_that_only_a_person_can_mend_ends_with_the_remedy(own: LiveAuthority) -> None:
    token = TestToken(own.directory / "token", own.token)
    pin = own.token.pin_file.read_text()
    with own.running():
        own.stop()
        own.token.pin_file.write_text("")
        said = [own.refuses_to_start()]
        own.token.pin_file.write_text(pin)
        token.make_key()
        said.append(own.refuses_to_start())
        token.run("remove('release')")
        said.append(own.refuses_to_start())
    assert [line.split(": ", 1)[0] for line in said] == ["pin-unreadable", "key-ambiguous", "key-missing"]
    assert all(len(line.rsplit("; ", 1)[1]) > 20 for line in said), "each ends with its remedy"


def test_an_ambiguous_key_is_never_recorded(own: LiveAuthority) -> None:
    token = TestToken(own.directory / "token", own.token)
    with own.running():
        token.make_key("spare", 2)
        token.make_key("spare", 2)
        assert code(own.add_key("spare")) == "key-ambiguous"
        token.run("remove('spare')")
        assert isinstance(own.add_key("spare"), Done)
        assert own.add_key("spare") == own.add_key("spare")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another uid")
def test_another_uid_is_refused_by_the_kernels_word(own: LiveAuthority) -> None:
    with own.running(ready=False):
        for path in (own.settings.custodian.socket, own.settings.custodian.admin_socket):
            # As if the directory and the file let everybody in.
            for folder in (path, *path.parents):
                if folder != Path("/") and folder.owner() == "root" and folder.is_relative_to("/tmp"):
                    folder.chmod(folder.stat().st_mode | 0o007)
            said = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    STRANGER,
                    str(path),
                ],
                capture_output=True,
                text=True,
                check=True,
                timeout=30,
            )
            assert said.stdout.strip() == "b''", said
        assert "uid 65534 is not allowed" in own.log()
        assert own.status().tree_size == 1


def test_a_sigterm_answers_what_is_in_work(own: LiveAuthority) -> None:
    with own.running():
        command = own.decide()
        (worker,) = own.workers()
        worker.send_signal(signal.SIGSTOP)
        replies: list[Reply] = []
        asking = threading.Thread(target=lambda: replies.append(own.ask(command)))
        asking.start()
        while not own.reader().open_decisions():
            time.sleep(0.01)
        assert own.process is not None
        own.process.send_signal(signal.SIGTERM)
        asking.join(20)
        assert [type(reply) for reply in replies] == [Signed]
        assert own.process.wait(20) == 0
        own.process = None


def test_workers_die_with_a_killed_custodian(own: LiveAuthority) -> None:
    with own.running(ready=False):
        while not own.workers():
            time.sleep(0.01)
        workers = own.workers()
        own.stop(signal.SIGKILL)
        for worker in workers:
            worker.wait(10)
        own.start()


def test_a_half_sent_frame_is_no_command(live: LiveAuthority) -> None:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(live.settings.custodian.socket))
        channel.sendall(b"\0\0\0\x0e\x81\xa4type")
    assert live.status().ready
    assert LABEL in live.log()
