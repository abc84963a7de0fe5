# SPDX-License-Identifier: Apache-2.0
"""kill -9 of custodian or web while large documents come in: what was acknowledged is kept, nothing else stays.

`make test` runs a short form; SIGNER_TEST_FAULTS=long runs many more kills.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import urllib3

from tests.faults.load import new_pool
from tests.faults.stack import ROLES, Role, Stack

LONG = os.environ.get("SIGNER_TEST_FAULTS") == "long"
RUNS = 30 if LONG else 6
SEED = int(os.environ.get("SIGNER_TEST_SEED", "20261123"))
VICTIMS: tuple[Role, ...] = ("custodian", "custodian", "web worker")
SIZE = 8 * 1024 * 1024


@dataclass(slots=True)
class Keeper:
    """A caller that uploads one document after the other and remembers what was acknowledged."""

    stack: Stack
    kept: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        pool = new_pool(self.stack.context())
        while not self._stop.is_set():
            try:
                self._keep_one(pool)
            except (urllib3.exceptions.HTTPError, OSError):
                time.sleep(0.05)

    def _keep_one(self, pool: urllib3.PoolManager) -> None:
        url, exports = self.stack.exports["SIGNER_URL"], self.stack.exports
        document = os.urandom(64) * (SIZE // 64)
        digest = hashlib.sha256(document).hexdigest()
        headers = {"Content-Type": "application/octet-stream"}
        received = pool.request("POST", f"{url}/v1/uploads", body=document, headers=headers)
        if received.status != 201:
            self.refused.append(received.status)
            return
        subject = exports["SIGNER_DEV_SUBJECT"].rpartition("@")[2]
        about = {"kind": "build-log", "media_type": "text/plain", "subjects": [subject]}
        named = {"policy": exports["SIGNER_DEV_POLICY"], "evidence": [{"upload": digest, **about}]}
        answer = pool.request(
            "POST", f"{url}/v1/evidence", body=json.dumps(named), headers={"Content-Type": "application/json"}
        )
        if answer.status == 201:
            self.kept.append(digest)
        else:
            self.refused.append(answer.status)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("documents")
    running = Stack.start(folder / "dev")
    yield running
    running.stop()


@pytest.mark.timeout(900)
def test_no_kill_loses_a_document_or_leaves_one_that_no_leaf_names(stack: Stack) -> None:
    dice = random.Random(SEED)
    store = stack.directory / "state" / "documents"
    kept: list[str] = []
    for run in range(RUNS):
        keeper = Keeper(stack)
        keeper.start()
        time.sleep(dice.uniform(0.2, 0.8))
        role = VICTIMS[run % len(VICTIMS)]
        assert role in ROLES
        stack.kill(role, dice=dice)
        time.sleep(dice.uniform(0.1, 0.4))
        keeper.stop()
        kept += keeper.kept
        assert set(keeper.refused) <= {503}, "a caller is never told that it did wrong"
        stack.settle()
        files = {path.name for path in store.iterdir() if path.is_file()}
        reader = stack.reader()
        for digest in kept:
            held = reader.evidence(digest)
            assert held is not None, "what was acknowledged has its leaf"
            assert hashlib.sha256((store / digest).read_bytes()).hexdigest() == digest
        assert all(reader.evidence(digest) is not None for digest in files), "each document has its leaf"
        assert list((store / "incoming").iterdir()) == []
    assert len(kept) > RUNS // 2
    print(f"\n{RUNS} kills, {len(kept)} documents of {SIZE} bytes kept")  # noqa: T201 - the record of the run
