# SPDX-License-Identifier: Apache-2.0
"""Keeps a few programs running: starts again what ends, and at the end leaves nothing behind.

Each program leads its own process group, so that what it started ends with it, however it ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from signer.errors import Misconfigured

EXIT_MISCONFIGURED = 78
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
STEADY = 10.0
"""Seconds after which a program counts as running well: its next end is answered at once."""
PATIENCE = 15.0
"""Seconds between SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run and where its output goes."""

    name: str
    argv: tuple[str, ...]
    log: Path


@dataclass(slots=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0
    """When to start again, on the supervisor's clock."""


class Supervisor:
    """The programs, in the order in which they start; they stop in the opposite order."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._children: list[_Child] = []

    def start(self, program: Program) -> None:
        """Run `program` from now on."""
        child = _Child(program)
        self._children.append(child)
        self._spawn(child)

    def tend(self) -> tuple[str, ...]:
        """Start again what ended and is due; names what was found ended now.

        Raises Misconfigured when a program says by its exit code that only a person can help.
        """
        ended = []
        for child in self._children:
            if child.process is not None and _has_ended(child.process):
                code = _clear(child.process)
                child.process = None
                if code == EXIT_MISCONFIGURED:
                    raise _only_a_person_can_help(child.program)
                self._schedule(child)
                ended.append(child.program.name)
            if child.process is None and self._clock() >= child.due:
                self._spawn(child)
        return tuple(ended)

    def pids(self) -> dict[str, int]:
        """The running programs by name."""
        return {child.program.name: child.process.pid for child in self._children if child.process is not None}

    def stop(self) -> None:
        """End all programs, politely first; nothing that they started survives."""
        for child in reversed(self._children):
            if child.process is None:
                continue
            child.process.terminate()
            deadline = time.monotonic() + PATIENCE
            while not _has_ended(child.process) and time.monotonic() < deadline:
                time.sleep(0.02)
            _clear(child.process)
            child.process = None
        self._children.clear()

    def _spawn(self, child: _Child) -> None:
        with child.program.log.open("ab") as log:
            child.process = subprocess.Popen(  # noqa: S603 - no shell, the arguments are made by this program
                child.program.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child.started = self._clock()

    def _schedule(self, child: _Child) -> None:
        now = self._clock()
        child.failures = 1 if now - child.started >= STEADY else child.failures + 1
        delay = 0.0 if child.failures == 1 else min(LONGEST_DELAY, FIRST_DELAY * 2 ** (child.failures - 2))
        child.due = now + delay


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ended; it stays unreaped, so that its process group number cannot be given to another."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _clear(process: subprocess.Popen[bytes]) -> int:
    """Kill what is left of its group, reap it, and wait until the group is empty."""
    os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        # Killed already; a container without an init process may keep its zombie for ever.
        time.sleep(0.005)
    return code


def _only_a_person_can_help(program: Program) -> Misconfigured:
    return Misconfigured(
        f"{program.name}-misconfigured",
        f"{program.name} refuses to start: {last_lines(program.log)}",
        remedy=f"read {program.log}",
    )


def last_lines(log: Path, *, count: int = 5) -> str:
    """The end of what a program printed."""
    lines: Sequence[str] = log.read_text(errors="replace").splitlines() if log.exists() else ()
    return "\n".join(lines[-count:]) or "(it printed nothing)"
