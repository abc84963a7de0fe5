# SPDX-License-Identifier: Apache-2.0
"""A part goes away and comes back: refused with the right type, no key used, well again without hands (I12)."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from signer.ledger.leaves import Decision, Outcome, decode_leaf
from tests.faults.load import Answered
from tests.faults.stack import Stack, all_leaves, check_orphans_closed


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("outages")
    running = Stack.start(folder / "dev")
    yield running
    running.stop()


def refused(stack: Stack, *, until: Callable[[Answered], bool], within: float = 20.0) -> Answered:
    """Ask until the outage shows; meanwhile nothing but signatures and 503 is answered."""
    deadline = time.monotonic() + within
    while True:
        answered = stack.ask(os.urandom(16).hex())
        assert answered is not None
        if until(answered):
            return answered
        assert answered.status in {200, 503}, answered
        assert time.monotonic() < deadline, f"the outage does not show: {answered}"
        time.sleep(0.05)


def signatures(stack: Stack) -> int:
    """How many outcomes say that a key signed."""
    leaves = map(decode_leaf, all_leaves(stack.reader()))
    return sum(1 for leaf in leaves if isinstance(leaf, Outcome) and leaf.status == "signed")


def test_without_the_token_nothing_is_signed_until_it_returns(stack: Stack) -> None:
    stack.settle()
    tokens, hidden = stack.directory / "token" / "objects", stack.directory / "token" / "hidden"
    assert tokens.is_dir(), sorted((stack.directory / "token").iterdir())
    tokens.rename(hidden)
    try:
        answered = refused(stack, until=lambda answer: answer.status == 503)
        before = signatures(stack)
        for _ in range(5):
            again = stack.ask(os.urandom(16).hex())
            assert again is not None
            assert again.status == 503, again
        assert signatures(stack) == before
        assert answered.problem in {"token-unavailable", "key-unavailable", "signing-failed"}, answered
    finally:
        hidden.rename(tokens)
    stack.settle()
    check_orphans_closed(stack.reader())
    stack.verify_log()


def test_a_full_disk_refuses_before_any_key_is_used_and_loses_nothing(stack: Stack) -> None:
    signed = stack.settle()
    (custodian,) = stack.pids("custodian")
    size = max(path.stat().st_size for path in (stack.directory / "state").iterdir() if path.is_file())
    soft, hard = resource.prlimit(custodian, resource.RLIMIT_FSIZE)
    # No file of the custodian may grow beyond what the largest already has.
    resource.prlimit(custodian, resource.RLIMIT_FSIZE, (size, hard))
    try:
        answered = refused(stack, until=lambda answer: answer.problem == "ledger-unavailable")
        assert answered.status == 503
        before = signatures(stack)
        for _ in range(5):
            again = stack.ask(os.urandom(16).hex())
            assert again is not None
            assert again.problem == "ledger-unavailable", again
        assert signatures(stack) == before
    finally:
        resource.prlimit(custodian, resource.RLIMIT_FSIZE, (soft, hard))
    stack.settle()
    replayed = stack.ask(signed.key)
    assert replayed is not None
    assert replayed.body == signed.body
    check_orphans_closed(stack.reader())
    stack.verify_log()


def test_a_lost_database_refuses_and_the_custodian_finds_it_again(stack: Stack) -> None:
    stack.settle()
    state, hidden = stack.directory / "state", stack.directory / "hidden-state"
    moved = [path for path in state.iterdir() if path.name.startswith("ledger.db")]
    hidden.mkdir()
    for path in moved:
        path.rename(hidden / path.name)
    try:
        answered = refused(stack, until=lambda answer: answer.status == 503)
        assert answered.problem == "ledger-unavailable", answered
        time.sleep(0.5)
        for _ in range(5):
            again = stack.ask(os.urandom(16).hex())
            assert again is not None
            assert again.status == 503, again
        # Nothing was made in its place.
        assert not (state / "ledger.db").exists()
    finally:
        for path in hidden.iterdir():
            path.rename(state / path.name)
        hidden.rmdir()
    stack.settle()
    check_orphans_closed(stack.reader())
    stack.verify_log()


def test_a_halt_stops_all_signing_within_one_second(stack: Stack) -> None:
    stack.settle()
    load = stack.load()
    load.start()
    time.sleep(0.5)
    stack.signer("halt", "--reason", "drill", identity="owner-1")
    halted = time.monotonic()
    time.sleep(1.0)
    last = signatures(stack)
    time.sleep(0.5)
    load.stop()
    assert time.monotonic() - halted < 5
    assert signatures(stack) == last, "signed more than a second after the halt"
    assert load.answers[-1].status == 423
    reader = stack.reader()
    row = reader.halted()
    assert row is not None
    later = map(decode_leaf, all_leaves(reader, start=row.leaf))
    assert not [leaf for leaf in later if isinstance(leaf, Decision) and leaf.verdict == "allow"]
    stack.resume(row.leaf)
    stack.settle()
