# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of its own, in a temporary folder, on a Unix socket alone, as an unprivileged user."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

USERS = ("postgres", "nobody")
"""Who the server runs as where the tests run as root, which it refuses."""


def programs() -> Path:
    """The folder of the server's programs; Debian keeps it out of PATH."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return (Path(found).resolve() if found else folders[-1]).parent


@dataclass(frozen=True)
class Cluster:
    """A server that runs; each database is for one test."""

    folder: Path
    user: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Cluster]:
        """A new server for a while; its folder goes with it."""
        # The path of a Unix socket has 107 bytes at most: not below the folder of a test.
        folder = Path(tempfile.mkdtemp(prefix="signer-pg-"))
        account = pwd.getpwuid(os.geteuid())
        if account.pw_uid == 0:
            account = next(pwd.getpwnam(name) for name in USERS if name in {each.pw_name for each in pwd.getpwall()})
            os.chown(folder, account.pw_uid, account.pw_gid)
        cluster = cls(folder, account.pw_name)
        data = folder / "data"
        try:
            cluster.run("initdb", "-D", data, "-U", "signer", "-E", "UTF8", "--locale=C", "--auth=trust")
            cluster.start()
            yield cluster
        finally:
            if (data / "postmaster.pid").exists():
                cluster.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def start(self) -> None:
        """Let the server run, and wait until it takes connections."""
        options = f"-k {self.folder} -c listen_addresses='' -c shared_buffers=16MB -c max_connections=50"
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self) -> None:
        """End it as a crash would: without a checkpoint, so that the next start recovers."""
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "immediate", "stop")

    def run(self, program: str, *arguments: str | Path) -> None:
        """One of the server's programs, as its user."""
        command = [str(programs() / program), *map(str, arguments)]
        other = self.user if os.geteuid() == 0 else None
        ran = subprocess.run(
            command, cwd=self.folder, user=other, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr

    def new_database(self) -> str:
        """An empty database; its URL."""
        name = f"ledger_{next(self._numbers)}"
        self.run("createdb", "-h", self.folder, "-U", "signer", "-T", "template0", name)
        return f"postgresql+psycopg://signer@/{name}?host={self.folder}"
