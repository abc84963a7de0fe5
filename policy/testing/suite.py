# SPDX-License-Identifier: Apache-2.0
"""A file of policy tests: YAML bytes to trials under a closed schema.

    schema: signing-policy-test/v1
    at: 2026-11-23T12:00:00Z
    environment: release
    fixtures:
      good:
        provenance: {builder: ci, repository: github.com/acme/shop, ref: refs/heads/main, finished: 4h ago}
      recorded: {facts: decision-17.json}
      promoted: {fixture: good, change: {ledger: {approvals: [{person: person:kim, groups: [sre]}]}}}
    trials:
      - {name: a good release, given: good, expect: allow}
      - name: a personal branch
        given: {fixture: good, change: {provenance: {ref: refs/heads/dana}}}
        expect: deny
        rules: {SRC-1: fail}
        reasonContains: the ref "refs/heads/dana" differs
      - {name: no scan, given: {fixture: good, without: [scans]}, expect: deny, rules: {VUL-1: unknown}}

`change` merges into the fixture as a JSON merge patch (RFC 7396) without null; `without` removes what it names by
dotted paths; a fixture may be made in the same way from one above it. `at` of a trial may be `8d later`. Where `rules`
stands, every rule that it does not name must pass; where a trial expects allow, every rule must.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from policy.decision import Outcome, Verdict
from policy.document import POLICY_RULE, Policy, load_document
from policy.facts import Facts
from policy.schema import MAX_TEXT, PolicyError, Section
from policy.testing.fixture import Setting, build_facts, moment, plain

SCHEMA: Final = "signing-policy-test/v1"

LoadFacts = Callable[[str], Facts]
"""Reads the facts document that a fixture names; raises PolicyError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One case: facts, an instant, and what the policy must say of them."""

    name: str
    facts: Facts
    at: datetime
    expect: Verdict
    rules: Mapping[str, Outcome] | None
    """The rules that must not pass, and how each must end; None when the trial does not say."""
    reasons: tuple[str, ...]
    """Texts that must stand in the findings that did not pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The trials of one file."""

    name: str
    trials: tuple[Trial, ...] = field(repr=False)
    digest: str


def parse_suite(data: bytes, *, name: str, policy: Policy, load_facts: LoadFacts) -> Suite:
    """Read a file of tests for `policy`; raises PolicyError."""
    root = Section(load_document(data), "document")
    root.path = ""
    root.choice("schema", (SCHEMA,))
    at = root.moment("at")
    if at is None:
        raise root.refuse("at", "is missing", remedy="add the instant at which the trials are judged")
    environment = root.name("environment")
    fixtures: dict[str, Mapping[str, Any]] = {}
    for title, section in root.entries("fixtures"):
        fixtures[title] = _fixture(section, fixtures, load_facts=load_facts, environment=environment)
    trials: dict[str, Trial] = {}
    for section in root.sections("trials"):
        trial = _trial(section, fixtures, Setting(policy=policy, environment=environment, at=at))
        if trial.name in trials:
            raise section.refuse("name", "is taken", remedy="give each trial its own name")
        trials[trial.name] = trial
    root.close()
    return Suite(name=name, trials=tuple(trials.values()), digest=hashlib.sha256(data).hexdigest())


def _fixture(
    section: Section, above: Mapping[str, Mapping[str, Any]], *, load_facts: LoadFacts, environment: str
) -> Mapping[str, Any]:
    if section.has("fixture"):
        return _made_from(section, above)
    if section.has("facts"):
        path = section.text("facts")
        section.close()
        recorded: dict[str, Any] = plain(load_facts(path))
        return {**recorded, "request": {**recorded["request"], "environment": environment}}
    return {name: section.take(name) for name in section.names()}


def _trial(section: Section, fixtures: Mapping[str, Mapping[str, Any]], setting: Setting) -> Trial:
    name = section.text("name")
    value = _given(section, fixtures)
    at = setting.at
    if section.has("at"):
        at = moment(section.take("at"), at=setting.at, path=section.at("at"))
    environment = section.name("environment") if section.has("environment") else setting.environment
    # Times of a fixture count from the file's instant, so that a later `at` ages them.
    placed = Setting(policy=setting.policy, environment=environment, at=setting.at)
    expect = Verdict(section.choice("expect", tuple(Verdict)))
    trial = Trial(
        name=name,
        facts=build_facts(value, setting=placed, path=section.at("given")),
        at=at,
        expect=expect,
        rules=_rules(section, setting.policy, expect),
        reasons=_reasons(section),
    )
    section.close()
    return trial


def _given(section: Section, fixtures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    raw = section.take("given")
    if isinstance(raw, str):
        raw = {"fixture": raw}
    return _made_from(Section(raw, section.at("given")), fixtures)


def _made_from(given: Section, fixtures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    value: Any = fixtures[given.reference("fixture", fixtures, what="fixture")]
    if given.has("change"):
        change = given.take("change")
        if not isinstance(change, dict):
            raise given.refuse("change", "must be a mapping", remedy="write {scans: {finished: 9d ago}}")
        value = _merged(value, change)
    for path in given.words("without") if given.has("without") else ():
        value = _without(value, path.split("."), refuse=given)
    given.close()
    return dict(value)


def _merged(value: Any, change: Any) -> Any:
    """RFC 7396 without removal."""
    if not isinstance(change, dict):
        return change
    base = value if isinstance(value, Mapping) else {}
    return {**base, **{name: _merged(base.get(name), item) for name, item in change.items()}}


def _without(value: Any, path: list[str], *, refuse: Section) -> Any:
    name, *rest = path
    if not isinstance(value, Mapping) or name not in value:
        raise refuse.refuse("without", f"there is nothing at {name[:64]!r}", remedy="name what the fixture holds")
    if rest:
        return {**value, name: _without(value[name], rest, refuse=refuse)}
    return {each: item for each, item in value.items() if each != name}


def _rules(section: Section, policy: Policy, expect: Verdict) -> Mapping[str, Outcome] | None:
    if not section.has("rules"):
        return {} if expect is Verdict.ALLOW else None
    known = {POLICY_RULE, *(rule.id for rule in policy.rules)}
    expected: dict[str, Outcome] = {}
    inner = section.section("rules")
    for name in inner.names():
        if name not in known:
            raise inner.refuse(name, "is no rule of the policy", remedy=f"name one of {', '.join(sorted(known))}")
        expected[name] = Outcome(inner.choice(name, tuple(Outcome)))
    return expected


def _reasons(section: Section) -> tuple[str, ...]:
    if not section.has("reasonContains"):
        return ()
    raw = section.take("reasonContains")
    reasons = raw if isinstance(raw, list) else [raw]
    if not all(isinstance(text, str) and 0 < len(text) <= MAX_TEXT for text in reasons):
        raise section.refuse("reasonContains", "must be text or a list of texts", remedy="quote the value")
    return tuple(reasons)


def no_files(path: str) -> Facts:
    """The loader of a suite that stands in memory: it has no files beside it."""
    raise PolicyError(f"facts: {path[:64]!r} is a file, and this suite has none", remedy="write the fixture out")
