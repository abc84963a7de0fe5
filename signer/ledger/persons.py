# SPDX-License-Identifier: Apache-2.0
"""Pseudonyms: people stand in leaves and facts as random names, which this table alone can resolve.

    alice  ->  person:5f0c9e3b7a41d26815c0f3aa9b7e4d12

Its own database: unreadable to web, deletable for ever. Deleting a row leaves every leaf, proof and verdict valid,
because rules only compare persons for equality.
"""

from __future__ import annotations

import secrets

from sqlalchemy import Column, Engine, MetaData, Table, Text, UniqueConstraint, bindparam, select

from signer.db.engine import database_errors, describe_fault
from signer.db.statements import Connections, Statement
from signer.errors import Unavailable
from signer.ledger.projections import insert_missing

_PREFIX = "person:"
_BYTES = 16

metadata = MetaData()
person = Table(
    "person",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pseudonym", Text, nullable=False),
    UniqueConstraint("pseudonym"),
)


class Persons:
    """Finds or makes the pseudonym of a person of the access document; one thread uses it."""

    def __init__(self, engine: Engine) -> None:
        try:
            metadata.create_all(engine)
        except database_errors(engine) as fault:
            raise Unavailable("ledger-unavailable", f"the pseudonyms failed: {describe_fault(fault)}") from fault
        self._connections = Connections(engine)
        self._find = Statement(engine, select(person.c.pseudonym).where(person.c.id == bindparam("person")), ["person"])
        self._keep = insert_missing(engine, person)
        self._known: dict[str, str] = {}

    def pseudonym(self, person_id: str) -> str:
        """`person:<random>`, always the same for one person, durable before it is returned."""
        known = self._known.get(person_id) or self._stored(person_id)
        if known is None:
            # A crash after the commit leaves a pseudonym that no leaf uses yet: the next call finds it.
            with self._connections.writing() as cursor:
                self._keep.run(cursor, person_id, _PREFIX + secrets.token_hex(_BYTES))
            known = self._stored(person_id)
            assert known is not None
        self._known[person_id] = known
        return known

    def _stored(self, person_id: str) -> str | None:
        with self._connections.reading() as cursor:
            row = self._find.run(cursor, person_id).fetchone()
        return None if row is None else str(row[0])
