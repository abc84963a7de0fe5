# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from policy.decision import Decision, Outcome, Verdict
from policy.document import Policy, parse_policy
from policy.engine import evaluate
from policy.facts import Facts, RequestFacts, SubjectFact
from policy.ledger_facts import LedgerFacts
from policy.library import render
from signer.confinement import check_confined
from signer.dev.announce import read_exports, render_exports, three_commands
from signer.dev.certificates import ensure_key, public_pem
from signer.dev.directory import IDENTITIES, SIGNERS, DevDirectory
from signer.dev.documents import render_access, san_of
from signer.dev.installation import BUILDER_ID, REPOSITORY, SOURCE_VERIFIER
from signer.dev.samples import BAD, GOOD, ensure_samples, subject_of
from signer.errors import Misconfigured
from signer.evidence.facts import evidence_facts
from signer.evidence.verifier import TrustedKeys, verify_item
from signer.formats.canonical import sha256_hex
from signer.identity.access import Access, Action, parse_access
from signer.ledger.leaves import Genesis
from signer.settings import load_settings
from tests.unit.dev.test_settings import GOOD as SETTINGS

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.fixture
def directory(tmp_path: Path) -> DevDirectory:
    made = DevDirectory.prepare(tmp_path)
    for name in SIGNERS:
        ensure_key(made.signer_key(name))
    ensure_samples(made, now=NOW)
    return made


@pytest.fixture
def policy(directory: DevDirectory) -> Policy:
    keys = {name: public_pem(ensure_key(directory.signer_key(name))).decode() for name in SIGNERS}
    return parse_policy(
        render(
            "better",
            name="demo",
            builder_id=BUILDER_ID,
            builder_key=keys["builder"],
            scanner_key=keys["scanner"],
            source_key=keys["source"],
            source_verifier=SOURCE_VERIFIER,
            repository=REPOSITORY,
        )
    )


@pytest.fixture
def access(directory: DevDirectory) -> Access:
    keys = {name: public_pem(ensure_key(directory.identity(name) / "approval.key")).decode() for name in IDENTITIES}
    data = render_access(policy="demo", environments=["release"], repositories=[REPOSITORY], approval_keys=keys)
    return parse_access(data)


def judge(directory: DevDirectory, policy: Policy, artifact: str, *samples: str) -> Decision:
    trusted = TrustedKeys.of(policy.trust.keys)
    data = [(directory.samples / name).read_bytes() for name in samples]
    subjects = (subject_of(directory.samples / artifact),)
    evidence = evidence_facts(
        tuple(verify_item(each, trusted) for each in data),
        policy=policy,
        subjects=subjects,
        stored={},
        offered={sha256_hex(each) for each in data},
    )
    facts = Facts(
        request=RequestFacts(
            policy="demo",
            environment="release",
            submitter="robot:ci",
            subjects=tuple(SubjectFact(name=each.name, sha256=each.sha256) for each in subjects),
        ),
        evidence=evidence,
        ledger=LedgerFacts(policy_digest=policy.digest, access_digest="0" * 64),
    )
    return evaluate(policy, facts, now=NOW)


def names(directory: DevDirectory, kind: str) -> list[str]:
    return sorted(path.name for path in directory.samples.glob(f"{kind}*.json"))


def test_good_samples_together_satisfy_the_demo_policy(directory: DevDirectory, policy: Policy) -> None:
    assert judge(directory, policy, GOOD, *names(directory, "good")).verdict is Verdict.ALLOW


def test_each_good_sample_is_needed(directory: DevDirectory, policy: Policy) -> None:
    for missing in names(directory, "good"):
        rest = [name for name in names(directory, "good") if name != missing]
        assert judge(directory, policy, GOOD, *rest).verdict is Verdict.DENY, missing


def test_bad_samples_fail_for_several_reasons(directory: DevDirectory, policy: Policy) -> None:
    decision = judge(directory, policy, BAD, *names(directory, "bad"))
    assert decision.verdict is Verdict.DENY
    assert {finding.rule for finding in decision.counting(Outcome.FAIL)} >= {"BLD-1", "TST-1", "VUL-1"}
    assert {finding.rule for finding in decision.counting(Outcome.UNKNOWN)} >= {"SBM-1"}
    assert decision.counting(Outcome.PASS) == ()


def test_each_bad_sample_alone_is_denied(directory: DevDirectory, policy: Policy) -> None:
    for name in names(directory, "bad"):
        assert judge(directory, policy, BAD, name).verdict is Verdict.DENY, name


@pytest.mark.parametrize(
    ("later", "renewed"),
    [
        pytest.param(timedelta(hours=11), False, id="fresh ones stay"),
        pytest.param(timedelta(hours=13), True, id="stale ones are made anew"),
        pytest.param(-timedelta(hours=1), True, id="ones from the future are made anew"),
    ],
)
def test_samples_stay_fresh(directory: DevDirectory, later: timedelta, renewed: bool) -> None:
    before = {name: (directory.samples / name).read_bytes() for name in names(directory, "")}
    artifact = (directory.samples / GOOD).read_bytes()
    ensure_samples(directory, now=NOW + later)
    after = {name: (directory.samples / name).read_bytes() for name in names(directory, "")}
    assert (before != after) is renewed
    assert (directory.samples / GOOD).read_bytes() == artifact


@pytest.mark.parametrize(
    ("identity", "action", "allowed"),
    [
        ("ci", "sign", True),
        ("ci", "halt", False),
        ("approver-1", "approve", True),
        ("approver-1", "sign", False),
        ("auditor", "audit", True),
        ("auditor", "sign", False),
        ("deployer", "deploy", True),
        ("deployer", "sign", False),
        ("owner-1", "halt", True),
        ("owner-2", "sign", False),
    ],
)
def test_each_identity_may_do_its_own_work_alone(access: Access, identity: str, action: Action, allowed: bool) -> None:
    principal = access.principal(san_of(identity))
    assert principal is not None
    scope = {"policy": "demo", "environment": "release", "repository": REPOSITORY}
    assert access.allows(principal, action=action, **scope) is allowed


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text("a'\"$` \\;é", max_size=20)))
def test_exports_are_read_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("env") / "env"
    path.write_bytes(render_exports(values))
    assert read_exports(path) == values


def test_the_three_commands_quote_their_directory() -> None:
    directory = DevDirectory.at(Path("/tmp/a dir; rm -rf x"))
    for command in three_commands(directory, policy="demo", environment="release"):
        words = shlex.split(command.replace("/env;", "/env"))
        assert not any(word == "rm" for word in words)


def genesis(*, dev: bool) -> Genesis:
    return Genesis(time="2026-11-23T10:00:00Z", origin="o", dev=dev, threshold=1, owners=("",), ledger_key="")


@pytest.mark.parametrize(
    ("dev", "supervisor", "code"),
    [
        pytest.param(True, None, "dev-ledger", id="a development ledger outside signer dev"),
        pytest.param(True, os.getpid(), "dev-ledger", id="a supervisor that is not the parent"),
        pytest.param(False, 1, "not-dev", id="a real ledger under signer dev"),
    ],
)
def test_a_ledger_is_run_by_whom_it_belongs_to(tmp_path: Path, dev: bool, supervisor: int | None, code: str) -> None:
    path = tmp_path / "signer.toml"
    path.write_text(SETTINGS)
    with pytest.raises(Misconfigured) as refused:
        check_confined(genesis(dev=dev), load_settings(path), dev_supervisor=supervisor)
    assert refused.value.code == code


def test_a_real_ledger_runs_without_a_supervisor(tmp_path: Path) -> None:
    path = tmp_path / "signer.toml"
    path.write_text(SETTINGS)
    check_confined(genesis(dev=False), load_settings(path), dev_supervisor=None)
