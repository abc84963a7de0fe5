# SPDX-License-Identifier: Apache-2.0
"""Opens databases with the settings that durability rests on, and refuses one that does not keep them.

    sqlite:////var/lib/signer/ledger.db                        one machine
    postgresql+psycopg://signer@/ledger?host=/run/postgresql   one server for many readers

This is the only module that knows which database it is.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, Text, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.sql import column, table

from signer.db import postgres, sqlite
from signer.errors import Misconfigured


def open_engine(url: str, *, read_only: bool) -> Engine:
    """An engine for `sqlite:////absolute/path` or `postgresql+psycopg://…`; raises Misconfigured for anything else."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _unsupported() from None
    path = Path(parsed.database or "")
    match parsed.drivername:
        case "sqlite" if path.is_absolute() and not parsed.query and not str(path).startswith("/:"):
            return sqlite.open_sqlite(path, read_only=read_only)
        case "postgresql+psycopg" if parsed.database and parsed.password is None:
            return postgres.open_postgres(parsed, read_only=read_only)
        case _:
            raise _unsupported()


def begin_text(engine: Engine) -> str:
    """The statement that begins a write transaction."""
    return sqlite.BEGIN if engine.dialect.name == "sqlite" else postgres.BEGIN


def database_errors(engine: Engine) -> tuple[type[Exception], ...]:
    """Everything that the driver or SQLAlchemy raises when the database fails."""
    return (SQLAlchemyError, engine.dialect.loaded_dbapi.Error)


def describe_fault(fault: BaseException) -> str:
    """A database fault by its type and, where the driver knows one, its error name; never its parameters."""
    origin = getattr(fault, "orig", None) or fault
    name = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None)
    return f"{type(origin).__name__} {name}" if name else type(origin).__name__


def schema_revision(engine: Engine) -> str | None:
    """The migration that the database is at; None for an empty one."""
    version = table("alembic_version", column("version_num", Text))
    with engine.connect() as connection:
        if not engine.dialect.has_table(connection, version.name):
            return None
        return connection.scalar(select(version.c.version_num))


def _unsupported() -> Misconfigured:
    return Misconfigured(
        "database-unsupported",
        "the database URL is neither of a local SQLite file with an absolute path nor of PostgreSQL without a password",
        remedy="write sqlite:////var/lib/signer/ledger.db or postgresql+psycopg://signer@/ledger?host=/run/postgresql",
    )
