# SPDX-License-Identifier: Apache-2.0
"""Projections: tables that answer questions, made by folding over the leaves and their documents.

`fold` is pure: the rows of a leaf follow from its index, its content and the documents that it names. The sequencer
writes them in the leaf's transaction; `rebuild` drops all and folds again, and the tables are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Engine, Insert, Table, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPICursor

from signer.db import tables
from signer.db.statements import Connections, Row, Statement, insert_row
from signer.errors import Malformed
from signer.ledger.fold import KEYED, Change, Changes, fold_all
from signer.ledger.leaves import decode_leaf

_CHUNK = 1024


class Projections:
    """The statements that write changes, compiled for one engine."""

    def __init__(self, engine: Engine) -> None:
        closed = delete(tables.open_decision).where(tables.open_decision.c.decision == bindparam("closed"))
        resumed = (
            update(tables.halt)
            .values(resumed=bindparam("by"))
            .where(tables.halt.c.leaf <= bindparam("halt"), tables.halt.c.resumed.is_(None))
        )
        self._statements = {
            Change.DECISION: insert_row(engine, tables.decision),
            Change.DECISION_SUBJECT: insert_row(engine, tables.decision_subject),
            Change.DECISION_SOURCE: insert_row(engine, tables.decision_source),
            Change.OPEN_DECISION: insert_row(engine, tables.open_decision),
            Change.OUTCOME: insert_row(engine, tables.outcome),
            Change.CLOSED_DECISION: Statement(engine, closed, ["closed"]),
            # An answer that was not terminal may be asked for again under the same key: the latest counts.
            Change.IDEMPOTENCY: upsert_row(engine, tables.idempotency),
            # The first receipt of evidence counts; more subjects may find it later, none is taken away.
            Change.SHADOW: insert_row(engine, tables.shadow),
            Change.EVIDENCE: insert_missing(engine, tables.evidence),
            Change.EVIDENCE_SUBJECT: insert_missing(engine, tables.evidence_subject),
            Change.EVIDENCE_NAME: insert_missing(engine, tables.evidence_name),
            Change.ACTIVATION: insert_row(engine, tables.activation),
            Change.TRUST: insert_row(engine, tables.trust),
            Change.KEY_EVENT: insert_row(engine, tables.key_event),
            Change.WAIVER: insert_row(engine, tables.waiver),
            # The first end counts.
            Change.WAIVER_END: insert_missing(engine, tables.waiver_end),
            Change.WAIVER_USE: insert_row(engine, tables.waiver_use),
            Change.DEPLOYMENT: insert_row(engine, tables.deployment),
            Change.REVOCATION: insert_row(engine, tables.revocation),
            Change.HOLD: insert_row(engine, tables.hold),
            Change.APPROVAL: insert_row(engine, tables.approval),
            # The first revocation counts.
            Change.APPROVAL_REVOCATION: insert_missing(engine, tables.approval_revocation),
            Change.APPROVAL_USE: insert_row(engine, tables.approval_use),
            Change.KEY_USE: add_to_row(engine, tables.key_use),
            Change.HALT: insert_row(engine, tables.halt),
            Change.RESUMED: Statement(engine, resumed, ["by", "halt"]),
        }

    def write(self, cursor: DBAPICursor, changes: Changes) -> None:
        """Apply the changes of a batch inside the caller's transaction."""
        for change, statement in self._statements.items():
            rows = changes.get(change)
            if rows:
                # In the order of the keys: a thousand subjects then touch each page of an index once.
                statement.run_many(cursor, sorted(rows) if change in KEYED else rows)


def insert_missing(engine: Engine, table: Table) -> Statement:
    """INSERT that leaves an existing row as it is."""
    return Statement(engine, _insert(engine, table).on_conflict_do_nothing(), table.columns.keys())


def upsert_row(engine: Engine, table: Table) -> Statement:
    """INSERT that replaces the row of the same primary key."""
    statement = _insert(engine, table)
    rest = {name: statement.excluded[name] for name, column in table.columns.items() if not column.primary_key}
    replacing = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=rest)
    return Statement(engine, replacing, table.columns.keys())


def add_to_row(engine: Engine, table: Table) -> Statement:
    """INSERT that adds its numbers to those of the row of the same primary key."""
    statement = _insert(engine, table)
    counts = {
        name: column + statement.excluded[name] for name, column in table.columns.items() if not column.primary_key
    }
    adding = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=counts)
    return Statement(engine, adding, table.columns.keys())


def _insert(engine: Engine, table: Table) -> sqlite.Insert | postgresql.Insert:
    dialects: Mapping[str, Callable[[Table], Insert]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
    statement = dialects[engine.dialect.name](table)
    assert isinstance(statement, sqlite.Insert | postgresql.Insert)
    return statement


def rebuild(engine: Engine) -> int:
    """Drop all projections and fold them again, in one transaction; returns how many leaves there are."""
    projections = Projections(engine)
    page = Statement(
        engine,
        select(tables.leaf.c.idx, tables.leaf.c.body)
        .where(tables.leaf.c.idx >= bindparam("start"), tables.leaf.c.idx < bindparam("stop"))
        .order_by(tables.leaf.c.idx),
        ["start", "stop"],
    )
    stored = Statement(
        engine, select(tables.document.c.data).where(tables.document.c.digest == bindparam("digest")), ["digest"]
    )
    with Connections(engine).writing() as cursor:
        for table in tables.PROJECTIONS:
            Statement(engine, delete(table), []).run(cursor)

        def document(digest: str) -> bytes:
            return found(stored.run(cursor, digest).fetchone(), digest)

        start = 0
        while rows := list(page.run(cursor, start, start + _CHUNK).fetchall()):
            projections.write(cursor, fold_all(((index, decode_leaf(body)) for index, body in rows), document))
            start += len(rows)
    return start


def found(row: Row | None, digest: str) -> bytes:
    """The data of a document row; raises Malformed when a leaf names a document that is not kept."""
    if row is None:
        raise Malformed("document-missing", f"no document has the sha256 {digest[:64]}")
    data: bytes = row[0]
    return data
