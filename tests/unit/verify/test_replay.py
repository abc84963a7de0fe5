# SPDX-License-Identifier: Apache-2.0
"""Replay: the exported policy and facts give the recorded decision, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from policy.decision import Decision as Judgement, Outcome, Verdict
from policy.document import parse_policy
from policy.engine import evaluate
from policy.facts import Facts
from signer.formats.canonical import sha256_hex
from signer.formats.facts import encode_facts
from signer.formats.findings import encode_findings
from signer.formats.rfc3339 import format_time
from signer.ledger.leaves import Decision, PolicyRef, encode_leaf
from signer.verify.checks import CheckFailed, Checklist
from signer.verify.replay import Replayed, verify_replay
from tests.policy.factory import NOW, document, encode, facts, good
from tests.policy.test_waiver import vulnerable, waiver
from tests.unit.verify.authority import Authority, changed

ROOT = Path(__file__).resolve().parents[3]


def judged(known: Facts, policy: bytes) -> Judgement:
    return evaluate(parse_policy(policy), known, now=NOW)


def verified(leaf: bytes, known: Facts, policy: bytes, *, findings: bytes | None = None) -> Replayed:
    """The replay of a leaf with the documents that it names."""
    written = encode_findings(judged(known, policy)) if findings is None else findings
    return verify_replay(leaf, policy=policy, facts=encode_facts(known), findings=written, checks=Checklist())


def recorded(known: Facts, policy: bytes, /, **changes: Any) -> bytes:
    """The leaf that a custodian would have written for these documents."""
    parsed = parse_policy(policy)
    judgement = judged(known, policy)
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
    replayed = verified(recorded(known, policy), known, policy)
    assert replayed.judgement.verdict.value == ("allow" if allowed else "deny")


REWRITTEN = {
    "the recorded verdict is another": ({"verdict": "allow"}, "replay-mismatch"),
    "the recorded findings are others": ({"findings": "00" * 32}, "document-mismatch"),
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
        verified(recorded(known, policy, **changes), known, policy)
    assert refused.value.code == code


SAID_OTHERWISE = ("title", "required", "found", "remedy")


@pytest.mark.parametrize("sentence", SAID_OTHERWISE)
def test_a_decision_that_an_earlier_version_worded_otherwise_replays(sentence: str) -> None:
    policy, known = case(allowed=False)
    first, *rest = judged(known, policy).findings
    older = Judgement(verdict=Verdict.DENY, findings=(changed(**{sentence: "as it was said then"})(first), *rest))
    written = encode_findings(older)
    leaf = recorded(known, policy, findings=sha256_hex(written))
    assert verified(leaf, known, policy, findings=written).judgement.verdict is Verdict.DENY


JUDGED_OTHERWISE: dict[str, dict[str, Any]] = {
    "another outcome": {"outcome": Outcome.FAIL},
    "set aside": {"would": Outcome.FAIL},
    "another rule": {"rule": "BLD-9"},
    "another type": {"type": "build.other"},
    "another control": {"control": "artifact"},
    "another level": {"level": "strong"},
    "other evidence": {"evidence": ("00" * 32,)},
    "evidence bound otherwise": {"bound": "source"},
    "other subjects": {"subjects": (1,)},
}


@pytest.mark.parametrize("changes", JUDGED_OTHERWISE.values(), ids=JUDGED_OTHERWISE)
def test_a_decision_that_was_judged_otherwise_does_not_replay(changes: dict[str, Any]) -> None:
    policy, known = case(allowed=False)
    first, *rest = judged(known, policy).findings
    written = encode_findings(Judgement(verdict=Verdict.DENY, findings=(changed(**changes)(first), *rest)))
    with pytest.raises(CheckFailed) as refused:
        verified(recorded(known, policy, findings=sha256_hex(written)), known, policy, findings=written)
    assert refused.value.code == "replay-mismatch"


@pytest.mark.parametrize("count", [-1, 1], ids=["a finding is missing", "a finding stands twice"])
def test_a_decision_with_other_findings_does_not_replay(count: int) -> None:
    policy, known = case(allowed=False)
    findings = judged(known, policy).findings
    other = findings[:count] if count < 0 else (*findings, findings[0])
    written = encode_findings(Judgement(verdict=Verdict.DENY, findings=other))
    with pytest.raises(CheckFailed) as refused:
        verified(recorded(known, policy, findings=sha256_hex(written)), known, policy, findings=written)
    assert refused.value.code == "replay-mismatch"


def waived_case() -> tuple[bytes, Facts]:
    """A release that one waiver lets through."""
    value = document()
    for rule in value["rules"]:
        rule["waivable"] = rule["id"] == "VUL-1"
    policy = encode(value)
    known = facts(*vulnerable())
    ledger = changed(policy_digest=sha256_hex(policy), waivers=(waiver(),))(known.ledger)
    return policy, changed(ledger=ledger)(known)


def test_a_waived_decision_replays_offline_with_the_use_that_its_leaf_names() -> None:
    policy, known = waived_case()
    leaf = recorded(known, policy, waivers=(waiver().digest,))
    assert verified(leaf, known, policy).judgement.verdict is Verdict.ALLOW


@pytest.mark.parametrize("used", [(), ("00" * 32,), (waiver().digest, "00" * 32)], ids=["none", "another", "one more"])
def test_an_allow_that_uses_other_waivers_than_it_rests_on_does_not_replay(used: tuple[str, ...]) -> None:
    policy, known = waived_case()
    with pytest.raises(CheckFailed) as refused:
        verified(recorded(known, policy, waivers=used), known, policy)
    assert refused.value.code == "replay-mismatch"


def test_a_leaf_of_another_kind_is_refused() -> None:
    with pytest.raises(CheckFailed) as refused:
        verify_replay(Authority().bodies[0], policy=b"", facts=b"", findings=b"", checks=Checklist())
    assert refused.value.code == "replay-mismatch"


def test_replay_works_in_a_process_without_the_server(tmp_path: Path) -> None:
    policy, known = case(allowed=True)
    (tmp_path / "policy").write_bytes(policy)
    (tmp_path / "facts").write_bytes(encode_facts(known))
    (tmp_path / "leaf").write_bytes(recorded(known, policy))
    (tmp_path / "findings").write_bytes(encode_findings(judged(known, policy)))
    program = (
        "import sys, pathlib\n"
        "from signer.verify.checks import Checklist\n"
        "from signer.verify.replay import verify_replay\n"
        "names = ('leaf', 'policy', 'facts', 'findings')\n"
        "leaf, *rest = (pathlib.Path(sys.argv[1], name).read_bytes() for name in names)\n"
        "documents = dict(zip(names[1:], rest))\n"
        "print(verify_replay(leaf, **documents, checks=Checklist()).judgement.verdict.value)\n"
        "print(*(name for name in ('flask', 'sqlalchemy', 'urllib3', 'pkcs11') if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split("\n") == ["allow", "", ""]
