# SPDX-License-Identifier: Apache-2.0
"""Recorded decisions under a draft: flips, reasons, and what no recorded fact can say."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from policy.decision import Verdict
from policy.document import Policy, parse_policy
from policy.engine import evaluate
from policy.facts import Item
from policy.ledger_facts import LedgerFacts
from policy.replay import Ending, Recorded, acknowledged, replay, retrust
from tests.policy.factory import (
    NOW,
    ago,
    built,
    document,
    encode,
    facts,
    good,
    inventory,
    pem,
    policy,
    ran,
    reviewed,
    scanned,
)
from tests.policy.releases import items
from tests.policy.test_identity import certified, keyless

Value = dict[str, Any]
POLICY = parse_policy(encode(document()))


def draft(change: Callable[[Value], object] = lambda _: None) -> Policy:
    value = copy.deepcopy(document())
    change(value)
    return parse_policy(encode(value))


def recorded(*evidence: Item, policy: Policy = POLICY) -> Recorded:
    known = facts(*evidence)
    return Recorded(
        leaf=7,
        request_id="0f" * 16,
        time=NOW,
        principal="robot:ci",
        version=1,
        decision=evaluate(policy, known, now=NOW),
        facts=known,
        trust=policy.trust,
    )


def without(*kinds: type) -> tuple[Item, ...]:
    return tuple(item for item in good() if not isinstance(item, kinds))


def rename(value: Value) -> None:
    """Other names for the same keys and entries."""
    trust = value["trust"]
    trust["keys"] = {f"k-{name}": text for name, text in trust["keys"].items()}
    for part in ("builders", "scanners", "testers", "collectors", "producers"):
        trust[part] = {f"e-{name}": {**entry, "key": f"k-{entry['key']}"} for name, entry in trust[part].items()}
    for rule in value["rules"]:
        for part in ("builders", "scanners", "testers", "collectors"):
            if part in rule:
                rule[part] = [f"e-{name}" for name in rule[part]]


def trust_another_scanner(value: Value) -> None:
    value["trust"]["keys"]["new"] = pem("new")
    value["trust"]["scanners"]["trivy"] = {"key": "new"}
    value["rules"][5]["scanners"] = ["grype", "trivy"]


def trust_another_builder(value: Value) -> None:
    value["trust"]["keys"]["new"] = pem("new")
    value["trust"]["builders"]["new"] = {**value["trust"]["builders"]["ci"], "key": "new"}
    value["rules"][0]["builders"] = ["ci", "new"]


OLD_SCAN = (built(), reviewed(), ran(), scanned(finished=ago(days=3), database_updated=ago(days=3)), inventory())
LAPTOP = built(builder=None, builder_id="https://dev.invalid/laptop", isolation=None)

CASES: dict[str, tuple[tuple[Item, ...], Callable[[Value], object], Ending, tuple[str, ...]]] = {
    "allowed as before": (good(), lambda _: None, Ending.SAME, ()),
    "denied as before": (without(type(ran())), lambda _: None, Ending.SAME, ("TST-1",)),
    "a demand that the past did not meet": (
        good(),
        lambda v: v["rules"][6].update(minComponents=43),
        Ending.DENIED,
        ("SBM-1",),
    ),
    "a demand that is gone": (
        without(type(ran())),
        lambda v: v["environments"]["release"].update(require=["BLD-1", "SRC-1"]),
        Ending.ALLOWED,
        ("TST-1",),
    ),
    "a longer age": (
        (built(started=ago(days=4), finished=ago(days=4)), *OLD_SCAN[1:]),
        lambda v: (v["rules"][5].update(maxAge="4d"), v["trust"]["scanners"]["grype"].update(maxDatabaseAge="4d")),
        Ending.ALLOWED,
        ("VUL-1",),
    ),
    "another reason for the same denial": (
        without(type(ran())),
        lambda v: v["rules"][6].update(minComponents=43),
        Ending.REASONS,
        ("SBM-1",),
    ),
    "the same trust under other names": (good(), rename, Ending.SAME, ()),
    "a denial under other names": (without(type(scanned())), rename, Ending.SAME, ("VUL-1",)),
    "a key that is trusted no more": (
        good(),
        lambda v: v["trust"]["keys"].update(scanner=pem("another")),
        Ending.MISSING,
        ("VUL-1",),
    ),
    "a builder with another id": (
        good(),
        lambda v: v["trust"]["builders"]["ci"].update(id="https://dev.invalid/new"),
        Ending.DENIED,
        ("BLD-1", "BLD-2", "SRC-1", "SRC-2"),
    ),
    "a builder of a lower class": (
        good(),
        lambda v: v["trust"]["builders"]["ci"].update(isolation="shared"),
        Ending.DENIED,
        ("BLD-2",),
    ),
    "another scanner, and the latest scan might be its": (good(), trust_another_scanner, Ending.MISSING, ()),
    "another scanner, and its scan might have been there": (
        without(type(scanned())),
        trust_another_scanner,
        Ending.MISSING,
        ("VUL-1",),
    ),
    "another scanner, and the denial stands without it": (
        without(type(scanned()), type(ran())),
        trust_another_scanner,
        Ending.SAME,
        ("TST-1", "VUL-1"),
    ),
    "another builder, and the release was good without it": (good(), trust_another_builder, Ending.SAME, ()),
    "another builder, and its provenance might have been there": (
        without(type(built())),
        trust_another_builder,
        Ending.MISSING,
        ("BLD-1", "BLD-2", "SRC-1", "SRC-2"),
    ),
    "a builder id whose source attestations nobody looked for": (
        (LAPTOP, *without(type(built()))),
        lambda v: v["trust"]["builders"]["ci"].update(id="https://dev.invalid/laptop"),
        Ending.MISSING,
        (),
    ),
    "an environment that is gone": (
        good(),
        lambda v: v.update(environments={"staging": {"require": ["*"], "key": "x", "formats": ["vsa"]}}),
        Ending.DENIED,
        ("POLICY",),
    ),
}


@pytest.mark.parametrize(("evidence", "change", "ending", "rules"), CASES.values(), ids=CASES)
def test_a_recorded_decision_ends(
    evidence: tuple[Item, ...], change: Callable[[Value], object], ending: Ending, rules: tuple[str, ...]
) -> None:
    found = replay(draft(change), recorded(*evidence))
    assert (found.ending, found.missing != "") == (ending, ending is Ending.MISSING), found
    if ending is not Ending.MISSING:
        assert found.rules == rules


def test_what_is_missing_is_named() -> None:
    found = replay(draft(trust_another_scanner), recorded(*without(type(scanned()))))
    assert found.missing == "evidence by new, not trusted then, for VUL-1"


def test_a_denial_carries_the_message_that_the_developer_would_have_read() -> None:
    found = replay(draft(lambda v: v["rules"][6].update(minComponents=43)), recorded(*good()))
    assert [(each.rule, each.required, each.found) for each in found.findings] == [
        ("SBM-1", "an SBOM in spdx by ci with at least 43 components", "spdx with 42 components")
    ]
    assert found.findings[0].remedy
    assert found.repository == "github.com/acme/shop"


def test_the_recorded_instant_counts_unless_another_is_given() -> None:
    past = recorded(*good())
    assert replay(POLICY, past).ending is Ending.SAME
    later = replay(POLICY, past, now=NOW + timedelta(days=30))
    assert later.ending is Ending.DENIED
    assert set(later.rules) == {"BLD-1", "SRC-2", "VUL-1"}


def test_each_rule_that_stopped_a_decision_is_to_be_acknowledged() -> None:
    past = recorded(*without(type(ran()), type(scanned())))
    found = replay(draft(lambda v: v["environments"]["release"].update(require=["BLD-1"])), past)
    assert found.ending is Ending.ALLOWED
    assert not acknowledged(found, frozenset())
    assert not acknowledged(found, frozenset({"TST-1"}))
    assert acknowledged(found, frozenset({"TST-1", "VUL-1"}))
    assert acknowledged(found, frozenset({past.request_id}))


@settings(max_examples=150)
@given(st.lists(items(), max_size=8))
def test_a_policy_over_its_own_history_changes_nothing(evidence: list[Item]) -> None:
    assert replay(POLICY, recorded(*evidence)).ending is Ending.SAME


@settings(max_examples=150)
@given(st.lists(items(), max_size=8))
def test_other_names_for_the_same_trust_change_no_verdict(evidence: list[Item]) -> None:
    renamed = draft(rename)
    # Items that the factory attributes to nobody may belong to an entry all the same: the translator leaves none.
    there, _ = retrust(facts(*evidence), old=POLICY.trust, new=POLICY.trust)
    again, _ = retrust(there, old=POLICY.trust, new=renamed.trust)
    before, after = evaluate(POLICY, there, now=NOW), evaluate(renamed, again, now=NOW)
    assert before.verdict is after.verdict
    assert [each.outcome for each in before.findings] == [each.outcome for each in after.findings]


def test_the_facts_of_good_evidence_read_anew_under_the_same_trust_are_the_same() -> None:
    known = facts(*good(), built("two", builder=None, isolation=None, builder_id="x"))
    trust = policy().trust
    assert retrust(known, old=trust, new=trust) == (known, "")


def test_a_key_with_which_a_person_approves_is_the_same_under_another_name() -> None:
    old = policy().trust
    ledger = LedgerFacts(policy_digest="0" * 64, access_digest="1" * 64, personal_keys=("builder", "gone"))
    new = replace(old, keys={f"{name}-2": text for name, text in old.keys.items()})
    known, _ = retrust(facts(ledger=ledger), old=old, new=new)
    assert known.ledger.personal_keys == ("builder-2",)


KEYLESS = keyless()


def other_root(value: Value) -> None:
    value["trust"]["roots"]["public-good"] = {"trustedRoot": '{"mediaType":"another"}'}


def rename_identity(value: Value) -> None:
    trust = value["trust"]
    trust["roots"] = {"sigstore": trust["roots"]["public-good"]}
    trust["identities"] = {"ours": {**trust["identities"]["release"], "root": "sigstore"}}
    trust["builders"]["ci"]["signer"] = "ours"


KEYLESS_CASES: dict[str, tuple[Callable[[Value], object], Ending, str]] = {
    "the same trust": (lambda _: None, Ending.SAME, ""),
    "other names for root and identity": (rename_identity, Ending.SAME, ""),
    "an identity of another repository": (
        lambda v: v["trust"]["identities"]["release"].update(repositoryId="7"),
        Ending.DENIED,
        "",
    ),
    "another root": (
        other_root,
        Ending.MISSING,
        "evidence by release, not trusted then, for BLD-1, BLD-2, SRC-1, SRC-2",
    ),
    "an older spelling": (
        lambda v: v["trust"].update(accept={"statements": ["v0.1"]}),
        Ending.MISSING,
        "evidence in an older spelling, for TST-1, VUL-1",
    ),
}


@pytest.mark.parametrize(("change", "ending", "missing"), KEYLESS_CASES.values(), ids=KEYLESS_CASES)
def test_a_decision_on_keyless_evidence_ends(change: Callable[[Value], object], ending: Ending, missing: str) -> None:
    value = copy.deepcopy(KEYLESS)
    change(value)
    then = parse_policy(encode(KEYLESS))
    past = recorded(certified(), *without(type(built())), policy=then)
    assert past.decision.verdict is Verdict.ALLOW
    found = replay(parse_policy(encode(value)), past)
    assert (found.ending, found.missing) == (ending, missing)


def test_an_identity_that_is_trusted_later_is_judged_by_its_certificate() -> None:
    strict = copy.deepcopy(KEYLESS)
    strict["trust"]["identities"]["release"]["repositoryId"] = "7"
    then = parse_policy(encode(strict))
    item = certified(builder=None, isolation=None)
    item = replace(item, origin=replace(item.origin, key=None))
    past = recorded(item, *without(type(built())), policy=then)
    now = parse_policy(encode(KEYLESS))
    read, missing = retrust(past.facts, old=then.trust, new=now.trust)
    assert read.evidence.provenance[0].builder == "ci"
    assert "source attestations that provenance" in missing


def test_a_verdict_of_hold_is_no_allow() -> None:
    past = recorded(*good())
    held = replace(past, decision=replace(past.decision, verdict=Verdict.HOLD))
    assert replay(POLICY, held).ending is Ending.ALLOWED
