# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: the signed head of a log (c2sp.org/tlog-checkpoint).

    dev.invalid/signing-authority                       origin, which is also the name of the log's key
    3                                                   tree size
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=        root hash

Extension lines are refused: this log never writes them, and nobody can audit them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from signer.errors import Malformed, Refused
from signer.tlog.merkle import EMPTY_ROOT
from signer.tlog.note import Note, NoteSigner, VerifierKey, parse_note, verify_note
from signer.tlog.strict import HASH_BYTES, format_base64, parse_decimal, parse_hash


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: its name, how many leaves, and their root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        if len(self.root) != HASH_BYTES or not self.origin or "\n" in self.origin:
            raise ValueError("a checkpoint needs an origin of one line and a root of 32 bytes")
        return f"{self.origin}\n{self.size}\n{format_base64(self.root)}\n"


def sign_checkpoint(checkpoint: Checkpoint, *, signer: NoteSigner) -> str:
    """The signed note, ready to be served."""
    return signer.sign(checkpoint.text())


def parse_checkpoint(data: bytes) -> tuple[Checkpoint, Note]:
    """Read a signed checkpoint; raises Malformed. Nothing in it is verified yet."""
    note = parse_note(data)
    lines = note.text.split("\n")
    if len(lines) != 4 or not lines[0]:  # noqa: PLR2004 - three lines and the end of the last
        raise Malformed("malformed-log-text", "a checkpoint has exactly an origin, a size and a root")
    checkpoint = Checkpoint(lines[0], parse_decimal(lines[1], what="tree size"), parse_hash(lines[2], what="root"))
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise Malformed("malformed-log-text", "an empty tree has one root only")
    return checkpoint, note


def verify_checkpoint(data: bytes, *, origin: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint in `data`, once a key of this origin signed it; raises Malformed or Refused."""
    checkpoint, note = parse_checkpoint(data)
    if checkpoint.origin != origin:
        raise Refused("checkpoint-foreign", f"the checkpoint is of {checkpoint.origin[:128]!r}, not of {origin!r}")
    verify_note(note, [key for key in keys if key.name == origin])
    return checkpoint
