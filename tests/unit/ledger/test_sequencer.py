# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.pool import PoolProxiedConnection

from signer.db import tables
from signer.errors import Malformed, Misconfigured, Unavailable
from signer.ledger.documents import StoredDocument
from signer.ledger.leaves import MAX_LEAF, HaltLeaf, decode_leaf
from signer.ledger.sequencer import Entry, Sequencer
from signer.tlog.checkpoint import verify_checkpoint
from signer.tlog.merkle import leaf_hash, verify_inclusion
from signer.tlog.note import parse_vkey
from tests.unit.ledger.world import ORIGIN, World, pragma, tamper
from tests.unit.tlog import naive_tree


@pytest.fixture
def sequencer(world: World) -> Sequencer:
    world.begin()
    return world.open()


def bodies(world: World) -> list[bytes]:
    return list(world.reader.leaves(0, 1024))


def assert_sound(world: World) -> None:
    """Leaves, head, checkpoint and guard say the same."""
    head, entries = world.reader.head(), bodies(world)
    assert head.size == len(entries)
    assert head.root == naive_tree.root(entries)
    latest = world.reader.latest_checkpoint()
    assert latest is not None
    assert world.guard.text() == latest.text
    assert latest.size == head.size


def test_an_append_gives_places_proofs_and_a_checkpoint(world: World, sequencer: Sequencer) -> None:
    for count in (1, 2, 7):
        before = world.reader.head().size
        batch = sequencer.append([world.halt(str(at)) for at in range(count)])
        assert (batch.first, batch.size) == (before, before + count)
        checkpoint = verify_checkpoint(batch.checkpoint.encode(), origin=ORIGIN, keys=[parse_vkey(sequencer.verifier)])
        assert checkpoint.root == naive_tree.root(bodies(world))
        for index, (body, proof) in enumerate(zip(batch.bodies, batch.proofs, strict=True), start=batch.first):
            assert world.reader.leaf(index) == body
            verify_inclusion(leaf_hash(body), index, checkpoint.size, proof, checkpoint.root)
    assert_sound(world)


def test_a_new_process_goes_on_where_the_last_one_ended(world: World, sequencer: Sequencer) -> None:
    for _ in range(5):
        sequencer.append([world.halt(), world.halt()])
        sequencer = world.open()
    assert sequencer.append([world.halt()]).size == 12
    assert_sound(world)


def test_an_append_of_nothing_is_a_mistake(sequencer: Sequencer) -> None:
    with pytest.raises(ValueError, match="at least one"):
        sequencer.append([])


def test_documents_are_kept_once(world: World, sequencer: Sequencer) -> None:
    first, second = world.decision(), world.decision()
    assert {each.digest for each in first.documents} == {each.digest for each in second.documents}
    sequencer.append([first, second])
    sequencer.append([world.decision()])
    with world.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.document)) == len(first.documents)


def test_a_document_under_another_digest_is_malformed() -> None:
    with pytest.raises(Malformed) as fault:
        StoredDocument("a" * 64, "text/plain", b"other bytes")
    assert fault.value.code == "digest-mismatch"


def test_a_leaf_beyond_4_kib_is_malformed_before_any_batch(world: World) -> None:
    with pytest.raises(Malformed) as fault:
        Entry(HaltLeaf(time=world.time(), reason="x" * MAX_LEAF, principal="person:1"))
    assert fault.value.code == "leaf-too-large"


def test_a_leaf_may_name_documents_that_the_ledger_holds(world: World, sequencer: Sequencer) -> None:
    entry = world.evidence()
    sequencer.append([entry])
    again = Entry(world.evidence().leaf)
    sequencer.append([again])
    assert_sound(world)


def test_a_leaf_that_names_an_unknown_document_is_refused_and_leaves_nothing(
    world: World, sequencer: Sequencer
) -> None:
    before = bodies(world)
    with pytest.raises(Malformed) as fault:
        sequencer.append([world.halt(), Entry(world.evidence().leaf)])
    assert fault.value.code == "document-missing"
    assert bodies(world) == before
    sequencer.append([world.halt()])
    assert_sound(world)


# Faults: each statement of the transaction, and the commit itself

TABLES = ["head", "leaf", "document", "decision", "decision_subject", "idempotency", "evidence", "checkpoint"]


@contextmanager
def denied(world: World, action: int, name: str) -> Iterator[None]:
    """The database refuses one kind of statement, on connections new and old."""

    def authorise(found: int, first: str | None, *_: str | None) -> int:
        return sqlite3.SQLITE_DENY if (found, first) == (action, name) else sqlite3.SQLITE_OK

    def connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_authorizer(authorise)

    event.listen(world.engine, "connect", connected)
    world.engine.dispose()
    yield
    event.remove(world.engine, "connect", connected)
    world.engine.dispose()


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("name", [*TABLES, "COMMIT"])
def test_a_database_error_before_the_commit_leaves_nothing(
    world: World, sequencer: Sequencer, name: str, times: int
) -> None:
    before = bodies(world)
    entry = world.decision(evidence=[world.evidence_document("new")], idempotency=("k" * 64, "b" * 64))
    action = sqlite3.SQLITE_TRANSACTION if name == "COMMIT" else sqlite3.SQLITE_INSERT
    if name == "head":
        action = sqlite3.SQLITE_UPDATE
    with denied(world, action, name):
        for _ in range(times):
            with pytest.raises(Unavailable) as fault:
                sequencer.append([entry])
            assert fault.value.code == "ledger-unavailable"
    assert bodies(world) == before
    # The same sequencer goes on: it reads the head again first.
    assert sequencer.append([entry]).first == len(before)
    assert_sound(world)


class Interrupted:
    """A connection that loses the answer to its commit, or dies around it."""

    def __init__(self, real: PoolProxiedConnection, around: Callable[[Callable[[], None]], None]) -> None:
        self._real, self._around = real, around

    def commit(self) -> None:
        self._around(self._real.commit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def interrupt(
    monkeypatch: pytest.MonkeyPatch, world: World, around: Callable[[Callable[[], None]], None]
) -> Callable[[], None]:
    real = world.engine.raw_connection
    monkeypatch.setattr(world.engine, "raw_connection", lambda: Interrupted(real(), around))
    return lambda: monkeypatch.setattr(world.engine, "raw_connection", real)


def lost_answer(commit: Callable[[], None]) -> None:
    commit()
    raise sqlite3.OperationalError("disk I/O error")


def test_an_error_after_the_commit_persisted_is_found_out_before_the_next_append(
    world: World, sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.reader.head().size
    restore = interrupt(monkeypatch, world, lost_answer)
    with pytest.raises(Unavailable):
        sequencer.append([world.halt("lost answer")])
    restore()
    # The leaf is durable and unpublished: the guard moves first when the head is read again.
    assert world.reader.head().size == before + 1
    published = world.guard.read()
    assert published is not None
    assert published.size == before
    assert sequencer.append([world.halt("next")]).first == before + 1
    assert_sound(world)


class Killed(BaseException):
    """The process ends right here."""


def kill_before(_commit: Callable[[], None]) -> None:
    raise Killed


def kill_after(commit: Callable[[], None]) -> None:
    commit()
    raise Killed


@pytest.mark.parametrize(
    ("around", "kept"), [(kill_before, 0), (kill_after, 1)], ids=["before the commit", "after the commit"]
)
def test_a_crash_around_the_commit_is_repaired_by_the_next_start(
    world: World,
    sequencer: Sequencer,
    monkeypatch: pytest.MonkeyPatch,
    around: Callable[[Callable[[], None]], None],
    kept: int,
) -> None:
    before = world.reader.head().size
    interrupt(monkeypatch, world, around)
    with pytest.raises(Killed):
        sequencer.append([world.halt()])
    sequencer = world.open()
    assert world.reader.head().size == before + kept
    assert_sound(world)
    sequencer.append([world.halt()])
    assert_sound(world)


@pytest.mark.parametrize("persisted", [False, True], ids=["not written", "written"])
def test_a_failing_guard_publishes_nothing_and_heals(
    world: World, sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch, persisted: bool
) -> None:
    before = world.guard.text()

    def failing(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as fault:
        fault.setattr("os.fdatasync" if persisted else "os.pwrite", failing)
        for _ in range(2):
            with pytest.raises(Unavailable) as error:
                sequencer.append([world.halt()])
            assert error.value.code == "ledger-unavailable"
    if not persisted:
        assert world.guard.text() == before
    # The first leaf is durable; the second append could not even publish that one, so it wrote nothing.
    assert sequencer.append([world.halt()]).first == 2
    assert_sound(world)


def test_a_full_disk_refuses_appends_and_keeps_answering(world: World, sequencer: Sequencer) -> None:
    before = bodies(world)
    with world.engine.connect() as connection:
        pages = connection.scalar(text("PRAGMA page_count"))
    big = StoredDocument.of(bytes(range(256)) * 400)
    with pragma(world.engine, f"max_page_count={pages}"):
        for _ in range(3):
            with pytest.raises(Unavailable) as fault:
                sequencer.append([Entry(world.halt().leaf, (big,))])
            assert "SQLITE_FULL" in fault.value.detail
        assert bodies(world) == before
    assert sequencer.append([Entry(world.halt().leaf, (big,))]).first == len(before)
    assert world.reader.document(big.digest) == big
    assert_sound(world)


def test_a_second_writer_cannot_split_the_history(world: World, sequencer: Sequencer) -> None:
    sequencer.append([world.halt()])
    other = Sequencer(world.engine, origin=ORIGIN, ledger_key=world.key, guard=world.guard)
    other.append([world.halt("by the other")])
    with pytest.raises(Unavailable) as fault:
        sequencer.append([world.halt("on the old head")])
    assert "another writer" in fault.value.detail
    sequencer.append([world.halt("on the new head")])
    assert_sound(world)


def test_a_database_that_went_back_under_a_running_writer_stops_it(world: World, sequencer: Sequencer) -> None:
    sequencer.append([world.halt(), world.halt()])
    tamper(world, "DELETE FROM leaf WHERE idx = 2")
    # An unrelated fault makes it look again.
    with denied(world, sqlite3.SQLITE_INSERT, "leaf"), pytest.raises(Unavailable):
        sequencer.append([world.halt()])
    with pytest.raises(Misconfigured) as fault:
        sequencer.append([world.halt()])
    assert fault.value.code == "ledger-damaged"


def test_a_decision_and_its_outcome_stand_in_two_batches(world: World, sequencer: Sequencer) -> None:
    batch = sequencer.append([world.decision(request="1" * 32)])
    assert [row.leaf for row in world.reader.open_decisions()] == [batch.first]
    sequencer.append([world.outcome(batch.first, "1" * 32)])
    assert world.reader.open_decisions() == ()
    outcome = world.reader.outcome(batch.first)
    assert outcome is not None
    assert outcome.status == "signed"


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param(lambda world: [world.outcome(99, "9" * 32)], id="an outcome of no decision"),
        pytest.param(lambda world: [world.outcome(0, "9" * 32)], id="an outcome of another kind of leaf"),
        pytest.param(
            lambda world: [world.decision(request="7" * 32), world.decision(request="7" * 32)],
            id="two decisions of one request",
        ),
        pytest.param(lambda world: [world.activation(), world.activation()], id="one version activated twice"),
    ],
)
def test_leaves_that_contradict_the_ledger_are_not_written(
    world: World, sequencer: Sequencer, entries: Callable[[World], list[Entry]]
) -> None:
    before = bodies(world)
    with pytest.raises(Unavailable):
        sequencer.append(entries(world))
    assert bodies(world) == before


def test_an_allowed_decision_has_one_outcome(world: World, sequencer: Sequencer) -> None:
    batch = sequencer.append([world.decision(request="1" * 32)])
    sequencer.append([world.outcome(batch.first, "1" * 32, status="unknown", reason="restart")])
    with pytest.raises(Unavailable):
        sequencer.append([world.outcome(batch.first, "1" * 32)])
    outcome = world.reader.outcome(batch.first)
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("unknown", "restart")


def test_leaf_0_is_the_genesis(world: World, sequencer: Sequencer) -> None:
    assert type(decode_leaf(bodies(world)[0])).__name__ == "Genesis"
    assert sequencer.verifier.startswith(ORIGIN + "+")
