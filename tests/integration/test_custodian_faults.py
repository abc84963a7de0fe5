# SPDX-License-Identifier: Apache-2.0
"""Kills and stops under load: what was acknowledged is in the ledger, what is open is closed, service comes back."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psutil
import pytest

from signer.custodian.commands import Decide, Done, Failed, Halt, OutcomeUnknown, Reply, Signed, Stale
from signer.errors import Unavailable
from signer.formats.receipt import parse_receipt
from signer.ledger import leaves
from signer.tlog.merkle import Edge, leaf_hash
from tests.authority import LiveAuthority, subject

CLIENTS = 8


@pytest.fixture
def authority(tmp_path: Path) -> LiveAuthority:
    return LiveAuthority.found(tmp_path / "authority", level="minimum", token_deadline=0.5)


@dataclass
class Load:
    """Clients that ask for distinct signatures until told to stop."""

    authority: LiveAuthority
    numbers: Iterator[int] = field(default_factory=count)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopping: threading.Event = field(default_factory=threading.Event)
    replies: list[tuple[Decide, Reply | None, float]] = field(default_factory=list)

    def ask(self) -> None:
        client = self.authority.new_client(timeout=20)
        while not self.stopping.is_set():
            with self.lock:
                number = next(self.numbers)
            command = self.authority.decide(None, subject(number))
            try:
                reply: Reply | None = client.ask(command)
            except Unavailable:
                # The custodian is away: its answer is lost, its ledger is not.
                reply = None
                self.stopping.wait(0.02)
            with self.lock:
                self.replies.append((command, reply, time.monotonic()))
        client.close()

    def of(self, kind: type[Reply]) -> list[Reply]:
        return [reply for _, reply, _ in self.replies if isinstance(reply, kind)]

    def wait_for(self, signed: int) -> None:
        deadline = time.monotonic() + 30
        while len(self.of(Signed)) < signed:
            assert time.monotonic() < deadline, (self.replies[-3:], self.authority.log()[-2000:])
            time.sleep(0.01)


@contextmanager
def loaded(authority: LiveAuthority) -> Iterator[Load]:
    load = Load(authority)
    threads = [threading.Thread(target=load.ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stopping.set()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)


def assert_the_record_is_whole(authority: LiveAuthority, load: Load) -> None:
    """No signature without its two leaves, every acknowledged leaf present, nothing open, one tree."""
    reader = authority.reader()
    size = reader.head().size
    bodies = [body for start in range(0, size, 1000) for body in reader.leaves(start, min(start + 1000, size))]
    edge = Edge(0, ())
    for body in bodies:
        edge = edge.append(leaf_hash(body))
    assert edge.root() == reader.head().root
    kinds = [leaves.decode_leaf(body) for body in bodies]
    allowed = {leaf.request: index for index, leaf in enumerate(kinds) if isinstance(leaf, leaves.Decision)}
    outcomes = [leaf for leaf in kinds if isinstance(leaf, leaves.Outcome)]
    assert sorted(leaf.request for leaf in outcomes) == sorted(allowed), "each ALLOW ended exactly once"
    ended = {leaf.request: leaf for leaf in outcomes}
    for command, reply, _ in load.replies:
        request = command.judge.request_id
        match reply:
            case Signed():
                receipt = parse_receipt(reply.receipt)
                assert bodies[receipt.decision.index] == receipt.decision.leaf
                assert bodies[receipt.outcome.index] == receipt.outcome.leaf
                assert (receipt.request_id, ended[request].status) == (request, "signed")
                assert receipt.decision.index < receipt.outcome.index
            case OutcomeUnknown():
                assert ended[request].status == "unknown"
            case Failed():
                assert request not in ended or ended[request].status != "signed"
            case _:
                # Stale has no leaf; a lost answer may have any.
                assert reply is None or isinstance(reply, Stale), reply


def test_killed_token_workers_cost_only_what_they_had_in_hand(authority: LiveAuthority) -> None:
    kills = 5
    with authority.running(), loaded(authority) as load:
        for kill in range(kills):
            load.wait_for(20 * (kill + 1))
            for worker in authority.workers():
                worker.send_signal(signal.SIGKILL)
        load.wait_for(len(load.of(Signed)) + 20)
        load.stopping.set()
    authority.start()
    assert_the_record_is_whole(authority, load)
    assert len(load.of(OutcomeUnknown)) <= kills * CLIENTS
    authority.stop()


def test_a_stopped_token_worker_is_replaced_at_its_deadline(authority: LiveAuthority) -> None:
    with authority.running(), loaded(authority) as load:
        load.wait_for(20)
        (worker,) = authority.workers()
        worker.send_signal(signal.SIGSTOP)
        load.wait_for(len(load.of(Signed)) + 40)
        assert not psutil.pid_exists(worker.pid) or worker.status() == psutil.STATUS_ZOMBIE
    authority.start()
    assert_the_record_is_whole(authority, load)
    authority.stop()


def test_a_killed_custodian_loses_nothing_that_it_acknowledged(authority: LiveAuthority) -> None:
    with authority.running(), loaded(authority) as load:
        for kill in range(3):
            load.wait_for(15 * (kill + 1))
            authority.stop(signal.SIGKILL)
            authority.start()
        load.wait_for(len(load.of(Signed)) + 15)
        load.stopping.set()
    authority.start()
    assert_the_record_is_whole(authority, load)
    authority.stop()


def test_a_halt_stops_all_signing_within_a_second(authority: LiveAuthority) -> None:
    with authority.running(), loaded(authority) as load:
        load.wait_for(30)
        assert isinstance(authority.ask(Halt(principal="robot:ci", reason="drill")), Done)
        halted = time.monotonic()
        time.sleep(0.5)
        with load.lock:
            late = [at - halted for _, reply, at in load.replies if isinstance(reply, Signed) and at > halted]
        time.sleep(1.0)
        with load.lock:
            after = [at - halted for _, reply, at in load.replies if isinstance(reply, Signed) and at > halted]
        assert late == after, "nothing is signed later"
        assert all(delay < 1 for delay in after)
        assert {reply.code for reply in load.of(Failed) if isinstance(reply, Failed)} == {"halted"}


def test_a_full_queue_refuses_and_recovers(tmp_path: Path) -> None:
    authority = LiveAuthority.found(tmp_path / "authority", level="minimum", queue=3, token_deadline=2.0)
    with authority.running():
        (worker,) = authority.workers()
        worker.send_signal(signal.SIGSTOP)
        with loaded(authority) as load:
            deadline = time.monotonic() + 20
            while not load.of(Failed):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            load.wait_for(20)
        codes = {reply.code for reply in load.of(Failed) if isinstance(reply, Failed)}
        assert codes == {"overloaded"}
        assert_the_record_is_whole(authority, load)


@pytest.fixture
def signs_again(authority: LiveAuthority) -> Callable[[], None]:
    def check() -> None:
        deadline = time.monotonic() + 20
        for number in count(900_000):
            if isinstance(authority.ask(authority.decide(None, subject(number))), Signed):
                return
            assert time.monotonic() < deadline, authority.log()[-2000:]

    return check


def test_a_ledger_that_another_writer_locks_answers_503_and_serves_again(
    authority: LiveAuthority, signs_again: Callable[[], None]
) -> None:
    import sqlite3  # noqa: PLC0415 - as an operator's tool would

    with authority.running():
        command = authority.decide(None, subject(1))
        path = authority.settings.ledger.database.removeprefix("sqlite:///")
        intruder = sqlite3.connect(path, isolation_level=None)
        intruder.execute("BEGIN IMMEDIATE")
        reply = authority.ask(command)
        assert isinstance(reply, Failed)
        assert reply.code == "ledger-unavailable"
        intruder.execute("ROLLBACK")
        intruder.close()
        signs_again()
