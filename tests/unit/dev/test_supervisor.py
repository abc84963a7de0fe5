# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from signer.dev.supervisor import Program, Supervisor
from signer.errors import Misconfigured

SLEEPER = "import time; time.sleep(600)"
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def supervisor(clock: Clock) -> Iterator[Supervisor]:
    made = Supervisor(clock=clock)
    yield made
    made.stop()


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Program]:
    return lambda code: Program(name="web", argv=(sys.executable, "-c", code), log=tmp_path / "web.log")


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_killed_program_is_back_at_once(supervisor: Supervisor, program: Callable[[str], Program]) -> None:
    supervisor.start(program(SLEEPER))
    first = supervisor.pids()["web"]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: supervisor.tend() == ("web",))
    assert supervisor.pids()["web"] != first


def test_what_a_killed_program_started_is_ended_before_it_is_back(
    supervisor: Supervisor, program: Callable[[str], Program]
) -> None:
    entry = program(PARENT)
    supervisor.start(entry)
    wait_for(lambda: entry.log.read_text().endswith("\n"))
    os.kill(supervisor.pids()["web"], signal.SIGKILL)
    wait_for(lambda: supervisor.tend() == ("web",))
    wait_for(lambda: gone(int(entry.log.read_text().split()[0])))


def test_a_program_that_keeps_ending_is_started_ever_more_rarely(
    supervisor: Supervisor, clock: Clock, program: Callable[[str], Program]
) -> None:
    supervisor.start(program("raise SystemExit(1)"))
    delays = []
    for _ in range(9):
        wait_for(lambda: supervisor.tend() == ("web",))
        before = clock.now
        while not supervisor.pids():
            clock.now += 0.05
            supervisor.tend()
        delays.append(clock.now - before)
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert 4 < delays[-1] < 5.2


def test_a_program_that_ran_well_is_back_at_once_again(
    supervisor: Supervisor, clock: Clock, program: Callable[[str], Program]
) -> None:
    supervisor.start(program(SLEEPER))
    for _ in range(3):
        clock.now += 60
        os.kill(supervisor.pids()["web"], signal.SIGKILL)
        wait_for(lambda: supervisor.tend() == ("web",))
        assert supervisor.pids()


def test_a_misconfigured_program_is_not_started_again(
    supervisor: Supervisor, program: Callable[[str], Program]
) -> None:
    supervisor.start(program("print('guard-missing: the guard is gone'); raise SystemExit(78)"))
    with pytest.raises(Misconfigured) as refused:
        wait_for(lambda: supervisor.tend() and None)
    assert "guard-missing" in refused.value.detail
    assert supervisor.pids() == {}


def test_stop_leaves_nothing_running(supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signer.dev.supervisor.PATIENCE", 0.2)
    logs = [tmp_path / "parent.log", tmp_path / "deaf.log"]
    for log, code in zip(logs, (PARENT, DEAF), strict=True):
        supervisor.start(Program(name=log.stem, argv=(sys.executable, "-c", code), log=log))
    for log in logs:
        wait_for(lambda: log.read_text().endswith("\n"))  # noqa: B023 - called before the loop goes on
    pids = [*supervisor.pids().values(), int(logs[0].read_text())]
    supervisor.stop()
    assert all(gone(pid) for pid in pids)
