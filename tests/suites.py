# SPDX-License-Identifier: Apache-2.0
"""Run every gate and every suite; print run and skip counts with reasons; fail when anything failed or ran nothing.

    python -m tests.suites [--gates] [SUITE…]

A later suite still runs when an earlier one failed: one run shows everything that is wrong.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

GATES: Mapping[str, tuple[str, ...]] = {
    "format": ("-m", "ruff", "format", "--check", "."),
    "lint": ("-m", "ruff", "check", "."),
    "types": ("-m", "mypy"),
    "pages": ("-m", "docs.generate", "--check"),
}
"""Each gate: what the environment's Python runs; any exit code but 0 fails."""

SUITES: Mapping[str, tuple[str, ...]] = {
    "architecture": (
        "tests/test_architecture.py",
        "tests/test_prepare.py",
        "tests/test_suites.py",
        "tests/test_mutants.py",
    ),
    "docs": ("tests/test_docs.py", "tests/test_deploy.py"),
    "unit": ("tests/unit",),
    "policy": ("tests/policy",),
    "contract": ("tests/contract",),
    "conformance": ("tests/conformance",),
    "integration": ("tests/integration",),
    "fuzz": ("tests/fuzz",),
    "abuse": ("tests/abuse",),
    "tutorial": ("tests/test_tutorial.py",),
    "e2e": ("tests/e2e",),
    "faults": ("tests/faults",),
}
"""Each suite: the paths that pytest collects."""

SHARED: Mapping[str, tuple[str, ...]] = dict.fromkeys(
    ("unit", "policy"), ("-n", "logical", "--maxprocesses", "4", "--dist", "loadfile")
)
"""Suites that only compute, in one process: they run on every core. Those that start processes of their own do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one gate or suite ended."""

    name: str
    ok: bool
    seconds: float
    passed: int = 0
    failed: int = 0
    skips: Counter[str] = field(default_factory=Counter)
    """Reason → how often."""

    @property
    def skipped(self) -> int:
        """How many tests were skipped, for any reason."""
        return self.skips.total()


def run_gate(name: str, arguments: Sequence[str]) -> Result:
    """Run one gate in the environment's Python."""
    announce(name)
    begin = time.monotonic()
    code = subprocess.run([sys.executable, *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode
    return Result(name=name, ok=code == 0, seconds=time.monotonic() - begin)


def run_suite(name: str, paths: Sequence[str]) -> Result:
    """Run one suite with pytest and count from its own report; a suite that ran no test fails."""
    announce(name)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ("-q", "--color=auto", f"--junitxml={report}", *SHARED.get(name, ()))
        command = [sys.executable, "-m", "pytest", *options, *paths]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        code = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, env=environment, check=False).returncode
        passed, failed, skips = read_report(report.read_bytes()) if report.exists() else (0, 0, Counter[str]())
    ok = code == 0 and failed == 0 and passed > 0
    return Result(name=name, ok=ok, seconds=time.monotonic() - begin, passed=passed, failed=failed, skips=skips)


def read_report(data: bytes) -> tuple[int, int, Counter[str]]:
    """Passed, failed and the reasons of skips in a JUnit report; an error of set-up counts as failed."""
    passed = failed = 0
    skips: Counter[str] = Counter()
    for case in ET.fromstring(data).iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skip is not None:
            skips[skip.get("message") or "no reason given"] += 1
        else:
            passed += 1
    return passed, failed, skips


def table(results: Sequence[Result]) -> Iterator[str]:
    """Lines for a person: one per gate and suite, then each skip reason, then the sum."""
    yield ""
    yield f"{'':14}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}"
    for result in results:
        verdict = "" if result.ok else "  FAILED" if result.passed or result.name in GATES else "  FAILED: ran no test"
        counts = f"{'':>25}" if result.name in GATES else f"{result.passed:>8}{result.failed:>8}{result.skipped:>9}"
        yield f"{result.name:14}{counts}{result.seconds:>9.1f}{verdict}"
    for result in results:
        for reason, times in sorted(result.skips.items()):
            yield f"skipped in {result.name}: {times} x {reason}"
    failed_gates = [result.name for result in results if result.name in GATES and not result.ok]
    if failed_gates:
        yield f"gates that failed: {', '.join(failed_gates)}"
    passed, failed, skipped = (
        sum(getattr(result, count) for result in results) for count in ("passed", "failed", "skipped")
    )
    yield f"{passed} passed, {failed} failed, {skipped} skipped"


def announce(name: str) -> None:
    """Say what runs now, before its own output."""
    print(f"\n== {name}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all gates and suites that were asked for passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__)
    parser.add_argument("--gates", action="store_true", help="run the gates only")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"one of: {', '.join(SUITES)}")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.suites) - set(SUITES)
    if unknown:
        parser.error(f"no suite is called {', '.join(sorted(unknown))}")
    gates = {} if chosen.suites else GATES
    suites = {} if chosen.gates else {name: SUITES[name] for name in chosen.suites or SUITES}
    results = [run_gate(name, command) for name, command in gates.items()]
    results += [run_suite(name, paths) for name, paths in suites.items()]
    for line in table(results):
        print(line)
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
