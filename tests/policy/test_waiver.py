# SPDX-License-Identifier: Apache-2.0
"""Waivers between judging and the verdict: what one excuses, and everything that it does not."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from policy.decision import Decision, Finding, Offender, Outcome, Verdict
from policy.document import Policy, parse_policy
from policy.engine import evaluate
from policy.facts import Item
from policy.ledger_facts import Waiver
from policy.levels import matrix, verified_levels
from policy.waiver import MAX_WAIVERS
from tests.policy.factory import (
    NOW,
    REPOSITORY,
    ago,
    built,
    built_shared,
    document,
    encode,
    facts,
    good,
    inventory,
    ran,
    scanned,
    vulnerability,
)
from tests.policy.releases import releases

CVE = "CVE-2026-40021"
OTHER_CVE = "CVE-2026-31337"
DIGEST = facts().request.subjects[0].sha256
SECOND = facts(subjects=2).request.subjects[1].sha256


def waivable(*names: str, **limits: int) -> Policy:
    """The policy `demo` whose named rules, or all, are waivable."""
    value = copy.deepcopy(document())
    for rule in value["rules"]:
        rule["waivable"] = not names or rule["id"] in names
    if limits:
        value["limits"] = limits
    return parse_policy(encode(value))


def waiver(**changes: Any) -> Waiver:
    """A waiver of one vulnerability for the one digest."""
    made = Waiver(
        digest="ab" * 32,
        policy="demo",
        environment="release",
        rules=("VUL-1",),
        outcome="fail",
        offenders=(Offender(id=CVE),),
        found=None,
        digests=(DIGEST,),
        repositories=(),
        requested_by="person:dana",
        approved_by="person:lee",
        not_before=ago(days=1),
        expires=ago(days=-13),
        uses=0,
        max_uses=3,
        renewal=0,
    )
    return replace(made, **changes)


def vulnerable(*names: str, **changes: Any) -> tuple[Item, ...]:
    """A good release whose scan found these."""
    found = tuple(vulnerability("high", name=name) for name in names or (CVE,))
    return (*good()[:3], scanned(vulnerabilities=found, **changes), good()[4])


def decide(
    *waivers: Waiver, items: tuple[Item, ...] | None = None, policy: Policy | None = None, subjects: int = 1
) -> Decision:
    known = facts(*(vulnerable() if items is None else items), subjects=subjects)
    known = replace(known, ledger=replace(known.ledger, waivers=waivers))
    return evaluate(policy or waivable(), known, now=NOW)


def vul(decision: Decision) -> Finding:
    (finding,) = decision.of("VUL-1")
    return finding


def test_a_waiver_turns_the_failure_that_it_names_into_waived() -> None:
    assert decide().verdict is Verdict.DENY
    decision = decide(waiver(uses=1))
    finding = vul(decision)
    assert decision.verdict is Verdict.ALLOW
    assert finding.outcome is Outcome.WAIVED
    assert finding.title.startswith("waived: needs a fresh scan within the limits; 1 high")
    assert finding.offenders == (Offender(id=CVE),)
    (use,) = finding.waived_by
    assert finding.would is Outcome.FAIL
    assert (use.digest, use.use, use.max_uses) == ("ab" * 32, 2, 3)
    assert (use.requested_by, use.approved_by, use.expires) == ("person:dana", "person:lee", ago(days=-13))
    assert decision.waivers == ("ab" * 32,)


REFUSED: dict[str, dict[str, Any]] = {
    "another digest": {"digests": (SECOND,)},
    "no scope that reaches": {"digests": (), "repositories": ("github.com/acme/other",)},
    "another environment": {"environment": "staging"},
    "another policy": {"policy": "other"},
    "another rule": {"rules": ("BLD-1", "SBM-1")},
    "another vulnerability": {"offenders": (Offender(id=OTHER_CVE),)},
    "a vulnerability that begins alike": {"offenders": (Offender(id=CVE[:-1]), Offender(id=f"{CVE}1"))},
    "the same in another package": {"offenders": (Offender(id=CVE, package="pkg:pypi/urllib3@2.2.1"),)},
    "another case of letters": {"offenders": (Offender(id=CVE.lower()),)},
    "a wildcard": {"offenders": (Offender(id="*"), Offender(id="CVE-*"))},
    "the finding as a whole": {"offenders": (), "found": "scan by grype 2026-11-23T09:00:00Z: 1 high"},
    "missing evidence": {"outcome": "unknown"},
    "what is used up": {"uses": 3},
    "what was used too often": {"uses": 4},
    "what begins later": {"not_before": ago(seconds=-1)},
    "what expires now": {"expires": NOW},
    "what expired": {"expires": ago(days=2), "not_before": ago(days=3)},
    "longer than the policy allows": {"not_before": ago(days=18), "expires": ago(days=-13)},
    "one person alone": {"approved_by": "person:dana"},
    "a renewal beyond the cap": {"renewal": 2},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_a_waiver_does_not_count_for(changes: dict[str, Any]) -> None:
    decision = decide(waiver(**changes))
    assert decision.verdict is Verdict.DENY
    finding = vul(decision)
    assert (finding.outcome, finding.waived_by, decision.waivers) == (Outcome.FAIL, (), ())
    assert finding._replace(remedy="") == vul(decide())._replace(remedy="")


def test_a_rule_that_is_not_waivable_is_never_waived() -> None:
    decision = decide(waiver(), policy=waivable("BLD-1"))
    assert decision.verdict is Verdict.DENY
    assert "waive" not in vul(decision).remedy


def test_a_tighter_policy_ends_what_it_no_longer_allows() -> None:
    for limits in ({"maxWaiverDays": 13}, {"maxRenewals": 0}):
        assert decide(waiver(renewal=1), policy=waivable(**limits)).verdict is Verdict.DENY
    assert decide(waiver(renewal=1)).verdict is Verdict.ALLOW


def test_the_denial_says_who_may_waive_by_which_command_and_why_a_waiver_does_not_count() -> None:
    remedy = vul(decide(waiver(uses=3), waiver(digest="cd" * 32, expires=ago(hours=1)))).remedy
    assert "; or appsec may waive it: signer waiver request --rule VUL-1 --decision REQUEST-ID" in remedy
    assert "the waiver sha256:abababababab is used up: 3 of 3" in remedy
    assert "the waiver sha256:cdcdcdcdcdcd expired at 2026-11-23T11:00:00Z" in remedy


def test_a_second_vulnerability_is_not_excused_with_the_first() -> None:
    items = vulnerable(CVE, OTHER_CVE)
    assert decide(waiver(), items=items).verdict is Verdict.DENY
    both = waiver(offenders=(Offender(id=CVE), Offender(id=OTHER_CVE)))
    assert decide(both, items=items).verdict is Verdict.ALLOW
    decision = decide(waiver(), waiver(digest="cd" * 32, offenders=(Offender(id=OTHER_CVE),)), items=items)
    assert decision.verdict is Verdict.ALLOW
    assert decision.waivers == ("cd" * 32, "ab" * 32)


def test_the_same_vulnerability_in_a_second_package_is_not_excused_with_the_first() -> None:
    found = tuple(replace(vulnerability("high"), package=name) for name in ("pkg:pypi/a@1", "pkg:pypi/b@1"))
    items = (*good()[:3], scanned(vulnerabilities=found), good()[4])
    one, other = (Offender(id=CVE, package=each.package) for each in found)
    assert decide(waiver(offenders=(one,)), items=items).verdict is Verdict.DENY
    assert decide(waiver(offenders=(one, other)), items=items).verdict is Verdict.ALLOW


def test_a_stale_scan_is_not_excused_with_its_vulnerability() -> None:
    items = vulnerable(finished=ago(days=3), database_updated=ago(days=3))
    assert [each.id for each in vul(decide(items=items)).offenders] == [
        CVE,
        "scan-age",
        "scan-before-build",
        "database-age",
    ]
    assert decide(waiver(), items=items).verdict is Verdict.DENY


def test_an_unrated_vulnerability_and_a_missing_date_are_not_excused_with_a_failure() -> None:
    unrated = vulnerability("unknown", name=OTHER_CVE)
    items = (*good()[:3], scanned(vulnerabilities=(vulnerability("high"), unrated)), good()[4])
    assert decide(waiver(), items=items).verdict is Verdict.DENY
    both = waiver(offenders=(Offender(id=OTHER_CVE), Offender(id=CVE)))
    assert decide(both, items=items).verdict is Verdict.ALLOW
    assert decide(waiver(), items=vulnerable(database_updated=None)).verdict is Verdict.DENY


def test_what_a_second_scan_found_is_not_excused_with_the_first() -> None:
    twin = scanned("twin", vulnerabilities=(vulnerability("critical", name=OTHER_CVE),))
    items = (*vulnerable(), twin)
    assert {each.id for each in vul(decide(items=items)).offenders} == {CVE, OTHER_CVE}
    assert decide(waiver(), items=items).verdict is Verdict.DENY


def test_an_unknown_beside_a_failure_is_not_excused_with_it() -> None:
    items = (*vulnerable(), scanned("undated", database_updated=None))
    assert {each.id for each in vul(decide(items=items)).offenders} == {CVE, "database-undated"}
    assert decide(waiver(), items=items).verdict is Verdict.DENY


def test_a_finding_without_offenders_is_waived_by_what_was_found_word_for_word() -> None:
    items = (*good()[:2], ran(failed=2), *good()[3:])
    (finding,) = decide(items=items).of("TST-1")
    made = waiver(rules=("TST-1",), offenders=(), found=finding.found)
    assert decide(made, items=items).verdict is Verdict.ALLOW
    for other in (None, "", finding.found.upper(), finding.found[:-1]):
        assert decide(replace(made, found=other), items=items).verdict is Verdict.DENY
    worse = (*good()[:2], ran(failed=3), *good()[3:])
    assert decide(made, items=worse).verdict is Verdict.DENY


def test_missing_evidence_is_waived_only_by_a_waiver_that_says_so() -> None:
    items = good()[:4]
    made = waiver(rules=("SBM-1",), outcome="unknown", offenders=(), found="nothing")
    assert decide(replace(made, outcome="fail"), items=items).verdict is Verdict.DENY
    decision = decide(made, items=items)
    assert decision.verdict is Verdict.ALLOW
    assert decision.of("SBM-1")[0].title == "waived: cannot tell: no verified SBOM of this digest"


def test_a_repository_reaches_what_all_trusted_provenance_says_was_built_from_it() -> None:
    made = waiver(digests=(), repositories=(REPOSITORY,))
    assert decide(made).verdict is Verdict.ALLOW
    elsewhere = built_shared(repository="github.com/acme/other")
    assert decide(made, items=(*vulnerable(), elsewhere)).verdict is Verdict.DENY
    forged = built("forged", key="stranger", builder=None, repository=REPOSITORY)
    assert decide(made, items=(*vulnerable()[1:], forged)).of("VUL-1")[0].outcome is Outcome.FAIL


def test_where_digests_and_repositories_are_named_both_have_to_fit() -> None:
    made = waiver(repositories=(REPOSITORY,))
    assert decide(made).verdict is Verdict.ALLOW
    assert decide(replace(made, digests=(SECOND,))).verdict is Verdict.DENY
    assert decide(replace(made, repositories=("github.com/acme/other",))).verdict is Verdict.DENY


def test_each_subject_of_a_finding_has_to_be_in_scope() -> None:
    items = tuple(replace(item, origin=replace(item.origin, covers=(0, 1))) for item in vulnerable())
    assert decide(waiver(), items=items, subjects=2).verdict is Verdict.DENY
    assert decide(waiver(digests=(DIGEST, SECOND)), items=items, subjects=2).verdict is Verdict.ALLOW
    other = waiver(digest="cd" * 32, digests=(SECOND,))
    assert decide(waiver(), other, items=items, subjects=2).verdict is Verdict.ALLOW


def test_one_request_uses_a_waiver_once_for_all_its_findings() -> None:
    items = (*vulnerable()[:4], inventory(components=0))
    (sbom,) = decide(items=items).of("SBM-1")
    whole = waiver(digest="cd" * 32, rules=("SBM-1",), offenders=(), found=sbom.found)
    assert decide(waiver(), whole, items=items).waivers == ("ab" * 32, "cd" * 32)
    twice = waiver(rules=("VUL-1", "TST-1"), max_uses=1)
    assert decide(twice).verdict is Verdict.ALLOW
    assert decide(twice).waivers == ("ab" * 32,)


def test_a_waived_rule_in_shadow_uses_nothing_and_leaves_room_for_those_in_force() -> None:
    value = copy.deepcopy(document())
    for rule in value["rules"]:
        rule["waivable"] = True
    value["rules"][5]["mode"] = "shadow"
    decision = decide(waiver(), policy=parse_policy(encode(value)))
    finding = vul(decision)
    assert (finding.outcome, finding.would) == (Outcome.SHADOW, Outcome.WAIVED)
    assert (decision.verdict, decision.waivers) == (Verdict.ALLOW, ())
    names = [f"CVE-2026-{number:05}" for number in range(MAX_WAIVERS)]
    waivers = [waiver(digest=f"{at:064x}", offenders=(Offender(id=name),)) for at, name in enumerate(names)]
    items = (*vulnerable(*names)[:4], inventory(components=0))
    (sbom,) = decide(items=items).of("SBM-1")
    whole = waiver(digest="cd" * 32, rules=("SBM-1",), offenders=(), found=sbom.found)
    assert decide(*waivers, whole, items=items, policy=parse_policy(encode(value))).waivers == ("cd" * 32,)
    assert decide(*waivers, whole, items=items).verdict is Verdict.DENY


def test_waivers_alone_allow_nothing() -> None:
    value = copy.deepcopy(document())
    value["rules"] = [{**rule, "waivable": True} for rule in value["rules"] if rule["id"] == "VUL-1"]
    decision = decide(waiver(), policy=parse_policy(encode(value)))
    assert vul(decision).outcome is Outcome.WAIVED
    assert decision.verdict is Verdict.DENY


def test_a_decision_rests_on_so_many_waivers_at_most() -> None:
    names = [f"CVE-2026-{number:05}" for number in range(MAX_WAIVERS + 1)]
    waivers = [waiver(digest=f"{at:064x}", offenders=(Offender(id=name),)) for at, name in enumerate(names)]
    assert decide(*waivers[:-1], items=vulnerable(*names[:-1])).verdict is Verdict.ALLOW
    assert decide(*waivers, items=vulnerable(*names)).verdict is Verdict.DENY


def test_a_waived_rule_earns_no_level() -> None:
    judged, known = waivable(), facts(*vulnerable())
    known = replace(known, ledger=replace(known.ledger, waivers=(waiver(),)))
    decision = evaluate(judged, known, now=NOW)
    assert decision.verdict is Verdict.ALLOW
    assert matrix(judged, decision)["artifact"] == "minimum"
    assert "AUTHORITY_ARTIFACT_BETTER" not in verified_levels(judged, known, decision)


def test_waived_provenance_states_no_build_level() -> None:
    judged = waivable()
    items = (built(build_type="https://elsewhere.invalid/x"), *good()[1:])
    (finding,) = decide(items=items).of("BLD-1")
    made = waiver(rules=("BLD-1",), offenders=(), found=finding.found)
    known = facts(*items)
    known = replace(known, ledger=replace(known.ledger, waivers=(made,)))
    decision = evaluate(judged, known, now=NOW)
    assert decision.verdict is Verdict.ALLOW
    assert not [level for level in verified_levels(judged, known, decision) if "BUILD" in level]


# For any evidence and any waivers

SOME = st.builds(
    waiver,
    digest=st.integers(0, 9).map(lambda number: f"{number:064x}"),
    rules=st.sets(st.sampled_from([rule["id"] for rule in document()["rules"]]), min_size=1, max_size=3).map(tuple),
    outcome=st.sampled_from(["fail", "unknown"]),
    offenders=st.sampled_from([(), (Offender(id=CVE),), (Offender(id="scan-age"), Offender(id=CVE))]),
    found=st.sampled_from(["nothing", None]),
    digests=st.sampled_from([(DIGEST,), (DIGEST, SECOND), (SECOND,), ()]),
    repositories=st.sampled_from([(), (REPOSITORY,)]),
    uses=st.integers(0, 3),
    expires=st.sampled_from([ago(days=-13), ago(hours=1)]),
)
WAIVERS = st.lists(SOME, max_size=4, unique_by=lambda each: each.digest).map(tuple)


def judge(waivers: tuple[Waiver, ...], release: tuple[Item, ...]) -> Decision:
    return decide(*waivers, items=release, subjects=2)


def plain(finding: Finding) -> Finding:
    return finding._replace(remedy="")


@given(WAIVERS, releases)
@settings(max_examples=60)
def test_a_waiver_changes_no_finding_but_those_of_its_rules_that_did_not_pass(
    waivers: tuple[Waiver, ...], release: tuple[Item, ...]
) -> None:
    rules = {rule for each in waivers for rule in each.rules}
    before, after = judge((), release), judge(waivers, release)
    for was, becomes in zip(before.findings, after.findings, strict=True):
        if plain(was) != plain(becomes):
            assert was.rule in rules
            assert was.outcome in (Outcome.FAIL, Outcome.UNKNOWN)
            assert becomes.outcome is Outcome.WAIVED
            assert becomes.would is was.outcome
            assert (was.found, was.evidence, was.offenders) == (becomes.found, becomes.evidence, becomes.offenders)


@given(WAIVERS, releases, st.data())
@settings(max_examples=60)
def test_removing_a_waiver_never_turns_deny_into_allow(
    waivers: tuple[Waiver, ...], release: tuple[Item, ...], data: st.DataObject
) -> None:
    if not waivers:
        return
    removed = data.draw(st.sampled_from(waivers))
    left = tuple(each for each in waivers if each is not removed)
    if judge(left, release).verdict is Verdict.ALLOW:
        assert judge(waivers, release).verdict is Verdict.ALLOW


@given(WAIVERS, releases)
@settings(max_examples=50)
def test_a_waived_finding_rests_on_waivers_that_count_and_removing_them_brings_it_back(
    waivers: tuple[Waiver, ...], release: tuple[Item, ...]
) -> None:
    known = {each.digest: each for each in waivers}
    after = judge(waivers, release)
    for finding in after.counting(Outcome.WAIVED):
        for use in finding.waived_by:
            assert known[use.digest].not_before <= NOW < known[use.digest].expires
            assert use.use == known[use.digest].uses + 1 <= use.max_uses
        left = tuple(each for each in waivers if each.digest not in {use.digest for use in finding.waived_by})
        again = [each for each in judge(left, release).of(finding.rule) if each.subjects == finding.subjects]
        assert all(use.digest in {each.digest for each in left} for each in again for use in each.waived_by)


@given(releases)
@settings(max_examples=50)
def test_waivability_alone_changes_no_verdict(release: tuple[Item, ...]) -> None:
    known = facts(*release, subjects=2)
    plain_policy = parse_policy(encode(document()))
    assert evaluate(plain_policy, known, now=NOW).verdict is evaluate(waivable(), known, now=NOW).verdict


@pytest.mark.parametrize("length", [timedelta(days=30), timedelta(days=30, seconds=1)], ids=["at", "above"])
def test_the_longest_waiver_is_as_long_as_the_policy_says(length: timedelta) -> None:
    begins = ago(days=1)
    made = waiver(not_before=begins, expires=begins + length)
    assert (decide(made).verdict is Verdict.ALLOW) is (length == timedelta(days=30))
