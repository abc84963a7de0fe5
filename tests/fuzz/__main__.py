# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.fuzz`: the long form; one line for each target, and exit code 1 when any broke."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.meter import GROWTH, SLOWEST, Report
from tests.fuzz.run import engine, run_all
from tests.fuzz.targets import TARGETS

HEAD = (
    f"{'target':12}{'engine':>12}{'seconds':>9}{'fed':>11}{'slowest s':>11}{'warm MiB':>10}{'end MiB':>9}{'growth':>8}"
)


def line(report: Report) -> str:
    return (
        f"{report.target:12}{report.engine:>12}{report.seconds:>9.0f}{report.fed:>11}{report.slowest:>11.3f}"
        f"{report.warm:>10.1f}{report.end:>9.1f}{report.growth:>8.1f}"
        f"{''.join(f'  FAILED: {fault}' for fault in report.faults())}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("-s", "--seconds", type=float, default=600, help="for each target (600)")
    parser.add_argument("-j", "--at-once", type=int, default=2, help="targets at the same time (2)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="where chance begins (the time)")
    parser.add_argument("--engine", choices=["explore", "guided"], default=engine())
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of: {', '.join(TARGETS)}")
    chosen = parser.parse_args()
    names = chosen.targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"no target is called {', '.join(sorted(unknown))}")
    if chosen.engine == "explore":
        print("atheris is not installed: inputs come from hypothesis, without coverage")
    print(
        f"seed {chosen.seed}; bounds: {SLOWEST:.0f} s of CPU for an input, {GROWTH:.0f} MiB of growth\n{HEAD}",
        flush=True,
    )
    reports = run_all(
        names,
        engine=chosen.engine,
        seconds=chosen.seconds,
        seed=chosen.seed,
        at_once=chosen.at_once,
        tell=lambda report: print(line(report), flush=True),
    )
    return 1 if any(report.faults() for report in reports.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
