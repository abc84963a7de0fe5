# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings, strategies as st

from signer.errors import Misconfigured
from signer.ledger.guard import SLOT, Guard
from signer.tlog.checkpoint import Checkpoint, sign_checkpoint
from signer.tlog.merkle import leaf_hash
from signer.tlog.note import NoteSigner

ORIGIN = "example.com/log"
SIGNER = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))


def checkpoint(size: int, origin: str = ORIGIN, root: bytes | None = None) -> str:
    root = leaf_hash(str(size).encode()) if root is None else root
    return sign_checkpoint(Checkpoint(origin, size, root), signer=SIGNER)


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    made = Guard(tmp_path / "guard")
    made.create()
    made.hold()
    return made


def size(guard: Guard) -> int | None:
    read = guard.read()
    return None if read is None else read.size


def test_a_new_guard_holds_nothing(guard: Guard) -> None:
    assert guard.read() is None
    assert guard.text() is None


def test_the_newest_checkpoint_is_read_byte_for_byte_by_any_process(guard: Guard) -> None:
    for number in range(1, 6):
        guard.advance(checkpoint(number))
        assert Guard(guard.path).text() == checkpoint(number)
        assert size(Guard(guard.path)) == number


def test_a_new_holder_goes_on(guard: Guard) -> None:
    guard.advance(checkpoint(1))
    guard.close()
    again = Guard(guard.path)
    again.hold()
    again.advance(checkpoint(2))
    assert size(guard) == 2


def test_the_same_checkpoint_again_changes_nothing(guard: Guard) -> None:
    guard.advance(checkpoint(1))
    before = guard.path.read_bytes()
    guard.advance(checkpoint(1))
    assert guard.path.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(checkpoint(4), id="smaller"),
        pytest.param(checkpoint(5, root=leaf_hash(b"another")), id="another root of the same size"),
        pytest.param(checkpoint(6, origin="example.com/other"), id="another origin"),
        pytest.param(checkpoint(6, origin="example.com/a"), id="an origin that sorts before"),
    ],
)
def test_the_guard_never_goes_back_or_aside(guard: Guard, text: str) -> None:
    guard.advance(checkpoint(5))
    with pytest.raises(Misconfigured) as fault:
        guard.advance(text)
    assert fault.value.code == "ledger-rolled-back"
    assert str(guard.path) in fault.value.detail
    assert guard.text() == checkpoint(5)


@settings(max_examples=40)
@example(writes=2, cut=47, keep_tail=False)
@given(writes=st.integers(1, 5), cut=st.integers(0, SLOT - 1), keep_tail=st.booleans())
def test_a_torn_write_leaves_the_checkpoint_before_or_the_new_one(
    tmp_path_factory: pytest.TempPathFactory, writes: int, cut: int, keep_tail: bool
) -> None:
    guard = Guard(tmp_path_factory.mktemp("torn") / "guard")
    guard.create()
    guard.hold()
    for number in range(1, writes + 1):
        guard.advance(checkpoint(number))
    before = guard.path.read_bytes()
    guard.advance(checkpoint(writes + 1))
    after = guard.path.read_bytes()
    start = 0 if before[:SLOT] != after[:SLOT] else SLOT
    slot = after[start : start + cut] + before[start + cut : start + SLOT]
    if keep_tail:
        slot = before[start : start + cut] + after[start + cut : start + SLOT]
    guard.path.write_bytes(after[:start] + slot + after[start + SLOT :])
    assert size(guard) in {writes, writes + 1}
    guard.close()
    again = Guard(guard.path)
    again.hold()
    again.advance(checkpoint(writes + 2))
    again.close()
    assert size(again) == writes + 2


@pytest.mark.parametrize(
    "data",
    [b"", bytes(SLOT), b"\1" * 2 * SLOT, b"signing-authority guard v1 " + bytes(2 * SLOT)],
    ids=["empty", "cut off", "noise", "half a header"],
)
def test_a_guard_without_a_whole_slot_is_refused(guard: Guard, data: bytes) -> None:
    guard.advance(checkpoint(1))
    guard.path.write_bytes(data)
    with pytest.raises(Misconfigured) as fault:
        guard.read()
    assert fault.value.code == "guard-damaged"


def test_a_missing_guard_is_refused(tmp_path: Path) -> None:
    guard = Guard(tmp_path / "guard")
    for use in (guard.read, guard.hold):
        with pytest.raises(Misconfigured) as fault:
            use()
        assert fault.value.code == "guard-missing"


def test_an_existing_guard_is_not_made_anew(guard: Guard) -> None:
    guard.advance(checkpoint(1))
    with pytest.raises(Misconfigured):
        Guard(guard.path).create()
    assert size(guard) == 1


def test_two_processes_cannot_hold_it(guard: Guard) -> None:
    program = (
        "import sys; from pathlib import Path; from signer.ledger.guard import Guard; Guard(Path(sys.argv[1])).hold()"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(guard.path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "ledger-in-use" in run.stderr
    guard.close()
    subprocess.run([sys.executable, "-c", program, str(guard.path)], check=True, timeout=60)


def test_advancing_needs_holding(tmp_path: Path) -> None:
    guard = Guard(tmp_path / "guard")
    guard.create()
    with pytest.raises(ValueError, match="while holding"):
        guard.advance(checkpoint(1))
