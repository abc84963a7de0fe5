# SPDX-License-Identifier: Apache-2.0
"""Signed manifests of evidence packs: kept once for each digest and checkpoint, and never replaced."""

from __future__ import annotations

from sqlalchemy import Engine, bindparam, select

from signer.db import tables
from signer.db.statements import Connections, Statement
from signer.ledger.projections import insert_missing


class Packs:
    """The table of manifests; the custodian's one thread uses it."""

    def __init__(self, engine: Engine) -> None:
        self._connections = Connections(engine)
        pack = tables.pack.c
        self._find = Statement(
            engine,
            select(pack.manifest).where(pack.sha256 == bindparam("sha256"), pack.size == bindparam("size")),
            ["sha256", "size"],
        )
        self._keep = insert_missing(engine, tables.pack)

    def find(self, sha256: str, size: int) -> bytes | None:
        """The manifest of a digest at a checkpoint; raises Unavailable when the database fails."""
        with self._connections.reading() as cursor:
            row = self._find.run(cursor, sha256, size).fetchone()
        return None if row is None else bytes(row[0])

    def keep(self, sha256: str, size: int, manifest: bytes) -> bytes:
        """Keep it durably, unless one is kept already; returns the one that is kept. Raises Unavailable."""
        with self._connections.writing() as cursor:
            self._keep.run_many(cursor, [(sha256, size, manifest)])
        return self.find(sha256, size) or manifest
