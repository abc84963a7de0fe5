# SPDX-License-Identifier: Apache-2.0
"""The single writer: gives entries their places in the tree, durably, before anything of them leaves.

One append is one transaction and one step of the guard:

    1  head       compare-and-set from the size and root that this process believes
    2  leaves     bytes and leaf hashes; documents by digest; roots of subtrees that became full
    3  projections, folded from the same leaves
    4  checkpoint signed by the ledger key
    5  commit
    6  guard      now the checkpoint may be published

After any error the head is unknown: it is read again from the database before the next append.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, bindparam, select, update

from signer.db import tables
from signer.db.statements import Connections, Statement, insert_row
from signer.errors import Unavailable
from signer.ledger.continuity import verify_guard, verify_storage
from signer.ledger.documents import StoredDocument, named_documents
from signer.ledger.fold import fold_all
from signer.ledger.guard import Guard
from signer.ledger.leaves import Leaf, encode_leaf
from signer.ledger.projections import Projections, found, insert_missing
from signer.ledger.reader import Reader
from signer.ledger.rows import CheckpointRow
from signer.tlog.checkpoint import Checkpoint, sign_checkpoint
from signer.tlog.merkle import leaf_hash
from signer.tlog.note import NoteSigner
from signer.tlog.recent import RecentTree


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf and the documents to keep with it; what could be refused is refused here, before any batch.

    Raises Malformed for a leaf beyond 4 KiB. Documents that the leaf names may be left out when the ledger holds
    them already.
    """

    leaf: Leaf
    documents: tuple[StoredDocument, ...] = ()
    body: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", encode_leaf(self.leaf))


@dataclass(frozen=True, slots=True)
class Batch:
    """What one append made durable: leaves first … size-1, and the checkpoint that covers them."""

    first: int
    size: int
    checkpoint: str
    bodies: tuple[bytes, ...]
    proofs: tuple[tuple[bytes, ...], ...]
    """The inclusion proof of each leaf at `checkpoint`."""


class Sequencer:
    """Appends to one ledger; one thread of one process uses it, while it holds the guard."""

    def __init__(self, engine: Engine, *, origin: str, ledger_key: Ed25519PrivateKey, guard: Guard) -> None:
        self._origin = origin
        self._signer = NoteSigner(origin, ledger_key)
        self._guard = guard
        self._reader = Reader(engine)
        self._connections = Connections(engine)
        self._projections = Projections(engine)
        self._tree: RecentTree | None = None
        self._last: Batch | None = None

        head = tables.head.c
        self._move_head = Statement(
            engine,
            update(tables.head)
            .values(size=bindparam("new_size"), edge=bindparam("new_edge"), root=bindparam("new_root"))
            .where(
                head.id == bindparam("only"), head.size == bindparam("old_size"), head.root == bindparam("old_root")
            ),
            ["new_size", "new_edge", "new_root", "only", "old_size", "old_root"],
        )
        self._first_head = insert_row(engine, tables.head)
        self._insert_leaf = insert_row(engine, tables.leaf)
        self._insert_document = insert_missing(engine, tables.document)
        self._insert_subtree = insert_row(engine, tables.subtree)
        self._insert_checkpoint = insert_row(engine, tables.checkpoint)
        stored = select(tables.document.c.data).where(tables.document.c.digest == bindparam("digest"))
        self._stored = Statement(engine, stored, ["digest"])

    @property
    def verifier(self) -> str:
        """The vkey of the checkpoints."""
        return str(self._signer.verifier)

    def append(self, entries: Sequence[Entry]) -> Batch:
        """Make the entries durable, in their order, and publish the checkpoint that covers them.

        Raises Unavailable (ledger-unavailable) on any fault of the database or the guard. Then the entries may or
        may not be durable, nothing of them may leave, and the next append looks first.
        """
        if not entries:
            raise ValueError("an append needs at least one entry")
        tree = self._tree or self._reload()
        # Whatever happens before the end of this function, the tree in memory is not believed any more.
        self._tree = self._last = None
        first, old_root = tree.size, tree.root()
        hashes = [leaf_hash(entry.body) for entry in entries]
        subtrees = tree.extend(hashes)
        checkpoint = sign_checkpoint(Checkpoint(self._origin, tree.size, tree.root()), signer=self._signer)

        with self._connections.writing() as cursor:
            # A crash anywhere in this block leaves the ledger as it was: SQLite forgets what was not committed.
            packed = b"".join(tree.edge().hashes)
            if first == 0:
                self._first_head.run(cursor, 1, tree.size, packed, tree.root())
            elif self._move_head.run(cursor, tree.size, packed, tree.root(), 1, first, old_root).rowcount != 1:
                raise Unavailable("ledger-unavailable", "another writer moved the head of the ledger")
            self._insert_leaf.run_many(
                cursor,
                [(first + at, each, entry.body) for at, (each, entry) in enumerate(zip(hashes, entries, strict=True))],
            )
            documents = {document.digest: document for entry in entries for document in entry.documents}
            if documents:
                rows = [(each.digest, each.media_type, each.data) for each in documents.values()]
                self._insert_document.run_many(cursor, rows)
            if subtrees:
                self._insert_subtree.run_many(cursor, subtrees)

            def document(digest: str) -> bytes:
                given = documents.get(digest)
                return found(self._stored.run(cursor, digest).fetchone(), digest) if given is None else given.data

            for entry in entries:
                for digest in named_documents(entry.leaf):
                    document(digest)
            leaves = ((first + at, entry.leaf) for at, entry in enumerate(entries))
            self._projections.write(cursor, fold_all(leaves, document))
            self._insert_checkpoint.run(cursor, tree.size, checkpoint)
        # A crash right here leaves the batch durable and the guard one batch behind it. No checkpoint of it has been
        # seen outside; the next start advances the guard. Decisions without outcome are closed as unknown.
        self._guard.advance(checkpoint)
        # A crash right here leaves the batch durable and published; callers ask again by request id or key.
        self._tree = tree
        self._last = Batch(
            first,
            tree.size,
            checkpoint,
            tuple(entry.body for entry in entries),
            tuple(tree.inclusion(index) or () for index in range(first, tree.size)),
        )
        return self._last

    def recent_checkpoint(self, leaf: int) -> CheckpointRow | None:
        """The first checkpoint that covers a leaf of the last append; None for every other leaf."""
        last = self._last
        return (
            CheckpointRow(last.size, last.checkpoint) if last is not None and last.first <= leaf < last.size else None
        )

    def recent_inclusion(self, index: int, size: int) -> tuple[bytes, ...] | None:
        """The proof of a leaf at the last append's checkpoint, from memory; None for other sizes and old leaves."""
        return self._tree.inclusion(index) if self._tree is not None and self._tree.size == size else None

    def _reload(self) -> RecentTree:
        """Believe the database again: its head, if it extends what the guard holds."""
        edge = self._reader.edge()
        if edge.size:
            keys = [self._signer.verifier]
            latest = verify_storage(self._reader, origin=self._origin, keys=keys)
            verify_guard(self._reader, guard=self._guard, origin=self._origin, keys=keys)
            # The fate of the last append is settled now: when it was durable, its checkpoint is published here.
            self._guard.advance(latest)
        self._tree = RecentTree(edge)
        return self._tree
