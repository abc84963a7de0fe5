# SPDX-License-Identifier: Apache-2.0
"""What is published, judged by a verifier that was written from the pages of C2SP only.

One ledger grows through the sizes at which tiles begin, fill and get a level above; it is published at each of them.
`make faults` goes on to a million leaves.
"""

from __future__ import annotations

import ast
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.cli import run as run_signer
from signer.errors import Refused
from signer.publisher.directory import Directory
from signer.publisher.publishing import publish
from signer.tlog.checkpoint import Checkpoint, sign_checkpoint
from signer.tlog.merkle import EMPTY_ROOT
from signer.tlog.note import NoteSigner
from signer.web.in_process import PublicListener
from tests.bulk import grow_to
from tests.conformance import c2sp
from tests.conformance.c2sp import Rejected, read_checkpoint, tile_path, verify_folder, verify_tlog_proof
from tests.unit.verify.authority import Authority
from tests.unit.web.trusted import publish_revocations, publish_trust
from tests.unit.web.world import NOW, ORIGIN, Keys, World, build_world

LONG = os.environ.get("SIGNER_TEST_FAULTS") == "long"
SIZES = (255, 256, 257, 65_535, 65_536, 65_537, 70_000, *([1_000_000] if LONG else []))
FIRST = 5
"""Leaves before anything can be published: genesis, key, two documents and the trust file."""


@dataclass
class Log:
    """An authority, the folder it is published to, and the vkey of its ledger key."""

    world: World
    folder: Path
    vkey: str

    def publish(self) -> int:
        listener = PublicListener(self.world.application)
        return publish(
            listener, to=Directory(self.folder), now=NOW, entries=True, progress=lambda _done, _count: None
        ).size


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("log")
    (folder / "authority").mkdir()
    world = build_world(folder / "authority", keys=Keys.make())
    return Log(world, folder / "published", str(NoteSigner(ORIGIN, world.ledger_key).verifier))


def test_the_verifier_knows_nothing_of_the_product() -> None:
    tree = ast.parse(Path(c2sp.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {str(module).partition(".")[0] for module in modules} & {"signer", "policy", "tests"} == set()


def test_a_log_that_nobody_vouches_for_yet_is_not_published(log: Log) -> None:
    with pytest.raises(Refused) as refused:
        log.publish()
    assert refused.value.code == "nothing-to-publish"
    assert not (log.folder / "checkpoint").exists()


def test_the_empty_log_is_its_checkpoint_alone(log: Log, tmp_path: Path) -> None:
    signer = NoteSigner(ORIGIN, log.world.ledger_key)
    (tmp_path / "checkpoint").write_text(sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT), signer=signer))
    assert verify_folder(tmp_path, log.vkey)[0].size == 0


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("size", [FIRST, *SIZES])
def test_the_export_is_accepted(log: Log, size: int) -> None:
    if size == FIRST:
        publish_trust(log.world)
        publish_revocations(log.world)
    began = time.monotonic()
    grow_to(log.world.sequencer, log.world.application.reader, size, at=NOW)
    grown = time.monotonic()
    assert log.publish() == size
    head, leaves = verify_folder(log.folder, log.vkey)
    assert (head.origin, head.size, len(leaves)) == (ORIGIN, size, size)
    for index in {0, size // 2, size - 1}:
        body, text = log.world.application.reader.leaf(index), proven(log, index)
        assert verify_tlog_proof(text, body, log.vkey) == index
        with pytest.raises(Rejected):
            verify_tlog_proof(text, body + b" ", log.vkey)
    sys.stdout.write(
        f"{size} leaves: grown {grown - began:.1f} s, published and verified {time.monotonic() - grown:.1f} s\n"
    )


def proven(log: Log, index: int) -> str:
    """The proof file that `signer log proof` writes from the folder."""
    out = log.folder.parent / "proof"
    trust = log.folder / "v1" / "trust"
    words = ("log", "proof", str(index), "--trust", str(trust), "--directory", str(log.folder), "--out", str(out))
    assert run_signer(words, environ={}) == 0
    return out.read_text()


def test_the_smallest_log_is_one_leaf(tmp_path: Path) -> None:
    authority = Authority()
    authority.write(tmp_path)
    vkey = str(authority.notary().verifier)
    assert verify_folder(tmp_path, vkey)[0].size == 1
    assert verify_tlog_proof(authority.proof(0), authority.bodies[0], vkey) == 0


@pytest.mark.parametrize(
    "path",
    ["checkpoint", tile_path("0", 3, 256), tile_path("1", 1, 17), tile_path("2", 0, 1), tile_path("entries", 7, 256)],
)
def test_the_verifier_rejects_one_flipped_bit(log: Log, path: str) -> None:
    file = log.folder / path
    if not file.exists():
        pytest.skip("the log has another size in the long form")
    whole = file.read_bytes()
    file.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    try:
        with pytest.raises(Rejected):
            verify_folder(log.folder, log.vkey)
    finally:
        file.write_bytes(whole)


def test_a_checkpoint_of_another_key_is_rejected(log: Log) -> None:
    stranger = str(NoteSigner(ORIGIN, Ed25519PrivateKey.generate()).verifier)
    with pytest.raises(Rejected):
        read_checkpoint((log.folder / "checkpoint").read_bytes(), stranger)
