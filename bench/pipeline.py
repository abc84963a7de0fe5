# SPDX-License-Identifier: Apache-2.0
"""The whole pipeline under load: a `signer dev` of its own, mutual TLS with keep-alive, CPU per signature by process.

The client runs in this process and is not counted; it uses the same cores, so rates are lower bounds.
"""

from __future__ import annotations

import http.client
import os
import queue
import shlex
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

START_SECONDS = 60
KINDS = ("web", "custodian", "token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One load: CPU microseconds per signature by kind of process, rate, latency in milliseconds."""

    cpu: dict[str, float]
    rate: float
    p50: float
    p99: float

    @property
    def total(self) -> float:
        return sum(self.cpu.values())


@dataclass(frozen=True, slots=True)
class Authority:
    """A running authority: where it is, and its process."""

    host: str
    port: int
    tls: ssl.SSLContext
    root: psutil.Process

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU (user and system) so far, by kind of process."""
        spent = dict.fromkeys(KINDS, 0.0)
        for process in self.root.children(recursive=True):
            try:
                times, words = process.cpu_times(), " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
            spent[kind_of(words)] += times.user + times.system
        return spent


def kind_of(command: str) -> str:
    """Which part of the authority a command line is."""
    if "token_worker" in command:
        return "token"
    return "custodian" if "custodian" in command else "web"


@contextmanager
def authority(folder: Path, *, policy: str, access: str) -> Iterator[Authority]:
    """`signer dev` in `folder` under these documents, until the block ends."""
    documents = {"--policy": policy, "--access": access}
    command = [sys.executable, "-m", "signer.cli", "dev", "--dir", str(folder / "dev"), "--port", "0"]
    for option, text in documents.items():
        path = folder / f"{option.strip('-')}.yaml"
        path.write_text(text)
        command += [option, str(path)]
    with (folder / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(folder / "dev" / "ready", process, folder / "dev.log")
        exports = read_exports(folder / "dev" / "env")
        address = urlsplit(exports["SIGNER_URL"])
        tls = ssl.create_default_context(cafile=exports["SIGNER_CA"])
        tls.load_cert_chain(exports["SIGNER_CLIENT_CERT"], exports["SIGNER_CLIENT_KEY"])
        yield Authority(str(address.hostname), int(address.port or 443), tls, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=START_SECONDS)


def wait_for(ready: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the authority did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def read_exports(path: Path) -> dict[str, str]:
    words = (shlex.split(line)[1] for line in path.read_text().splitlines())
    return dict(word.split("=", 1) for word in words)


def load(target: Authority, bodies: Sequence[bytes], *, connections: int) -> Round:
    """Send every body once over this many kept connections; raises when an answer is not 200."""
    work: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for body in bodies:
        work.put(body)
    waits: list[float] = []
    refused: Counter[str] = Counter()
    start = threading.Barrier(connections + 1)
    clients = [threading.Thread(target=client, args=(target, work, waits, refused, start)) for _ in range(connections)]
    for thread in clients:
        thread.start()
    start.wait()
    before, begin = target.cpu(), time.monotonic()
    for thread in clients:
        thread.join()
    wall, after = time.monotonic() - begin, target.cpu()
    if refused:
        raise SystemExit(f"answers that are not 200: {refused.most_common(3)}")
    waits.sort()
    return Round(
        cpu={kind: (after[kind] - before[kind]) / len(bodies) * 1e6 for kind in KINDS},
        rate=len(bodies) / wall,
        p50=waits[len(waits) // 2] * 1e3,
        p99=waits[int(len(waits) * 0.99)] * 1e3,
    )


def client(
    target: Authority,
    work: queue.SimpleQueue[bytes],
    waits: list[float],
    refused: Counter[str],
    start: threading.Barrier,
) -> None:
    """One connection, opened before the clock runs."""
    connection = http.client.HTTPSConnection(target.host, target.port, context=target.tls, timeout=60)
    connection.connect()
    start.wait()
    try:
        while True:
            body = work.get_nowait()
            begin = time.monotonic()
            connection.request("POST", "/v1/signatures", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            waits.append(time.monotonic() - begin)
            if answer.status != 200:
                refused[f"{answer.status} {text[:300]!r}"] += 1
    except queue.Empty:
        connection.close()


def cores() -> int:
    return len(os.sched_getaffinity(0))
