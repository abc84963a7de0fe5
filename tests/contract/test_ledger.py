# SPDX-License-Identifier: Apache-2.0
"""What every database under the ledger must do; each adapter runs the same suite."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.db.engine import open_engine
from signer.formats.receipt import parse_receipt
from signer.ledger.projections import rebuild
from signer.ledger.reader import MAX_LEAVES, Reader, open_reader
from signer.ledger.receipts import receipt_for
from signer.tlog.checkpoint import Checkpoint, verify_checkpoint
from signer.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from signer.tlog.note import parse_vkey
from signer.tlog.proof import verify_proof
from tests.postgres import Cluster
from tests.unit.ledger.world import ORIGIN, History, World, projected, signed
from tests.unit.tlog import naive_tree

WRITER = """
import itertools, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.postgres import Cluster
from tests.unit.ledger.world import World

world = World(Path(sys.argv[1]), Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[2])), url=sys.argv[4])
world.ticks = world.serial = int(sys.argv[3])
sequencer = world.open()
for turn in itertools.count():
    batch = sequencer.append([world.decision(subjects=[f"{world.ticks:064x}"]) for _ in range(1 + turn % 5)])
    for index, body in enumerate(batch.bodies, start=batch.first):
        print(index, body.decode(), flush=True)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster.running() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("cluster").new_database()
    made = World(tmp_path, url=url)
    made.begin()
    yield made
    made.close()


def entries(reader: Reader) -> list[bytes]:
    size = reader.head().size
    return [each for at in range(0, size, MAX_LEAVES) for each in reader.leaves(at, at + MAX_LEAVES)]


def test_a_whole_history_is_proved_by_what_outsiders_can_fetch(world: World) -> None:
    sequencer = world.open()
    history = History(world, seed=11)
    seen: list[Checkpoint] = []
    for _ in range(12):
        history.append(sequencer, times=5)
        text = world.guard.text()
        assert text is not None
        seen.append(verify_checkpoint(text.encode(), origin=ORIGIN, keys=[parse_vkey(sequencer.verifier)]))
    reader, last = world.reader, seen[-1]
    leaves = entries(reader)
    assert naive_tree.root(leaves) == last.root
    for old in seen:
        proof = reader.consistency(old.size, last.size)
        verify_consistency(old.size, last.size, proof, old.root, last.root)
        assert old.root == naive_tree.root(leaves[: old.size])
    for index, leaf in enumerate(leaves):
        verify_inclusion(leaf_hash(leaf), index, last.size, reader.inclusion(index, last.size), last.root)


def test_projections_follow_from_leaves_alone(world: World) -> None:
    sequencer = world.open()
    history = History(world, seed=12)
    for _ in range(3):
        history.append(sequencer, times=20)
        before = projected(world.engine)
        rebuild(world.engine)
        assert projected(world.engine) == before
        sequencer = world.open()


def test_readers_beside_the_writer_see_only_what_is_whole(world: World) -> None:
    sequencer = world.open()
    vkey = parse_vkey(sequencer.verifier)
    engine = open_engine(world.url, read_only=True)
    requests: list[str] = []
    done = threading.Event()
    faults: list[BaseException] = []
    checked = 0

    def read(seed: int) -> None:
        nonlocal checked
        reader, rng = open_reader(engine), random.Random(seed)
        try:
            while not done.is_set() or checked < 20:
                text = world.guard.text()
                assert text is not None
                published = verify_checkpoint(text.encode(), origin=ORIGIN, keys=[vkey])
                assert reader.head().size >= published.size
                index = rng.randrange(published.size)
                proof = reader.inclusion(index, published.size)
                verify_inclusion(leaf_hash(reader.leaf(index)), index, published.size, proof, published.root)
                if requests:
                    receipt = parse_receipt(receipt_for(reader, rng.choice(requests)))
                    verify_proof(receipt.outcome.proof, leaf=receipt.outcome.leaf, origin=ORIGIN, keys=[vkey])
                    checked += 1
        except BaseException as fault:  # noqa: BLE001 - handed to the test below
            faults.append(fault)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        requests.append(signed(world, sequencer))  # noqa: PERF401 - the readers use each one at once
    done.set()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert checked >= 20
    engine.dispose()


def test_a_killed_writer_loses_nothing_that_it_acknowledged(world: World) -> None:
    world.close()
    seed = world.key.private_bytes_raw().hex()
    acknowledged: dict[int, str] = {}
    rng = random.Random(13)
    for run in range(6):
        # Each run starts its clock and its request ids after those of the run before.
        arguments = [sys.executable, "-c", WRITER, str(world.path), seed, str((run + 1) * 1_000_000), world.url]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as writer:
            assert writer.stdout is not None
            for _ in range(3):
                acknowledged.update(acknowledgements(writer.stdout.readline()))
            threading.Timer(rng.uniform(0, 0.15), writer.send_signal, [signal.SIGKILL]).start()
            for line in writer.stdout:
                acknowledged.update(acknowledgements(line))
        assert writer.returncode == -signal.SIGKILL
    world.ticks = 99_000_000
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    assert key.public_key() == world.key.public_key()
    world.open()
    leaves = entries(world.reader)
    assert world.reader.head().root == naive_tree.root(leaves)
    assert {index: leaves[index].decode() for index in acknowledged} == acknowledged
    assert len(acknowledged) > 10
    before = projected(world.engine)
    rebuild(world.engine)
    assert projected(world.engine) == before


def acknowledgements(line: str) -> dict[int, str]:
    """The index and the leaf of a whole line; a line that the kill cut off acknowledges nothing."""
    index, _, body = line.partition(" ")
    return {int(index): body.removesuffix("\n")} if line.endswith("\n") else {}
