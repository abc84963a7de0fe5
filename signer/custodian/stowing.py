# SPDX-License-Identifier: Apache-2.0
"""Large documents on their way into the store, while everything else goes on.

Each turn of the loop copies one step of the oldest copy. A command waits here until all that it names is stored; then
it is taken up again, and its leaves are appended.
"""

from __future__ import annotations

from collections.abc import Sequence

from signer.custodian.commands import KeepEvidence, SpooledItem
from signer.errors import Malformed, SignerError
from signer.ledger.store import Copy, Intake


class Stowing:
    """The copies in work and the commands that wait for them."""

    def __init__(self, intake: Intake | None) -> None:
        self._intake = intake
        self._copies: dict[str, Copy] = {}
        """By digest, the oldest first."""
        self._ended: dict[str, SignerError | None] = {}
        """How copies ended that a command still waits for; None: stored."""
        self._waiting: list[tuple[int, KeepEvidence, tuple[str, ...]]] = []

    @property
    def in_work(self) -> int:
        """Commands that wait for a copy."""
        return len(self._waiting)

    def stow(self, ticket: int, command: KeepEvidence, items: Sequence[SpooledItem]) -> bool:
        """Whether all these items are stored now; else the command comes back from `step` when they are.

        Raises Malformed or Unavailable when one cannot be stored.
        """
        if self._intake is None and items:
            raise Malformed("too-large", "this authority keeps no large documents", remedy="see [documents]")
        digests = tuple(item.digest for item in items)
        if all(digest in self._ended for digest in digests):
            ends = [self._ended.pop(digest) for digest in digests]
            for fault in ends:
                if fault is not None:
                    raise fault
            return True
        for item in items:
            if self._intake is not None and item.digest not in self._ended and item.digest not in self._copies:
                self._copies[item.digest] = self._intake.begin(command.principal, item.digest, item.size)
        self._waiting.append((ticket, command, digests))
        return False

    def step(self) -> list[tuple[int, KeepEvidence]]:
        """Copy one step; the commands that need not wait any more."""
        if not self._copies:
            return []
        digest, copy = next(iter(self._copies.items()))
        fault: SignerError | None = None
        try:
            if not copy.step():
                return []
        except SignerError as trouble:
            fault = trouble
        del self._copies[digest]
        self._ended[digest] = fault
        ready = [each for each in self._waiting if all(name in self._ended for name in each[2])]
        self._waiting = [each for each in self._waiting if each not in ready]
        return [(ticket, command) for ticket, command, _ in ready]

    def settle(self, items: Sequence[SpooledItem]) -> None:
        """The leaves of these items are durable."""
        for item in items:
            if self._intake is not None:
                self._intake.settle(item.digest)
