# SPDX-License-Identifier: Apache-2.0
"""SQL on the hot path: SQLAlchemy Core writes each statement once, the driver runs it.

Going through an SQLAlchemy connection costs about 60 µs of CPU per statement, going to the driver 2 µs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import local
from typing import Any, TypeAlias

from sqlalchemy import (
    ARRAY,
    Delete,
    Engine,
    Insert,
    PoolProxiedConnection,
    Select,
    Table,
    Update,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects.postgresql.dml import OnConflictDoUpdate
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.compiler import SQLCompiler

from signer.db.engine import begin_text, database_errors, describe_fault
from signer.errors import SignerError, Unavailable

Row: TypeAlias = tuple[Any, ...]


class Statement:
    """A statement compiled for one engine, run with its values in the order of `names`."""

    def __init__(self, engine: Engine, statement: Select[Any] | Insert | Update | Delete, names: Sequence[str]) -> None:
        compiled = statement.compile(dialect=engine.dialect)
        assert isinstance(compiled, SQLCompiler)
        self._text = compiled.string
        self._names = tuple(names)
        if sorted(self._names) != sorted(compiled.params):
            raise ValueError(f"the statement takes {sorted(compiled.params)}, not {sorted(self._names)}")
        # None: the driver binds by name.
        order = compiled.positiontup
        if order is not None and tuple(order) != self._names:
            raise ValueError(f"the values of the statement stand in the order {order}")
        self._by_name = order is None
        self._many = _many_rows(engine, statement) if isinstance(statement, Insert) else None

    def run(self, cursor: DBAPICursor, *values: Any) -> DBAPICursor:
        """Run once; the cursor then holds the rows or the row count."""
        cursor.execute(self._text, self._bind(values))
        return cursor

    def run_many(self, cursor: DBAPICursor, rows: Iterable[Row]) -> None:
        """Run for every row; PostgreSQL takes them in one statement where it can."""
        if self._many is not None:
            columns = zip(*rows, strict=True)
            cursor.execute(self._many, dict(zip(self._names, map(list, columns), strict=True)))
            return
        cursor.executemany(self._text, [self._bind(row) for row in rows] if self._by_name else list(rows))

    def _bind(self, values: Row) -> Any:
        return dict(zip(self._names, values, strict=True)) if self._by_name else values


def _many_rows(engine: Engine, statement: Insert) -> str | None:
    """The same INSERT with an array for each column, so that a batch is one statement; None where it cannot be.

    INSERT INTO leaf (idx, hash, body) SELECT unnest(%(idx)s::BIGINT[]), unnest(%(hash)s::BYTEA[]), …
    """
    if engine.dialect.name != "postgresql":
        return None
    if isinstance(getattr(statement, "_post_values_clause", None), OnConflictDoUpdate):
        # Two rows of one key in one batch: PostgreSQL changes no row twice in one statement.
        return None
    table = statement.table
    assert isinstance(table, Table)
    columns = [
        func.unnest(bindparam(name, type_=ARRAY(column.type))).label(name) for name, column in table.columns.items()
    ]
    return str(statement.from_select(table.columns.keys(), select(*columns)).compile(dialect=engine.dialect))


def insert_row(engine: Engine, table: Table) -> Statement:
    """INSERT with a value for every column, in the order of the table."""
    return Statement(engine, table.insert(), table.columns.keys())


class _Thread(local):
    """What one thread reads over."""

    together = False
    connection: PoolProxiedConnection | None = None


class Connections:
    """Hands out driver connections of one engine; every database fault becomes Unavailable."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._errors = database_errors(engine)
        self._begin = begin_text(engine)
        self._thread = _Thread()

    @contextmanager
    def reading(self) -> Iterator[DBAPICursor]:
        """A cursor for reads: each statement sees one committed state."""
        connection = self._thread.connection
        if connection is None:
            try:
                connection = self._engine.raw_connection()
            except self._errors as fault:
                raise _unavailable(fault) from fault
            if self._thread.together:
                self._thread.connection = connection
        cursor = connection.cursor()
        try:
            yield cursor
        except self._errors as fault:
            connection.invalidate(fault)
            self._thread.connection = None
            raise _unavailable(fault) from fault
        finally:
            # A statement that was not read to its end would hold the state that it saw, also for the next one. That
            # of a connection that was given up is gone already.
            with suppress(*self._errors):
                cursor.close()
            if self._thread.connection is None:
                connection.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """All reads of this thread inside go over one connection: a check-out costs several times what a read does."""
        self._thread.together = True
        try:
            yield
        finally:
            self._thread.together = False
            connection, self._thread.connection = self._thread.connection, None
            if connection is not None:
                connection.close()

    @contextmanager
    def writing(self) -> Iterator[DBAPICursor]:
        """One write transaction: committed at the end of the block, rolled back by whatever leaves it early.

        After Unavailable the fate of the transaction is unknown: it may be durable.
        """
        connection: PoolProxiedConnection | None = None
        cursor: DBAPICursor | None = None
        try:
            connection = self._engine.raw_connection()
            cursor = connection.cursor()
            cursor.execute(self._begin)
            yield cursor
            connection.commit()
        except BaseException as fault:
            self._abandon(connection, cursor, fault)
            if isinstance(fault, self._errors):
                raise _unavailable(fault) from fault
            raise
        finally:
            if connection is not None:
                connection.close()

    def _abandon(
        self, connection: PoolProxiedConnection | None, cursor: DBAPICursor | None, fault: BaseException
    ) -> None:
        """Give up a transaction and its connection: nothing that this one believes is trusted any more."""
        if connection is None:
            return
        # Closing alone does not roll back while any cursor lives, and a traceback keeps this one alive: the next
        # writer would find the database locked. What fails here failed already, and the connection goes either way.
        with suppress(*self._errors):
            if cursor is not None:
                cursor.close()
            connection.rollback()
        connection.invalidate(fault)


def _unavailable(fault: BaseException) -> SignerError:
    return Unavailable(
        "ledger-unavailable",
        f"the ledger database failed: {describe_fault(fault)}",
        remedy="try again; the operator looks at the disk and the database",
    )
