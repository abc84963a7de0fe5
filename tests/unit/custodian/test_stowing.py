# SPDX-License-Identifier: Apache-2.0
"""Large documents: kept by a leaf once they are stored, while everything else goes on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from signer.custodian.commands import Failed, Halt, KeepEvidence, Kept, Reply, SpooledItem
from signer.domain.spooled import LARGE, spool_name
from signer.ledger import leaves
from signer.ledger.documents import named_documents
from signer.ledger.store import Intake
from tests.authority import subject
from tests.unit.custodian.world import World

CI = "robot:ci"


def document(number: int) -> bytes:
    return b"%d\n" % number * (LARGE + 10)


class Rooms(World):
    """An authority with a store and a spool."""

    def __init__(self, folder: Path) -> None:
        self.store, self.spool = folder / "store", folder / "spool"
        self.spool.mkdir()
        intake = Intake(self.store, spool=self.spool)
        intake.prepare(lambda _digest: False)
        super().__init__(intake=intake)

    def upload(self, number: int, *, principal: str = CI) -> SpooledItem:
        data = document(number)
        digest = hashlib.sha256(data).hexdigest()
        (self.spool / spool_name(principal, digest)).write_bytes(data)
        return SpooledItem(
            digest=digest,
            size=len(data),
            media_type="text/plain",
            kind="build-log",
            subjects=(f"sha256:{subject(1).sha256}",),
        )

    def command(self, *items: SpooledItem, principal: str = CI) -> KeepEvidence:
        return KeepEvidence(request_id="0" * 32, principal=principal, policy="demo", items=items)

    def run(self, *arrivals: tuple[int, KeepEvidence]) -> dict[int, Reply]:
        """Turn until everything is answered."""
        answers: dict[int, Reply] = dict(self.authority.turn(arrivals, ()))
        for _ in range(100):
            if not self.authority.unfinished:
                break
            answers |= self.authority.turn((), ())
        return answers


@pytest.fixture
def world(tmp_path: Path) -> Rooms:
    return Rooms(tmp_path)


def test_a_document_is_stored_before_its_leaf_and_the_mark_goes_after_it(world: Rooms) -> None:
    item = world.upload(1)
    (answer,) = world.run((1, world.command(item))).values()
    assert isinstance(answer, Kept)
    ((digest, index),) = answer.leaves
    leaf = world.ledger.all()[index][1]
    assert isinstance(leaf, leaves.Evidence)
    assert (leaf.digest, leaf.size, digest) == (item.digest, item.size, item.digest)
    assert named_documents(leaf) == (leaf.subjects,)
    assert (world.store / digest).read_bytes() == document(1)
    assert list((world.store / "incoming").iterdir()) == []


def test_others_are_answered_while_a_document_is_copied(world: Rooms) -> None:
    item = world.upload(1)
    assert world.authority.turn([(1, world.command(item))], ()) == []
    assert (world.authority.in_work, world.authority.unfinished) == (1, True)
    answered = dict(world.authority.turn([(2, Halt(principal="person:alice", reason="drill"))], ()))
    assert set(answered) == {2}
    assert set(world.run()) == {1}
    assert (world.authority.in_work, world.authority.unfinished) == (0, False)


def test_the_same_document_twice_at_once_is_one_leaf(world: Rooms) -> None:
    item = world.upload(1)
    answers = world.run((1, world.command(item)), (2, world.command(item)))
    assert set(answers) == {1, 2}
    assert answers[1] == answers[2]
    assert len(world.ledger.of(leaves.Evidence)) == 1


def test_several_documents_of_one_command_are_kept_together(world: Rooms) -> None:
    items = (world.upload(1), world.upload(2))
    (answer,) = world.run((1, world.command(*items))).values()
    assert isinstance(answer, Kept)
    assert [digest for digest, _ in answer.leaves] == [item.digest for item in items]


def test_one_document_that_is_not_there_keeps_none(world: Rooms) -> None:
    there, gone = world.upload(1), world.upload(2)
    (world.spool / spool_name(CI, gone.digest)).unlink()
    (answer,) = world.run((1, world.command(there, gone))).values()
    assert isinstance(answer, Failed)
    assert answer.code == "upload-missing"
    assert world.ledger.of(leaves.Evidence) == []
    world.upload(2)
    (answer,) = world.run((2, world.command(there, gone))).values()
    assert isinstance(answer, Kept), "and the next attempt is not told of the last one's fault"


def test_an_append_that_fails_leaves_a_mark_for_the_next_start(world: Rooms) -> None:
    item = world.upload(1)
    world.ledger.fault = "before"
    (answer,) = world.run((1, world.command(item))).values()
    assert isinstance(answer, Failed)
    assert [path.name for path in (world.store / "incoming").iterdir()] == [item.digest]
    world.ledger.fault = None
    again = Intake(world.store, spool=world.spool)
    assert again.prepare(lambda digest: world.ledger.evidence(digest) is not None) == 1
    assert not (world.store / item.digest).exists()


@pytest.mark.parametrize(
    ("principal", "code"), [("robot:stranger", "not-found"), ("person:alice", "not-found")], ids=str
)
def test_without_the_grant_nothing_is_copied(world: Rooms, principal: str, code: str) -> None:
    item = world.upload(1, principal=principal)
    (answer,) = world.run((1, world.command(item, principal=principal))).values()
    assert isinstance(answer, Failed)
    assert answer.code == code
    assert [path.name for path in world.store.iterdir()] == ["incoming"]


def test_a_small_document_does_not_come_by_the_spool(world: Rooms) -> None:
    item = SpooledItem(digest="a" * 64, size=LARGE, media_type="text/plain", kind="build-log", subjects=("sha256:x",))
    (answer,) = world.run((1, world.command(item))).values()
    assert isinstance(answer, Failed)
    assert answer.code == "malformed-frame"


def test_a_custodian_without_a_store_keeps_none(tmp_path: Path) -> None:
    item = Rooms(tmp_path).upload(1)
    answer = World().ask(KeepEvidence(request_id="0" * 32, principal=CI, policy="demo", items=(item,)))
    assert isinstance(answer, Failed)
    assert answer.code == "too-large"
