# SPDX-License-Identifier: Apache-2.0
"""`signer log` over a folder of published files: verified, proven, watched, exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from signer.tlog.tiles import WIDTH
from tests.unit.cli.conftest import Run, Signer
from tests.unit.verify.authority import Authority, halt_leaf


class Ledger:
    """A published ledger that can grow."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority()
        self.folder = folder
        self.grow(5)
        (folder.parent / "trust.json").write_bytes(self.authority.trust())

    def grow(self, size: int) -> None:
        while len(self.authority.bodies) < size:
            self.authority.append(halt_leaf(len(self.authority.bodies)))
        self.authority.write(self.folder)

    @property
    def words(self) -> tuple[str, ...]:
        return ("--trust", str(self.folder.parent / "trust.json"), "--directory", str(self.folder))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "log")


def lines(run: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in run.out.splitlines()]


def test_a_range_is_verified(signer: Signer, ledger: Ledger) -> None:
    ledger.grow(WIDTH + 5)
    ran = signer("log", "verify", *ledger.words, "--from", 250, "--to", 258, "-o", "json")
    assert (ran.code, ran.document["range"], ran.document["leaves"]) == (0, [250, 258], {"halt": 8})
    assert "leaves 250 to 260 of 261" in signer("log", "verify", *ledger.words, "--from", 250).err
    outside = signer("log", "verify", *ledger.words, "--from", 250, "--to", 900)
    assert (outside.code, "a range within 261 leaves" in outside.err) == (3, True)


@pytest.mark.parametrize("index", [0, 3, 255, 256, 260])
def test_a_proof_is_written_and_checked_offline(signer: Signer, ledger: Ledger, tmp_path: Path, index: int) -> None:
    ledger.grow(WIDTH + 5)
    proof, leaf, trust = tmp_path / "it.tlog-proof", tmp_path / "leaf", ledger.words[:2]
    assert signer("log", "proof", index, *ledger.words, "--out", proof).code == 0
    assert signer("log", "entry", index, *ledger.words, "--out", leaf).code == 0
    checked = signer("log", "check", proof, "--leaf", leaf, *trust, "-o", "json")
    assert (checked.code, checked.document["index"], checked.document["size"]) == (0, index, WIDTH + 5)
    leaf.write_bytes(leaf.read_bytes() + b" ")
    assert signer("log", "check", proof, "--leaf", leaf, *trust).code == 3


def test_a_leaf_is_proven_under_a_checkpoint_that_was_kept(signer: Signer, ledger: Ledger, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    assert signer("log", "checkpoint", *ledger.words, "--out", kept).code == 0
    ledger.grow(WIDTH + 5)
    ran = signer("log", "proof", 3, *ledger.words, "--checkpoint", kept, "-o", "json")
    assert (ran.code, ran.document["size"]) == (0, 5)
    assert ran.document["proof"].endswith(kept.read_text())
    assert signer("log", "proof", 5, *ledger.words, "--checkpoint", kept).code == 4


@pytest.mark.parametrize("size", [5, 6, 255, 256, 700])
def test_that_it_only_grew_is_proven_and_checked_offline(
    signer: Signer, ledger: Ledger, tmp_path: Path, size: int
) -> None:
    kept, proof, trust = tmp_path / "kept.txt", tmp_path / "grown.txt", ledger.words[:2]
    signer("log", "checkpoint", *ledger.words, "--out", kept)
    ledger.grow(size)
    assert signer("log", "proof", "--since", kept, *ledger.words, "--out", proof).code == 0
    checked = signer("log", "check", proof, "--since", kept, *trust, "-o", "json")
    assert (checked.code, checked.document["old"], checked.document["size"]) == (0, 5, size)
    if size > 5:
        proof.write_text(proof.read_text().replace("old 5\n", "old 4\n"))
        assert signer("log", "check", proof, "--since", kept, *trust).code == 3


def test_a_proof_is_of_one_thing(signer: Signer, ledger: Ledger, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    signer("log", "checkpoint", *ledger.words, "--out", kept)
    assert signer("log", "proof", *ledger.words).code == 2
    assert signer("log", "proof", 1, "--since", kept, *ledger.words).code == 2
    assert signer("log", "check", kept, *ledger.words[:2]).code == 2


def test_a_monitor_keeps_its_last_checkpoint_and_tells_what_is_new(
    signer: Signer, ledger: Ledger, tmp_path: Path
) -> None:
    state = tmp_path / "seen"
    words = ("log", "monitor", *ledger.words, "--state", state, "--once", "--match", "kind=halt")
    assert [line["index"] for line in lines(signer(*words))] == [1, 2, 3, 4]
    assert state.read_bytes() == ledger.authority.checkpoint()
    ledger.grow(8)
    ran = signer(*words)
    assert [line["index"] for line in lines(ran)] == [5, 6, 7]
    assert "8 leaves, 3 new" in ran.err
    assert signer(*words).out == ""


def test_a_monitor_without_a_filter_reads_no_leaf(signer: Signer, ledger: Ledger, tmp_path: Path) -> None:
    for bundle in ledger.folder.glob("tile/entries/**/*"):
        bundle.unlink(missing_ok=True) if bundle.is_file() else None
    ran = signer("log", "monitor", *ledger.words, "--state", tmp_path / "seen", "--once")
    assert (ran.code, ran.out) == (0, "")


def other_history(ledger: Ledger) -> None:
    ledger.authority.bodies[3] = ledger.authority.bodies[2]
    ledger.grow(9)


def fewer_leaves(ledger: Ledger) -> None:
    del ledger.authority.bodies[3:]
    ledger.grow(1)


@pytest.mark.parametrize(
    ("change", "code"),
    [pytest.param(other_history, "proof-invalid"), pytest.param(fewer_leaves, "log-rollback")],
    ids=["another history", "fewer leaves"],
)
def test_a_monitor_alarms_and_keeps_the_proof(
    signer: Signer, ledger: Ledger, tmp_path: Path, change: Callable[[Ledger], None], code: str
) -> None:
    state = tmp_path / "seen"
    words = ("log", "monitor", *ledger.words, "--state", state, "-o", "json")
    assert signer(*words, "--once").code == 0
    before = state.read_bytes()
    change(ledger)
    ran = signer(*words)
    assert (ran.code, ran.document["error"]["code"]) == (3, code)
    assert state.read_bytes() == before
    assert (tmp_path / "seen.conflict").read_bytes() == ledger.authority.checkpoint()


def test_an_export_writes_proven_leaves_as_lines(signer: Signer, ledger: Ledger) -> None:
    ran = signer("log", "export", *ledger.words)
    assert [line["index"] for line in lines(ran)] == [0, 1, 2, 3, 4]
    assert lines(ran)[1]["leaf"] == json.loads(ledger.authority.bodies[1])
    assert len(lines(signer("log", "export", *ledger.words, "--since", 3))) == 2
    assert signer("log", "export", *ledger.words, "--since", "99").out == ""
    assert [line["index"] for line in lines(signer("log", "export", *ledger.words, "--match", "kind=genesis"))] == [0]
    day = lines(signer("log", "export", *ledger.words, "--since", "2026-01-01T00:00:00Z"))
    assert [line["index"] for line in day] == [1, 2, 3, 4]
    assert signer("log", "export", *ledger.words, "--match", "kind").code == 2
    assert signer("log", "export", *ledger.words, "--since", "yesterday").code == 2


def test_an_export_follows_and_goes_on_where_it_ended(
    signer: Signer, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = iter([5, 7, 9])

    def sleep(_seconds: float) -> None:
        try:
            ledger.grow(next(sizes))
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr("signer.cli.log_follow.time.sleep", sleep)
    words = ("log", "export", *ledger.words, "--state", tmp_path / "state")
    assert [line["index"] for line in lines(signer(*words, "--follow", "--since", "2"))] == [2, 3, 4, 5, 6, 7, 8]
    ledger.grow(11)
    assert [line["index"] for line in lines(signer(*words))] == [9, 10]


def test_an_altered_leaf_is_never_exported(signer: Signer, ledger: Ledger) -> None:
    bundle = ledger.folder / "tile/entries/000.p/5"
    bundle.write_bytes(bundle.read_bytes().replace(b"drill", b"grill"))
    ran = signer("log", "export", *ledger.words)
    assert (ran.code, ran.out) == (3, "")
    assert "leaf 1 " in ran.err
