# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from signer.errors import Malformed
from signer.formats.receipt import parse_receipt
from signer.ledger.projections import rebuild
from signer.ledger.receipts import Receipts, receipt_for
from signer.ledger.sequencer import Sequencer
from signer.tlog.note import parse_vkey
from signer.tlog.proof import verify_proof
from tests.unit.ledger.world import ORIGIN, World, signed


@pytest.fixture
def sequencer(world: World) -> Sequencer:
    world.begin()
    return world.open()


def test_a_receipt_proves_decision_and_outcome_in_one_tree(world: World, sequencer: Sequencer) -> None:
    request = [signed(world, sequencer) for _ in range(5)][-1]
    receipt = parse_receipt(receipt_for(world.reader, request))
    row = world.reader.decision(request)
    assert row is not None
    assert (receipt.request_id, receipt.environment, receipt.policy.name) == (request, "release", "demo")
    checkpoints = set()
    for leaf in (receipt.decision, receipt.outcome):
        proof, checkpoint = verify_proof(
            leaf.proof, leaf=leaf.leaf, origin=ORIGIN, keys=[parse_vkey(sequencer.verifier)]
        )
        assert proof.index == leaf.index
        assert leaf.leaf == world.reader.leaf(leaf.index)
        checkpoints.add(checkpoint)
    assert len(checkpoints) == 1
    assert set(receipt.documents) == {row.subjects, row.findings}
    assert [each.format for each in receipt.bundles] == ["vsa"]


def test_a_receipt_is_the_same_bytes_for_ever(world: World, sequencer: Sequencer) -> None:
    receipts = Receipts(world.reader, sequencer)
    first: dict[str, bytes] = {}
    for _ in range(20):
        request = signed(world, sequencer)
        first[request] = receipts(request)
        assert receipt_for(world.reader, request) == first[request]
    sequencer.append([world.halt() for _ in range(300)])
    rebuild(world.engine)
    sequencer = world.open()
    sequencer.append([world.halt()])
    receipts = Receipts(world.reader, sequencer)
    for request, receipt in first.items():
        assert receipts(request) == receipt
        assert receipt_for(world.reader, request) == receipt


def test_decisions_of_one_batch_have_their_own_receipts(world: World, sequencer: Sequencer) -> None:
    requests = [f"{digit:032x}" for digit in range(1, 9)]
    batch = sequencer.append([world.decision(request=each) for each in requests])
    sequencer.append([world.outcome(batch.first + at, each) for at, each in enumerate(requests)])
    receipts = Receipts(world.reader, sequencer)
    assert [parse_receipt(receipts(each)).request_id for each in requests] == requests


@pytest.mark.parametrize("status", ["failed", "unknown", None])
def test_what_was_not_signed_has_no_receipt(world: World, sequencer: Sequencer, status: str | None) -> None:
    batch = sequencer.append([world.decision(request="1" * 32)])
    if status is not None:
        sequencer.append([world.outcome(batch.first, "1" * 32, status=status, reason="stale")])
    for request in ("1" * 32, "2" * 32):
        with pytest.raises(Malformed) as fault:
            receipt_for(world.reader, request)
        assert fault.value.code == "not-found"
