# SPDX-License-Identifier: Apache-2.0
"""A large pack: 50 attestations and 20 MB of logs, exported and verified; CPU seconds and the most memory held.

Each half runs in a process of its own, so that neither counts what the other holds.
"""

from __future__ import annotations

import mmap
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from signer.db.engine import open_engine
from signer.ledger.packs import Packs
from signer.ledger.reader import Reader
from signer.releases.source import Source
from signer.verify.pack import verify_pack
from tests.unit.custodian.world import LEDGER_KEY
from tests.unit.pack.world import Release, Written

ATTESTATIONS = 50
LOGS = 20
MIB = 1024 * 1024


def measure() -> list[str]:
    """Lines for people: export and verify, CPU in seconds and the highest resident size."""
    with tempfile.TemporaryDirectory(prefix="bench-packs-") as folder:
        return [_run(step, folder) for step in ("make", "export", "verify")]


def _run(step: str, folder: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench.packs", step, folder], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def main(step: str, folder: Path) -> None:
    """One step in this process."""
    begun = time.process_time()
    match step:
        case "make":
            told = _make(folder)
        case "export":
            told = _export(folder)
        case _:
            told = _verify(folder)
    seconds = time.process_time() - begun
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"pack {step:<7} {seconds:5.2f} s CPU  {most:6.0f} MiB  {told}\n")


def _make(folder: Path) -> str:
    release = Release()
    evidence: dict[bytes, None] = {}
    while len(evidence) < ATTESTATIONS:
        # Each round has other times in it, and so other bytes.
        evidence |= dict.fromkeys(release.evidence())
    release.signed(evidence=list(evidence)[:ATTESTATIONS])
    for number in range(LOGS):
        release.keep("build-log", (os.urandom(MIB // 2 - 8).hex() + f"{number:016}").encode())
    release.written(folder)
    (folder / "trust.json").write_bytes(release.trust)
    return f"{ATTESTATIONS} attestations, {LOGS} logs of 1 MiB"


def _export(folder: Path) -> str:
    engine = open_engine(f"sqlite:///{folder}/ledger.db", read_only=True)
    data = Written(Source(Reader(engine), None), Packs(engine), LEDGER_KEY).pack()
    (folder / "pack.tar").write_bytes(data)
    return f"{len(data) / MIB:.1f} MiB"


def _verify(folder: Path) -> str:
    with (folder / "pack.tar").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        verified = verify_pack(data, trust=(folder / "trust.json").read_bytes(), allow_dev=False)
        return f"{verified.files} files, {len(verified.checks)} checks"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
