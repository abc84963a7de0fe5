# SPDX-License-Identifier: Apache-2.0
"""SQLite: write-ahead log, `synchronous=FULL`, foreign keys on, a local file that must stay where it is.

`synchronous=NORMAL` may lose committed transactions on power loss. The writer begins IMMEDIATE, so that no
transaction is upgraded halfway.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from signer.errors import Misconfigured

BEGIN = "BEGIN IMMEDIATE"
FILE_MODE = 0o640
"""Web reads the ledger through its group; SQLite gives its side files the same mode."""

_BUSY_MILLISECONDS = 2000
_LOOK_SECONDS = 1.0
_WRITER: Mapping[str, tuple[str, int | str]] = {
    # pragma: (what is set, what must be read back)
    "journal_mode": ("wal", "wal"),
    "synchronous": ("full", 2),
    "fullfsync": ("on", 1),
    "checkpoint_fullfsync": ("on", 1),
    "foreign_keys": ("on", 1),
    "trusted_schema": ("off", 0),
    "busy_timeout": (str(_BUSY_MILLISECONDS), _BUSY_MILLISECONDS),
}
_READER: Mapping[str, tuple[str, int | str]] = {
    "query_only": ("on", 1),
    "trusted_schema": ("off", 0),
    "busy_timeout": (str(_BUSY_MILLISECONDS), _BUSY_MILLISECONDS),
}


class _Connection(sqlite3.Connection):
    """Closes itself when its pool is dropped; since Python 3.13 the driver warns of a connection that nobody closed."""

    def __del__(self) -> None:
        self.close()


def open_sqlite(path: Path, *, read_only: bool) -> Engine:
    """An engine for one file; raises Misconfigured for anything less durable.

    A writer creates the file (mode 0640); a reader opens it with `mode=ro` and never changes it.
    """
    if read_only:
        if not path.exists():
            raise Misconfigured("database-missing", f"there is no database {path}", remedy="run `signer init`")
    else:
        _create(path)
    # Neither mode makes a file: when the database is gone, connecting fails and nothing starts anew in its place.
    mode = "ro" if read_only else "rw"
    target = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": mode, "uri": "true"})
    engine = create_engine(target, connect_args={"factory": _Connection})
    settings = _READER if read_only else _WRITER

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        # The driver's own transaction control would begin DEFERRED and only at the first write.
        connection.isolation_level = None
        _assert_settings(connection, settings, path)
        record.info["file"] = _identity(path)
        record.info["looked"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def checked_out(_connection: sqlite3.Connection, record: ConnectionPoolEntry, _proxy: object) -> None:
        # SQLite goes on with a file that was moved or deleted: durable, and in no ledger that anyone reads. The writer
        # looks before each transaction; a reader looks now and then, for each look costs its threads a switch.
        now = time.monotonic()
        if read_only and now - record.info["looked"] < _LOOK_SECONDS:
            return
        record.info["looked"] = now
        if record.info["file"] != _identity(path):
            raise DisconnectionError(f"{path} is not the file that was opened")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else BEGIN)

    return engine


def _create(path: Path) -> None:
    try:
        # An empty file is an empty database. Made here, so that no looser umask decides who can read it.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE))
    except OSError as fault:
        raise Misconfigured(
            "database-missing",
            f"cannot open {path}: {fault.strerror}",
            remedy="create its directory and let the custodian's user write there",
        ) from None


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file at `path` now; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _assert_settings(connection: sqlite3.Connection, settings: Mapping[str, tuple[str, int | str]], path: Path) -> None:
    for pragma, (setting, expected) in settings.items():
        connection.execute(f"PRAGMA {pragma}={setting}")
        found = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        if found != expected:
            raise Misconfigured(
                "database-unsafe",
                f"{path} keeps {pragma}={found!r} where {expected!r} is needed",
                remedy="put the database on a local disk with a file system that SQLite can lock and sync",
            )
