# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the custodian while people approve: what was acknowledged stands, nothing counts twice.

`make test` runs a short form; SIGNER_TEST_FAULTS=long kills at least 100 times.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from signer.custodian.commands import Decide, Done, Failed, NotSigned, RecordApproval, Reply, RevokeApproval, Signed
from signer.domain.subject import Subject
from signer.errors import Unavailable
from signer.formats.rfc3339 import parse_time
from signer.ledger.leaves import Decision, decode_leaf
from tests.approvals import AUTHOR, PRODUCTION, access_document, policy_document, signed, statement
from tests.authority import LiveAuthority, demo_evidence, subject
from tests.faults.stack import check_projections, check_replays

LONG = os.environ.get("SIGNER_TEST_FAULTS") == "long"
RUNS = 104 if LONG else 5
SEED = int(os.environ.get("SIGNER_TEST_SEED", "20261125"))


def promote(authority: LiveAuthority, about: Subject, evidence: tuple[bytes, ...]) -> Reply:
    return authority.ask(Decide(judge=replace(authority.judge(evidence, about), environment=PRODUCTION)))


def attempt(authority: LiveAuthority, command: RecordApproval | RevokeApproval) -> Reply | None:
    """The answer; None when the custodian died on the way."""
    try:
        return authority.ask(command)
    except Unavailable:
        return None


@pytest.mark.timeout(1800)
def test_no_kill_while_people_approve_loses_or_doubles_a_word(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    seen: Counter[str] = Counter()
    authority = LiveAuthority.found(tmp_path / "a")
    authority.policy_bytes, authority.access_bytes = policy_document(authority.signers), access_document()
    with authority.running():
        for run in range(RUNS):
            about = subject(run)
            evidence = demo_evidence(authority.signers, about, triggered_by=AUTHOR)
            held = promote(authority, about, evidence)
            assert isinstance(held, NotSigned), held
            reader = authority.reader()
            leaf = decode_leaf(reader.leaf(held.leaf))
            assert isinstance(leaf, Decision)
            documents = reader.contents([leaf.findings])
            at = parse_time(leaf.time, what="time of the hold")
            said = {name: statement(leaf, documents, name, subject=about, at=at) for name in ("lee", "omar")}
            commands = {
                name: RecordApproval(principal=f"person:{name}", statement=signed(each), signed=True)
                for name, each in said.items()
            }
            with ThreadPoolExecutor(2) as threads:
                asked = {name: threads.submit(attempt, authority, each) for name, each in commands.items()}
                time.sleep(dice.uniform(0, 0.06))
                assert authority.process is not None
                authority.process.send_signal(signal.SIGKILL)
                told = {name: each.result() for name, each in asked.items()}
            authority.stop(signal.SIGKILL)
            authority.start()
            authority.wait_until_ready()

            standing = {row.digest: row.leaf for row in authority.reader().approvals_of(held.leaf)}
            for name, reply in told.items():
                seen[f"{type(reply).__name__}, {'there' if said[name].digest in standing else 'not there'}"] += 1
                if isinstance(reply, Done):
                    assert standing.get(said[name].digest) == reply.leaf, "an acknowledged approval is a leaf"
                # Sent again, the very same bytes are recorded once.
                again = authority.ask(commands[name])
                recorded = isinstance(again, Failed) and again.code == "approval-recorded"
                assert recorded if said[name].digest in standing else isinstance(again, Done), again
            assert len(authority.reader().approvals_of(held.leaf)) == 2
            answers = [promote(authority, about, evidence) for _ in range(2)]
            assert [type(each) for each in answers] == [Signed, NotSigned], answers
    assert check_replays(authority.reader()) >= 2 * RUNS
    check_projections(tmp_path / "a" / "state" / "ledger.db", tmp_path / "copy.db")
    assert sum(seen.values()) == 2 * RUNS
    print(f"\n{RUNS} kills while approving: {dict(sorted(seen.items()))}")  # noqa: T201 - the record of the run
