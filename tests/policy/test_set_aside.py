# SPDX-License-Identifier: Apache-2.0
"""Which vulnerabilities do not count: in grace, without a fix, dismissed by VEX; and that the finding says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policy.decision import Outcome
from policy.facts import Item, Vulnerability
from policy.schema import PolicyError
from tests.policy.factory import ago, dismissal, policy, scanned, sole, vex, vulnerability

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN
CVE = "CVE-2026-40021"

Case = tuple[dict[str, Any], tuple[Item, ...], Outcome, str]


def found(*severities: str, fix: str | None = None, package: str | None = None) -> tuple[Vulnerability, ...]:
    return tuple(replace(vulnerability(each), fix=fix, package=package) for each in severities)


HIGH = found("high")
WEEK = {"grace": {"critical": "1d", "high": "7d"}, "level": "better"}
FIXED = {"onlyIfFixed": True, "level": "better"}
VEX = {"vex": ["appsec"]}
DISMISSED = dismissal(CVE)

GRACE: dict[str, Case] = {
    "a new finding is in grace": (WEEK, (scanned(vulnerabilities=HIGH, first_received=ago()),), PASS, ""),
    "a finding of six days is in grace": (WEEK, (scanned(vulnerabilities=HIGH, first_received=ago(days=6)),), PASS, ""),
    "at its end grace is over": (
        WEEK,
        (scanned(vulnerabilities=HIGH, first_received=ago(days=7)),),
        FAIL,
        "since grace ended 2026-11-23T12:00:00Z",
    ),
    "each severity has its own": (
        WEEK,
        (scanned(vulnerabilities=found("critical"), first_received=ago(days=2)),),
        FAIL,
        "1 critical",
    ),
    "a severity without grace has none": (
        {"grace": {"high": "7d"}, "level": "better"},
        (scanned(vulnerabilities=found("critical"), first_received=ago()),),
        FAIL,
        "1 critical",
    ),
    "the worse of word and score has the grace": (
        WEEK,
        (scanned(vulnerabilities=(vulnerability("high", score=98),), first_received=ago(days=2)),),
        FAIL,
        "1 critical",
    ),
    "a receipt without a time gives no grace": (WEEK, (scanned(vulnerabilities=HIGH),), FAIL, "1 high"),
    "the first receipt counts, not the latest": (
        WEEK,
        (
            scanned("first", vulnerabilities=HIGH, first_received=ago(days=8)),
            scanned(vulnerabilities=HIGH, first_received=ago(), received=2),
        ),
        FAIL,
        "since grace ended 2026-11-22T12:00:00Z",
    ),
    "an earlier scan without it gives grace from the later on": (
        WEEK,
        (
            scanned("first", first_received=ago(days=8)),
            scanned(vulnerabilities=HIGH, first_received=ago(days=1), received=2),
        ),
        PASS,
        "",
    ),
    "an earlier receipt without a time gives no grace": (
        WEEK,
        (
            scanned("first", vulnerabilities=HIGH),
            scanned(vulnerabilities=HIGH, first_received=ago(), received=2),
        ),
        FAIL,
        "1 high",
    ),
    "a stranger's scan starts no grace and ends none": (
        WEEK,
        (
            scanned("first", vulnerabilities=HIGH, first_received=ago(days=30), scanner=None, key="stranger"),
            scanned(vulnerabilities=HIGH, first_received=ago(), received=2),
        ),
        PASS,
        "",
    ),
    "a scan of another digest starts no grace": (
        WEEK,
        (
            scanned("first", vulnerabilities=HIGH, first_received=ago(days=30), covers=()),
            scanned(vulnerabilities=HIGH, first_received=ago(), received=2),
        ),
        PASS,
        "",
    ),
    "without grace a new finding counts": ({}, (scanned(vulnerabilities=HIGH, first_received=ago()),), FAIL, "1 high"),
}
FIXES: dict[str, Case] = {
    "what has no fix does not count": (FIXED, (scanned(vulnerabilities=HIGH, tells_fixes=True),), PASS, ""),
    "what has a fix counts": (FIXED, (scanned(vulnerabilities=found("high", fix="2"), tells_fixes=True),), FAIL, "1 h"),
    "a format that cannot tell leaves all counted": (FIXED, (scanned(vulnerabilities=HIGH),), FAIL, "1 high"),
    "unasked it counts with or without a fix": ({}, (scanned(vulnerabilities=HIGH, tells_fixes=True),), FAIL, "1 high"),
}


def scan(*statements: Item, **changes: Any) -> tuple[Item, ...]:
    return (scanned(**{"vulnerabilities": HIGH, **changes}), *statements)


STATEMENTS: dict[str, Case] = {
    "not affected with a justification": (VEX, scan(vex(DISMISSED)), PASS, ""),
    "fixed": (VEX, scan(vex(dismissal(CVE, status="fixed", justification=None))), PASS, ""),
    "by an alias": (VEX, scan(vex(dismissal("GHSA-1", CVE))), PASS, ""),
    "not affected without a justification": (VEX, scan(vex(dismissal(CVE, justification=None))), FAIL, "1 high"),
    "not affected for another reason": (
        VEX,
        scan(vex(dismissal(CVE, justification="trust me"))),
        FAIL,
        "1 high",
    ),
    "affected": (VEX, scan(vex(dismissal(CVE, status="affected"))), FAIL, "1 high"),
    "under investigation": (VEX, scan(vex(dismissal(CVE, status="under_investigation"))), FAIL, "1 high"),
    "another vulnerability": (VEX, scan(vex(dismissal("CVE-2026-1"))), FAIL, "1 high"),
    "by a stranger": (VEX, scan(vex(DISMISSED, author=None, key="stranger")), FAIL, "1 high"),
    "facts that name an author of another key": (VEX, scan(vex(DISMISSED, key="scanner")), FAIL, "1 high"),
    "submitted only": (VEX, scan(vex(DISMISSED, attested=False, key=None)), FAIL, "1 high"),
    "of another digest": (VEX, scan(vex(DISMISSED, covers=(), bound="none")), FAIL, "1 high"),
    "of a rule that asks nobody": ({}, scan(vex(DISMISSED)), FAIL, "1 high"),
    "from the future": (VEX, scan(vex(DISMISSED, made=ago(hours=-1))), FAIL, "1 high"),
    "made long ago": (VEX, scan(vex(DISMISSED, made=ago(days=400))), PASS, ""),
    "taken back later": (
        VEX,
        scan(vex(DISMISSED), vex(dismissal(CVE, status="affected"), name="later", received=2)),
        FAIL,
        "1 high",
    ),
    "an older one that was held back": (
        VEX,
        scan(
            vex(dismissal(CVE, status="affected"), made=ago(hours=1)),
            vex(DISMISSED, name="held back", made=ago(hours=5), received=2),
        ),
        FAIL,
        "1 high",
    ),
    "both ways in one document": (VEX, scan(vex(DISMISSED, dismissal(CVE, status="affected"))), FAIL, "1 high"),
    "a later document about something else": (
        VEX,
        scan(vex(DISMISSED), vex(dismissal("CVE-2026-1"), name="later", received=2)),
        PASS,
        "",
    ),
    "of this package": (
        VEX,
        scan(
            vex(dismissal(CVE, packages=("pkg:pypi/a@1?arch=x",))),
            vulnerabilities=found("high", package="pkg:pypi/a@1"),
        ),
        PASS,
        "",
    ),
    "of another package": (
        VEX,
        scan(vex(dismissal(CVE, packages=("pkg:pypi/b@1",))), vulnerabilities=found("high", package="pkg:pypi/a@1")),
        FAIL,
        "1 high",
    ),
    "of a package where the scan names none": (VEX, scan(vex(dismissal(CVE, packages=("pkg:pypi/a@1",)))), FAIL, "1 h"),
    "unrated ones are dismissed alike": (VEX, scan(vex(DISMISSED), vulnerabilities=found("unknown")), PASS, ""),
    "fewer are left than allowed": (
        {**VEX, "deny": {"critical": 0, "high": 1}},
        (scanned(vulnerabilities=(*HIGH, vulnerability("high", name="CVE-2"))), vex(DISMISSED)),
        PASS,
        "",
    ),
}
CASES = {
    **{f"grace: {name}": case for name, case in GRACE.items()},
    **{f"fix: {name}": case for name, case in FIXES.items()},
    **{f"vex: {name}": case for name, case in STATEMENTS.items()},
}


@pytest.mark.parametrize(("changes", "items", "outcome", "text"), CASES.values(), ids=CASES)
def test_judges(changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, text: str) -> None:
    finding = sole(policy("VUL-1", **changes), *items)
    assert finding.outcome is outcome, finding
    assert text in finding.title


def test_the_finding_tells_what_was_set_aside_and_why() -> None:
    three = tuple(vulnerability("high", name=f"CVE-{number}") for number in (1, 2))
    unfixed = replace(vulnerability("critical", name="CVE-3"), fix=None)
    known = tuple(replace(each, fix="2") for each in three)
    changes = {"vex": ["appsec"], "grace": {"critical": "1d", "high": "7d"}, "onlyIfFixed": True, "level": "better"}
    items = (
        scanned("first", vulnerabilities=known[:1], tells_fixes=True, first_received=ago(days=9)),
        scanned(vulnerabilities=(*known, unfixed), tells_fixes=True, first_received=ago(days=1), received=2),
        vex(dismissal("CVE-1")),
    )
    finding = sole(policy("VUL-1", **changes), *items)
    assert finding.outcome is PASS
    assert finding.found.endswith(
        'no vulnerability; not counted: 1 critical without a fix, "CVE-2" in grace until 2026-11-29T12:00:00Z, '
        '"CVE-1" not_affected, vulnerable_code_not_present, by appsec'
    )


def test_a_document_counts_only_where_more_would_be_left_than_is_allowed() -> None:
    document = vex(DISMISSED)
    needed = sole(policy("VUL-1", vex=["appsec"]), *scan(document))
    assert document.origin.digest in needed.evidence
    idle = sole(policy("VUL-1", vex=["appsec"], deny={"critical": 0, "high": 1}), *scan(document))
    assert (idle.outcome, document.origin.digest in idle.evidence) == (PASS, False)


def test_what_is_set_aside_is_no_offender() -> None:
    both = (*HIGH, vulnerability("high", name="CVE-2"))
    finding = sole(policy("VUL-1", vex=["appsec"]), scanned(vulnerabilities=both), vex(DISMISSED))
    assert [each.id for each in finding.offenders] == ["CVE-2"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"grace": {}, "level": "better"}, "gives no severity a time"),
        ({"grace": {"medium": "1d"}, "level": "better"}, "medium: is not a key"),
        ({"grace": {"high": "7"}, "level": "better"}, "is not a duration"),
        ({"grace": {"high": "7d"}, "level": "strong"}, "level better at most"),
        ({"onlyIfFixed": True, "level": "strong"}, "level better at most"),
        ({"vex": ["nobody"]}, "there is no author"),
        ({"vex": []}, "at least one entry"),
    ],
)
def test_refuses(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(PolicyError, match=fault):
        policy("VUL-1", **changes)
