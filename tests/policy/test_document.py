# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from policy import Policy, PolicyError, parse_policy
from policy.document import Limits
from policy.outputs import Output
from policy.rules import RULES
from tests.policy.factory import document, encode, further_rules, pem

Edit = Callable[[dict[str, Any]], object]


def rule(value: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in value["rules"] if entry["id"] == name)
    return found


def test_a_document_becomes_a_policy() -> None:
    data = encode(document())
    policy = parse_policy(data)
    assert (policy.name, policy.version, policy.owner) == ("demo", 1, "appsec")
    assert policy.digest == hashlib.sha256(data).hexdigest()
    assert policy.expires == datetime(2027, 6, 30, tzinfo=UTC)
    assert (policy.clock_skew, policy.max_evidence_age) == (timedelta(minutes=2), timedelta(days=7))
    assert policy.trust.keys["builder"] == pem("builder")
    assert policy.trust.builders["shared-ci"].broad_access
    assert policy.trust.scanners["grype"].max_database_age == timedelta(days=2)
    assert policy.trust.collectors["forge"].verifier == "https://dev.invalid/source"
    assert [entry.type for entry in policy.rules] == [entry["type"] for entry in document()["rules"]]
    assert policy.environments["release"].require == tuple(entry.id for entry in policy.rules)
    assert (policy.environments["release"].key, policy.environments["release"].formats) == ("release", ("vsa",))


def test_a_document_written_by_hand_is_read() -> None:
    policy = parse_policy(
        b"""\
schema: signing-policy/v1
metadata: {name: demo, version: 3, owner: appsec}
trust:
  keys:
    builder: |
"""
        + "".join(f"      {line}\n" for line in pem("builder").splitlines()).encode()
        + b"""\
  builders:
    demo: {key: builder, id: "https://dev.invalid/builder", isolation: shared, network: open, identity: workload,
           broadAccess: false}
rules:
  - {id: BLD-2, type: build.isolation, control: build, level: minimum, atLeast: shared}
environments:
  release: {require: [BLD-2], key: release, formats: [vsa]}
"""
    )
    assert policy.expires is None
    assert policy.rules[0].required == "a builder of isolation shared or better"
    assert (policy.clock_skew, policy.max_evidence_age) == (timedelta(minutes=2), timedelta(days=7))


def test_an_environment_signs_the_statement_alone_unless_it_says_more() -> None:
    value = document()
    del value["environments"]["release"]["formats"]
    assert parse_policy(encode(value)).environments["release"].outputs == (Output("vsa", "release"),)


def test_each_format_has_the_key_of_its_own_purpose() -> None:
    value = document()
    value["environments"]["release"] |= {
        "formats": ["cosign", "vsa", "artifact"],
        "imageKey": "images",
        "artifactKey": "files",
    }
    environment = parse_policy(encode(value)).environments["release"]
    assert [(each.format, each.key, each.purpose) for each in environment.outputs] == [
        ("cosign", "images", "image"),
        ("vsa", "release", "statement"),
        ("artifact", "files", "artifact"),
    ]
    assert (environment.key, environment.formats) == ("release", ("cosign", "vsa", "artifact"))


def test_nothing_is_waivable_unless_the_rule_says_so() -> None:
    value = document()
    rule(value, "VUL-1")["waivable"] = True
    rule(value, "BLD-1")["waivable"] = False
    value["limits"] = {"maxRenewals": 0}
    policy = parse_policy(encode(value))
    assert [each.id for each in policy.rules if each.waivable] == ["VUL-1"]
    assert policy.limits == Limits(max_waiver_days=30, max_renewals=0, max_open_waivers=10)


def test_required_rules_stand_in_the_order_of_the_document() -> None:
    value = document()
    value["environments"]["release"]["require"] = ["SBM-1", "BLD-1", "SRC-1"]
    policy = parse_policy(encode(value))
    assert policy.environments["release"].require == ("BLD-1", "SRC-1", "SBM-1")


REFUSED: dict[str, tuple[Edit, str]] = {
    "another schema": (lambda v: v.update(schema="signing-policy/v2"), "schema:"),
    "no schema": (lambda v: v.pop("schema"), "schema: is missing"),
    "an unknown key at the top": (lambda v: v.update(waivers=[]), "waivers: is not a key"),
    "an unknown key of metadata": (lambda v: v["metadata"].update(team="x"), "metadata.team:"),
    "an unknown key of defaults": (lambda v: v["defaults"].update(unknown="allow"), "defaults.unknown:"),
    "an unknown key of trust": (lambda v: v["trust"].update(groups={}), "trust.groups:"),
    "an unknown key of a builder": (
        lambda v: v["trust"]["builders"]["ci"].update(ref="x"),
        "trust.builders.ci.ref: is not a key",
    ),
    "an unknown key of a scanner": (lambda v: v["trust"]["scanners"]["grype"].update(x=1), "trust.scanners.grype.x:"),
    "an unknown key of a tester": (lambda v: v["trust"]["testers"]["ci"].update(x=1), "trust.testers.ci.x:"),
    "an unknown key of a rule": (lambda v: rule(v, "BLD-2").update(overridable=True), "rules[1].overridable:"),
    "waivable as a word": (lambda v: rule(v, "BLD-2").update(waivable="yes"), "rules[1].waivable: must be true"),
    "an unknown limit": (lambda v: v.update(limits={"maxWaivers": 1}), "limits.maxWaivers:"),
    "a waiver of no days": (lambda v: v.update(limits={"maxWaiverDays": 0}), "limits.maxWaiverDays:"),
    "a waiver of two years": (lambda v: v.update(limits={"maxWaiverDays": 730}), "limits.maxWaiverDays: is more"),
    "renewals without end": (lambda v: v.update(limits={"maxRenewals": 13}), "limits.maxRenewals: is more"),
    "more open waivers than anyone reads": (
        lambda v: v.update(limits={"maxOpenWaivers": 1001}),
        "limits.maxOpenWaivers: is more",
    ),
    "an unknown key of nested parameters": (
        lambda v: rule(v, "BLD-1")["parameters"].update(deny=[]),
        "rules[0].parameters.deny:",
    ),
    "an unknown severity": (lambda v: rule(v, "VUL-1")["deny"].update(severe=0), "rules[5].deny.severe:"),
    "an unknown key of an environment": (
        lambda v: v["environments"]["release"].update(approvals=[]),
        "environments.release.approvals:",
    ),
    "an unknown rule type": (lambda v: rule(v, "BLD-2").update(type="build.magic"), "rules[1].type:"),
    "a control that is not the type's": (lambda v: rule(v, "BLD-2").update(control="source"), "rules[1].control:"),
    "an unknown level": (lambda v: rule(v, "BLD-2").update(level="best"), "rules[1].level:"),
    "a level above what the class carries": (lambda v: rule(v, "BLD-2").update(level="strong"), "rules[1].level:"),
    "a better level for a shared builder": (lambda v: rule(v, "BLD-2").update(atLeast="shared"), "rules[1].level:"),
    "a rule id twice": (lambda v: rule(v, "BLD-2").update(id="BLD-1"), "rules[1].id: BLD-1 is taken"),
    "the reserved rule id": (lambda v: rule(v, "BLD-2").update(id="POLICY"), "rules[1].id:"),
    "a rule id that is no name": (lambda v: rule(v, "BLD-2").update(id="a b"), "rules[1].id:"),
    "no rules": (lambda v: v.update(rules=[]), "rules: must be a list"),
    "rules that are no list": (lambda v: v.update(rules={"a": {}}), "rules: must be a list"),
    "a rule that is no mapping": (lambda v: v["rules"].append("BLD-9"), "rules[7]: must be a mapping"),
    "a builder that is not there": (lambda v: rule(v, "BLD-1").update(builders=["nobody"]), "rules[0].builders:"),
    "a scanner that is not there": (lambda v: rule(v, "VUL-1").update(scanners=["trivy"]), "rules[5].scanners:"),
    "a tester that is not there": (lambda v: rule(v, "TST-1").update(testers=["me"]), "rules[4].testers:"),
    "a collector that is not there": (lambda v: rule(v, "SRC-2").update(collectors=["me"]), "rules[3].collectors:"),
    "a producer that is not there": (lambda v: rule(v, "SBM-1").update(producers=["me"]), "rules[6].producers:"),
    "a key that is not there": (lambda v: v["trust"]["builders"]["ci"].update(key="lost"), "trust.builders.ci.key:"),
    "an empty list of builders": (lambda v: rule(v, "BLD-1").update(builders=[]), "rules[0].builders:"),
    "a list with an entry twice": (lambda v: rule(v, "BLD-1").update(builders=["ci", "ci"]), "rules[0].builders:"),
    "no list of external parameters": (lambda v: rule(v, "BLD-1")["parameters"].clear(), "rules[0].parameters.allow:"),
    "external parameters without a list": (
        lambda v: rule(v, "BLD-1")["parameters"].update(allow="*"),
        "rules[0].parameters.allow:",
    ),
    "every external parameter": (
        lambda v: rule(v, "BLD-1")["parameters"].update(allow=["*"]),
        "rules[0].parameters.allow:",
    ),
    "no build types": (lambda v: rule(v, "BLD-1").pop("buildTypes"), "rules[0].buildTypes: is missing"),
    "an unknown isolation class": (
        lambda v: v["trust"]["builders"]["ci"].update(isolation="vm"),
        "trust.builders.ci.isolation:",
    ),
    "a hardened builder on an open network": (
        lambda v: v["trust"]["builders"]["ci"].update(isolation="hardened", network="open"),
        "trust.builders.ci.isolation:",
    ),
    "a hardened builder with broad access": (
        lambda v: v["trust"]["builders"]["ci"].update(isolation="hardened", broadAccess=True),
        "trust.builders.ci.isolation:",
    ),
    "a boolean in quotes": (
        lambda v: v["trust"]["builders"]["ci"].update(broadAccess="false"),
        "trust.builders.ci.broadAccess:",
    ),
    "an integer in quotes": (lambda v: v["metadata"].update(version="1"), "metadata.version:"),
    "a boolean for an integer": (lambda v: v["metadata"].update(version=True), "metadata.version:"),
    "version zero": (lambda v: v["metadata"].update(version=0), "metadata.version:"),
    "a name with a slash": (lambda v: v["metadata"].update(name="../x"), "metadata.name:"),
    "a date instead of a time": (lambda v: v["metadata"].update(expires="2027-06-30"), "metadata.expires:"),
    "a time without offset": (lambda v: v["metadata"].update(expires="2027-06-30T00:00:00"), "metadata.expires:"),
    "a time that is no time": (lambda v: v["metadata"].update(expires="2027-02-30T00:00:00Z"), "metadata.expires:"),
    "a duration without unit": (lambda v: v["defaults"].update(maxEvidenceAge="7"), "defaults.maxEvidenceAge:"),
    "a duration as integer": (lambda v: v["defaults"].update(maxEvidenceAge=7), "defaults.maxEvidenceAge:"),
    "a duration beyond reason": (lambda v: v["defaults"].update(maxEvidenceAge="99999w"), "defaults.maxEvidenceAge:"),
    "a wide clock skew": (lambda v: v["defaults"].update(clockSkew="1h"), "defaults.clockSkew:"),
    "the same key under two names": (lambda v: v["trust"]["keys"].update(twin=pem("builder")), "trust.keys.twin:"),
    "the same builder under two names": (
        lambda v: v["trust"]["builders"].update(twin=copy.deepcopy(v["trust"]["builders"]["ci"])),
        "trust.builders.twin: is the same as trust.builders.ci",
    ),
    "the same scanner under two names": (
        lambda v: v["trust"]["scanners"].update(twin={"key": "scanner"}),
        "trust.scanners.twin:",
    ),
    "a key that is no PEM": (lambda v: v["trust"]["keys"].update(x="MCow"), "trust.keys.x: is not a PEM"),
    "a private key": (
        lambda v: v["trust"]["keys"].update(x=pem("x").replace("PUBLIC", "PRIVATE")),
        "trust.keys.x: is not a PEM",
    ),
    "two keys in one": (lambda v: v["trust"]["keys"].update(x=pem("x") + pem("y")), "trust.keys.x: is not a PEM"),
    "a repository for every host": (
        lambda v: rule(v, "SRC-1").update(repositories=["*/a/b"]),
        "rules[2].repositories:",
    ),
    "a repository with a scheme": (
        lambda v: rule(v, "SRC-1").update(repositories=["https://github.com/a/b"]),
        "rules[2].repositories:",
    ),
    "a ref that crosses segments": (lambda v: rule(v, "SRC-1").update(refs=["refs/**"]), "rules[2].refs:"),
    "a short ref": (lambda v: rule(v, "SRC-1").update(refs=["main"]), "rules[2].refs:"),
    "a regular expression": (lambda v: rule(v, "SRC-1").update(refs=["refs/heads/(main|x)+"]), "rules[2].refs:"),
    "an unknown source level": (lambda v: rule(v, "SRC-2").update(atLeast="LEVEL_3"), "rules[3].atLeast:"),
    "an unknown source property": (
        lambda v: rule(v, "SRC-2").update(properties=["SLSA_SOURCE_LEVEL_3"]),
        "rules[3].properties:",
    ),
    "reviews that demand nothing": (
        lambda v: [rule(v, "SRC-2").pop(key) for key in ("atLeast", "properties")],
        "rules[3].atLeast:",
    ),
    "no limit at all": (lambda v: rule(v, "VUL-1").update(deny={}), "rules[5].deny:"),
    "a limit for high and none for critical": (lambda v: rule(v, "VUL-1").update(deny={"high": 0}), "rules[5].deny:"),
    "a negative limit": (lambda v: rule(v, "VUL-1").update(deny={"critical": -1}), "rules[5].deny.critical:"),
    "an SBOM without components": (lambda v: rule(v, "SBM-1").update(minComponents=0), "rules[6].minComponents:"),
    "an unknown SBOM format": (lambda v: rule(v, "SBM-1").update(formats=["swid"]), "rules[6].formats:"),
    "no producer for an SBOM": (lambda v: v["trust"].pop("producers"), "rules[6].producers:"),
    "no environments": (lambda v: v.update(environments={}), "environments: there is no environment"),
    "environments left out": (lambda v: v.pop("environments"), "environments:"),
    "an environment that requires nothing": (
        lambda v: v["environments"]["release"].update(require=[]),
        "environments.release.require:",
    ),
    "an environment without require": (
        lambda v: v["environments"]["release"].pop("require"),
        "environments.release.require: is missing",
    ),
    "a required rule that is not there": (
        lambda v: v["environments"]["release"].update(require=["BLD-7"]),
        "environments.release.require:",
    ),
    "a star among rules": (
        lambda v: v["environments"]["release"].update(require=["BLD-1", "*"]),
        "environments.release.require:",
    ),
    "an unknown answer format": (
        lambda v: v["environments"]["release"].update(formats=["pgp"]),
        "environments.release.formats:",
    ),
    "formats without the statement": (
        lambda v: v["environments"]["release"].update(formats=["cosign"], imageKey="images"),
        "environments.release.formats:",
    ),
    "images without a key": (
        lambda v: v["environments"]["release"].update(formats=["vsa", "cosign"]),
        "environments.release.imageKey:",
    ),
    "artifacts without a key": (
        lambda v: v["environments"]["release"].update(formats=["vsa", "artifact"]),
        "environments.release.artifactKey:",
    ),
    "a key of images that signs none": (
        lambda v: v["environments"]["release"].update(imageKey="images"),
        "environments.release.imageKey:",
    ),
    "one key for statements and images": (
        lambda v: v["environments"]["release"].update(formats=["vsa", "cosign"], imageKey="release"),
        "environments.release.imageKey:",
    ),
    "a key of statements that signs artifacts elsewhere": (
        lambda v: v["environments"].update(
            staging=v["environments"]["release"]
            | {"key": "staging", "formats": ["vsa", "artifact"], "artifactKey": "release"}
        ),
        "environments.staging.artifactKey:",
    ),
    "a timestamp that may be forgotten": (
        lambda v: v["environments"]["release"].update(timestamp="optional"),
        "environments.release.timestamp:",
    ),
    "an environment without key": (lambda v: v["environments"]["release"].pop("key"), "environments.release.key:"),
    "an environment whose name is a path": (
        lambda v: v["environments"].update({"../x": v["environments"]["release"]}),
        "environments:",
    ),
    "two demands without a builder in common": (
        lambda v: (
            rule(v, "BLD-1").update(builders=["ci"]),
            v["rules"].append({**rule(v, "BLD-1"), "id": "BLD-9", "builders": ["shared-ci"]}),
        ),
        "environments.release.require: BLD-1 and BLD-9",
    ),
    "too many keys": (
        lambda v: v["trust"]["keys"].update({f"k{n}": pem(f"k{n}") for n in range(300)}),
        "trust.keys: has more than",
    ),
    "too many build types": (
        lambda v: rule(v, "BLD-1").update(buildTypes=[f"https://x.invalid/{n}" for n in range(300)]),
        "rules[0].buildTypes: has more than",
    ),
    "empty text": (lambda v: v["trust"]["builders"]["ci"].update(id=""), "trust.builders.ci.id:"),
    "long text": (lambda v: v["metadata"].update(owner="x" * 513), "metadata.owner:"),
    "too many rules": (
        lambda v: v["rules"].extend({**rule(v, "BLD-2"), "id": f"X-{n}"} for n in range(300)),
        "rules: has more than",
    ),
}


@pytest.mark.parametrize(("edit", "detail"), REFUSED.values(), ids=REFUSED)
def test_refuses(edit: Edit, detail: str) -> None:
    value = document()
    edit(value)
    with pytest.raises(PolicyError) as fault:
        parse_policy(encode(value))
    assert fault.value.detail.startswith(detail)
    assert fault.value.remedy
    assert fault.value.code == "policy-invalid"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"text", b"a: no", b"a: &x 1", b"\xff", b"{}", b"schema: signing-policy/v1"], ids=repr
)
def test_refuses_what_is_no_document(data: bytes) -> None:
    with pytest.raises(PolicyError) as fault:
        parse_policy(data)
    assert fault.value.detail
    assert fault.value.remedy


JUNK: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers(-2, 3) | st.text("ab*", max_size=3) | st.just([]) | st.just({})
)


def places(value: object) -> list[tuple[Any, Any]]:
    """Every place of the document as (container, key)."""
    if isinstance(value, dict):
        return [place for key, inner in value.items() for place in [(value, key), *places(inner)]]
    if isinstance(value, list):
        return [place for index, inner in enumerate(value) for place in [(value, index), *places(inner)]]
    return []


@given(st.data())
@settings(max_examples=200)
def test_a_document_with_junk_in_one_place_is_refused_or_read(data: st.DataObject) -> None:
    value = document()
    container, key = data.draw(st.sampled_from(places(value)))
    container[key] = data.draw(JUNK)
    match outcome(encode(value)):
        case PolicyError(detail=detail, remedy=remedy):
            assert detail
            assert remedy
        case Policy(environments=environments):
            assert all(environment.require for environment in environments.values())


def outcome(data: bytes) -> Policy | PolicyError:
    try:
        return parse_policy(data)
    except PolicyError as fault:
        return fault


def test_every_rule_type_of_the_example_policy_is_known_and_all_are_used() -> None:
    judged_first = {code for code, kind in RULES.items() if kind.stage == "evidence"}
    assert {entry["type"] for entry in (*document()["rules"], *further_rules())} == judged_first
