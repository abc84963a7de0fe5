# SPDX-License-Identifier: Apache-2.0
"""Feed one target what libFuzzer finds by coverage of our code. Ends by itself, without coming back.

python -m tests.fuzz.guided TARGET SECONDS SEED REPORT
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["policy", "signer"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.meter import Meter, Report


def main(name: str, seconds: float, seed: int, out: Path) -> None:
    """Seed a corpus, and fuzz until the time is over or something breaks."""
    target = TARGETS[name]
    corpus = Path(tempfile.mkdtemp(prefix=f"signer-fuzz-{name}-"))
    for number, data in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(data)
    meter = Meter(Report(name, "atheris"), target.prepare(), seconds=seconds, out=out)
    meter.look()
    limits = ["-max_len=65536", "-timeout=30", "-rss_limit_mb=2048", f"-max_total_time={int(seconds)}"]
    options = [*limits, f"-seed={seed}", f"-artifact_prefix={corpus}/", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], meter.feed)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
