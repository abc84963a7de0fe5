# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.mutants`: the score of a seeded sample, and every mutant that no test noticed."""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.mutants.changes import sites
from tests.mutants.trial import ROOT, UNCHANGED, Mutant, begin, ended, load_libraries

PATHS = ("policy", "signer/formats", "signer/verify", "signer/custodian/authority.py")
TESTS = ("tests/unit", "tests/policy", "tests/contract")
BUDGET = 12.0
"""Seconds of tests for one mutant, by what they took before: the quick ones first."""
FAILING = 0.01
"""Share of the tests that may be too slow for themselves while they are traced."""
CONTROLS = 5
"""How many trials are made of code that was not changed."""
START = 30.0
"""Seconds that a process may need beyond three times what its tests took."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("-n", "--count", type=int, default=400, help="how many mutants (400)")
    parser.add_argument("-j", "--at-once", type=int, default=2, help="processes at the same time (2)")
    parser.add_argument("--seed", type=int, default=1, help="which sample (1)")
    parser.add_argument("--path", action="append", help=f"of these paths alone; by default: {' '.join(PATHS)}")
    parser.add_argument("--tests", action="append", help=f"with these tests alone; by default: {' '.join(TESTS)}")
    parser.add_argument("--out", type=Path, help="write the survivors here as JSON")
    chosen = parser.parse_args()
    every = [mutant for path in chosen.path or PATHS for mutant in mutants(ROOT / path)]
    sample = sorted(
        random.Random(chosen.seed).sample(every, min(chosen.count, len(every))), key=lambda each: (each.file, each.line)
    )
    begun = time.monotonic()
    print(f"{len(sample)} of {len(every)} mutants, seed {chosen.seed}; first one traced run of the tests", flush=True)
    reach, seconds = traced(chosen.tests or TESTS, at_once=chosen.at_once)
    print(f"traced in {time.monotonic() - begun:.0f} s", flush=True)
    load_libraries()
    controls = [replace(mutant, number=UNCHANGED) for mutant in sample[:: max(1, len(sample) // CONTROLS)]]
    ends = try_all(controls, reach, seconds, at_once=chosen.at_once)
    if "killed" in ends.values():
        raise SystemExit(f"tests fail on code that was not changed: {ends}")
    results = try_all(sample, reach, seconds, at_once=chosen.at_once)
    report(sample, results, minutes=(time.monotonic() - begun) / 60)
    if chosen.out is not None:
        left = [
            (each.file, each.line, each.kind, each.shown, results[each]) for each in sample if results[each] != "killed"
        ]
        chosen.out.write_text(json.dumps(left, indent=1), encoding="utf-8")
    return 0


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file, or of all files below a folder."""
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        for number, site in enumerate(sites(ast.parse(file.read_bytes()))):
            yield Mutant(file.relative_to(ROOT).as_posix(), number, site.line, site.kind, site.shown)


def traced(tests: Sequence[str], *, at_once: int) -> tuple[Mapping[str, list[str]], Mapping[str, float]]:
    """Place of a function → the tests that reach it, and what each test takes; raises SystemExit when they fail."""
    files = sorted(
        file.relative_to(ROOT).as_posix()
        for path in map(ROOT.joinpath, tests)
        for file in ([path] if path.is_file() else path.rglob("test_*.py"))
    )
    shares = [share for share in (files[place::at_once] for place in range(at_once)) if share]
    reach: dict[str, list[str]] = {}
    seconds: dict[str, float] = {}
    with ThreadPoolExecutor(len(shares)) as pool:
        for found in pool.map(_traced_share, shares):
            seconds.update(found["seconds"])
            for place, those in found["reach"].items():
                reach.setdefault(place, []).extend(those)
    return reach, seconds


def _traced_share(files: Sequence[str]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "reach.json"
        ran = subprocess.run(
            [sys.executable, "-m", "tests.mutants.reach", str(out), *files],
            cwd=ROOT,
            env={**os.environ, "CI": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if not out.exists():
            raise SystemExit(f"the tests do not run:\n{ran.stdout[-3000:]}")
        found = json.loads(out.read_text("utf-8"))
    if len(found["failed"]) > FAILING * len(found["seconds"]):
        raise SystemExit(f"the tests fail without any mutant:\n{ran.stdout[-3000:]}")
    for test in found["failed"]:
        print(f"left out, since it fails while it is traced: {test}", flush=True)
    return found


def chosen_tests(mutant: Mutant, reach: Mapping[str, list[str]], seconds: Mapping[str, float]) -> list[str]:
    """The tests that reach the function around the change, quick ones first, within the budget.

    What stands outside every function is reached by whatever reaches the module at all.
    """
    functions = [
        node
        for node in ast.walk(ast.parse((ROOT / mutant.file).read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.Lambda) and node.lineno <= mutant.line <= (node.end_lineno or 0)
    ]
    begins = {
        line
        for node in functions
        for line in (node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ())))
    }
    inner = [f"{mutant.file}:{line}" for line in sorted(begins, reverse=True)]
    found = next((reach[place] for place in inner if place in reach), None)
    if found is None and not functions:
        found = sorted(
            {test for place, tests in reach.items() if place.startswith(f"{mutant.file}:") for test in tests}
        )
    tests: list[str] = []
    spent = 0.0
    for test in sorted(found or (), key=lambda test: seconds[test]):
        if tests and spent + seconds[test] > BUDGET:
            break
        tests.append(test)
        spent += seconds[test]
    return tests


def try_all(
    sample: Sequence[Mutant], reach: Mapping[str, list[str]], seconds: Mapping[str, float], *, at_once: int
) -> dict[Mutant, str]:
    """How each mutant ended: killed, late, survived, or unreached."""
    results: dict[Mutant, str] = {}
    waiting = list(reversed(sample))
    running: dict[int, tuple[Mutant, float]] = {}
    os.environ["CI"] = "1"  # the same examples for each mutant
    while waiting or running:
        while waiting and len(running) < at_once:
            mutant = waiting.pop()
            tests = chosen_tests(mutant, reach, seconds)
            if not tests:
                results[mutant] = "unreached"
                continue
            limit = START + 3 * sum(seconds[test] for test in tests)
            running[begin(mutant, tests)] = (mutant, time.monotonic() + limit)
        time.sleep(0.02)
        for child, (mutant, deadline) in list(running.items()):
            code = ended(child, deadline=deadline)
            if code is not None:
                del running[child]
                results[mutant] = "survived" if code == 0 else "late" if code == -1 else "killed"
                if len(results) % 50 == 0:
                    print(f"{len(results)} of {len(sample)}", flush=True)
    return results


def report(sample: Sequence[Mutant], results: Mapping[Mutant, str], *, minutes: float) -> None:
    """Survivors first, then a line for each module, then the score."""
    for mutant in sample:
        if results[mutant] in ("survived", "unreached"):
            print(f"{results[mutant]:9} {mutant.file}:{mutant.line}  {mutant.kind}: {mutant.shown}")
    print(f"\n{'module':44}{'mutants':>8}{'noticed':>8}")
    for file in sorted({mutant.file for mutant in sample}):
        those = Counter(results[mutant] in ("killed", "late") for mutant in sample if mutant.file == file)
        print(f"{file:44}{those.total():>8}{those[True]:>8}")
    ends = Counter(results.values())
    noticed = ends["killed"] + ends["late"]
    print(
        f"\nscore {100 * noticed / max(1, len(sample)):.1f} %: {dict(ends)} of {len(sample)} in {minutes:.1f} minutes"
    )


if __name__ == "__main__":
    sys.exit(main())
