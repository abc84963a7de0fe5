# SPDX-License-Identifier: Apache-2.0
"""Clients that ask for signatures without pause and remember every answer they were given."""

from __future__ import annotations

import json
import secrets
import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import urllib3

PATIENCE = urllib3.Timeout(connect=5, read=20)


@dataclass(frozen=True, slots=True)
class Answered:
    """One HTTP answer, and the Idempotency-Key under which it came."""

    key: str
    status: int
    body: bytes

    @property
    def problem(self) -> str:
        """The code of a problem answer, or the empty string."""
        return "" if self.status == 200 else str(json.loads(self.body).get("type", "")).rpartition(":")[2]


@dataclass(slots=True)
class Load:
    """`clients` threads that each keep one connection and post until told to stop."""

    url: str
    context: ssl.SSLContext
    body: bytes
    clients: int = 8
    answers: list[Answered] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Keys of requests whose connection broke: their fate is not known to the caller."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for number in range(self.clients):
            thread = threading.Thread(target=self._run, name=f"client-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End all clients; raises when one hangs beyond its own time-outs."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), f"{thread.name} hangs"

    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    def _run(self) -> None:
        pool = new_pool(self.context)
        while not self._stop.is_set():
            key = secrets.token_hex(16)
            answered = post(pool, self.url, self.body, key)
            if answered is None:
                self.broken.append(key)
                time.sleep(0.05)
            else:
                self.answers.append(answered)
                if answered.status != 200:
                    time.sleep(0.02)


def new_pool(context: ssl.SSLContext) -> urllib3.PoolManager:
    return urllib3.PoolManager(ssl_context=context, retries=False, maxsize=1, timeout=PATIENCE)


def post(pool: urllib3.PoolManager, url: str, body: bytes, key: str) -> Answered | None:
    """Ask for a signature once; None when the connection broke before an answer."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    try:
        answer = pool.request("POST", f"{url}/v1/signatures", body=body, headers=headers)
    except urllib3.exceptions.HTTPError:
        return None
    return Answered(key, answer.status, answer.data)


def signed(answers: Sequence[Answered]) -> list[Answered]:
    return [answer for answer in answers if answer.status == 200]
