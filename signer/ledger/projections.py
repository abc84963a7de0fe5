# SPDX-License-Identifier: Apache-2.0
"""Projections: tables that answer questions, made by folding over the leaves and their documents.

`fold` is pure: the rows of a leaf follow from its index, its content and the documents that it names. The sequencer
writes them in the leaf's transaction; `rebuild` drops all and folds again, and the tables are equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TypeAlias

from sqlalchemy import Engine, Insert, Table, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPICursor

from signer.db import tables
from signer.db.statements import Connections, Row, Statement, insert_row
from signer.errors import Malformed
from signer.formats.strict_base64 import decode_base64
from signer.ledger.documents import (
    read_evidence_uses,
    read_sources,
    read_subject_digests,
    read_subjects,
)
from signer.ledger.leaves import (
    Activation,
    Decision,
    Evidence,
    Genesis,
    HaltLeaf,
    Key,
    Leaf,
    Outcome,
    Refusal,
    ResumeLeaf,
    Trust,
    WaiverEndLeaf,
    WaiverLeaf,
    decode_leaf,
)

Document: TypeAlias = Callable[[str], bytes]
"""Gives the bytes of a document that a leaf names; raises Malformed when it is not there."""

_CHUNK = 1024


class Change(Enum):
    """What a fold can do to the tables, in the order in which the changes of one batch are applied."""

    DECISION = "decision"
    DECISION_SUBJECT = "decision_subject"
    DECISION_SOURCE = "decision_source"
    OPEN_DECISION = "open_decision"
    OUTCOME = "outcome"
    CLOSED_DECISION = "closed_decision"
    IDEMPOTENCY = "idempotency"
    EVIDENCE = "evidence"
    EVIDENCE_SUBJECT = "evidence_subject"
    ACTIVATION = "activation"
    TRUST = "trust"
    KEY_EVENT = "key_event"
    WAIVER = "waiver"
    WAIVER_END = "waiver_end"
    WAIVER_USE = "waiver_use"
    KEY_USE = "key_use"
    HALT = "halt"
    RESUMED = "resumed"


Changes: TypeAlias = Mapping[Change, list[Row]]

_KEYED = frozenset({Change.DECISION_SUBJECT, Change.EVIDENCE_SUBJECT})
"""Changes whose order means nothing and whose rows begin with the key."""


def fold(changes: defaultdict[Change, list[Row]], *, index: int, leaf: Leaf, document: Document) -> None:
    """Add the rows that `leaf` at `index` makes to `changes`; raises Malformed for a document of another form."""
    match leaf:
        case Genesis() | Refusal():
            pass
        case Decision():
            _fold_decision(changes, index, leaf, document)
        case Outcome():
            changes[Change.OUTCOME].append((leaf.decision, index, leaf.request, leaf.time, leaf.status, leaf.reason))
            changes[Change.CLOSED_DECISION].append((leaf.decision,))
            changes[Change.KEY_USE] += ((entry.kid, entry.attempts) for entry in leaf.signatures if entry.attempts)
        case Evidence():
            changes[Change.EVIDENCE].append(
                (leaf.digest, leaf.media_type, leaf.predicate, leaf.size, index, 0, leaf.principal, leaf.policy)
            )
            subjects = read_subject_digests(document(leaf.subjects))
            changes[Change.EVIDENCE_SUBJECT] += ((leaf.digest, subject) for subject in subjects)
        case Activation():
            changes[Change.ACTIVATION].append(
                (index, leaf.document, leaf.name, leaf.version, leaf.digest, leaf.principal, leaf.time)
            )
        case Trust():
            changes[Change.TRUST].append((index, leaf.version, leaf.digest, leaf.principal, leaf.time))
        case Key():
            spki = decode_base64(leaf.spki, what="SPKI of the key leaf")
            row = (index, leaf.event, leaf.name, leaf.kid, leaf.purpose, leaf.algorithm, spki, leaf.principal)
            changes[Change.KEY_EVENT].append((*row, leaf.time, leaf.succeeds, leaf.since, leaf.reason))
        case WaiverLeaf() | WaiverEndLeaf():
            _fold_waiver(changes, index, leaf)
        case HaltLeaf() | ResumeLeaf():
            _fold_halt(changes, index, leaf)


def _fold_waiver(changes: defaultdict[Change, list[Row]], index: int, leaf: WaiverLeaf | WaiverEndLeaf) -> None:
    match leaf:
        case WaiverLeaf():
            row = (index, leaf.digest, leaf.envelope, leaf.policy, leaf.environment, leaf.requester, leaf.approver)
            changes[Change.WAIVER].append((*row, leaf.renewal, leaf.principal, leaf.time))
        case WaiverEndLeaf():
            changes[Change.WAIVER_END].append((leaf.waiver, index, leaf.reason, leaf.principal, leaf.time))


def _fold_halt(changes: defaultdict[Change, list[Row]], index: int, leaf: HaltLeaf | ResumeLeaf) -> None:
    match leaf:
        case HaltLeaf():
            changes[Change.HALT].append((index, leaf.reason, leaf.principal, leaf.time, None))
        case ResumeLeaf():
            # Ends the halt that the owners saw and those before it, never a later one.
            changes[Change.RESUMED].append((index, leaf.halt))


def _fold_decision(changes: defaultdict[Change, list[Row]], index: int, leaf: Decision, document: Document) -> None:
    policy = leaf.policy
    changes[Change.DECISION].append(
        (
            index,
            leaf.request,
            leaf.time,
            leaf.principal,
            policy.name,
            policy.version,
            policy.digest,
            leaf.access,
            leaf.environment,
            leaf.verdict,
            leaf.subjects,
            leaf.facts,
            leaf.findings,
            leaf.evidence,
            leaf.first,
            leaf.count,
        )
    )
    if leaf.verdict == "allow":
        changes[Change.OPEN_DECISION].append((index,))
        changes[Change.WAIVER_USE] += ((waiver, index) for waiver in leaf.waivers)
    changes[Change.DECISION_SUBJECT] += ((digest, index) for digest in read_subjects(document(leaf.subjects)))
    changes[Change.DECISION_SOURCE] += ((index, *source) for source in read_sources(document(leaf.facts)))
    if leaf.idempotency is not None:
        changes[Change.IDEMPOTENCY].append(
            (leaf.principal, leaf.idempotency.key, leaf.idempotency.body, leaf.request, index)
        )
    for position, use in enumerate(read_evidence_uses(document(leaf.evidence))):
        if use.new:
            size = len(document(use.digest))
            row = (use.digest, use.media_type, use.kind, size, index, position, leaf.principal, policy.name)
            changes[Change.EVIDENCE].append(row)
            changes[Change.EVIDENCE_SUBJECT] += ((use.digest, subject) for subject in dict.fromkeys(use.subjects))


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
            Change.EVIDENCE: insert_missing(engine, tables.evidence),
            Change.EVIDENCE_SUBJECT: insert_missing(engine, tables.evidence_subject),
            Change.ACTIVATION: insert_row(engine, tables.activation),
            Change.TRUST: insert_row(engine, tables.trust),
            Change.KEY_EVENT: insert_row(engine, tables.key_event),
            Change.WAIVER: insert_row(engine, tables.waiver),
            # The first end counts.
            Change.WAIVER_END: insert_missing(engine, tables.waiver_end),
            Change.WAIVER_USE: insert_row(engine, tables.waiver_use),
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
                statement.run_many(cursor, sorted(rows) if change in _KEYED else rows)


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


def fold_all(leaves: Iterable[tuple[int, Leaf]], document: Document) -> Changes:
    """The changes of several leaves in their order."""
    changes: defaultdict[Change, list[Row]] = defaultdict(list)
    for index, leaf in leaves:
        fold(changes, index=index, leaf=leaf, document=document)
    return changes


def found(row: Row | None, digest: str) -> bytes:
    """The data of a document row; raises Malformed when a leaf names a document that is not kept."""
    if row is None:
        raise Malformed("document-missing", f"no document has the sha256 {digest[:64]}")
    data: bytes = row[0]
    return data
