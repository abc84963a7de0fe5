# SPDX-License-Identifier: Apache-2.0
"""Each trap of tests/abuse/traps.py, stepped into."""

from __future__ import annotations

import copy
import importlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import marshmallow
import msgspec
import pytest

from policy.decision import LETS_THROUGH, Outcome, Verdict
from policy.diff import Document, diff
from policy.document import load_document, parse_policy
from policy.engine import evaluate
from policy.judgement import Judgement
from policy.ledger_facts import LedgerFacts
from policy.rule import Case
from policy.rules import RULES
from policy.schema import PolicyError
from policy.waiver import waiver_fault
from signer.cli.exits import NAMES
from signer.custodian.commands import Judge
from signer.web.schemas import JudgementRequest
from tests.abuse.traps import ELSEWHERE, ROOT, TRAPS, bearing, functions
from tests.policy.factory import (
    NOW,
    built,
    document,
    encode,
    facts,
    further_rules,
    good,
    judge,
    kept,
    policy,
    scanned,
    sole,
)
from tests.policy.promotion import FREEZE, HUMAN, approve, asked, decide, finding, production, promoted
from tests.policy.test_waiver import vulnerable, waivable, waiver

WEEKEND = datetime(2026, 11, 28, 12, tzinfo=UTC)


def test_every_trap_has_one_test_and_no_test_is_about_none() -> None:
    assert sorted(TRAPS) == [f"{number:02}" for number in range(1, 22)]
    assert sorted([*bearing(), *ELSEWHERE]) == sorted(TRAPS)
    for place in ELSEWHERE.values():
        path, _, name = place.partition("::")
        assert name in set(functions(ROOT / path)), place


def options(command: str) -> set[str]:
    """Every option of a command, by its long names."""
    found: click.Command = getattr(importlib.import_module(f"signer.cli.{command}"), command)
    return {name for each in found.params for name in (*each.opts, *each.secondary_opts) if name.startswith("--")}


def asking(**more: Any) -> dict[str, Any]:
    """The body of a request for a judgement, and what a caller adds to it."""
    subject = {"name": "shop", "digest": {"sha256": "a" * 64}}
    return {"policy": "demo", "environment": "release", "subjects": [subject], **more}


def test_trap_01_no_denial_tells_how_to_turn_a_rule_off() -> None:
    words = ("exclude", "disable", "skip", "turn off", "switch off", "ignore", "--no-", "--force")
    told = [f"{kind.remedy} {kind.supply} {kind.failure}" for kind in RULES.values()]
    told += [f"{each.title} {each.remedy}" for each in judge(policy(), scanned(), built(ref="refs/heads/x")).findings]
    assert [text for text in told for word in words if word in text.lower()] == []


def test_trap_02_no_rule_wins_over_another_one() -> None:
    value = document()
    (narrow,) = (each for each in value["rules"] if each["id"] == "SRC-1")
    wide = {**narrow, "id": "SRC-9", "refs": ["refs/heads/*"]}
    for rules in ([narrow, wide], [wide, narrow]):
        value["rules"] = rules
        decision = judge(parse_policy(encode(value)), built(ref="refs/heads/x"))
        assert {each.rule: each.outcome for each in decision.findings} == {"SRC-1": Outcome.FAIL, "SRC-9": Outcome.PASS}
        assert decision.verdict is Verdict.DENY
    for key in ("priority", "weight", "overrides", "exclude"):
        value["rules"] = [{**narrow, key: 1}]
        with pytest.raises(PolicyError):
            parse_policy(encode(value))


def test_trap_03_policies_whose_digests_differ_differ() -> None:
    def pinned(commit: str) -> Document:
        value = copy.deepcopy(document())
        value["rules"].append(
            {
                "id": "SRC-6",
                "type": "source.workflow",
                "control": "source",
                "level": "strong",
                "collectors": ["forge"],
                "reusable": [f"https://github.com/acme/flows/build.yml@{commit}"],
            }
        )
        data = encode(value)
        return Document(parse_policy(data), load_document(data))

    one, other = pinned("a" * 40), pinned("a" * 39 + "b")
    assert one.policy.digest != other.policy.digest
    assert [change.name for change in diff(one, other)] == ["SRC-6", "SRC-6"], "one pin went, another one came"
    # Another comment is another document as well: what was decided and approved names the bytes.
    data = encode(document())
    assert parse_policy(data).digest != parse_policy(data + b"\n# reviewed").digest


def test_trap_04_nobody_who_asks_chooses_the_instant() -> None:
    for command in ("sign", "check"):
        clocks = ("time", "now", "date", "clock", "at", "effective-on")
        assert [name for name in options(command) if name.removeprefix("--").startswith(clocks)] == ["--timeout"]
    for member in ("time", "now", "at", "effective_time", "effectiveOn"):
        with pytest.raises(marshmallow.ValidationError):
            JudgementRequest().load(asking(**{member: "2020-01-01T00:00:00Z"}))


RULES_OF_EVIDENCE = {rule["type"]: rule["id"] for rule in (*document()["rules"], *further_rules())}
OF_THE_LEDGER = ("SOK-1", "RBK-1", "APR-1", "APR-2", "BRK-1")


@pytest.mark.parametrize("rule", RULES_OF_EVIDENCE.values(), ids=RULES_OF_EVIDENCE)
def test_trap_05_a_rule_that_finds_nothing_of_its_own_is_unknown(rule: str) -> None:
    assert sole(policy(rule)).outcome is Outcome.UNKNOWN
    assert sole(policy(rule), kept("something else", kind="commit-range")).outcome is Outcome.UNKNOWN


def test_trap_05_a_ledger_that_holds_nothing_satisfies_no_rule() -> None:
    stranger = asked(kept("something else", kind="commit-range"), known=LedgerFacts(policy_digest="", access_digest=""))
    decision = decide(production(), stranger)
    assert {finding(decision, rule).outcome for rule in OF_THE_LEDGER}.isdisjoint(LETS_THROUGH)
    assert {*RULES_OF_EVIDENCE, *(each.kind.code for each in production().rules)} == set(RULES), "every type is asked"


def test_trap_06_no_option_and_no_member_lets_a_pipeline_past() -> None:
    words = ("skip", "ignore", "force", "bypass", "exclude", "allow", "insecure", "no-fail", "strict", "dry")
    for command in ("sign", "check"):
        assert [name for name in options(command) if any(word in name for word in words)] == []
    for member in ("bypass", "force", "skip_rules", "exclude", "strict", "dry_run", "break_glass"):
        with pytest.raises(marshmallow.ValidationError):
            JudgementRequest().load(asking(**{member: True}))


def test_trap_07_a_request_carries_no_exemption_and_no_policy() -> None:
    for member in ("waivers", "exemptions", "exceptions", "policy_input", "data", "rules", "ledger"):
        with pytest.raises(marshmallow.ValidationError):
            JudgementRequest().load(asking(**{member: [{"rule": "VUL-1"}]}))
    with pytest.raises(marshmallow.ValidationError):
        JudgementRequest().load(asking(policy={"name": "demo", "rules": []}))
    # Nor can web hand one to the custodian: what it sends are facts of evidence, and nothing of the ledger.
    members = {field.name for field in msgspec.structs.fields(Judge)}
    assert members.isdisjoint({"waivers", "ledger", "approvals", "now", "time", "rules"})


def test_trap_08_a_policy_holds_plain_words_and_no_code() -> None:
    plain = ("list of", "integer", "boolean", "duration", "limits by", "counts by", "environment", "text", "true or")
    choices = ("SLSA_SOURCE_LEVEL_1 to", "allowed or deployed", "shared, dedicated")
    kinds = {parameter.kind for kind in RULES.values() for parameter in kind.parameters}
    assert [kind for kind in kinds if not kind.startswith((*plain, *choices))] == []
    for key in ("rego", "cel", "expr", "script", "wasm", "code"):
        value = document()
        value["rules"][0][key] = "cGFja2FnZSBwb2xpY3k="
        with pytest.raises(PolicyError):
            parse_policy(encode(value))


def test_trap_09_what_is_excused_is_excused_for_a_while() -> None:
    judged = waivable()
    assert waiver_fault(waiver(), policy=judged, now=NOW) is None
    endless = waiver(not_before=NOW, expires=NOW + timedelta(days=31))
    assert "longer than the 30 days" in str(waiver_fault(endless, policy=judged, now=NOW))
    assert waiver_fault(waiver(expires=NOW), policy=judged, now=NOW) is not None
    for section in ("allowlist", "exceptions", "exemptions", "ignore", "waivers"):
        with pytest.raises(PolicyError):
            parse_policy(encode({**document(), section: []}))
    for limit in ("maxWaiverDays", "maxRenewals", "maxOpenWaivers"):
        with pytest.raises(PolicyError):
            parse_policy(encode({**document(), "limits": {limit: 100_000}}))


def test_trap_10_a_waived_rule_is_judged_all_the_same() -> None:
    known = facts(*vulnerable())
    excused = replace(known, ledger=replace(known.ledger, waivers=(waiver(),)))
    (before,) = evaluate(waivable(), known, now=NOW).of("VUL-1")
    (after,) = evaluate(waivable(), excused, now=NOW).of("VUL-1")
    assert (after.outcome, after.would) == (Outcome.WAIVED, Outcome.FAIL)
    assert (after.found, after.evidence, after.offenders) == (before.found, before.evidence, before.offenders)
    # What comes after is seen: the waiver is no licence for the rule.
    worse = facts(*vulnerable("CVE-2026-40021", "CVE-2026-50000"))
    (second,) = evaluate(waivable(), replace(worse, ledger=excused.ledger), now=NOW).of("VUL-1")
    assert second.outcome is Outcome.FAIL


def test_trap_11_one_place_says_whether_a_waiver_applies() -> None:
    texts = {path: path.read_text("utf-8") for room in ("policy", "signer") for path in (ROOT / room).rglob("*.py")}
    marking = [path.name for path, text in texts.items() if "Outcome.WAIVED," in text and "would=" in text]
    asking_the_matcher = [path.name for path, text in texts.items() if "import waive\n" in text]
    assert (marking, asking_the_matcher) == (["waiver.py"], ["engine.py"])


def test_trap_12_each_group_needs_somebody_of_its_own() -> None:
    judged, request = production(HUMAN), asked()
    both = approve(judged, request, "person:kim", "release", "sre")
    assert decide(judged, request, both, both).verdict is Verdict.HOLD
    crowd = [approve(judged, request, f"person:{number}", "release") for number in range(6)]
    assert decide(judged, request, *crowd).verdict is Verdict.HOLD
    assert decide(judged, request, both, *crowd).verdict is Verdict.ALLOW


def test_trap_13_who_may_approve_stands_in_no_file_of_the_author() -> None:
    judged = production(HUMAN)
    lists = (kept("approvers", kind="approval-record"), kept("CODEOWNERS", kind="pull-request-summary"))
    assert decide(judged, asked(*promoted(), *lists)).verdict is Verdict.HOLD
    for member in ("approvers", "approvals", "groups"):
        with pytest.raises(marshmallow.ValidationError):
            JudgementRequest().load(asking(**{member: ["person:dana"]}))


@pytest.mark.parametrize("later", [timedelta(hours=1), timedelta(days=3), timedelta(days=30), timedelta(days=365)])
def test_trap_14_waiting_approves_nothing(later: timedelta) -> None:
    decision = decide(production(HUMAN), asked(), now=NOW + later)
    assert decision.verdict is not Verdict.ALLOW
    assert finding(decision, "APR-1").outcome is Outcome.WAITING


def test_trap_15_a_freeze_holds_everybody_whoever_asks_or_approves() -> None:
    judged, request = production(FREEZE, HUMAN), asked()
    people = [approve(judged, request, f"person:{name}", name, at=WEEKEND) for name in ("release", "sre")]
    frozen = finding(decide(judged, request, *people, now=WEEKEND), "FRZ-1")
    for submitter in ("robot:ci", "person:admin", "operator:0"):
        asks = replace(request, request=replace(request.request, submitter=submitter))
        assert finding(decide(judged, asks, *people, now=WEEKEND), "FRZ-1") == frozen
    assert frozen.outcome is Outcome.FROZEN
    # And no waiver opens it: one speaks of a failure or of something unknown.
    excuse = waiver(environment="production", rules=("FRZ-1",), outcome="fail", offenders=(), found=frozen.found)
    excused = replace(request, ledger=replace(request.ledger, waivers=(excuse,)))
    assert decide(judged, excused, *people, now=WEEKEND).verdict is Verdict.DENY


def test_trap_17_the_codes_are_these_for_good() -> None:
    assert dict(NAMES) == {
        1: "error",
        2: "usage",
        3: "verification-failed",
        4: "not-authorised",
        10: "denied",
        11: "waiting",
        12: "evidence-missing",
        13: "halted",
        20: "undecided",
        78: "misconfigured",
    }


def test_trap_19_a_rule_that_raises_denies_whatever_the_others_say() -> None:
    def raising(_demand: object, _case: Case) -> Judgement:
        raise ZeroDivisionError

    sound = policy()
    assert evaluate(sound, facts(*good()), now=NOW).verdict is Verdict.ALLOW
    environment = sound.environments["release"]
    for position, rule in enumerate(environment.rules):
        rules = list(environment.rules)
        rules[position] = replace(rule, kind=replace(rule.kind, judge=raising))
        broken = replace(sound, environments={"release": replace(environment, rules=tuple(rules))})
        decision = evaluate(broken, facts(*good()), now=NOW)
        assert (decision.verdict, decision.of(rule.id)[0].outcome) == (Verdict.DENY, Outcome.UNKNOWN)


TYPING_ERRORS: dict[str, dict[str, Any]] = {
    "a severity": {"deny": {"critical": 0, "hgih": 0}},
    "a scanner": {"scanners": ["gryp"]},
    "a parameter": {"onlyIfFxied": True},
    "a type": {"type": "vulns.treshold"},
    "a mode": {"mode": "enforced"},
}


@pytest.mark.parametrize("changes", TYPING_ERRORS.values(), ids=TYPING_ERRORS)
def test_trap_20_a_typing_error_makes_no_policy(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        policy("VUL-1", **changes)


def test_trap_21_an_error_on_one_side_is_not_outweighed_by_the_other() -> None:
    # Two scans that were received together: each has to do. One has a time that cannot be compared, and raises.
    fine, odd = scanned("fine"), scanned("odd", finished=NOW.replace(tzinfo=None))
    assert sole(policy("VUL-1"), fine).outcome is Outcome.PASS
    assert sole(policy("VUL-1"), fine, odd).outcome is Outcome.UNKNOWN
    # Two trusted builds of which one may answer: what raises for it is unknown for it, and no pass of another adds up.
    broken = built("broken", finished=NOW.replace(tzinfo=None), received=9)
    elsewhere = built("elsewhere", ref="refs/heads/x")
    assert judge(policy("BLD-1", "SRC-1"), broken, elsewhere).verdict is Verdict.DENY
