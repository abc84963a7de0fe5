# SPDX-License-Identifier: Apache-2.0
"""A ledger watched over time: each state extends the one before, and what is new in it is proven before it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from signer.formats.rfc3339 import parse_time
from signer.formats.trust import TrustDocument
from signer.ledger.leaves import decode_leaf
from signer.tlog.checkpoint import Checkpoint, verify_checkpoint
from signer.tlog.merkle import verify_consistency
from signer.verify.checks import CheckFailed, Checklist
from signer.verify.proven import LogSource, ProvenLog
from signer.verify.trust import ledger_keys


class Inconsistent(CheckFailed):
    """Two signed checkpoints contradict each other; `note` is the newer one, which with the older one proves it."""

    note: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One state of the ledger, signed and consistent with the one before."""

    log: ProvenLog
    note: bytes
    """The checkpoint as it was served: keep it for the next step."""
    before: int
    """Leaves of the state before; 0 when there was none."""

    @property
    def head(self) -> Checkpoint:
        """What the checkpoint says."""
        return self.log.head

    def leaves(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Index and bytes of every leaf from `start` on, each proven; raises CheckFailed."""
        checks = Checklist()
        with checks.check("tiles make the root of the checkpoint", code="tile-invalid"):
            self.log.require_whole()
        with checks.check("each leaf leads to the root", code="leaf-altered") as check:
            yield from self.log.leaves(start, self.head.size, check=check)

    def first_since(self, instant: datetime) -> int:
        """The first leaf that is not older than `instant`; the size where all are. Reads a bundle per halving."""
        low, high = 0, self.head.size
        while low < high:
            middle = (low + high) // 2
            [(_, body)] = self._one(middle)
            if parse_time(decode_leaf(body).time, what="time of a leaf") < instant:
                low = middle + 1
            else:
                high = middle
        return low

    def _one(self, index: int) -> list[tuple[int, bytes]]:
        with Checklist().check("leaf leads to the root", code="leaf-altered") as check:
            return list(self.log.leaves(index, index + 1, check=check))


def take_step(source: LogSource, *, trust: TrustDocument, held: bytes | None) -> Step:
    """Fetch the newest checkpoint and prove that it extends `held`; raises CheckFailed, Inconsistent among them."""
    keys = ledger_keys(trust)
    checks = Checklist()
    with checks.check("checkpoint is signed by the ledger key", code="checkpoint-invalid"):
        note = source.checkpoint()
        head = verify_checkpoint(note, origin=trust.origin, keys=keys)
    log = ProvenLog(source, head)
    if held is None:
        return Step(log=log, note=note, before=0)
    with checks.check("checkpoint kept before is signed by the ledger key", code="checkpoint-invalid"):
        old = verify_checkpoint(held, origin=trust.origin, keys=keys)
    try:
        with checks.check("ledger only grew", code="log-forked") as check:
            check.require(
                old.size <= head.size,
                code="log-rollback",
                expected=f"at least the {old.size} leaves that were seen before",
                found=f"{head.size}",
                remedy="keep both checkpoints, tell the security team, and trust no new signature",
            )
            if old.size:
                proof = log.consistency(old.size) if old.size < head.size else ()
                verify_consistency(old.size, head.size, proof, old.root, head.root)
    except CheckFailed as fault:
        alarm = Inconsistent(
            fault.code,
            number=fault.number,
            title=fault.title,
            expected=fault.expected,
            found=fault.found,
            passed=fault.passed,
            remedy=fault.remedy or "keep both checkpoints, tell the security team, and trust no new signature",
        )
        alarm.note = note
        raise alarm from fault
    return Step(log=log, note=note, before=old.size)
