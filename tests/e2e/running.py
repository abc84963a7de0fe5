# SPDX-License-Identifier: Apache-2.0
"""A running `signer dev`, and the `signer` command line as anybody types it: real processes, TLS, token."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from signer.dev.announce import read_exports
from signer.dev.certificates import load_key
from signer.dev.directory import DevDirectory

SIGNER = (sys.executable, "-P", "-m", "signer.cli")
START = 90.0
REQUEST = ("--policy", "demo", "--environment", "release")


@dataclass(frozen=True, slots=True)
class Ran:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(slots=True)
class Running:
    """One `signer dev`, alive until `stop`."""

    directory: DevDirectory
    process: subprocess.Popen[bytes]
    output: Path
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(cls, folder: Path, *arguments: str) -> Running:
        output = folder.with_name(f"{folder.name}.out")
        with output.open("ab") as log:
            process = subprocess.Popen(
                [*SIGNER, "dev", "--dir", str(folder), "--port", "0", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        running = cls(DevDirectory.at(folder), process, output)
        running.wait_until_ready()
        return running

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.is_ready() or self.process.poll() is not None, seconds=START, what=self.output.read_text)
        assert self.process.poll() is None, self.output.read_text()
        self.environ = read_exports(self.directory.env)

    def is_ready(self) -> bool:
        """Whether this process says so, and not one that was killed before it."""
        ready = self.directory.ready
        return ready.exists() and ready.read_text().splitlines()[1] == str(self.process.pid)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def signer(self, *arguments: str | Path, identity: str = "ci", **environ: str) -> Ran:
        """Run `signer ARGUMENTS` as `identity`, in the exports of DIR/env."""
        folder = self.directory.identity(identity)
        done = subprocess.run(
            [*SIGNER, *map(str, arguments)],
            env={
                **os.environ,
                **self.environ,
                "SIGNER_CLIENT_CERT": str(folder / "cert.pem"),
                "SIGNER_CLIENT_KEY": str(folder / "key.pem"),
                **environ,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def sample(self, name: str) -> Path:
        return self.directory.samples / name

    def evidence(self, kind: str) -> Sequence[str | Path]:
        """`--evidence` and the good or bad samples."""
        return ("--evidence", *sorted(self.directory.samples.glob(f"{kind}*.json")))

    def sign(self, *arguments: str | Path, identity: str = "ci", **environ: str) -> Ran:
        """Ask for a signature over the good artifact with the good samples."""
        return self.signer(
            "sign",
            *REQUEST,
            "--subject-file",
            self.sample("artifact.txt"),
            *self.evidence("good"),
            *arguments,
            identity=identity,
            **environ,
        )

    def owner_signs(self, *arguments: str | Path, owner: str, out: Path) -> Path:
        """`signer owner sign` with one owner's key, without any exports."""
        ran = self.signer("owner", "sign", *arguments, "--key", self.directory.owner_key(owner), "--out", out)
        assert ran.code == 0, ran.err
        return out

    def key(self, name: str) -> Any:
        """The key of a demo system: builder, scanner or source."""
        return load_key(self.directory.signer_key(name))

    def processes(self) -> dict[str, list[psutil.Process]]:
        """What runs below `signer dev`, by its part."""
        found: dict[str, list[psutil.Process]] = {"custodian": [], "serve": [], "token_worker": []}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            words = process.cmdline()
            for name, those in found.items():
                if name in words or f"signer.custodian.{name}" in words:
                    those.append(process)
        return found


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Running]:
    """A `signer dev` for the length of a block; it must stop cleanly."""
    started = Running.start(folder, *arguments)
    try:
        yield started
    finally:
        code = started.stop()
    assert code == 0, started.output.read_text()


def wait_for(
    condition: Callable[[], object], *, seconds: float = 30, what: Callable[[], str] = lambda: "in time"
) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)
