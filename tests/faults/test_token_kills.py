# SPDX-License-Identifier: Apache-2.0
"""kill -9 of token workers at random under load: every answer is about its own request, true, and kept.

`make test` runs a short form; SIGNER_TEST_FAULTS=long runs 32 clients for five minutes.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil
import pytest

from signer.domain.algorithm import Algorithm
from signer.domain.subject import Subject
from signer.formats.bundle import parse_bundle
from signer.formats.dsse import pae
from signer.formats.own_signature import verify_own
from signer.formats.receipt import parse_receipt
from signer.formats.spki import PublicKey, load_spki
from signer.formats.statement import parse_statement
from signer.ledger.reader import Reader
from tests.abuse.stack import Stack, question
from tests.authority import ENVIRONMENT, KEY, POLICY
from tests.faults.load import Answered, new_pool, post
from tests.faults.stack import check_orphans_closed

LONG = os.environ.get("SIGNER_TEST_FAULTS") == "long"
SECONDS = float(os.environ.get("SIGNER_TEST_SECONDS", "300" if LONG else "6"))
CLIENTS = 32 if LONG else 8
SEED = int(os.environ.get("SIGNER_TEST_SEED", "20261125"))


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and the only subject that its answer may be about."""

    subject: Subject
    body: bytes
    key: str


@dataclass(slots=True)
class Clients:
    """Callers with distinct requests, until told to stop."""

    stack: Stack
    answered: list[tuple[Asked, Answered]] = field(default_factory=list)
    broken: list[Asked] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.stack.port}"

    def start(self) -> None:
        for number in range(CLIENTS):
            thread = threading.Thread(target=self._run, args=(number,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"

    def _run(self, number: int) -> None:
        pool = new_pool(self.stack.context(self.stack.identities["ci"]))
        while not self._stop.is_set():
            release = self.stack.release(f"shop-{number}.tar")
            body = json.dumps(question([release.subject], release.evidence(), POLICY, ENVIRONMENT)).encode()
            asked = Asked(release.subject, body, secrets.token_hex(16))
            answer = post(pool, self.url, body, asked.key)
            if answer is None:
                self.broken.append(asked)
                time.sleep(0.05)
            else:
                self.answered.append((asked, answer))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack.start(
        tmp_path_factory.mktemp("token-kills"), level="minimum", workers=2, token_deadline=2.0, web={"threads": "16"}
    )
    yield running
    running.stop()


@pytest.mark.timeout(1800)
def test_killed_token_workers_cross_no_answer_and_lose_no_receipt(stack: Stack) -> None:
    dice = random.Random(SEED)
    clients = Clients(stack)
    clients.start()
    kills = 0
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        time.sleep(dice.uniform(0.2, 1.2))
        workers = stack.authority.workers()
        if workers:
            try:
                dice.choice(workers).kill()
                kills += 1
            except psutil.NoSuchProcess:
                continue
    clients.stop()

    reader = stack.authority.reader()
    check_orphans_closed(reader)
    key = pinned(reader)
    signed = [(asked, answer) for asked, answer in clients.answered if answer.status == 200]
    for asked, answer in signed:
        check_receipt(reader, key, asked, answer)
    problems = Counter(answer.problem for _, answer in clients.answered if answer.status != 200)
    assert set(problems) <= {"token-unavailable", "outcome-unknown", "overloaded", "stale"}, problems

    pool = new_pool(stack.context(stack.identities["ci"]))
    again: Counter[str] = Counter()
    unfinished = [asked for asked, answer in clients.answered if answer.status == 503] + clients.broken
    for asked in unfinished:
        second = post(pool, clients.url, asked.body, asked.key)
        assert second is not None
        assert second.status == 200 or second.problem == "outcome-unknown", second
        if second.status == 200:
            check_receipt(reader, key, asked, second)
        again[second.problem or "signed"] += 1
    for asked, answer in signed if not LONG else dice.sample(signed, min(2000, len(signed))):
        replayed = post(pool, clients.url, asked.body, asked.key)
        assert replayed is not None
        assert replayed.body == answer.body, "a receipt is the same for ever"
    assert kills > SECONDS / 3
    assert len(signed) > CLIENTS
    print(  # noqa: T201 - the record of the run
        f"\n{SECONDS:.0f} s, {CLIENTS} clients, {kills} kills: {len(signed)} receipts, each about its own request and "
        f"verified; not signed at once: {dict(problems)}, {len(clients.broken)} broken; sent again: {dict(again)}"
    )


def pinned(reader: Reader) -> PublicKey:
    events = reader.keys()
    (row,) = (row for row in events if row.name == KEY and row.event == "created")
    return load_spki(row.spki)


def check_receipt(reader: Reader, key: PublicKey, asked: Asked, answer: Answered) -> None:
    """About this request, signed by the pinned key, and both leaves where it says they are."""
    receipt = parse_receipt(answer.body)
    (output,) = receipt.bundles
    envelope = parse_bundle(output.bundle).envelope
    (signature,) = envelope.signatures
    verify_own(Algorithm.ECDSA_P256, key, pae(envelope.payload_type, envelope.payload), signature.sig)
    (subject,) = parse_statement(envelope.payload).subjects
    assert subject.artifact["sha256"] == asked.subject.sha256, "an answer to another request"
    for proven in (receipt.decision, receipt.outcome):
        assert reader.leaf(proven.index) == proven.leaf, "a receipt whose leaf is lost"
