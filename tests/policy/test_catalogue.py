# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import copy
from typing import Any

import pytest

from policy import catalogue
from policy.document import parse_policy
from policy.rule import CONTROLS, LEVELS, RuleType
from policy.rules import RULES
from policy.schema import PolicyError
from policy.strict_yaml import load
from tests.policy.factory import FURTHER_TRUST, document, encode, further_rules

TYPES = pytest.mark.parametrize("kind", RULES.values(), ids=RULES)
TEXTS = ("title", "description", "success", "failure", "remedy", "supply", "evidence", "example")


@TYPES
@pytest.mark.parametrize("text", TEXTS)
def test_every_rule_type_says_what_why_and_how(kind: RuleType[Any], text: str) -> None:
    value = getattr(kind, text)
    assert len(value) > 10
    assert value == value.strip()


@TYPES
def test_every_remedy_is_one_command(kind: RuleType[Any]) -> None:
    assert kind.remedy.count(": signer ") == 1
    assert kind.supply.count(": signer ") == 1


@TYPES
def test_every_rule_type_stands_under_its_code_and_a_control(kind: RuleType[Any]) -> None:
    assert RULES[kind.code] is kind
    assert kind.control in CONTROLS
    assert kind.code.islower()


def sample(code: str) -> dict[str, Any]:
    found = [rule for rule in (*document()["rules"], *further_rules()) if rule["type"] == code]
    return dict(found[0] if found else load(RULES[code].example.encode()))


def with_rule(rule: dict[str, Any]) -> bytes:
    """The factory's document with this rule, what it names of its checklist and trust, and an environment before."""
    value = copy.deepcopy(document())
    value["trust"].update(FURTHER_TRUST)
    value["trust"]["scanners"] = {"grype": {"key": "scanner"}}
    value["rules"] = [rule, *(each for each in value["rules"] if each["id"] in rule.get("checklist", ()))]
    value["rules"].append({**sample("sbom.present"), "id": "BEFORE"})
    value["environments"]["staging"] = {"require": ["BEFORE"], "key": "release", "formats": ["vsa"]}
    return encode(value)


@TYPES
def test_every_example_is_a_rule(kind: RuleType[Any]) -> None:
    rule = load(kind.example.encode())
    parsed = parse_policy(with_rule(rule))
    assert parsed.rules[0].type == kind.code
    assert parsed.rules[0].level in LEVELS


VALUES: dict[str, Any] = {
    "builders": ["ci"],
    "buildTypes": ["https://x.invalid"],
    "parameters": {"allow": []},
    "workflows": ["a/b"],
    "maxAge": "1d",
    "atLeast": "ephemeral",
    "testers": ["ci"],
    "suites": ["unit"],
    "maxFailed": 0,
    "minPassed": 1,
    "acceptWarned": True,
    "repositories": ["github.com/a/b"],
    "refs": ["refs/heads/main"],
    "collectors": ["forge"],
    "properties": ["SLSA_SOURCE_TWO_PARTY_REVIEWED"],
    "min": 1,
    "includesAdmins": True,
    "paths": ["deploy/"],
    "reusable": [f"https://x.invalid/a/b@{'0' * 40}"],
    "scanners": ["grype"],
    "deny": {"critical": 0},
    "formats": ["spdx"],
    "minComponents": 1,
    "producers": ["ci"],
    "broadAccess": False,
    "minDependencies": 1,
    "submitted": True,
    "kept": True,
    "secrets": {"allow": []},
    "groups": {"sre": 1},
    "ttl": "72h",
    "signed": True,
    "checklist": ["TST-1"],
    "after": "staging",
    "minSoak": "2h",
    "since": "deployed",
    "windows": ["fri 15:00/mon 08:00"],
    "reason": "the weekend",
    "submitters": ["robot:ci"],
    "reviewWithin": "2d",
    "signers": ["release"],
    "maxUndigested": 1,
    "allow": ["MIT"],
    "grace": {"critical": "1d"},
    "onlyIfFixed": True,
    "vex": ["appsec"],
}


@TYPES
def test_every_described_parameter_is_read_and_no_other(kind: RuleType[Any]) -> None:
    described = {parameter.name.partition(".")[0] for parameter in kind.parameters}
    rule = {key: sample(kind.code)[key] for key in ("id", "type", "control", "level")}
    rule |= {name: VALUES[name] for name in described}
    if kind.code == "build.log":
        rule["level"] = "better"
    if kind.code == "sbom.licences":
        rule["deny"] = ["SSPL-1.0"]
    if kind.code == "source.reviews":
        rule["atLeast"] = "SLSA_SOURCE_LEVEL_1"
    assert parse_policy(with_rule(rule)).rules[0].type == kind.code
    for name in VALUES.keys() - described:
        with pytest.raises(PolicyError, match="is not a key of this version"):
            parse_policy(with_rule({**rule, name: VALUES[name]}))


@TYPES
def test_exactly_the_parameters_described_as_required_are_required(kind: RuleType[Any]) -> None:
    full = sample(kind.code)
    for parameter in kind.parameters:
        name = parameter.name.partition(".")[0]
        rule = {key: value for key, value in full.items() if key != name}
        if parameter.required:
            with pytest.raises(PolicyError, match="is missing"):
                parse_policy(with_rule({**rule, "level": "minimum"}))
        else:
            parse_policy(with_rule({**rule, "level": "minimum"}))


def test_the_page_holds_every_rule_and_parameter_once() -> None:
    page = catalogue.render()
    for kind in RULES.values():
        assert page.count(f"### {kind.code}\n") == 1
        assert kind.description in page
        assert kind.remedy in page
        for parameter in kind.parameters:
            assert f"| `{parameter.name}` |" in page
    assert page == catalogue.render()


def test_the_page_is_well_formed_markdown() -> None:
    for line in catalogue.render().splitlines():
        assert line == line.rstrip()
        if line.startswith("| "):
            assert line.count("|") == 5
