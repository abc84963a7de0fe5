# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, bindparam, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from signer.db import sqlite, tables
from signer.db.engine import open_engine, schema_revision
from signer.db.migrations import upgrade
from signer.db.statements import Connections, Statement, insert_row
from signer.errors import Misconfigured, Unavailable
from signer.ledger.projections import Projections
from signer.ledger.queries import Queries

POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call] # a module attribute that is a class


@pytest.fixture
def database(tmp_path: Path) -> Engine:
    return open_engine(f"sqlite:///{tmp_path}/ledger.db", read_only=False)


def test_the_writer_is_durable_and_readable_by_its_group_only(database: Engine, tmp_path: Path) -> None:
    with database.connect() as connection:
        found = {
            name: connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}
    upgrade(database)
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////:memory:",
        "sqlite:///relative.db",
        "sqlite:////tmp/x.db?mode=memory",
        "sqlite+aiosqlite:////tmp/x.db",
        "postgresql://host/db",
        "not a url",
        "",
    ],
)
def test_databases_that_are_not_a_local_file_are_refused(url: str) -> None:
    for read_only in (True, False):
        with pytest.raises(Misconfigured) as fault:
            open_engine(url, read_only=read_only)
        assert fault.value.code == "database-unsupported"


def test_a_database_that_cannot_be_opened_is_refused_with_its_path(tmp_path: Path) -> None:
    for read_only in (True, False):
        with pytest.raises(Misconfigured) as fault:
            open_engine(f"sqlite:///{tmp_path}/missing/ledger.db", read_only=read_only)
        assert fault.value.code == "database-missing"
        assert str(tmp_path) in fault.value.detail


def test_a_setting_that_does_not_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {**sqlite._WRITER, "synchronous": ("normal", 2)}
    monkeypatch.setattr(sqlite, "_WRITER", changed)
    with pytest.raises(Misconfigured) as fault:
        open_engine(f"sqlite:///{tmp_path}/ledger.db", read_only=False).connect()
    assert fault.value.code == "database-unsafe"
    assert "synchronous=1" in fault.value.detail


def test_a_path_with_odd_characters_opens(tmp_path: Path) -> None:
    folder = tmp_path / "a b?c#d%25e"
    folder.mkdir()
    url = f"sqlite:///{quote(str(folder))}/ledger.db"
    upgrade(open_engine(url, read_only=False))
    assert schema_revision(open_engine(url, read_only=True)) == tables.REVISION
    assert (folder / "ledger.db").exists()


def test_the_migrations_make_exactly_the_tables_of_this_version(database: Engine, tmp_path: Path) -> None:
    assert schema_revision(database) is None
    upgrade(database)
    assert schema_revision(database) == tables.REVISION
    upgrade(database)
    with database.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
        made = created(connection)
    expected = open_engine(f"sqlite:///{tmp_path}/other.db", read_only=False)
    tables.metadata.create_all(expected)
    with expected.connect() as connection:
        wanted = created(connection)
    del made["alembic_version"]
    assert made == wanted


def created(connection: Connection) -> dict[str, list[str]]:
    """The words of each CREATE TABLE; two tables are equal when they differ in the order of constraints only."""
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    return {name: sorted(sql.replace(",", " , ").split()) for name, sql in rows}


def test_a_migration_that_fails_leaves_no_half_schema(
    database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("cut off")

    with monkeypatch.context() as fault:
        fault.setattr("alembic.op.create_index", broken)
        with pytest.raises(RuntimeError):
            upgrade(database)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    upgrade(database)


def test_statements_know_the_order_of_their_values(database: Engine) -> None:
    query = select(tables.leaf.c.body).where(tables.leaf.c.idx == bindparam("index"))
    for names in ([], ["other"], ["index", "more"]):
        with pytest.raises(ValueError, match="the statement takes"):
            Statement(database, query, names)
    between = select(tables.leaf.c.body).where(tables.leaf.c.idx >= bindparam("a"), tables.leaf.c.idx < bindparam("b"))
    with pytest.raises(ValueError, match="stand in the order"):
        Statement(database, between, ["b", "a"])


def test_a_write_transaction_is_whole_or_nothing(database: Engine) -> None:
    upgrade(database)
    connections, insert = Connections(database), insert_row(database, tables.checkpoint)
    with connections.writing() as cursor:
        insert.run(cursor, 1, "kept")

    def cut_off() -> None:
        with connections.writing() as cursor:
            insert.run(cursor, 2, "dropped")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        cut_off()
    with pytest.raises(Unavailable), connections.writing() as cursor:
        insert.run_many(cursor, [(3, "dropped"), (1, "double")])
    with connections.reading() as cursor:
        cursor.execute("SELECT size, text FROM checkpoint")
        rows = cursor.fetchall()
    assert [tuple(row) for row in rows] == [(1, "kept")]


def test_a_connection_that_failed_is_not_used_again_and_holds_no_lock(database: Engine) -> None:
    upgrade(database)
    connections, insert = Connections(database), insert_row(database, tables.checkpoint)
    cursors: list[Any] = []
    for size in (1, 1, 2):
        try:
            with connections.writing() as cursor:
                cursors.append(cursor)
                insert.run(cursor, size, "text")
        except Unavailable:
            continue
    used = [cursor.connection for cursor in cursors]
    assert used[0] is used[1]
    assert used[1] is not used[2]


def test_reads_together_go_over_one_connection_and_see_what_is_committed_then(database: Engine) -> None:
    upgrade(database)
    connections, insert = Connections(database), insert_row(database, tables.checkpoint)
    kept: list[Any] = []  # as a traceback would keep it
    used: list[Any] = []

    def read() -> Any:
        with connections.reading() as cursor:
            kept.append(cursor)
            used.append(cursor.connection)
            cursor.execute("SELECT size FROM checkpoint ORDER BY size DESC")
            row: Any = cursor.fetchone()  # the rest is not read: the statement must not hold its state for the next
            return row[0]

    for size in range(1, 4):
        with connections.writing() as cursor:
            insert.run_many(cursor, [(size, "text"), (-size, "text")])
        if size == 1:
            assert read() == 1
    with connections.together():
        assert read() == 3
        with connections.writing() as cursor:
            insert.run(cursor, 9, "text")
        assert read() == 9
    assert read() == 9
    assert used[1] is used[2]


def test_a_failed_connection_is_not_read_from_again_also_among_reads_together(database: Engine) -> None:
    upgrade(database)
    connections = Connections(database)
    with connections.together():
        with connections.reading() as cursor:
            first = cursor.connection
        with pytest.raises(Unavailable), connections.reading() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")
        with connections.reading() as cursor:
            assert cursor.connection is not first
            assert cursor.execute("SELECT 1").fetchone()[0] == 1
    status = database.pool.status()
    assert "Current Checked out connections: 0" in status, status


def test_reads_together_keep_no_connection_of_another_thread(database: Engine) -> None:
    upgrade(database)
    connections = Connections(database)
    seen: list[Any] = []

    def elsewhere() -> None:
        with connections.reading() as cursor:
            seen.append(cursor.connection)

    with connections.together(), connections.reading() as cursor:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert seen[0] is not cursor.connection


def test_a_writer_waits_for_no_other_transaction_for_long(database: Engine, tmp_path: Path) -> None:
    upgrade(database)
    connections = Connections(database)
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as fault, connections.writing():
            pytest.fail("two writers at once")
        assert "SQLITE_BUSY" in fault.value.detail


def test_every_statement_can_be_written_for_postgresql_too() -> None:
    engine: Any = SimpleNamespace(dialect=POSTGRESQL)
    queries = vars(Queries(engine))
    assert len(queries) > 15
    Projections(engine)
    for table in tables.metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=engine.dialect))


def test_statements_bind_by_name_where_the_driver_wants_it() -> None:
    engine: Any = SimpleNamespace(dialect=POSTGRESQL)
    query = select(tables.leaf.c.body).where(tables.leaf.c.idx >= bindparam("a"), tables.leaf.c.idx < bindparam("b"))
    seen: list[Any] = []
    cursor: Any = SimpleNamespace(
        execute=lambda _, values: seen.append(values), executemany=lambda _, rows: seen.append(rows)
    )
    statement = Statement(engine, query, ["b", "a"])
    statement.run(cursor, 1, 2)
    statement.run_many(cursor, [(3, 4)])
    assert seen == [{"b": 1, "a": 2}, [{"b": 3, "a": 4}]]
