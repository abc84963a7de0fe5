# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

# Each round makes new shapes, so that each first use happens in eight threads at once. Without the lock a round in
# a few crashes the interpreter, which is why this runs in a process of its own.
FIRST_USES = """
import sys, threading
from dataclasses import make_dataclass
from signer.formats.shape import read_shape

sys.setswitchinterval(1e-6)
for round in range(150):
    inner = make_dataclass("Inner", [(f"a{n}", str) for n in range(20)], frozen=True)
    outer = make_dataclass("Outer", [(f"b{n}", tuple[inner, ...]) for n in range(20)], frozen=True)
    value = {f"b{n}": [{f"a{m}": "x" for m in range(20)}] for n in range(20)}
    start = threading.Barrier(8)
    def use():
        start.wait()
        assert read_shape(value, outer, what="value").b19[0].a19 == "x"
    threads = [threading.Thread(target=use) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print("done")
"""


def test_the_first_use_of_a_shape_may_happen_in_many_threads_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_USES], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
