# SPDX-License-Identifier: Apache-2.0
"""kill -9 of any process at any moment under load: nothing released is missing, nothing acknowledged is lost.

`make test` runs a short form; SIGNER_TEST_FAULTS=long runs at least 40 kills of the full stack.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.load import signed
from tests.faults.stack import (
    ROLES,
    Stack,
    check_orphans_closed,
    check_projections,
    check_receipts,
    check_replays,
)

LONG = os.environ.get("SIGNER_TEST_FAULTS") == "long"
RUNS = 48 if LONG else 8
SEED = int(os.environ.get("SIGNER_TEST_SEED", "20261123"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("kills")
    running = Stack.start(folder / "dev")
    yield running
    running.stop()


@pytest.mark.timeout(1800)
def test_no_kill_loses_or_releases_anything_that_it_must_not(stack: Stack, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    seen: Counter[str] = Counter()
    acknowledged: dict[str, bytes] = {}
    for run in range(RUNS):
        role = ROLES[run % len(ROLES)]
        load = stack.load()
        load.start()
        time.sleep(dice.uniform(0.05, 0.8))
        stack.kill(role, dice=dice)
        time.sleep(dice.uniform(0.2, 0.8))
        load.stop()
        stack.settle()

        reader = stack.reader()
        check_orphans_closed(reader)
        check_receipts(reader, signed(load.answers))
        acknowledged.update({answer.key: answer.body for answer in signed(load.answers)})
        unanswered = [answer.key for answer in load.answers if answer.status == 503]
        for key in (*load.broken, *unanswered[:20]):
            # The caller asks again under the same key: it gets one final answer, never a second signature.
            again = stack.ask(key)
            assert again is not None
            assert again.status == 200 or again.problem == "outcome-unknown", again
            seen[f"resent: {again.status}"] += 1
        unexpected = {answer.problem for answer in load.answers if answer.status not in {200, 503}}
        assert unexpected <= {"outcome-unknown"}, unexpected
        seen.update({f"{role}: {status}": count for status, count in load.statuses().items()})
        seen[f"{role}: broken"] += len(load.broken)
        stack.verify_log()

    for key in dice.sample(sorted(acknowledged), min(50, len(acknowledged))):
        replayed = stack.ask(key)
        assert replayed is not None
        assert replayed.body == acknowledged[key], "a replay is the same receipt byte for byte"
    assert len(acknowledged) > RUNS, seen
    check_projections(stack.directory / "state" / "ledger.db", tmp_path / "copy.db")
    assert check_replays(stack.reader()) >= len(acknowledged)
    print(f"\n{RUNS} kills, {len(acknowledged)} receipts kept: {dict(sorted(seen.items()))}")  # noqa: T201 - the record of the run
