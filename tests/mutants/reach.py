# SPDX-License-Identifier: Apache-2.0
"""Which tests reach which function, and how long each test takes: one run of the tests, traced.

python -m tests.mutants.reach OUT PATH...        writes {"reach": {"file:line": [test…]}, "seconds": {test: s}, …}
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = (f"{ROOT}/policy/", f"{ROOT}/signer/")


class Reach:
    """A pytest plugin that notes each function of the house that a test calls."""

    def __init__(self) -> None:
        self.reached: dict[str, set[str]] = defaultdict(set)
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()
        self._test = ""
        self._places: dict[CodeType, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        # A function with all its cases is one test here: ids of cases may hold anything.
        self._test = item.nodeid.partition("[")[0]
        begin = time.monotonic()
        sys.settrace(self._trace)
        threading.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            self.seconds[self._test] += time.monotonic() - begin

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid.partition("[")[0])

    def _trace(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        place = self._places.get(code)
        if place is None:
            file = code.co_filename
            inside = event == "call" and file.startswith(ROOMS)
            place = self._places[code] = f"{os.path.relpath(file, ROOT)}:{code.co_firstlineno}" if inside else ""
        if place:
            self.reached[place].add(self._test)


def main(out: Path, paths: list[str]) -> int:
    """Run the tests below `paths`, and write what they reach; the exit code of pytest."""
    plugin = Reach()
    code = pytest.main(["-q", "-p", "no:cacheprovider", *paths], plugins=[plugin])
    reach = {place: sorted(tests - plugin.failed) for place, tests in plugin.reached.items()}
    found = {"reach": reach, "seconds": plugin.seconds, "failed": sorted(plugin.failed)}
    out.write_text(json.dumps(found), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
