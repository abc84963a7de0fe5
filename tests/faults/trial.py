# SPDX-License-Identifier: Apache-2.0
"""One fault at a time on a real custodian, held against the contract of recovery (`signer.keys.recovery`).

    trial = Trial(authority, device)
    trial.run(cell, call=…, arm=…, clear=…)     # asserts what the caller was told, and that the key comes back
    trial.finish()                              # asserts the record: nothing lost, released twice or signed by another

The device counts what it signed, so that the ledger can be held against it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from signer.custodian.commands import Decide, Done, Failed, OutcomeUnknown, Reply, Resume, Signed
from signer.domain.algorithm import Algorithm
from signer.formats.bundle import parse_bundle
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import pae
from signer.formats.own_signature import verify_own
from signer.formats.receipt import parse_receipt
from signer.formats.spki import load_spki
from signer.keys.recovery import Answer, Call, Cell
from signer.ledger import leaves
from signer.ledger.reader import Reader
from tests.authority import KEY, LiveAuthority, subject

BACK = 5.0
"""Seconds after the end of a fault within which the key signs again by itself."""
BEGIN = 5.0
"""Seconds within which a key call begins or never does (`signer.custodian.authority.BEGIN_NS`)."""


class Device(Protocol):
    """What the test holds in its hands."""

    def signed(self) -> int:
        """How many signatures the device made."""

    def probed(self) -> int:
        """How many key calls it met, whatever came of them."""


@dataclass
class Trial:
    """One custodian, what was asked of it and what it answered."""

    authority: LiveAuthority
    device: Device
    deadline: float
    """Seconds after which the custodian ends a silent worker."""
    numbers: Iterator[int] = field(default_factory=count)
    replies: list[tuple[Decide, Reply]] = field(default_factory=list)

    def ask(self, key: str | None = None) -> Reply:
        """Ask for one signature over a digest of its own; the answer comes within the deadlines."""
        command = self.authority.decide(None, subject(next(self.numbers)), key=key)
        return self.send(command)

    def send(self, command: Decide) -> Reply:
        """Send a command; whatever happens, it is answered in time."""
        begun = time.monotonic()
        reply = self.authority.ask(command)
        took = time.monotonic() - begun
        assert took < BEGIN + self.deadline + 1, f"answered after {took:.1f} s"
        self.replies.append((command, reply))
        return reply

    def run(
        self,
        cell: Cell,
        *,
        call: Call,
        arm: Callable[[], object],
        clear: Callable[[], object],
        person: Callable[[], object] | None = None,
    ) -> None:
        """Let one call go wrong until `clear`; then nothing but time, or the person, brings the key back."""
        about, key = subject(next(self.numbers)), f"trial-{next(self.numbers)}"
        evidence = self.authority.evidence(about)
        reply: Reply | None = None
        try:
            if call is Call.PROBE:
                self._probe(arm)
            else:
                arm()
                if call is not Call.SIGN:
                    self.authority.kill_token_worker()
                reply = self.send(self.authority.decide(evidence, about, key=key))
                check_answer(reply, cell.answer)
        finally:
            clear()
        ended = time.monotonic()
        if not cell.recovery.by_itself:
            assert person is not None
            self._refuses(seconds=0.3)
            person()
            ended = time.monotonic()
        self.until_signed(since=ended)
        if reply is not None:
            check_again(reply, self.send(self.authority.decide(evidence, about, key=key)))

    def until_signed(self, *, since: float, within: float = BACK) -> float:
        """Ask until a signature comes; how long that took."""
        while not isinstance(reply := self.ask(), Signed):
            assert time.monotonic() - since < within, (reply, self.authority.log()[-3000:])
            time.sleep(0.02)
        return time.monotonic() - since

    def resume(self) -> None:
        """The owners resume after a halt."""
        row = self.authority.reader().halted()
        assert row is not None, "nothing was halted"
        digest = sha256_hex(self.authority.reader().leaf(row.leaf))
        signatures = self.authority.sign_act("resume", row.leaf, digest)
        reply = self.authority.ask(
            Resume(principal="operator:0", halt_index=row.leaf, signatures=signatures), admin=True
        )
        assert isinstance(reply, Done), reply

    def finish(self) -> None:
        """Hold all answers against the ledger, and the ledger against the device."""
        check_record(self.authority, self.replies)
        reader = self.authority.reader()
        told = [leaf for leaf in read_leaves(reader) if isinstance(leaf, leaves.ProbeLeaf)]
        # Probes of this hour: the ledger allowed them, and tells how many were made with its next leaf.
        of_this_hour = sum(proof.probes for proof in self.authority.status().proofs) - sum(
            count.made for leaf in told for count in leaf.keys
        )
        calls = sum(reader.key_use().values()) + of_this_hour
        assert self.device.signed() <= calls, "the device signed what the ledger does not know of"

    def _probe(self, arm: Callable[[], object]) -> None:
        """Let a probe meet the fault: nobody asks for anything meanwhile."""
        before = self.device.probed()
        arm()
        deadline = time.monotonic() + BACK
        while self.device.probed() == before:
            assert time.monotonic() < deadline, "no probe was made"
            time.sleep(0.02)

    def _refuses(self, *, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            reply = self.ask()
            assert isinstance(reply, Failed), "signed although a person must act first"
            time.sleep(0.02)


def check_again(first: Reply, again: Reply) -> None:
    """The same request under the same key: a final answer stays, a failed one is judged anew."""
    if isinstance(first, OutcomeUnknown):
        assert again == first, "what is unknown is never signed again"
    else:
        assert isinstance(again, Signed), again


def check_answer(reply: Reply, answer: Answer) -> None:
    match answer:
        case Answer.UNKNOWN:
            assert isinstance(reply, OutcomeUnknown), reply
        case Answer.HALTED:
            # The halt may stand in the ledger before the request does.
            assert isinstance(reply, Failed), reply
            assert reply.code in {"halted", "token-unavailable"}, reply
        case _:
            assert isinstance(reply, Failed), reply
            assert reply.family == "unavailable", reply


def read_leaves(reader: Reader) -> list[leaves.Leaf]:
    return [
        leaves.decode_leaf(body)
        for start in range(0, reader.head().size, 1000)
        for body in reader.leaves(start, start + 1000)
    ]


def check_record(authority: LiveAuthority, replies: list[tuple[Decide, Reply]]) -> None:
    """Each ALLOW ended exactly once; each receipt is in the ledger, about its request, signed by the pinned key."""
    reader = authority.reader()
    kinds = read_leaves(reader)
    allowed = [leaf.request for leaf in kinds if isinstance(leaf, leaves.Decision) and leaf.verdict == "allow"]
    outcomes = {leaf.request: leaf for leaf in kinds if isinstance(leaf, leaves.Outcome)}
    assert sorted(outcomes) == sorted(allowed)
    assert len(outcomes) == sum(isinstance(leaf, leaves.Outcome) for leaf in kinds), "an ALLOW ended twice"
    events = reader.keys()
    (pinned,) = (row for row in events if row.name == KEY and row.event == "created")
    key = load_spki(pinned.spki)
    for command, reply in replies:
        if not isinstance(reply, Signed):
            continue
        receipt = parse_receipt(reply.receipt)
        assert reader.leaf(receipt.decision.index) == receipt.decision.leaf
        assert reader.leaf(receipt.outcome.index) == receipt.outcome.leaf
        assert outcomes[receipt.request_id].status == "signed"
        envelope = parse_bundle(receipt.bundles[0].bundle).envelope
        assert command.judge.subjects[0][1][0][1].encode() in envelope.payload, "an answer to another request"
        verify_own(
            Algorithm(pinned.algorithm), key, pae(envelope.payload_type, envelope.payload), envelope.signatures[0].sig
        )
