# SPDX-License-Identifier: Apache-2.0
"""Feed one target what hypothesis makes of good inputs, until the time is over; the first fault is made small.

python -m tests.fuzz.explore TARGET SECONDS SEED REPORT
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed as seeded, settings, strategies as st

from tests.fuzz.meter import Meter, Report
from tests.fuzz.targets import TARGETS

ROUND = 50
"""Examples of one round: so few that the last round ends soon after the time is over, on a busy machine too."""
NEIGHBOURS = 16
TOKENS = (
    *(b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\r\n", b"\x30\x80", b"\x82\xff\xff"),
    *(b"{", b"}", b"[" * 70, b'"', b",", b":", b"\\u0000", b"1e999", b"-0", b"9007199254740993", b"NaN"),
    *(b"null", b"true", b"&a", b"*a", b"!!python/object:os.system", b"<<: ", b"- "),
    *(b"=", b"_", b"-", b"%00", b"../", b"0x", b"A" * 600),
)

SCRAPS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def inputs(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Any bytes, an edited seed, two seeds in one, or a seed's JSON with other values in some places."""
    data = draw(st.sampled_from(seeds))
    match draw(st.integers(0, 5)):
        case 0:
            return draw(st.binary(max_size=300))
        case 1:
            other = draw(st.sampled_from(seeds))
            return data[: draw(st.integers(0, len(data)))] + other[draw(st.integers(0, len(other))) :]
        case 2 | 3:
            return _other_values(draw, data)
        case _:
            for _ in range(draw(st.integers(1, 6))):
                place = draw(st.integers(0, len(data)))
                scrap = draw(st.sampled_from(TOKENS) | st.binary(max_size=6))
                data = data[:place] + scrap + data[place + draw(st.integers(0, 8)) :]
            return data


def neighbours(data: bytes) -> Iterator[bytes]:
    """`data`, and inputs a few bytes away from it: always the same ones, so that hypothesis can make a fault small.

    Making an example costs more than feeding it; this multiplies what one is worth.
    """
    yield data
    chance = random.Random(data)
    for _ in range(NEIGHBOURS if data else 0):
        edited = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(edited) + 1)
            match chance.randrange(4):
                case 0:
                    edited[place : place + 1] = bytes((chance.randrange(256),))
                case 1:
                    edited[place:place] = chance.choice(TOKENS)
                case 2:
                    del edited[place : place + chance.randint(1, 16)]
                case _:
                    begin = chance.randrange(len(edited) + 1)
                    edited[place:place] = edited[begin : begin + chance.randint(1, 64)]
        yield bytes(edited)


def _other_values(draw: st.DrawFn, data: bytes) -> bytes:
    """The same JSON text with other values; the bytes before its first brace stay."""
    begin = data.find(b"{")
    try:
        value = json.loads(data[begin:])
    except ValueError:
        return data
    for _ in range(draw(st.integers(1, 3))):
        node = value
        while isinstance(node, dict | list) and node:
            places: list[Any] = sorted(node) if isinstance(node, dict) else list(range(len(node)))
            place = draw(st.sampled_from(places))
            inner = node[place]
            if not isinstance(inner, dict | list) or not inner or not draw(st.integers(0, 3)):
                node[place] = draw(SCRAPS)
                break
            node = inner
    return data[:begin] + json.dumps(value).encode()


def explore(name: str, *, seconds: float, seed: int, out: Path | None = None) -> Report:
    """Run one target; the report holds the fault, if any."""
    target = TARGETS[name]
    report = Report(name, "hypothesis")
    meter = Meter(report, target.prepare(), seconds=seconds, out=out)
    strategy = inputs(target.seeds())
    number = 0
    while time.monotonic() < meter.deadline:

        @seeded(seed + number)
        @settings(
            max_examples=ROUND,
            deadline=None,
            database=None,
            derandomize=False,
            print_blob=False,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=tuple(HealthCheck),
        )
        @given(strategy)
        def probe(data: bytes) -> None:
            if time.monotonic() < meter.deadline or report.fault:
                for each in neighbours(data):
                    meter.feed(each)

        try:
            probe()
        except Exception:  # noqa: BLE001 - the meter has told it; hypothesis raises what it found, made small
            break
        number += 1
    meter.look()
    return report


if __name__ == "__main__":
    explore(sys.argv[1], seconds=float(sys.argv[2]), seed=int(sys.argv[3]), out=Path(sys.argv[4]))
