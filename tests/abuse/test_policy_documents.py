# SPDX-License-Identifier: Apache-2.0
"""Abuse cases Y: documents that a custodian is asked to put in force, signed by all owners or not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from policy.decision import Outcome, Verdict
from policy.engine import evaluate
from policy.patterns import matches
from signer.custodian.commands import MAX_FRAME, Activate
from signer.formats.canonical import sha256_hex
from signer.ledger.leaves import Refusal, decode_leaf
from tests.abuse.stack import Stack
from tests.policy import factory


def activate(stack: Stack, data: bytes, *, owners: int = 2, number: int = 2) -> tuple[str, str, str]:
    """Ask on the operator's socket, with the owners' signatures: family, code and detail of the refusal."""
    signatures = stack.authority.sign_act("policy", number, sha256_hex(data), owners=owners)
    before = stack.size()
    reply: Any = stack.authority.ask(
        Activate(principal="operator:0", document="policy", data=data, signatures=signatures), admin=True
    )
    assert type(reply).__name__ == "Failed", reply
    assert stack.size() == before + 1, "a refusal is one leaf, and no other is written"
    leaf = decode_leaf(stack.authority.reader().leaf(before))
    assert isinstance(leaf, Refusal)
    assert (leaf.digest, leaf.reason) == (sha256_hex(data), reply.code)
    return reply.family, reply.code, reply.detail


def changed(stack: Stack, old: bytes, new: bytes) -> bytes:
    """The policy in force, as version 2 and with one change."""
    policy = stack.authority.policy_bytes.replace(b"version: 1", b"version: 2", 1)
    assert old in policy
    return policy.replace(old, new, 1)


HUGE: dict[str, Callable[[], bytes]] = {
    "10 MB": lambda: b"#" * 10_000_000,
    "as large as a frame takes": lambda: b"#" * (MAX_FRAME - 4096),
    "100k levels": lambda: b"[" * 100_000,
    "a million keys": lambda: b"\n".join(b"k%d: 0" % number for number in range(1_000_000)),
    "a long line": lambda: b"schema: " + b"a" * 200_000,
}


@pytest.mark.parametrize("make", HUGE.values(), ids=HUGE.keys())
def test_Y01_a_huge_policy_is_refused_at_once(stack: Stack, make: Callable[[], bytes]) -> None:
    data = make()
    begun = time.monotonic()
    assert activate(stack, data)[:2] == ("malformed", "policy-invalid")
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("pattern", ["a" * 50 + "*", "*a" * 30 + "*", "*" + "a*" * 30 + "b"])
def test_Y01_a_pattern_takes_linear_time(stack: Stack, pattern: str) -> None:
    begun = time.monotonic()
    for length in (1000, 100_000):
        matches(pattern, "a" * length)
    assert time.monotonic() - begun < 1
    # And what is a catastrophe for expressions is none of our patterns.
    for expression in (b"(a+)+$", b"^refs/heads/(a|a)*$", b".*.*.*", b"refs/heads/**", b"refs/heads/[a-z]+"):
        refused = activate(stack, changed(stack, b"refs/heads/main", b'"' + expression + b'"'))
        assert refused[:2] == ("malformed", "policy-invalid")


YAML = {
    "an alias bomb": (b"schema: ", b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nschema: "),
    "an anchor": (b"level: minimum", b"level: &x minimum"),
    "a python tag": (b'owner: "security"', b"owner: !!python/object/apply:os.system [id]"),
    "a tag of our own": (b'owner: "security"', b"owner: !env HOME"),
    "a merge key": (b"defaults: {", b"defaults: {<<: {clockSkew: 9m}, "),
    "a key twice": (b"rules:\n", b"rules: []\nrules:\n"),
    "a key twice in a section": (b"broadAccess: false", b"broadAccess: true\n      broadAccess: false"),
    "a Norway boolean": (b"broadAccess: false", b"broadAccess: no"),
    "a boolean in capitals": (b"broadAccess: false", b"broadAccess: False"),
    "a quoted boolean": (b"broadAccess: false", b'broadAccess: "false"'),
    "an octal version": (b"version: 2", b"version: 02"),
    "a sexagesimal age": (b"maxEvidenceAge: 7d", b"maxEvidenceAge: 1:30"),
    "null": (b'owner: "security"', b"owner: null"),
    "a second document": (b"environments:", b"---\nenvironments:"),
    "a directive": (b"schema: ", b"%YAML 1.1\n---\nschema: "),
    "text that is turned around": (b'owner: "security"', "owner: \u202eytiruces".encode()),
    "UTF-16": (b"schema: ", b"\xff\xfeschema: "),
}


@pytest.mark.parametrize(("old", "new"), YAML.values(), ids=YAML.keys())
def test_Y02_yaml_with_two_readings_is_refused(stack: Stack, old: bytes, new: bytes) -> None:
    assert activate(stack, changed(stack, old, new))[:2] == ("malformed", "policy-invalid")


UNKNOWN = {
    "another schema": (b"signing-policy/v1", b"signing-policy/v2"),
    "a rule type": (b"type: build.isolation", b"type: build.purity"),
    "a parameter": (b"atLeast: ephemeral", b"atLeast: ephemeral, unless: debug"),
    "a parameter in another case": (b"maxFailed: 0", b"maxfailed: 0"),
    "a section": (b"rules:\n", b"exceptions: []\nrules:\n"),
    "a member of an environment": (b"formats: [vsa]", b"formats: [vsa], approvals: 0"),
    "a format": (b"formats: [vsa]", b"formats: [jwt]"),
    "a rule that is not there": (b'require: ["*"]', b"require: [BLD-9]"),
    "a builder that is not there": (b"builders: [builder]", b"builders: [builder, other]"),
    "a function": (b'owner: "security"', b"owner: {eval: now()}"),
    "an isolation class": (b"isolation: ephemeral", b"isolation: perfect"),
    "a level": (b"level: minimum", b"level: platinum"),
}


@pytest.mark.parametrize(("old", "new"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_Y03_what_this_version_does_not_know_is_refused(stack: Stack, old: bytes, new: bytes) -> None:
    family, code, detail = activate(stack, changed(stack, old, new))
    assert (family, code) == ("malformed", "policy-invalid")
    assert detail


def raising(_: object, __: object) -> Any:
    raise ZeroDivisionError("the text of an error is not told")


@pytest.mark.parametrize("judge", [raising, lambda *_: None, lambda *_: True, lambda *_: "pass"])
def test_Y04_a_rule_that_raises_or_answers_nonsense_denies(judge: Any) -> None:
    # No document can bring such a rule: the judge alone, with one put in.
    good = factory.policy()
    environment = good.environments["release"]
    first, *rest = environment.rules
    broken = replace(first, kind=replace(first.kind, judge=judge))
    policy = replace(good, environments={"release": replace(environment, rules=(broken, *rest))})
    assert evaluate(good, factory.facts(*factory.good()), now=factory.NOW).verdict is Verdict.ALLOW
    decision = evaluate(policy, factory.facts(*factory.good()), now=factory.NOW)
    assert decision.verdict is Verdict.DENY
    (finding,) = [each for each in decision.findings if each.rule == first.id]
    assert finding.outcome is Outcome.UNKNOWN
    assert "not told" not in f"{finding.title}{finding.found}{finding.remedy}"


def test_Y04_more_than_the_judge_has_time_for_is_denied_before_it_is_judged() -> None:
    # 64 attestations that part 1000 subjects into as many groups: every rule for every group and every build.
    builds = [
        factory.built(str(number), covers=tuple(subject for subject in range(1000) if subject >> number % 10 & 1))
        for number in range(64)
    ]
    begun = time.process_time()
    decision = evaluate(factory.policy(), factory.facts(*builds, subjects=1000), now=factory.NOW)
    assert time.process_time() - begun < 2
    assert decision.verdict is Verdict.DENY
    assert [(each.rule, each.type) for each in decision.findings] == [("POLICY", "policy.budget")]


@pytest.mark.parametrize(
    ("policy", "environment"), [("absent", "release"), ("demo", "production"), ("Demo", "release")]
)
def test_Y05_no_policy_and_no_environment_allow_nothing(stack: Stack, policy: str, environment: str) -> None:
    release = stack.release()
    with stack.unrecorded():
        answer = stack.ask(release, release.evidence(), policy=policy, environment=environment)
    assert answer.said == (404, "not-found")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b'require: ["*"]', b"require: []", id="an environment that requires nothing"),
        pytest.param(b"environments:\n", b"environments: {}\nothers:\n", id="no environment"),
        pytest.param(b'require: ["*"], ', b"", id="an environment that forgets its rules"),
    ],
)
def test_Y05_a_policy_that_requires_nothing_is_refused(stack: Stack, old: bytes, new: bytes) -> None:
    assert activate(stack, changed(stack, old, new))[:2] == ("malformed", "policy-invalid")


def test_Y05_a_policy_of_no_rule_is_refused(stack: Stack) -> None:
    head, _, rest = stack.authority.policy_bytes.partition(b"rules:\n")
    tail = rest.partition(b"environments:\n")[2]
    assert activate(stack, head + b"rules: []\nenvironments:\n" + tail)[:2] == ("malformed", "policy-invalid")


def test_Y06_a_policy_needs_its_owners_and_moves_forward_alone(stack: Stack) -> None:
    weaker = changed(stack, b"maxFailed: 0", b"maxFailed: 99")
    assert activate(stack, weaker, owners=1)[:2] == ("refused", "owner-threshold")
    assert activate(stack, weaker, owners=0)[:2] == ("refused", "owner-threshold")
    # The owners' signatures fit one version and one document.
    assert activate(stack, weaker, number=3)[:2] == ("refused", "owner-threshold")
    signatures = stack.authority.sign_act("access", 2, sha256_hex(weaker))
    reply: Any = stack.authority.ask(
        Activate(principal="operator:0", document="policy", data=weaker, signatures=signatures), admin=True
    )
    assert reply.code == "owner-threshold"
    # The version in force again, with other bytes, and an older one.
    same = stack.authority.policy_bytes.replace(b"maxFailed: 0", b"maxFailed: 1", 1)
    assert activate(stack, same, number=1)[:2] == ("refused", "version-not-newer")
    release = stack.release()
    failing = release.evidence(tests=release.tests(failed=3, passed=4))
    assert stack.ask(release, failing).said == (403, "denied")


@pytest.mark.parametrize(
    "value",
    [b'"{{ now() }}"', b'"${HOME}"', b'"$(id)"', b'"https://127.0.0.1/policy.yaml"', b'"`id`"', b'"{0.__class__}"',
     b'"file:///etc/passwd"'],
)  # fmt: skip
def test_Y07_a_document_cannot_ask_the_world(stack: Stack, value: bytes) -> None:
    # Where a name or a pattern is expected it is refused; as an owner's name it is text, and nothing else.
    for old in (b"refs/heads/main", b"key: builder", b"type: build.isolation", b"atLeast: ephemeral"):
        name, _, _ = old.rpartition(b": ")
        new = name + b": " + value if name else value
        assert activate(stack, changed(stack, old, new))[:2] == ("malformed", "policy-invalid")
    for section in (b"include", b"url", b"env", b"script", b"external_data"):
        assert (
            activate(stack, changed(stack, b"rules:\n", section + b": " + value + b"\nrules:\n"))[1] == "policy-invalid"
        )
