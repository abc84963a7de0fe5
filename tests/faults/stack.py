# SPDX-License-Identifier: Apache-2.0
"""The full stack as a stranger starts it: `signer dev`, its processes by role, and what the ledger must hold."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
from sqlalchemy import Engine

from signer.db import tables
from signer.db.engine import open_engine
from signer.dev.announce import read_exports
from signer.dev.directory import OWNERS, DevDirectory
from signer.domain.subject import Subject
from signer.ledger.leaves import Decision, Outcome, decode_leaf
from signer.ledger.projections import rebuild
from signer.ledger.reader import MAX_LEAVES, Reader
from signer.verify.checks import Checklist
from signer.verify.replay import verify_replay
from tests.faults.load import Answered, Load, new_pool, post

Role = Literal["custodian", "token worker", "web worker", "web master"]
ROLES: tuple[Role, ...] = ("custodian", "token worker", "web worker", "web master")
START = 90.0
BACK = 20.0
"""Seconds within which the service must answer again by itself."""


@dataclass(slots=True)
class Stack:
    """One running `signer dev`."""

    directory: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, directory: Path) -> Stack:
        log = (directory.parent / f"{directory.name}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "signer.cli", "dev", "--dir", str(directory), "--port", "0"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        stack = cls(directory, process)
        deadline = time.monotonic() + START
        while not (directory / "ready").exists():
            assert process.poll() is None, f"signer dev ended with {process.returncode}; see {log.name}"
            assert time.monotonic() < deadline, f"signer dev is not ready; see {log.name}"
            time.sleep(0.05)
        return stack

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0

    @property
    def exports(self) -> dict[str, str]:
        return read_exports(self.directory / "env")

    def load(self, *, clients: int = 8) -> Load:
        return Load(self.exports["SIGNER_URL"], self.context(), self.body(), clients=clients)

    def context(self) -> ssl.SSLContext:
        exports = self.exports
        context = ssl.create_default_context(cafile=exports["SIGNER_CA"])
        context.load_cert_chain(exports["SIGNER_CLIENT_CERT"], exports["SIGNER_CLIENT_KEY"])
        return context

    def body(self) -> bytes:
        """A request that policy allows: the samples about the sample artifact."""
        exports = self.exports
        subject = Subject.parse(exports["SIGNER_DEV_SUBJECT"])
        samples = sorted((self.directory / "samples").glob("good*.json"))
        return json.dumps(
            {
                "policy": exports["SIGNER_DEV_POLICY"],
                "environment": exports["SIGNER_DEV_ENVIRONMENT"],
                "subjects": [{"name": subject.name, "digest": {"sha256": subject.sha256}}],
                "evidence": [{"content": base64.b64encode(path.read_bytes()).decode()} for path in samples],
            }
        ).encode()

    def ask(self, key: str) -> Answered | None:
        """One request on a connection of its own."""
        return post(new_pool(self.context()), self.exports["SIGNER_URL"], self.body(), key)

    def settle(self, *, within: float = BACK) -> Answered:
        """Wait until a fresh request is signed again; nobody touches anything meanwhile."""
        deadline = time.monotonic() + within
        last: Answered | None = None
        while time.monotonic() < deadline:
            last = self.ask(os.urandom(16).hex())
            if last is not None and last.status == 200:
                return last
            time.sleep(0.1)
        raise AssertionError(f"not back within {within} s: {last}")

    def pids(self, role: Role) -> list[int]:
        """Processes of one role, by what they run; all are descendants of the process that this test started."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line, parent = child.cmdline(), child.parent()
                above = parent.cmdline() if parent is not None else []
            except psutil.NoSuchProcess:
                continue
            if role == _role(line, above):
                found.append(child.pid)
        return found

    def kill(self, role: Role, *, dice: random.Random) -> int:
        """kill -9 one process of that role and say which; waits for one to exist."""
        deadline = time.monotonic() + BACK
        while not (pids := self.pids(role)):
            assert time.monotonic() < deadline, f"no {role} is running"
            time.sleep(0.02)
        pid = dice.choice(pids)
        os.kill(pid, signal.SIGKILL)
        return pid

    def reader(self) -> Reader:
        return Reader(open_engine(f"sqlite:///{self.directory}/state/ledger.db", read_only=True))

    def verify_log(self) -> None:
        """`signer log verify` as an auditor runs it: every leaf re-hashed, the root equal to the checkpoint."""
        self.signer("log", "verify", identity="auditor")

    def resume(self, halt: int) -> None:
        """End the halt with the signatures of both owners, as the runbook says."""
        leaf = self.directory / "halt-leaf.json"
        leaf.write_bytes(self.reader().leaf(halt))
        signatures = []
        for owner in OWNERS:
            out = self.directory / f"resume.{owner}"
            key = str(DevDirectory.at(self.directory).owner_key(owner))
            act = ("--action", "resume", "--number", str(halt), "--document", str(leaf))
            self.signer("owner", "sign", *act, "--key", key, "--out", str(out), identity=owner)
            signatures += ["--signature", str(out)]
        self.signer("resume", "--halt-index", str(halt), *signatures, identity="owner-1")

    def signer(self, *arguments: str, identity: str = "ci") -> bytes:
        """Run the command line as `identity`; returns what it printed, fails unless it exits 0."""
        stem = f"SIGNER_DEV_{identity.upper().replace('-', '_')}"
        exports = self.exports
        caller = {"SIGNER_CLIENT_CERT": exports[f"{stem}_CERT"], "SIGNER_CLIENT_KEY": exports[f"{stem}_KEY"]}
        done = subprocess.run(
            [sys.executable, "-P", "-m", "signer.cli", *arguments],
            env={**os.environ, **exports, **caller},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stderr.decode()}"
        return done.stdout


def _role(line: Sequence[str], above: Sequence[str]) -> Role | None:
    if any("token_worker" in word for word in line):
        return "token worker"
    if "custodian" in line:
        return "custodian"
    if "serve" in line:
        return "web worker" if "serve" in above else "web master"
    return None


def all_leaves(reader: Reader, *, start: int = 0) -> Iterator[bytes]:
    """The bytes of every leaf from `start` on, read in pages."""
    size = reader.head().size
    for first in range(start, size, MAX_LEAVES):
        yield from reader.leaves(first, min(size, first + MAX_LEAVES))


def check_receipts(reader: Reader, answers: Sequence[Answered]) -> None:
    """Every signature that left has its two leaves, byte for byte where the receipt says (invariant I1)."""
    for answer in answers:
        receipt = json.loads(answer.body)
        for part in ("decision", "outcome"):
            proven = receipt[part]
            assert reader.leaf(proven["index"]) == base64.b64decode(proven["leaf"]), f"{part} leaf of {answer.key}"
        outcome = decode_leaf(base64.b64decode(receipt["outcome"]["leaf"]))
        assert isinstance(outcome, Outcome)
        assert outcome.status == "signed"
        assert outcome.decision == receipt["decision"]["index"]


def check_orphans_closed(reader: Reader, *, within: float = BACK) -> None:
    """Every allowed decision has an outcome before long: signed, failed or unknown."""
    deadline = time.monotonic() + within
    while open_decisions := reader.open_decisions():
        assert time.monotonic() < deadline, f"still open: {open_decisions}"
        time.sleep(0.1)


def check_projections(ledger: Path, copy: Path) -> None:
    """Dropping and folding the projections again, in a copy of the ledger, gives equal tables."""
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    engine = open_engine(f"sqlite:///{copy}", read_only=False)
    before = _projected(engine)
    rebuild(engine)
    assert _projected(engine) == before
    engine.dispose()


def check_replays(reader: Reader) -> int:
    """Every recorded decision gives its verdict again from exported bytes alone (invariant I3)."""
    count = 0
    for body in all_leaves(reader):
        leaf = decode_leaf(body)
        if isinstance(leaf, Decision):
            policy, facts, findings = map(reader.document, (leaf.policy.digest, leaf.facts, leaf.findings))
            assert policy is not None
            assert facts is not None
            assert findings is not None
            verify_replay(body, policy=policy.data, facts=facts.data, findings=findings.data, checks=Checklist())
            count += 1
    return count


def _projected(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    with engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(table.select().order_by(*table.columns))]
            for table in tables.PROJECTIONS
        }
