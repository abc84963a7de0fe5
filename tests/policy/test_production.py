# SPDX-License-Identifier: Apache-2.0
"""A production environment in a policy's own tests: approvals, soak and freeze as a team writes them."""

from __future__ import annotations

from typing import Any

import pytest

from policy.document import Policy, read_policy
from policy.testing.mutants import mutants
from policy.testing.run import coverage, run
from policy.testing.suite import no_files, parse_suite
from tests.policy.factory import document, encode
from tests.policy.promotion import CHECKLIST, FREEZE, HUMAN, SOAK

LEDGER: dict[str, Any] = {
    "excluded": [{"person": "person:dana", "role": "author"}],
    "allowed": [{"environment": "staging", "at": "2h ago"}],
    "approvals": [
        {"person": "person:kim", "groups": ["release"], "at": "72h ago"},
        {"person": "person:lee", "groups": ["sre"], "at": "72h ago"},
    ],
}
GOOD: dict[str, Any] = {
    "provenance": {
        "builder": "ci",
        "build_type": "https://x.invalid",
        "triggered_by": "robot:forge",
        "repository": "github.com/acme/shop",
        "finished": "4h ago",
    },
    "sboms": {"producer": "ci", "format": "spdx", "components": 3},
    "ledger": LEDGER,
}


def only(*approvals: dict[str, Any]) -> dict[str, Any]:
    return {"fixture": "good", "change": {"ledger": {"approvals": list(approvals)}}}


KIM: dict[str, Any]
LEE: dict[str, Any]
KIM, LEE = LEDGER["approvals"]
TRIALS: list[dict[str, Any]] = [
    {"name": "approved by both", "given": "good", "expect": "allow"},
    {"name": "nobody approved", "given": only(), "expect": "hold", "rules": {"APR-1": "waiting", "APR-2": "waiting"}},
    {"name": "release alone", "given": only(KIM), "expect": "hold", "rules": {"APR-1": "waiting", "APR-2": "waiting"}},
    {"name": "sre alone", "given": only(LEE), "expect": "hold", "rules": {"APR-1": "waiting", "APR-2": "waiting"}},
    {
        "name": "an approval that ended",
        "given": only({**KIM, "at": "73h ago"}, LEE),
        "expect": "hold",
        "rules": {"APR-1": "waiting", "APR-2": "waiting"},
    },
    {
        "name": "the author approves",
        "given": only({**KIM, "person": "person:dana"}, LEE),
        "expect": "hold",
        "rules": {"APR-1": "waiting", "APR-2": "waiting"},
        "reasonContains": "author",
    },
    {
        "name": "rejected",
        "given": only(KIM, LEE, {"person": "person:max", "kind": "reject"}),
        "expect": "deny",
        "rules": {"APR-1": "fail", "APR-2": "fail"},
    },
    {
        "name": "nobody wrote it",
        "given": {"fixture": "good", "change": {"ledger": {"excluded": []}}},
        "expect": "deny",
        "rules": {"APR-1": "unknown", "APR-2": "unknown"},
    },
    {
        "name": "an hour in staging",
        "given": {"fixture": "good", "change": {"ledger": {"allowed": [{"environment": "staging", "at": "1h ago"}]}}},
        "expect": "deny",
        "rules": {"SOK-1": "fail"},
    },
    {
        "name": "never in staging",
        "given": {"fixture": "good", "change": {"ledger": {"allowed": []}}},
        "expect": "deny",
        "rules": {"SOK-1": "unknown"},
    },
    {"name": "a Friday evening", "given": "good", "at": "2026-11-27T18:00:00Z", "expect": "deny"},
    {"name": "at Christmas", "given": "good", "at": "2026-12-29T12:00:00Z", "expect": "deny"},
]


def production() -> tuple[Policy, dict[str, Any]]:
    value = document()
    kept = [rule for rule in value["rules"] if rule["id"] == "SBM-1"]
    value["rules"] = [*kept, SOAK, FREEZE, HUMAN, {**CHECKLIST, "checklist": ["SBM-1"]}]
    value["defaults"] = {}
    value["environments"] = {
        "staging": {"require": ["SBM-1"], "key": "k", "formats": ["vsa"]},
        "production": {"require": ["*"], "key": "k", "formats": ["vsa"]},
    }
    return read_policy(value, digest="0" * 64), value


def suite(*trials: dict[str, Any]) -> bytes:
    return encode(
        {
            "schema": "signing-policy-test/v1",
            "at": "2026-11-23T12:00:00Z",
            "environment": "production",
            "fixtures": {"good": GOOD},
            "trials": list(trials),
        }
    )


def test_the_trials_of_a_production_environment_end_as_written() -> None:
    policy, _ = production()
    ran = run(policy, parse_suite(suite(*TRIALS), name="t", policy=policy, load_facts=no_files).trials)
    assert [(each.trial.name, each.faults) for each in ran if each.faults] == []
    covered = {each.rule: each for each in coverage(policy, ran)}
    assert covered["APR-1"].passes
    assert covered["APR-1"].fails


def test_every_change_of_an_approval_is_noticed_by_the_judge() -> None:
    policy, value = production()
    ran = run(policy, parse_suite(suite(*TRIALS), name="t", policy=policy, load_facts=no_files).trials)
    found = mutants(policy, value, [each for each in ran if not each.faults])
    for rule in ("APR-1", "APR-2"):
        those = [each for each in found if each.rule == rule]
        assert len(those) >= 6
        assert [each.what for each in those if each.survived] == []
    assert "Approval is by the requester, in 'approved by both'" in [each.what for each in found]
    assert [each.what for each in found if each.rule == "SOK-1" and each.survived] == []


@pytest.mark.parametrize("rule", ["APR-1", "APR-2"])
def test_a_weaker_approval_rule_is_noticed_by_a_trial(rule: str) -> None:
    policy, value = production()
    ran = run(policy, parse_suite(suite(TRIALS[0]), name="t", policy=policy, load_facts=no_files).trials)
    alone = mutants(policy, value, ran)
    # With the one good trial nothing holds up the groups; the other trials above do.
    assert any(each.survived and "asks nobody" in each.what for each in alone if each.rule == rule)
