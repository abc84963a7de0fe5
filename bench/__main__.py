# SPDX-License-Identifier: Apache-2.0
"""Print S and the pipeline's ratio to it, what the judge costs alone, and what a device is used for.

    python -m bench [ROUNDS]

Each round measures the reference, then each load; the figures are medians over rounds, so that a noisy minute of the
machine touches both sides of the ratio. What is printed is measured, not gated.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from bench import capacity, judging, packs
from bench.bodies import ACCESS, Workshop
from bench.pipeline import KINDS, Round, authority, cores, load
from bench.reference import Reference, measure, median, reference_parts

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 40
LOADS = {"c=1": (1, 120), "c=8": (8, 480)}
"""Name of a load → connections, requests in each round."""
REPEATED = "c=8, verified before"


def main(arguments: Sequence[str]) -> None:
    rounds = int(arguments[0]) if arguments else 5
    place = ROOT / ".demo"  # on the disk of the checkout: a temporary folder may be memory, where a flush is free
    place.mkdir(exist_ok=True)
    workshop = Workshop.open()
    references: list[Reference] = []
    results: dict[str, list[Round]] = {name: [] for name in (*LOADS, REPEATED)}
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=place) as folder,
        reference_parts(Path(folder)) as parts,
        authority(Path(folder), policy=workshop.policy(), access=ACCESS) as target,
    ):
        made = 0
        load(target, [workshop.body(-1 - number) for number in range(WARM_UP)], connections=8)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            references.append(measure(parts))
            for name, (connections, count) in LOADS.items():
                bodies = [workshop.body(made + place) for place in range(count)]
                made += count
                results[name].append(load(target, bodies, connections=connections))
            again = [workshop.body(made)] * 240
            made += 1
            # Each worker has a memory of its own: enough requests that each of them has met these attestations.
            load(target, again[:WARM_UP], connections=8)
            results[REPEATED].append(load(target, again, connections=8))
    report(median(references), results)
    print()
    judging.report()
    print()
    capacity.report()
    print("\nAn evidence pack of 50 attestations and 20 MB of logs")
    print("\n".join(packs.measure()))


def report(reference: Reference, results: dict[str, list[Round]]) -> None:
    parts = ", ".join(f"{part.name} {getattr(reference, part.name):.0f}" for part in fields(reference))
    print(f"{platform.python_implementation()} {platform.python_version()}, {cores()} cores, {platform.machine()}")
    print(f"S = sign + 3 verify + 2 append + note = {reference.total:.0f} us of CPU ({parts})")
    head = "".join(f"{word:>10}" for word in (*KINDS, "sum", "sum/S", "per s", "p50 ms", "p99 ms"))
    print(f"\n{'CPU us per signature':28}{head}")
    for name, rounds in results.items():
        middle = {kind: statistics.median(one.cpu[kind] for one in rounds) for kind in KINDS}
        total = statistics.median(one.total for one in rounds)
        rate, p50, p99 = (statistics.median(getattr(one, what) for one in rounds) for what in ("rate", "p50", "p99"))
        print(
            f"{name:28}{middle['web']:10.0f}{middle['custodian']:10.0f}{middle['token']:10.0f}{total:10.0f}"
            f"{total / reference.total:10.2f}{rate:10.0f}{p50:10.1f}{p99:10.1f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
