# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.errors import Malformed, Misconfigured
from signer.ledger.gate import open_ledger
from signer.ledger.guard import Guard
from signer.ledger.sequencer import Sequencer
from tests.unit.ledger.world import ORIGIN, World, tamper


@pytest.fixture
def sequencer(world: World) -> Sequencer:
    world.begin()
    return world.open()


def refused(world: World) -> Misconfigured:
    with pytest.raises(Misconfigured) as fault:
        world.open()
    assert fault.value.remedy
    return fault.value


def copy_database(world: World, name: str) -> Path:
    world.close()
    return Path(shutil.copy(world.path / "ledger.db", world.path / name))


def restore_database(world: World, copy: Path) -> None:
    world.close()
    assert not (world.path / "ledger.db-wal").exists()
    shutil.copy(copy, world.path / "ledger.db")


def test_a_ledger_that_agrees_with_itself_opens(world: World, sequencer: Sequencer) -> None:
    for _ in range(300):
        sequencer.append([world.halt(), world.halt()])
    assert world.open().append([world.halt()]).first == 601


def test_a_restored_older_database_is_refused_naming_the_guard(world: World, sequencer: Sequencer) -> None:
    sequencer.append([world.halt()])
    older = copy_database(world, "older.db")
    world.open().append([world.halt()])
    restore_database(world, older)
    fault = refused(world)
    assert fault.code == "ledger-rolled-back"
    assert str(world.guard.path) in fault.detail
    assert "size 3" in fault.detail
    assert "only 2" in fault.detail


@pytest.mark.parametrize("more", [1, 2, 40], ids=["of the same size", "larger", "much larger"])
def test_another_history_behind_the_same_guard_is_refused(world: World, sequencer: Sequencer, more: int) -> None:
    sequencer.append([world.halt()])
    older = copy_database(world, "older.db")
    guard = world.guard.path.read_bytes()
    world.open().append([world.halt("the one")])
    published = world.guard.path.read_bytes()
    restore_database(world, older)
    world.guard.path.write_bytes(guard)
    forked = world.open()
    for _ in range(more):
        forked.append([world.halt("the other")])
    world.close()
    world.guard.path.write_bytes(published)
    assert refused(world).code == "ledger-forked"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(lambda world: world.guard.path.unlink(), "guard-missing", id="no guard file"),
        pytest.param(lambda world: world.guard.path.write_bytes(bytes(8192)), "guard-missing", id="an empty guard"),
        pytest.param(lambda world: world.guard.path.write_bytes(b"?" * 8192), "guard-damaged", id="a damaged guard"),
    ],
)
def test_a_ledger_without_its_guard_is_refused(
    world: World, sequencer: Sequencer, spoil: Callable[[World], None], code: str
) -> None:
    world.close()
    spoil(world)
    assert refused(world).code == code


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        pytest.param(
            "UPDATE leaf SET body = CAST(body || ' ' AS BLOB) WHERE idx = 3", "leaf 3", id="a byte more in a leaf"
        ),
        pytest.param("UPDATE leaf SET body = CAST(body AS TEXT) WHERE idx = 3", "leaf 3", id="text for bytes"),
        pytest.param("UPDATE leaf SET hash = zeroblob(32) WHERE idx = 3", "edge", id="another leaf hash"),
        pytest.param("DELETE FROM leaf WHERE idx = 5", "missing", id="the last leaf gone"),
        pytest.param("DELETE FROM leaf WHERE idx = 3", "", id="a leaf in the middle gone"),
        pytest.param("INSERT INTO leaf VALUES (6, zeroblob(32), x'00')", "leaf 6", id="a leaf too many"),
        pytest.param("UPDATE head SET size = 5", "head", id="a smaller head"),
        pytest.param("UPDATE head SET root = zeroblob(32)", "root", id="another root in the head"),
        pytest.param("UPDATE head SET edge = substr(edge, 1, 32)", "size", id="half an edge"),
        pytest.param("DELETE FROM checkpoint WHERE size = 6", "latest checkpoint", id="the last checkpoint gone"),
        pytest.param("UPDATE checkpoint SET text = 'x' WHERE size = 6", "latest checkpoint", id="another checkpoint"),
    ],
)
def test_a_tampered_database_is_refused(world: World, sequencer: Sequencer, statement: str, why: str) -> None:
    sequencer.append([world.halt() for _ in range(5)])
    world.close()
    tamper(world, statement)
    fault = refused(world)
    assert fault.code in {"ledger-damaged", "ledger-foreign"}
    assert why in fault.detail


def test_a_tampered_root_of_a_full_subtree_is_refused(world: World, sequencer: Sequencer) -> None:
    sequencer.append([world.halt() for _ in range(300)])
    world.close()
    tamper(world, "UPDATE subtree SET hash = zeroblob(32) WHERE level = 1 AND n = 0")
    assert refused(world).code == "ledger-damaged"


def test_a_leaf_that_is_read_is_hashed_again_however_old(world: World, sequencer: Sequencer) -> None:
    sequencer.append([world.halt() for _ in range(600)])
    tamper(world, "UPDATE leaf SET body = CAST(body || ' ' AS BLOB) WHERE idx = 9")
    world.open()
    for read in (
        lambda: world.reader.leaf(9),
        lambda: world.reader.leaves(0, 20),
        lambda: world.reader.entry_bundle(0, 256),
    ):
        with pytest.raises(Misconfigured) as fault:
            read()
        assert "leaf 9" in fault.value.detail


def test_settings_of_another_ledger_are_refused(world: World, sequencer: Sequencer) -> None:
    world.close()
    others = {"began as": ("example.com/other", world.key), "genesis names": (ORIGIN, Ed25519PrivateKey.generate())}
    for why, (origin, key) in others.items():
        with pytest.raises(Misconfigured) as fault:
            open_ledger(world.new_engine(), origin=origin, ledger_key=key, guard=world.guard, now=world.now())
        assert fault.value.code == "ledger-foreign"
        assert why in fault.value.detail


def test_a_guard_of_another_ledger_is_refused(world: World, sequencer: Sequencer, tmp_path: Path) -> None:
    sequencer.append([world.halt()])
    world.close()
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    other.begin()
    other.close()
    shutil.copy(other.guard.path, world.guard.path)
    assert refused(world).code == "ledger-foreign"


def test_a_ledger_of_a_newer_version_is_refused(world: World, sequencer: Sequencer) -> None:
    world.close()
    tamper(world, "UPDATE alembic_version SET version_num = '9999'")
    assert refused(world).code == "ledger-schema"


def test_a_clock_before_the_newest_leaf_is_refused(world: World, sequencer: Sequencer) -> None:
    world.ticks += 60_000
    sequencer.append([world.halt()])
    world.close()
    world.ticks -= 30_000
    fault = refused(world)
    assert fault.code == "clock-behind"
    world.ticks += 29_500
    world.open()


def test_an_empty_database_is_refused(world: World) -> None:
    assert refused(world).code == "ledger-empty"


def test_an_empty_database_behind_a_guard_was_rolled_back(world: World, sequencer: Sequencer) -> None:
    world.close()
    (world.path / "ledger.db").unlink()
    fault = refused(world)
    assert fault.code == "ledger-rolled-back"
    assert str(world.guard.path) in fault.detail


def test_one_ledger_has_one_writer(world: World, sequencer: Sequencer) -> None:
    with pytest.raises(Misconfigured) as fault:
        open_ledger(
            world.new_engine(), origin=ORIGIN, ledger_key=world.key, guard=Guard(world.guard.path), now=world.now()
        )
    assert fault.value.code == "ledger-in-use"
    sequencer.append([world.halt()])


def test_a_refused_start_lets_the_guard_go(world: World, sequencer: Sequencer) -> None:
    world.close()
    world.ticks -= 30_000
    refused(world)
    other = Guard(world.guard.path)
    other.hold()
    other.close()


def test_a_ledger_begins_once(world: World, sequencer: Sequencer) -> None:
    with pytest.raises(Misconfigured) as fault:
        world.begin()
    assert fault.value.code == "ledger-exists"


def test_a_beginning_that_was_cut_off_is_refused_with_its_remedy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(_: object, __: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as fault:
        fault.setattr(Guard, "advance", cut_off)
        with pytest.raises(KeyboardInterrupt):
            world.begin()
    refusal = refused(world)
    assert refusal.code == "guard-missing"
    assert "run it again" in refusal.remedy


def test_the_genesis_transaction_takes_the_leaves_that_belong_to_it(world: World) -> None:
    batch = world.begin([world.activation(), world.key_event()])
    assert (batch.first, batch.size) == (0, 3)
    assert [each.name for each in world.reader.active_all("policy")] == ["demo"]


def test_a_genesis_that_forgets_a_document_makes_no_ledger(world: World) -> None:
    entry = type(world.activation())(world.activation().leaf)
    with pytest.raises(Malformed):
        world.begin([entry])
    assert world.reader.head().size == 0


def test_time_may_stand_still(world: World, sequencer: Sequencer) -> None:
    sequencer.append([world.halt()])
    world.close()
    open_ledger(
        world.new_engine(),
        origin=ORIGIN,
        ledger_key=world.key,
        guard=world.guard,
        now=world.now() - timedelta(milliseconds=900),
    )
