# SPDX-License-Identifier: Apache-2.0
"""The same for policies in use: some rules in shadow, some waived, some that wait for people (I3, I5, I7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from hypothesis import given, settings, strategies as st

from policy.decision import Decision, Outcome, Verdict
from policy.document import Policy, parse_policy
from policy.engine import evaluate
from policy.facts import Facts, Item, Provenance, ReviewRecord, Sbom, TestResult, Vex, VulnerabilityScan
from policy.ledger_facts import Excluded, Waiver
from tests.policy.factory import NOW, facts
from tests.policy.promotion import CHECKLIST, HUMAN, approve, asked, ledger, production, promoted
from tests.policy.releases import SUBJECTS, builds, in_use, releases, written
from tests.policy.test_waiver import WAIVERS

rebuilt = st.builds(
    lambda release, more: tuple({item.origin.digest: item for item in (*release, *more)}.values()),
    releases | releases.map(lambda release: tuple(item for item in release if not isinstance(item, Provenance))),
    st.lists(builds(), max_size=3),
)
"""Releases that were built several times."""


def decide(policy: Policy, release: tuple[Item, ...], waivers: tuple[Waiver, ...]) -> Decision:
    known = facts(*release, subjects=SUBJECTS)
    return evaluate(policy, replace(known, ledger=replace(known.ledger, waivers=waivers)), now=NOW)


@given(in_use, rebuilt, WAIVERS, st.data())
@settings(max_examples=300)
def test_removing_what_a_passing_rule_counted_never_yields_allow(
    drawn: tuple[list[str], set[str]], release: tuple[Item, ...], waivers: tuple[Waiver, ...], data: st.DataObject
) -> None:
    policy = parse_policy(written(*drawn))
    before = decide(policy, release, waivers)
    counted = {digest for each in before.counting(Outcome.PASS) for digest in each.evidence}
    offered = [item for item in release if item.origin.digest in counted]
    if before.verdict is Verdict.ALLOW or not offered:
        return
    removed = data.draw(st.sampled_from(offered))
    against = {
        digest
        for each in before.findings
        if each.outcome in (Outcome.FAIL, Outcome.UNKNOWN)
        for digest in each.evidence
    }
    # The latest of a kind, or a record that speaks against the change, may stand in the way: a finding then names it.
    kinds = VulnerabilityScan | TestResult | Vex | Sbom | ReviewRecord
    if isinstance(removed, kinds) and removed.origin.digest in against:
        return
    after = decide(policy, tuple(item for item in release if item is not removed), waivers)
    # Only two people may excuse that something is absent, and then the record says so.
    excused = any(each.would is Outcome.UNKNOWN for each in after.counting(Outcome.WAIVED))
    assert after.verdict is not Verdict.ALLOW or excused


@given(in_use, rebuilt, WAIVERS)
@settings(max_examples=150)
def test_a_verdict_is_that_of_the_rules_in_force_alone(
    drawn: tuple[list[str], set[str]], release: tuple[Item, ...], waivers: tuple[Waiver, ...]
) -> None:
    names, shadowed = drawn
    mixed = decide(parse_policy(written(names, shadowed)), release, waivers)
    alone = decide(parse_policy(written([name for name in names if name not in shadowed], set())), release, waivers)
    assert mixed.verdict is alone.verdict
    assert mixed.waivers == alone.waivers
    assert tuple(each for each in mixed.findings if each.outcome is not Outcome.SHADOW) == alone.findings


# --- persons are compared, and their names mean nothing


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The same value, every person in it under another name."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, tuple):
        parts = [renamed(each, names) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: renamed(getattr(value, field.name), names) for field in fields(value)})
    return value


def people_of(known: Any) -> set[str]:
    found: set[str] = set()

    def look(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("person:"):
            found.add(value)
        elif isinstance(value, tuple):
            for each in value:
                look(each)
        elif is_dataclass(value):
            for field in fields(value):
                look(getattr(value, field.name))

    look(known)
    return found


def same_under(names: list[str], policy: Policy, known: Facts) -> None:
    people = sorted(people_of(known))
    naming = dict(zip(people, (f"person:{name}" for name in names), strict=False))
    before, after = evaluate(policy, known, now=NOW), evaluate(policy, renamed(known, naming), now=NOW)
    assert after.verdict is before.verdict
    # Where several people could fill a place, either may; all else is the same but for the names.
    for was, becomes in zip(before.findings, after.findings, strict=True):
        if was.type.startswith("approval."):
            assert (was.outcome, len(was.evidence)) == (becomes.outcome, len(becomes.evidence))
        else:
            assert renamed(was, naming) == becomes


pseudonyms = st.lists(st.text("0123456789abcdef", min_size=8, max_size=8), min_size=24, max_size=24, unique=True)


@given(in_use, rebuilt, WAIVERS, pseudonyms)
@settings(max_examples=150)
def test_renaming_people_changes_no_verdict(
    drawn: tuple[list[str], set[str]], release: tuple[Item, ...], waivers: tuple[Waiver, ...], names: list[str]
) -> None:
    known = facts(*release, subjects=SUBJECTS)
    same_under(names, parse_policy(written(*drawn)), replace(known, ledger=replace(known.ledger, waivers=waivers)))


approvers = st.lists(
    st.tuples(
        st.sampled_from(["person:kim", "person:lee", "person:dana", "person:max", "unmapped"]),
        st.lists(st.sampled_from(["release", "sre", "qa"]), min_size=1, max_size=2, unique=True),
    ),
    max_size=4,
)


@given(approvers, st.sampled_from(["person:dana", "person:max", "robot:ci"]), pseudonyms)
@settings(max_examples=150)
def test_renaming_people_changes_no_hold(
    given_by: list[tuple[str, list[str]]], submitter: str, names: list[str]
) -> None:
    policy = production(HUMAN, CHECKLIST)
    request = asked(*promoted(), known=ledger(excluded=(Excluded(person="person:dana", role="author"),)))
    request = replace(request, request=replace(request.request, submitter=submitter))
    approvals = tuple(approve(policy, request, person, *groups) for person, groups in given_by)
    same_under(names, policy, replace(request, ledger=replace(request.ledger, approvals=approvals)))
