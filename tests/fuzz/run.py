# SPDX-License-Identifier: Apache-2.0
"""Run targets, each in a process of its own, some at a time; one report for each."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.meter import Report

ROOT = Path(__file__).resolve().parent.parent.parent
GRACE = 90.0
"""Seconds beyond its time in which a process must have begun and ended."""


def engine() -> str:
    """The better engine that is installed."""
    return "guided" if importlib.util.find_spec("atheris") is not None else "explore"


def run_target(name: str, *, engine: str, seconds: float, seed: int) -> Report:
    """One process; a crash or a hang of it is a fault of the target."""
    with tempfile.TemporaryDirectory(prefix="signer-fuzz-") as folder:
        out = Path(folder) / "report.json"
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": folder}
        command = [sys.executable, "-m", f"tests.fuzz.{engine}", name, str(seconds), str(seed), str(out)]
        try:
            ended = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=seconds + GRACE,
            )
            code, told = ended.returncode, ended.stderr.decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            code, told = -1, "the process did not end"
        report = Report(**json.loads(out.read_text("utf-8"))) if out.exists() else Report(name, engine)
    if code != 0 and not report.fault:
        report.fault = f"the process ended with {code}: {told[-500:]}"
    return report


def run_all(
    names: Iterable[str],
    *,
    engine: str,
    seconds: float,
    seed: int,
    at_once: int,
    tell: Callable[[Report], object] = lambda _: None,
) -> Mapping[str, Report]:
    """All targets, `at_once` processes at a time."""

    def one(name: str) -> Report:
        report = run_target(name, engine=engine, seconds=seconds, seed=seed)
        tell(report)
        return report

    names = list(names)
    with ThreadPoolExecutor(at_once) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))
