# SPDX-License-Identifier: Apache-2.0
"""The ledger against itself and against its guard: what must hold before anything is signed.

Read-only, so that `signer doctor` and the start-up gate ask the same questions.
"""

from __future__ import annotations

from collections.abc import Sequence

from signer.errors import Malformed, Misconfigured, Refused
from signer.ledger.guard import Guard
from signer.ledger.reader import Reader
from signer.tlog.checkpoint import Checkpoint, verify_checkpoint
from signer.tlog.merkle import verify_consistency
from signer.tlog.note import VerifierKey

REHASHED = 256
"""How many of the last leaves are hashed again at each start."""


def verify_guard(reader: Reader, *, guard: Guard, origin: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Check that the database extends what the guard holds; raises Misconfigured.

    The database may be ahead by the appends whose guard step a crash cut off, never behind and never beside.
    """
    text = guard.text()
    if text is None:
        raise Misconfigured(
            "guard-missing",
            f"the guard {guard.path} holds nothing and the ledger is not empty",
            remedy="restore the guard from its copy; when `signer init` was cut off, remove the new database and the "
            "guard and run it again",
        )
    guarded = _verified(text, origin=origin, keys=keys, what=f"the guard {guard.path}")
    head = reader.head()
    if guarded.size > head.size:
        raise Misconfigured(
            "ledger-rolled-back",
            f"the guard {guard.path} holds size {guarded.size}, the database only {head.size}: an older database "
            "was put in its place",
            remedy="restore the newest database; when it is lost, start a new ledger with a new origin",
        )
    try:
        proof = reader.consistency(guarded.size, head.size)
        verify_consistency(guarded.size, head.size, proof, guarded.root, head.root)
    except (Refused, Malformed) as fault:
        raise Misconfigured(
            "ledger-forked",
            f"the database does not extend size {guarded.size} that the guard {guard.path} holds: {fault.detail}",
            remedy="restore the database that the guard belongs to; nothing is signed with two histories",
        ) from None
    return guarded


def verify_storage(reader: Reader, *, origin: str, keys: Sequence[VerifierKey]) -> str:
    """The latest checkpoint, once head, stored hashes and the last leaves agree with it; raises Misconfigured."""
    edge = reader.edge()
    latest = reader.latest_checkpoint()
    if latest is None:
        raise _damaged("there are leaves and no checkpoint")
    checkpoint = _verified(latest.text, origin=origin, keys=keys, what="the latest checkpoint")
    if (checkpoint.size, checkpoint.root) != (edge.size, edge.root()) or latest.size != edge.size:
        raise _damaged("the latest checkpoint is not of the head")
    if reader.stored_edge(edge.size) != edge:
        raise _damaged("the stored hashes do not make the edge of the head")
    start = max(0, edge.size - REHASHED)
    if len(reader.leaves(start, edge.size + 1)) != edge.size - start:
        raise _damaged("the number of leaves is not the size of the head")
    return latest.text


def _verified(text: str, *, origin: str, keys: Sequence[VerifierKey], what: str) -> Checkpoint:
    try:
        return verify_checkpoint(text.encode(), origin=origin, keys=keys)
    except (Refused, Malformed) as fault:
        raise Misconfigured(
            "ledger-foreign",
            f"{what} is not a checkpoint of {origin} by the ledger key: {fault.detail}",
            remedy="correct origin and ledger key in the settings, or restore the files that belong together",
        ) from None


def _damaged(why: str) -> Misconfigured:
    return Misconfigured(
        "ledger-damaged",
        why,
        remedy="stop, keep the files as they are, and restore the ledger from a copy that passes `signer log verify`",
    )
