# SPDX-License-Identifier: Apache-2.0
"""What a run costs: how often it fed, how long the slowest input took, and how much memory it kept."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

SLOWEST = 5.0
"""Seconds of CPU that one input (of at most some hundred KiB) may take."""
GROWTH = 64.0
"""MiB that a process may keep beyond what it held after its first fifth, however long it runs."""
WARM_UP = 0.2


@dataclass(slots=True)
class Report:
    """How one run ended; memory in MiB, times in seconds."""

    target: str
    engine: str
    seconds: float = 0.0
    fed: int = 0
    slowest: float = 0.0
    warm: float = 0.0
    end: float = 0.0
    fault: str = ""

    @property
    def growth(self) -> float:
        return max(0.0, self.end - self.warm)

    def faults(self) -> list[str]:
        """What is wrong with the run, in words."""
        found = [self.fault] if self.fault else []
        if not self.fed:
            found.append("nothing was fed")
        if self.slowest > SLOWEST:
            found.append(f"one input took {self.slowest:.1f} s")
        if self.growth > GROWTH:
            found.append(f"{self.growth:.0f} MiB were kept")
        return found


class Meter:
    """Feeds and measures; `report` is true at any time, since a guided engine ends without coming back."""

    def __init__(self, report: Report, feed: Callable[[bytes], None], *, seconds: float, out: Path | None) -> None:
        self.report = report
        self._feed = feed
        self._out = out
        self._process = psutil.Process()
        self._begin = self._looked = time.monotonic()
        self._warm_at = self._begin + WARM_UP * seconds
        self.deadline = self._begin + seconds

    def feed(self, data: bytes) -> None:
        """Feed one input; whatever it raises goes on."""
        begin = time.thread_time()
        try:
            self._feed(data)
        except BaseException as fault:
            self.report.fault = f"{type(fault).__name__}: {str(fault)[:300]} for {data[:400]!r}"
            self.look()
            raise
        self.report.fed += 1
        self.report.slowest = max(self.report.slowest, time.thread_time() - begin)
        if time.monotonic() - self._looked > 1:
            self.look()

    def look(self) -> None:
        """Measure, and write the report down."""
        self._looked = now = time.monotonic()
        gc.collect()
        self.report.seconds = now - self._begin
        self.report.end = self._process.memory_info().rss / 2**20
        if now < self._warm_at or not self.report.warm:
            self.report.warm = self.report.end
        if self._out is not None:
            self._out.write_text(json.dumps(asdict(self.report)), encoding="utf-8")
