# SPDX-License-Identifier: Apache-2.0
"""Replay: the exported policy and facts give the recorded decision, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from policy.document import parse_policy
from policy.engine import evaluate
from policy.facts import Facts
from signer.formats.canonical import sha256_hex
from signer.formats.facts import encode_facts
from signer.formats.findings import encode_findings
from signer.formats.rfc3339 import format_time
from signer.ledger.leaves import Decision, PolicyRef, encode_leaf
from signer.verify.checks import CheckFailed, Checklist
from signer.verify.replay import verify_replay
from tests.policy.factory import NOW, document, encode, facts, good
from tests.unit.verify.authority import Authority, changed

ROOT = Path(__file__).resolve().parents[3]


def recorded(known: Facts, policy: bytes, /, **changes: Any) -> bytes:
    """The leaf that a custodian would have written for these documents."""
    parsed = parse_policy(policy)
    judgement = evaluate(parsed, known, now=NOW)
    leaf = Decision(
        time=format_time(NOW),
        request="5d41402abc4b2a76b9719d911017c592",
        principal=known.request.submitter,
        policy=PolicyRef(name=parsed.name, version=parsed.version, digest=parsed.digest),
        access=known.ledger.access_digest,
        environment=known.request.environment,
        verdict=judgement.verdict.value,
        subjects="11" * 32,
        facts=sha256_hex(encode_facts(known)),
        findings=sha256_hex(encode_findings(judgement)),
        evidence="22" * 32,
        first=known.request.subjects[0].sha256,
        count=len(known.request.subjects),
    )
    return encode_leaf(changed(**changes)(leaf))


def case(*, allowed: bool) -> tuple[bytes, Facts]:
    policy = encode(document())
    known = facts(*(good() if allowed else ()))
    ledger = changed(policy_digest=sha256_hex(policy))(known.ledger)
    return policy, changed(ledger=ledger)(known)


@pytest.mark.parametrize("allowed", [True, False], ids=["allow", "deny"])
def test_a_recorded_decision_replays(allowed: bool) -> None:
    policy, known = case(allowed=allowed)
    replayed = verify_replay(recorded(known, policy), policy=policy, facts=encode_facts(known), checks=Checklist())
    assert replayed.judgement.verdict.value == ("allow" if allowed else "deny")


REWRITTEN = {
    "the recorded verdict is another": ({"verdict": "allow"}, "replay-mismatch"),
    "the recorded findings are others": ({"findings": "00" * 32}, "replay-mismatch"),
    "the facts are others": ({"facts": "00" * 32}, "document-mismatch"),
    "the policy is another": (
        {"policy": PolicyRef(name="demo", version=1, digest="00" * 32)},
        "document-mismatch",
    ),
    "the environment is another": ({"environment": "staging"}, "replay-mismatch"),
    "the requester is another": ({"principal": "robot:other"}, "replay-mismatch"),
    "the subject is another": ({"first": "00" * 32}, "replay-mismatch"),
    "the access document is another": ({"access": "00" * 32}, "replay-mismatch"),
    "the instant is a year later": ({"time": "2027-11-23T12:00:00.000000Z"}, "replay-mismatch"),
}


@pytest.mark.parametrize(("changes", "code"), REWRITTEN.values(), ids=REWRITTEN)
def test_a_rewritten_decision_does_not_replay(changes: dict[str, Any], code: str) -> None:
    policy, known = case(allowed=False)
    with pytest.raises(CheckFailed) as refused:
        verify_replay(recorded(known, policy, **changes), policy=policy, facts=encode_facts(known), checks=Checklist())
    assert refused.value.code == code


def test_a_leaf_of_another_kind_is_refused() -> None:
    with pytest.raises(CheckFailed) as refused:
        verify_replay(Authority().bodies[0], policy=b"", facts=b"", checks=Checklist())
    assert refused.value.code == "replay-mismatch"


def test_replay_works_in_a_process_without_the_server(tmp_path: Path) -> None:
    policy, known = case(allowed=True)
    (tmp_path / "policy").write_bytes(policy)
    (tmp_path / "facts").write_bytes(encode_facts(known))
    (tmp_path / "leaf").write_bytes(recorded(known, policy))
    program = (
        "import sys, pathlib\n"
        "from signer.verify.checks import Checklist\n"
        "from signer.verify.replay import verify_replay\n"
        "leaf, policy, facts = (pathlib.Path(sys.argv[1], name).read_bytes() for name in ('leaf', 'policy', 'facts'))\n"
        "print(verify_replay(leaf, policy=policy, facts=facts, checks=Checklist()).judgement.verdict.value)\n"
        "print(*(name for name in ('flask', 'sqlalchemy', 'urllib3', 'pkcs11') if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split("\n") == ["allow", "", ""]
