# SPDX-License-Identifier: Apache-2.0
"""The deployment control over fixture facts of the ledger: soak, freeze, rollback, break-glass, approvals."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from policy.decision import Outcome, Verdict
from policy.document import parse_policy
from policy.facts import ReviewRecord
from policy.ledger_facts import BreakGlass, Excluded, Reached
from policy.levels import matrix, verified_levels
from policy.schema import PolicyError
from policy.separation import unfilled
from tests.policy.factory import NOW, ago, built, document, encode, origin, recorded, scanned, vulnerability
from tests.policy.promotion import (
    BREAK_GLASS,
    CHECKLIST,
    FREEZE,
    HUMAN,
    ROLLBACK,
    SHA256,
    SOAK,
    STAGED,
    approve,
    asked,
    debt,
    decide,
    finding,
    ledger,
    plan,
    production,
    promoted,
)


def changed(rule: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**rule, **changes}


# What the ledger, the clock and documents say

LEDGER: dict[str, tuple[dict[str, Any], dict[str, Any], Outcome, str]] = {
    "in staging for three hours": (SOAK, {}, Outcome.PASS, "allowed for staging"),
    "in staging for one hour": (
        SOAK,
        {"allowed": (replace(STAGED, at=ago(hours=1)),)},
        Outcome.FAIL,
        "1h of 2h have passed",
    ),
    "in staging exactly long enough": (SOAK, {"allowed": (replace(STAGED, at=ago(hours=2)),)}, Outcome.PASS, ""),
    "in staging in the future": (
        SOAK,
        {"allowed": (replace(STAGED, at=ago(hours=-1)),)},
        Outcome.FAIL,
        "lies in the future",
    ),
    "never in staging": (SOAK, {"allowed": ()}, Outcome.UNKNOWN, "no record"),
    "in another environment": (
        SOAK,
        {"allowed": (replace(STAGED, environment="test"),)},
        Outcome.UNKNOWN,
        "no record",
    ),
    "another digest in staging": (SOAK, {"allowed": (replace(STAGED, sha256="e" * 64),)}, Outcome.UNKNOWN, "no record"),
    "signed for staging and never deployed there": (
        changed(SOAK, since="deployed"),
        {},
        Outcome.UNKNOWN,
        "no record that this digest was deployed",
    ),
    "deployed to staging": (changed(SOAK, since="deployed"), {"deployed": (STAGED,)}, Outcome.PASS, "deployed for"),
    "no break-glass to review": (BREAK_GLASS, {}, Outcome.PASS, "no release under break-glass"),
    "a review that is overdue": (
        BREAK_GLASS,
        {"break_glass": BreakGlass(debts=(debt(),))},
        Outcome.FAIL,
        "unreviewed for more than 2d",
    ),
    "a review that is not due yet": (
        BREAK_GLASS,
        {"break_glass": BreakGlass(debts=(debt(at=ago(days=1)),))},
        Outcome.PASS,
        "unreviewed, in time",
    ),
    "an overdue review of another environment": (
        BREAK_GLASS,
        {"break_glass": BreakGlass(debts=(debt(environment="staging"),))},
        Outcome.PASS,
        "",
    ),
    "a ledger that does not record break-glass": (BREAK_GLASS, {"break_glass": None}, Outcome.UNKNOWN, "does not say"),
}


@pytest.mark.parametrize(("rule", "known", "outcome", "says"), LEDGER.values(), ids=LEDGER)
def test_the_ledger_says(rule: dict[str, Any], known: dict[str, Any], outcome: Outcome, says: str) -> None:
    found = finding(decide(production(rule), asked(known=ledger(**known))), rule["id"])
    assert found.outcome is outcome
    assert says in f"{found.title} {found.found}"


def test_every_digest_of_a_request_has_to_have_been_in_staging() -> None:
    decision = decide(production(SOAK), asked(*promoted(), subjects=2))
    assert [(each.subjects, each.outcome) for each in decision.of("SOK-1")] == [
        ((0,), Outcome.PASS),
        ((1,), Outcome.UNKNOWN),
    ]
    assert decision.verdict is Verdict.DENY


FRIDAY = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
INSTANTS: dict[str, tuple[datetime, datetime | None]] = {
    "a Monday at noon": (NOW, None),
    "Friday before three": (FRIDAY - timedelta(seconds=1), None),
    "Friday at three": (FRIDAY, datetime(2026, 11, 30, 8, tzinfo=UTC)),
    "Sunday": (FRIDAY + timedelta(days=2), datetime(2026, 11, 30, 8, tzinfo=UTC)),
    "Monday before eight": (datetime(2026, 11, 30, 7, 59, 59, tzinfo=UTC), datetime(2026, 11, 30, 8, tzinfo=UTC)),
    "Monday at eight": (datetime(2026, 11, 30, 8, tzinfo=UTC), None),
    "the first moment of the year-end freeze": (
        datetime(2026, 12, 19, tzinfo=UTC),
        datetime(2027, 1, 4, tzinfo=UTC),
    ),
    "a Tuesday in the year-end freeze": (datetime(2026, 12, 29, 9, tzinfo=UTC), datetime(2027, 1, 4, tzinfo=UTC)),
    "after it, still in the weekend": (datetime(2027, 1, 4, tzinfo=UTC), datetime(2027, 1, 4, 8, tzinfo=UTC)),
}


@pytest.mark.parametrize(("now", "ends"), INSTANTS.values(), ids=INSTANTS)
def test_a_freeze_holds_from_its_first_moment_until_before_its_last(now: datetime, ends: datetime | None) -> None:
    found = finding(decide(production(FREEZE), asked(), now=now), "FRZ-1")
    assert found.outcome is (Outcome.PASS if ends is None else Outcome.FROZEN)
    if ends is not None:
        assert f"frozen until {ends:%Y-%m-%dT%H:%M:%SZ}" in found.title


@pytest.mark.parametrize(
    "window",
    [
        pytest.param("", id="nothing"),
        pytest.param("fri 15:00", id="no end"),
        pytest.param("fri 15:00/fri 15:00", id="no length"),
        pytest.param("2027-01-04T00:00:00Z/2026-12-19T00:00:00Z", id="the end before the beginning"),
        pytest.param("2026-12-19T00:00:00+01:00/2027-01-04T00:00:00Z", id="another offset"),
        pytest.param("2026-02-30T00:00:00Z/2027-01-04T00:00:00Z", id="no day"),
        pytest.param("fri 24:00/mon 08:00", id="no time"),
        pytest.param("friday 15:00/mon 08:00", id="no weekday"),
        pytest.param("fri 15:00/2027-01-04T00:00:00Z", id="two kinds"),
        pytest.param("fri \u0661\u0665:00/mon 08:00", id="digits of another script"),
    ],
)
def test_refuses_a_window(window: str) -> None:
    with pytest.raises(PolicyError):
        production(changed(FREEZE, windows=[window]))


PLANS: dict[str, tuple[dict[str, Any], tuple[Any, ...], Outcome]] = {
    "a plan of this digest": (ROLLBACK, (plan(),), Outcome.PASS),
    "no plan": (ROLLBACK, (), Outcome.UNKNOWN),
    "another document": (ROLLBACK, (replace(plan(), kind="build-log"),), Outcome.UNKNOWN),
    "a plan of another digest": (ROLLBACK, (plan(covers=(), bound="none"),), Outcome.UNKNOWN),
    "a plan by whom the rule accepts": (changed(ROLLBACK, submitters=["robot:ci"]), (plan(),), Outcome.PASS),
    "a plan by somebody else": (changed(ROLLBACK, submitters=["robot:release"]), (plan(),), Outcome.FAIL),
    "one by somebody else and one accepted": (
        changed(ROLLBACK, submitters=["robot:release"]),
        (plan(), plan("other", submitter="robot:release")),
        Outcome.PASS,
    ),
}


@pytest.mark.parametrize(("rule", "plans", "outcome"), PLANS.values(), ids=PLANS)
def test_a_rollback_plan(rule: dict[str, Any], plans: tuple[Any, ...], outcome: Outcome) -> None:
    decision = decide(production(rule), asked(*promoted()[:-1], *plans))
    assert finding(decision, "RBK-1").outcome is outcome


# Approvals


def test_only_missing_approvals_hold_and_both_of_them_allow() -> None:
    policy, request = production(), asked()
    first = decide(policy, request)
    assert first.verdict is Verdict.HOLD
    assert {each.rule for each in first.findings if each.outcome is not Outcome.PASS} == {"APR-1", "APR-2"}
    assert finding(first, "APR-1").title == "waiting for approvals: 1 of release, 1 of sre"
    kim = approve(policy, request, "person:kim", "release")
    lee = approve(policy, request, "person:lee", "sre")
    assert decide(policy, request, kim).verdict is Verdict.HOLD
    both = decide(policy, request, kim, lee)
    assert both.verdict is Verdict.ALLOW
    assert set(finding(both, "APR-1").evidence) == {kim.statement, lee.statement}


def test_a_failure_beside_missing_approvals_denies() -> None:
    items = [
        scanned(vulnerabilities=(vulnerability("critical"),)) if item == scanned() else item for item in promoted()
    ]
    assert decide(production(HUMAN), asked(*items)).verdict is Verdict.DENY


def test_a_freeze_beside_missing_approvals_denies() -> None:
    decision = decide(production(HUMAN, FREEZE), asked(), now=FRIDAY)
    assert decision.verdict is Verdict.DENY
    assert finding(decision, "FRZ-1").outcome is Outcome.FROZEN


def test_an_environment_without_approvals_is_judged_as_before() -> None:
    request = asked(*promoted())
    staging = replace(request, request=replace(request.request, environment="staging"))
    decision = decide(production(), staging)
    assert decision.verdict is Verdict.ALLOW
    assert not [each for each in decision.findings if each.control == "deployment"]


def test_a_freeze_alone_allows_nothing() -> None:
    value = document()
    value["rules"] = [FREEZE]
    value["environments"] = {"production": {"require": ["*"], "key": "k", "formats": ["vsa"]}}
    assert decide(parse_policy(encode(value)), asked()).verdict is Verdict.DENY


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "A01 for another digest": ({"sha256": "e" * 64}, "no approval of this digest"),
    "for another environment": ({"environment": "staging"}, "no approval of this digest"),
    "under another version of the policy": ({"policy_digest": "e" * 64}, "no approval of this digest"),
    "on other evidence": ({"cited": "e" * 64}, "no approval of this digest"),
    "of another kind": ({"kind": "cosign"}, "no approval of this digest"),
    "by the author": ({"person": "person:dana"}, "author"),
    "by who triggered the build": ({"person": "robot:forge"}, "trigger"),
    "by the requester": ({"person": "robot:ci"}, "requester"),
    "by somebody whom nobody knows": ({"person": "unmapped"}, "does not know"),
    "too long ago": ({"at": ago(hours=73)}, "3d1h ago"),
    "in the future": ({"at": ago(hours=-1)}, "in the future"),
    "by a member of neither group": ({"groups": ("qa",)}, "in none of the groups"),
}


@pytest.mark.parametrize(("changes", "says"), REFUSED.values(), ids=REFUSED)
def test_an_approval_does_not_count(changes: dict[str, Any], says: str) -> None:
    policy, request = production(HUMAN), asked()
    lee = approve(policy, request, "person:lee", "sre")
    kim = approve(policy, request, "person:kim", "release")
    assert decide(policy, request, lee, kim).verdict is Verdict.ALLOW
    decision = decide(policy, request, replace(lee, **changes), replace(kim, **changes))
    found = finding(decision, "APR-1")
    assert found.outcome is Outcome.WAITING
    assert says in found.found
    assert decision.verdict is Verdict.HOLD


def test_an_approval_counts_until_its_last_moment() -> None:
    policy, request = production(HUMAN), asked()
    both = [approve(policy, request, f"person:{name}", name, at=ago(hours=72)) for name in ("release", "sre")]
    assert decide(policy, request, *both).verdict is Verdict.ALLOW


def test_a_recorded_approval_counts_where_the_rule_asks_for_no_signature() -> None:
    request = asked()
    for rule, verdict in ((HUMAN, Verdict.ALLOW), (changed(HUMAN, signed=True), Verdict.HOLD)):
        policy = production(rule)
        both = [approve(policy, request, f"person:{name}", name, signed=False) for name in ("release", "sre")]
        assert decide(policy, request, *both).verdict is verdict


def test_one_person_of_two_groups_stands_for_one_of_them() -> None:
    policy, request = production(HUMAN), asked()
    kim = approve(policy, request, "person:kim", "release", "sre")
    again = approve(policy, request, "person:kim", "release", "sre", hold="1f" * 16)
    assert finding(decide(policy, request, kim, again), "APR-1").outcome is Outcome.WAITING


@pytest.mark.parametrize("turned", [False, True])
def test_who_came_first_gives_way_to_who_has_one_group_only(turned: bool) -> None:
    policy, request = production(HUMAN), asked()
    both = [
        approve(policy, request, "person:kim", "release", "sre"),
        approve(policy, request, "person:lee", "release"),
    ]
    assert decide(policy, request, *(reversed(both) if turned else both)).verdict is Verdict.ALLOW


def test_a_rejection_of_this_hold_denies_whatever_was_approved() -> None:
    policy, request = production(HUMAN), asked()
    both = [approve(policy, request, f"person:{name}", name) for name in ("release", "sre")]
    no = approve(policy, request, "person:max", "qa", kind="reject")
    decision = decide(policy, request, *both, no)
    assert decision.verdict is Verdict.DENY
    assert finding(decision, "APR-1").outcome is Outcome.FAIL
    # on other evidence it is another hold
    assert decide(policy, request, *both, replace(no, cited="e" * 64)).verdict is Verdict.ALLOW


UNRECORDED = tuple(item for item in promoted() if not isinstance(item, ReviewRecord))
NOBODY: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "no author named": (UNRECORDED, {"excluded": ()}, "who wrote the change"),
    "an author of the review record whom nobody knows": (
        (*UNRECORDED, recorded(authors=("unmapped",))),
        {"excluded": ()},
        "the author is nobody",
    ),
    "an author whom nobody knows": (
        (),
        {"excluded": (Excluded(person="unmapped", role="author"),)},
        "the author is nobody",
    ),
    "a committer whom nobody knows": (
        (),
        {
            "excluded": (
                Excluded(person="person:dana", role="author"),
                Excluded(person="unmapped", role="committer"),
            )
        },
        "the committer is nobody",
    ),
    "a trigger that is not stated": ((built(triggered_by=None), *promoted()[1:]), {}, "who triggered the build"),
    "a trigger whom nobody knows": (
        (built(triggered_by="unmapped"), *promoted()[1:]),
        {},
        "the trigger is nobody",
    ),
}


def test_an_author_of_the_review_record_does_not_approve() -> None:
    policy, request = production(HUMAN), asked(*UNRECORDED, recorded(authors=("person:release",)))
    both = [approve(policy, request, f"person:{name}", name) for name in ("release", "sre")]
    ended = finding(decide(policy, request, *both), "APR-1")
    assert ended.outcome is Outcome.WAITING
    assert "person:release is the release's author" in ended.found


def test_an_author_whom_a_stranger_names_may_approve() -> None:
    forged = recorded("forged", collector=None, key="stranger", authors=("person:release",))
    policy, request = production(HUMAN), asked(*promoted(), forged)
    both = [approve(policy, request, f"person:{name}", name) for name in ("release", "sre")]
    assert finding(decide(policy, request, *both), "APR-1").outcome is Outcome.PASS


@pytest.mark.parametrize(("items", "known", "says"), NOBODY.values(), ids=NOBODY)
def test_separation_is_unknown_while_somebody_is(items: tuple[Any, ...], known: dict[str, Any], says: str) -> None:
    policy, request = production(HUMAN), asked(*items, known=ledger(**known))
    both = [approve(policy, request, f"person:{name}", name) for name in ("release", "sre")]
    decision = decide(policy, request, *both)
    assert finding(decision, "APR-1").outcome is Outcome.UNKNOWN
    assert says in finding(decision, "APR-1").title
    assert decision.verdict is Verdict.DENY


def test_several_digests_cannot_be_approved_at_once() -> None:
    policy = production(HUMAN)
    found = decide(policy, asked(subjects=2)).of("APR-1")
    assert {each.outcome for each in found} == {Outcome.FAIL}


def test_junk_evidence_voids_no_approval() -> None:
    policy, request = production(HUMAN), asked()
    both = [approve(policy, request, f"person:{name}", name) for name in ("release", "sre")]
    junk = scanned("junk", key="stranger", scanner=None, origin=origin("junk", key="stranger", covers=(), bound="none"))
    more = asked(*promoted(), junk)
    assert decide(policy, more, *both).verdict is Verdict.ALLOW


def test_a_newer_scan_that_decides_voids_the_approval() -> None:
    policy, request = production(HUMAN), asked()
    both = [approve(policy, request, f"person:{name}", name) for name in ("release", "sre")]
    more = asked(*promoted(), scanned("newer", received=9, finished=ago(hours=1)))
    assert decide(policy, more, *both).verdict is Verdict.HOLD


# The checklist


def test_a_checklist_counts_only_signed_approvals_over_the_answers_as_they_are() -> None:
    policy, request = production(CHECKLIST), asked()
    for changes, verdict in (
        ({}, Verdict.ALLOW),
        ({"answers": "e" * 64}, Verdict.HOLD),
        ({"answers": None}, Verdict.HOLD),
        ({"signed": False}, Verdict.HOLD),
    ):
        both = [approve(policy, request, f"person:{name}", name, **changes) for name in ("release", "sre")]
        assert decide(policy, request, *both).verdict is verdict


def test_a_checklist_needs_its_rules_passed_before_anybody_is_asked() -> None:
    failing = scanned(vulnerabilities=(vulnerability("critical"),))
    items = [failing if item == scanned() else item for item in promoted()]
    found = finding(decide(production(CHECKLIST), asked(*items)), "APR-2")
    assert found.outcome is Outcome.FAIL
    assert "VUL-1 on the checklist did not pass" in found.title
    missing = [item for item in promoted() if item != scanned()]
    assert finding(decide(production(CHECKLIST), asked(*missing)), "APR-2").outcome is Outcome.UNKNOWN


# What a document may say

CONTRADICTIONS: dict[str, tuple[tuple[dict[str, Any], ...], str]] = {
    "two rules that count approvals apart": ((HUMAN, changed(HUMAN, id="APR-9")), "both count approvals"),
    "a checklist of a rule that is not there": ((changed(CHECKLIST, checklist=["NO-1"]),), "on its checklist"),
    "a checklist of itself": ((changed(CHECKLIST, checklist=["APR-2"]),), "on its checklist"),
    "a soak in an environment that is not there": ((changed(SOAK, after="test"),), "no other environment"),
    "a soak in the environment itself": ((changed(SOAK, after="production"),), "no other environment"),
    "no group": ((changed(HUMAN, groups={}),), "asks nobody"),
    "nobody of a group": ((changed(HUMAN, groups={"sre": 0}),), "integer of at least 1"),
    "a whole company": ((changed(HUMAN, groups={"sre": 11}),), "counts"),
    "an approval for no time": ((changed(HUMAN, ttl="0s"),), "is no time"),
    "a checklist that claims to be strong": ((changed(CHECKLIST, level="strong"),), "level better at most"),
    "an approval that claims to be better": ((changed(HUMAN, level="better"),), "level minimum at most"),
}


@pytest.mark.parametrize(("rules", "says"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_refuses_a_document(rules: tuple[dict[str, Any], ...], says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        production(*rules)


# The matrix: each cell earned once, and lost by exactly that control

CELLS: dict[str, tuple[tuple[dict[str, Any], ...], dict[str, Any], dict[str, Any], str | None]] = {
    "minimum": ((HUMAN,), {}, {"groups": ()}, None),
    "better": ((HUMAN, CHECKLIST), {}, {"answers": None}, "minimum"),
    "strong": (
        (HUMAN, CHECKLIST, BREAK_GLASS),
        {"break_glass": BreakGlass(debts=(debt(),))},
        {},
        "better",
    ),
}


@pytest.mark.parametrize("level", CELLS)
def test_a_deployment_cell_is_earned_and_lost_by_exactly_this_control(level: str) -> None:
    rules, known, approval, below = CELLS[level]
    policy, request = production(*rules), asked()
    both = [approve(policy, request, f"person:{name}", name) for name in ("release", "sre")]
    good = decide(policy, request, *both)
    assert good.verdict is Verdict.ALLOW
    assert matrix(policy, good)["deployment"] == level
    assert f"AUTHORITY_DEPLOYMENT_{level.upper()}" in verified_levels(policy, request, good)
    lost = decide(
        policy,
        replace(request, ledger=replace(request.ledger, **known)),
        *(replace(each, **approval) for each in both),
    )
    assert lost.verdict is not Verdict.ALLOW
    assert matrix(policy, lost) == {**matrix(policy, good), "deployment": below}
    assert {each.control for each in lost.findings if each.outcome is not Outcome.PASS} == {"deployment"}


# Matching

GROUPS = ("a", "b", "c")


@given(
    st.dictionaries(st.sampled_from(GROUPS), st.integers(1, 2), min_size=1),
    st.lists(st.lists(st.sampled_from(GROUPS), max_size=3, unique=True), max_size=5),
)
def test_the_matching_fills_as_many_places_as_any_assignment(owed: dict[str, int], members: list[list[str]]) -> None:
    people = {f"person:{index}": groups for index, groups in enumerate(members)}
    lacking = unfilled(owed, people)
    assert all(0 < lacking[group] <= owed[group] for group in lacking)

    def most(rest: list[list[str]], left: dict[str, int]) -> int:
        if not rest:
            return 0
        best = most(rest[1:], left)
        for group in rest[0]:
            if left.get(group, 0):
                best = max(best, 1 + most(rest[1:], {**left, group: left[group] - 1}))
        return best

    assert sum(owed.values()) - sum(lacking.values()) == most(members, owed)


def test_the_digest_of_the_fixtures_is_the_requested_one() -> None:
    assert isinstance(STAGED, Reached)
    assert STAGED.sha256 == SHA256
