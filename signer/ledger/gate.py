# SPDX-License-Identifier: Apache-2.0
"""The start-up gate: a ledger is opened for writing only when everything about it agrees.

    settings   the engine refused already what is not durable; the schema is this version's
    genesis    leaf 0 names the origin of the settings and the ledger key
    storage    head = edge = latest checkpoint = stored hashes; the last 256 leaves are hashed again
    guard      one writer holds it; it is not ahead of the database, and the database extends it
    clock      not before the newest leaf

Any difference is Misconfigured (exit code 78) with the remedy: nothing is signed until a person acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from signer.db.engine import schema_revision
from signer.db.migrations import upgrade
from signer.errors import Misconfigured
from signer.formats.rfc3339 import format_time, parse_time
from signer.ledger.continuity import verify_guard, verify_storage
from signer.ledger.guard import Guard
from signer.ledger.leaves import Genesis, decode_leaf
from signer.ledger.reader import Reader
from signer.ledger.sequencer import Batch, Entry, Sequencer
from signer.tlog.note import VerifierKey

CLOCK_STEP = timedelta(seconds=1)


def ledger_vkey(origin: str, ledger_key: Ed25519PrivateKey) -> str:
    """The vkey under which a ledger's checkpoints verify: it stands in genesis and in the trust document."""
    return str(VerifierKey(origin, ledger_key.public_key().public_bytes_raw()))


def genesis(
    engine: Engine, *, leaf: Genesis, then: Sequence[Entry], ledger_key: Ed25519PrivateKey, guard: Guard
) -> Batch:
    """Begin a ledger in an empty database: schema, guard, leaf 0 and the entries that belong to it.

    Raises Misconfigured when there is a ledger or a guard already, and when the leaf names another key.
    """
    if leaf.ledger_key != ledger_vkey(leaf.origin, ledger_key):
        raise Misconfigured("ledger-foreign", "the genesis leaf names another ledger key")
    upgrade(engine)
    if Reader(engine).edge().size:
        raise Misconfigured(
            "ledger-exists", "the database holds a ledger already", remedy="choose a new database for a new ledger"
        )
    # A crash from here to the end leaves an empty guard, with or without leaf 0: `open_ledger` refuses both.
    guard.create()
    guard.hold()
    try:
        return Sequencer(engine, origin=leaf.origin, ledger_key=ledger_key, guard=guard).append([Entry(leaf), *then])
    finally:
        guard.close()


def open_ledger(
    engine: Engine, *, origin: str, ledger_key: Ed25519PrivateKey, guard: Guard, now: datetime
) -> Sequencer:
    """Pass the gate: the one writer of this ledger, holding its guard. Raises Misconfigured."""
    if schema_revision(engine) is None or not (size := Reader(engine).edge().size):
        raise _empty(guard)
    reader, key = Reader(engine), VerifierKey(origin, ledger_key.public_key().public_bytes_raw())
    verify_genesis(reader, origin=origin, vkey=str(key))
    guard.hold()
    try:
        latest = verify_storage(reader, origin=origin, keys=[key])
        verify_guard(reader, guard=guard, origin=origin, keys=[key])
        _verify_clock(reader.leaf(size - 1), now)
        # Only a ledger that passed is brought to this version's schema; leaves and hashes keep their tables for ever.
        upgrade(engine)
        # What a crash between commit and guard left unpublished is published now.
        guard.advance(latest)
    except BaseException:
        guard.close()
        raise
    return Sequencer(engine, origin=origin, ledger_key=ledger_key, guard=guard)


def verify_genesis(reader: Reader, *, origin: str, vkey: str) -> Genesis:
    """Leaf 0, once it names this origin and this ledger key; raises Misconfigured."""
    leaf = decode_leaf(reader.leaf(0))
    if not isinstance(leaf, Genesis):
        raise Misconfigured(
            "genesis-missing",
            f"leaf 0 is not a genesis but of kind {type(leaf).__name__}",
            remedy="point the settings at a database that `signer init` made",
        )
    if leaf.origin != origin:
        raise Misconfigured(
            "ledger-foreign",
            f"the ledger began as {leaf.origin}, the settings say {origin}",
            remedy="correct `origin` in the settings, or point them at the right database",
        )
    if leaf.ledger_key != vkey:
        raise Misconfigured(
            "ledger-foreign",
            "the ledger key of the settings is not the one that genesis names",
            remedy="restore the ledger key that `signer init` made beside this database",
        )
    return leaf


def _verify_clock(newest_leaf: bytes, now: datetime) -> None:
    newest = parse_time(decode_leaf(newest_leaf).time, what="time of the newest leaf")
    if now < newest - CLOCK_STEP:
        raise Misconfigured(
            "clock-behind",
            f"the clock says {format_time(now)} and the newest leaf {format_time(newest)}",
            remedy="correct the clock; time in the ledger does not run backwards",
        )


def _empty(guard: Guard) -> Misconfigured:
    published = guard.read() if guard.path.exists() else None
    if published is not None:
        return Misconfigured(
            "ledger-rolled-back",
            f"the guard {guard.path} holds size {published.size}, the database is empty",
            remedy="restore the newest database; when it is lost, start a new ledger with a new origin",
        )
    return Misconfigured("ledger-empty", "the database holds no ledger", remedy="run `signer init` first")
