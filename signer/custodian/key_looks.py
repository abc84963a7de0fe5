# SPDX-License-Identifier: Apache-2.0
"""Who waits for a key to be found or made, and which worker looks for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from signer.custodian.token_events import KeyLocated
from signer.custodian.token_messages import Fault, Locate, Located
from signer.custodian.token_process import TokenProcess

NextWorker = Callable[[], TokenProcess | None]
"""A worker that can look at a key now."""


class KeyLooks:
    """The look-ups of one device: asked for by somebody, or because a key was unusable."""

    def __init__(self) -> None:
        self._asks: deque[tuple[int, Locate]] = deque()
        self._looking: dict[TokenProcess, int] = {}
        self._again: deque[Locate] = deque()

    def __len__(self) -> int:
        return len(self._asks)

    def ask(self, ticket: int, ask: Locate) -> None:
        """Somebody waits for the key; the answer bears their ticket."""
        self._asks.append((ticket, ask))

    def look_again(self, asks: Iterable[Locate]) -> None:
        """Look at keys for which nobody waits, unless the last round is not over."""
        if not self._again:
            self._again.extend(asks)

    def hand_out(self, worker: NextWorker, *, now: int) -> None:
        """Ask workers for what somebody waits for."""
        while self._asks and (looker := worker()):
            ticket, ask = self._asks.popleft()
            self._looking[looker] = ticket
            looker.locate(ask, now=now)

    def hand_out_again(self, worker: NextWorker, *, wanted: Callable[[str], bool], now: int) -> None:
        """Ask workers for keys for which nobody waits, as far as they are still `wanted`, by URI."""
        while self._again and (looker := worker()):
            ask = self._again.popleft()
            if wanted(ask.uri):
                looker.locate(ask, now=now)

    def answered(self, worker: TokenProcess, found: Located) -> KeyLocated | None:
        """What a worker found, for whoever waits; None when nobody does."""
        ticket = self._looking.pop(worker, None)
        if ticket is None:
            return None
        return KeyLocated(ticket=ticket, spki=found.spki, code=found.code, detail=found.detail, remedy=found.remedy)

    def lost(self, worker: TokenProcess, *, fault: Fault | None, otherwise: str) -> Iterator[KeyLocated]:
        """The worker ended before it answered."""
        ticket = self._looking.pop(worker, None)
        if ticket is not None:
            yield _not_located(ticket, fault=fault, otherwise=otherwise)

    def give_up(self, *, fault: Fault | None, otherwise: str) -> Iterator[KeyLocated]:
        """No worker will come for what waits."""
        asks, self._asks = self._asks, deque()
        yield from (_not_located(ticket, fault=fault, otherwise=otherwise) for ticket, _ in asks)


def _not_located(ticket: int, *, fault: Fault | None, otherwise: str) -> KeyLocated:
    if fault is None:
        return KeyLocated(ticket=ticket, spki=b"", code="token-unavailable", detail=otherwise)
    return KeyLocated(ticket=ticket, spki=b"", code=fault.code, detail=fault.detail, remedy=fault.remedy)
