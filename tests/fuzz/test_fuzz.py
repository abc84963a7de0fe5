# SPDX-License-Identifier: Apache-2.0
"""The short form: ten seconds for each way in, two at a time; `make fuzz` gives each ten minutes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import pytest

from tests.fuzz.meter import GROWTH, Meter, Report
from tests.fuzz.run import run_all
from tests.fuzz.targets import TARGETS

SECONDS = float(os.environ.get("SIGNER_TEST_FUZZ_SECONDS", "10"))


@pytest.fixture(scope="module")
def reports() -> Mapping[str, Report]:
    seed = 0 if "CI" in os.environ else int(time.time())
    return run_all(TARGETS, engine="explore", seconds=SECONDS, seed=seed, at_once=2)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_break(reports: Mapping[str, Report], name: str) -> None:
    report = reports[name]
    assert report.faults() == []
    assert report.fed > 50, "too few to mean anything"


@pytest.mark.parametrize("name", TARGETS)
def test_a_good_input_is_taken_without_a_word(name: str) -> None:
    feed = TARGETS[name].prepare()
    seeds = TARGETS[name].seeds()
    assert seeds
    for data in seeds:
        feed(data)


def test_a_fault_of_a_target_is_told() -> None:
    def feed(data: bytes) -> None:
        raise KeyError(data)

    meter = Meter(Report("broken", "hypothesis"), feed, seconds=1, out=None)
    with pytest.raises(KeyError):
        meter.feed(b"x")
    assert meter.report.faults() == ["KeyError: b'x' for b'x'", "nothing was fed"]


def test_memory_that_is_kept_is_told() -> None:
    assert Report("greedy", "hypothesis", fed=1, warm=100, end=100 + GROWTH + 1).faults() == ["65 MiB were kept"]
    assert Report("slow", "hypothesis", fed=1, slowest=6).faults() == ["one input took 6.0 s"]
