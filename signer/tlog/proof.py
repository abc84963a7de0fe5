# SPDX-License-Identifier: Apache-2.0
"""Proof files. `.tlog-proof` (c2sp.org/tlog-proof@v1) is an index, its inclusion proof and a checkpoint.

    c2sp.org/tlog-proof@v1
    index 2
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=        sibling hashes from the leaf upward
                                                        an empty line
    dev.invalid/signing-authority                       the checkpoint with all its signature lines
    …

The verifier brings the leaf's bytes. A line `extra <base64>` may stand second; it is kept and never trusted.

A proof of consistency has the form in which logs send it to witnesses (c2sp.org/tlog-witness, `add-checkpoint`). The
verifier brings the older checkpoint.

    old 7
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=        nodes of the proof (RFC 6962 §2.1.2)
                                                        an empty line
    dev.invalid/signing-authority                       the newer checkpoint
    …
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from signer.errors import Malformed, Refused
from signer.tlog.checkpoint import Checkpoint, verify_checkpoint
from signer.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from signer.tlog.note import MAX_NOTE, VerifierKey
from signer.tlog.strict import MAX_SIZE, format_base64, parse_base64, parse_decimal, parse_hash

_HEADER = "c2sp.org/tlog-proof@v1"
_MAX_HASHES = MAX_SIZE.bit_length()


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A parsed proof file: nothing in it is verified yet."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None


def encode_proof(index: int, hashes: Sequence[bytes], checkpoint: str) -> str:
    """The text of a proof file."""
    return "\n".join([_HEADER, f"index {index}", *map(format_base64, hashes), "", checkpoint])


def parse_proof(text: str) -> TlogProof:
    """Read a proof file; raises Malformed."""
    if len(text) > MAX_NOTE:
        raise _malformed(f"longer than {MAX_NOTE} characters")
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines.pop(0) != _HEADER:
        raise _malformed("another header, or no empty line")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = parse_base64(lines.pop(0).removeprefix("extra "), what="extra data")
    if not lines or not lines[0].startswith("index "):
        raise _malformed("no index line")
    index = parse_decimal(lines.pop(0).removeprefix("index "), what="index")
    if len(lines) > _MAX_HASHES:
        raise _malformed("too many hashes")
    return TlogProof(index, tuple(parse_hash(line, what="proof hash") for line in lines), checkpoint, extra)


def verify_proof(text: str, *, leaf: bytes, origin: str, keys: Sequence[VerifierKey]) -> tuple[TlogProof, Checkpoint]:
    """Check that the bytes `leaf` stand in the log of `origin`; raises Malformed or Refused."""
    proof = parse_proof(text)
    checkpoint = verify_checkpoint(proof.checkpoint.encode(), origin=origin, keys=keys)
    verify_inclusion(leaf_hash(leaf), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return proof, checkpoint


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """A parsed proof of consistency: nothing in it is verified yet."""

    old: int
    hashes: tuple[bytes, ...]
    checkpoint: str


def encode_consistency(old: int, hashes: Sequence[bytes], checkpoint: str) -> str:
    """The text of a proof that the log of `checkpoint` extends its first `old` leaves."""
    return "\n".join([f"old {old}", *map(format_base64, hashes), "", checkpoint])


def parse_consistency(text: str) -> ConsistencyProof:
    """Read a proof of consistency; raises Malformed."""
    if len(text) > MAX_NOTE:
        raise _malformed(f"longer than {MAX_NOTE} characters")
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or not lines[0].startswith("old "):
        raise _malformed("no line `old`, or no empty line")
    old = parse_decimal(lines.pop(0).removeprefix("old "), what="old size")
    if len(lines) > _MAX_HASHES:
        raise _malformed("too many hashes")
    return ConsistencyProof(old, tuple(parse_hash(line, what="proof hash") for line in lines), checkpoint)


def verify_consistency_proof(
    text: str, *, old: bytes, origin: str, keys: Sequence[VerifierKey]
) -> tuple[Checkpoint, Checkpoint]:
    """Check that the log of the proof extends the one of the checkpoint `old`: both; raises Malformed or Refused.

    Every log extends the empty one, so there the proof must be empty.
    """
    proof = parse_consistency(text)
    before = verify_checkpoint(old, origin=origin, keys=keys)
    after = verify_checkpoint(proof.checkpoint.encode(), origin=origin, keys=keys)
    if before.size != proof.old:
        raise Refused("proof-invalid", f"the proof is from size {proof.old}, and the checkpoint of {before.size}")
    if before.size == 0 and not proof.hashes:
        return before, after
    verify_consistency(before.size, after.size, proof.hashes, before.root, after.root)
    return before, after


def _malformed(why: str) -> Malformed:
    return Malformed("malformed-log-text", f"not a proof file: {why}")
