# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policy.decision import Outcome
from policy.document import parse_policy
from policy.facts import Item, Vulnerability
from policy.rules.artifact.severity import rating
from tests.policy.factory import (
    ago,
    built,
    document,
    encode,
    inventory,
    judge,
    policy,
    ran,
    scanned,
    sole,
    vulnerability,
)

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN

Case = tuple[dict[str, Any], tuple[Item, ...], Outcome, str]


def with_severity(*severities: str) -> tuple[Vulnerability, ...]:
    return tuple(vulnerability(severity, name=f"CVE-{index}") for index, severity in enumerate(severities))


SCANS: dict[str, Case] = {
    "a clean scan passes": ({}, (scanned(),), PASS, "has no more known vulnerabilities than allowed"),
    "no scan is unknown": ({}, (built(),), UNKNOWN, "cannot tell: no verified scan of this digest"),
    "a scan of another digest never counts": ({}, (scanned(bound="none", covers=()),), UNKNOWN, "no verified scan"),
    "a scan of the source never counts": ({}, (scanned(bound="source"),), UNKNOWN, "no verified scan"),
    "a submitted scan never counts": ({}, (scanned(attested=False, key=None),), UNKNOWN, "no verified scan"),
    "a scan by no scanner fails": ({}, (scanned(scanner=None, key="builder"),), FAIL, "no accepted scanner's"),
    "facts that name a scanner of another key fail": ({}, (scanned(key="builder"),), FAIL, "no accepted scanner's"),
    "a critical vulnerability fails": (
        {},
        (scanned(vulnerabilities=with_severity("critical")),),
        FAIL,
        '1 critical ("CVE-0"), at most 0',
    ),
    "a high vulnerability fails": ({}, (scanned(vulnerabilities=with_severity("high")),), FAIL, "1 high"),
    "lower severities pass": ({}, (scanned(vulnerabilities=with_severity("medium", "low", "none")),), PASS, ""),
    "as many as allowed pass": (
        {"deny": {"critical": 0, "high": 2}},
        (scanned(vulnerabilities=with_severity("high", "high")),),
        PASS,
        "",
    ),
    "one more than allowed fails": (
        {"deny": {"critical": 0, "high": 2}},
        (scanned(vulnerabilities=with_severity("high", "high", "high")),),
        FAIL,
        "3 high",
    ),
    "a score outweighs a lower severity": (
        {},
        (scanned(vulnerabilities=(vulnerability("low", score=98),)),),
        FAIL,
        "1 critical",
    ),
    "a severity outweighs a lower score": (
        {},
        (scanned(vulnerabilities=(vulnerability("critical", score=10),)),),
        FAIL,
        "1 critical",
    ),
    "a score alone is rated": ({}, (scanned(vulnerabilities=(vulnerability("unknown", score=75),)),), FAIL, "1 high"),
    "an unrated vulnerability is unknown": (
        {},
        (scanned(vulnerabilities=with_severity("unknown")),),
        UNKNOWN,
        'carry no severity ("CVE-0")',
    ),
    "unrated ones pass where the policy says so": (
        {"deny": {"critical": 0, "unknown": 1}},
        (scanned(vulnerabilities=with_severity("unknown")),),
        PASS,
        "",
    ),
    "a failure outranks what is unknown": (
        {},
        (scanned(vulnerabilities=with_severity("unknown", "critical"), finished=None),),
        FAIL,
        "1 critical",
    ),
    "an old scan fails": ({}, (scanned(finished=ago(days=3), database_updated=ago(days=3)),), FAIL, "3d old"),
    "maxAge narrower than the scan's age fails": ({"maxAge": "1h"}, (scanned(),), FAIL, "3h old"),
    "a database newer than its scan fails": (
        {},
        (scanned(finished=ago(days=1), database_updated=ago(hours=1)),),
        FAIL,
        "database is newer than the scan",
    ),
    "a scan from the future fails": ({}, (scanned(finished=ago(hours=-1)),), FAIL, "lies in the future"),
    "a scan within the skew passes": ({}, (scanned(finished=ago(minutes=-1)),), PASS, ""),
    "an old database fails": ({}, (scanned(database_updated=ago(days=3)),), FAIL, "the scanner's database is 3d old"),
    "a database from the future fails": (
        {},
        (scanned(database_updated=ago(hours=-1)),),
        FAIL,
        "the scanner's database",
    ),
    "a scan without an end is unknown": ({}, (scanned(finished=None),), UNKNOWN, "does not say when it ended"),
    "a scan without a database time is unknown": (
        {},
        (scanned(database_updated=None),),
        UNKNOWN,
        "when its database was updated",
    ),
    "a later bad scan outranks an earlier clean one": (
        {},
        (scanned(), scanned("later", vulnerabilities=with_severity("critical"), received=2)),
        FAIL,
        "1 critical",
    ),
    "a later clean scan outranks an earlier bad one": (
        {},
        (scanned("earlier", vulnerabilities=with_severity("critical")), scanned(received=2)),
        PASS,
        "",
    ),
    "the order of receipt decides, not the stated times": (
        {},
        (
            scanned("later", vulnerabilities=with_severity("critical"), finished=ago(hours=9), received=2),
            scanned(finished=ago(hours=1)),
        ),
        FAIL,
        "1 critical",
    ),
    "a clean scan that was held back does not stand in for a bad one made after it": (
        {},
        (
            scanned("newer", vulnerabilities=with_severity("critical"), finished=ago(hours=1)),
            scanned("held back", finished=ago(hours=2), received=2),
        ),
        FAIL,
        "1 critical",
    ),
    "a clean scan made after both answers for them": (
        {},
        (
            scanned("newer", vulnerabilities=with_severity("critical"), finished=ago(hours=2)),
            scanned("held back", finished=ago(hours=3), received=2),
            scanned("newest", finished=ago(hours=1), received=3),
        ),
        PASS,
        "",
    ),
    "scans received together all have to be clean": (
        {},
        (scanned(), scanned("twin", vulnerabilities=with_severity("critical"))),
        FAIL,
        "1 critical",
    ),
    "an untrusted bad scan does not outweigh": (
        {},
        (scanned(), scanned("evil", scanner=None, vulnerabilities=with_severity("critical"), received=9)),
        PASS,
        "",
    ),
    "an untrusted clean scan does not help": (
        {},
        (scanned(vulnerabilities=with_severity("critical")), scanned("evil", scanner=None, received=9)),
        FAIL,
        "1 critical",
    ),
}


@pytest.mark.parametrize(("changes", "items", "outcome", "title"), SCANS.values(), ids=SCANS)
def test_scans(changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, title: str) -> None:
    finding = sole(policy("VUL-1", **changes), *items)
    assert finding.outcome is outcome
    assert title in finding.title


def test_the_latest_of_two_accepted_scanners_decides() -> None:
    value = document()
    value["trust"]["scanners"]["trivy"] = {"key": "other", "maxDatabaseAge": "1h"}
    value["rules"] = [{**rule, "scanners": ["trivy", "grype"]} for rule in value["rules"] if rule["id"] == "VUL-1"]
    judged = parse_policy(encode(value))
    bad = scanned("bad", scanner="trivy", key="other", vulnerabilities=with_severity("high"))
    assert sole(judged, scanned()).outcome is PASS
    assert sole(judged, bad, scanned(received=2)).outcome is PASS
    assert sole(judged, scanned(), replace(bad, origin=replace(bad.origin, received=2))).outcome is FAIL
    stale = sole(judged, scanned("stale", scanner="trivy", key="other"))
    assert "the scanner's database is 12h old" in stale.title


def test_each_item_of_a_tie_is_counted() -> None:
    one, other = scanned(), scanned("twin")
    assert set(sole(policy("VUL-1"), one, other).evidence) == {one.origin.digest, other.origin.digest}


def test_a_stale_scan_is_answered_with_a_new_scan_and_a_vulnerability_with_an_update() -> None:
    stale = sole(policy("VUL-1"), scanned(finished=ago(days=3), database_updated=ago(days=3)))
    vulnerable = sole(policy("VUL-1"), scanned(vulnerabilities=with_severity("critical")))
    assert "the scan job scans this digest again" in stale.remedy
    assert "the developer updates" in vulnerable.remedy


def test_a_scan_that_ended_before_the_build_began_fails() -> None:
    decision = judge(policy("BLD-1", "VUL-1"), built(started=ago(hours=2), finished=ago(hours=1)), scanned())
    assert [finding.outcome for finding in decision.findings] == [PASS, FAIL]
    assert "before the build of this digest began" in decision.findings[1].title


def test_a_scan_during_the_build_passes() -> None:
    decision = judge(policy("BLD-1", "VUL-1"), built(started=ago(hours=4), finished=ago(hours=2)), scanned())
    assert [finding.outcome for finding in decision.findings] == [PASS, PASS]


RATINGS = {
    "9.0 is critical": ("unknown", 90, "critical"),
    "8.9 is high": ("unknown", 89, "high"),
    "7.0 is high": ("unknown", 70, "high"),
    "6.9 is medium": ("unknown", 69, "medium"),
    "4.0 is medium": ("unknown", 40, "medium"),
    "3.9 is low": ("unknown", 39, "low"),
    "0.1 is low": ("unknown", 1, "low"),
    "0.0 is none": ("unknown", 0, "none"),
    "neither is unknown": ("unknown", None, "unknown"),
    "the worse counts": ("medium", 95, "critical"),
}


@pytest.mark.parametrize(("severity", "score", "expected"), RATINGS.values(), ids=RATINGS)
def test_rating(severity: str, score: int | None, expected: str) -> None:
    assert rating(vulnerability(severity, score=score)) == expected


SBOMS: dict[str, Case] = {
    "an SBOM passes": ({}, (inventory(),), PASS, "has an inventory of its components"),
    "no SBOM is unknown": ({}, (ran(),), UNKNOWN, "cannot tell: no verified SBOM of this digest"),
    "an SBOM of another digest never counts": ({}, (inventory(bound="none", covers=()),), UNKNOWN, ""),
    "a submitted SBOM never counts": ({}, (inventory(attested=False, key=None),), UNKNOWN, ""),
    "an SBOM by no producer fails": ({}, (inventory(producer=None, key="scanner"),), FAIL, "no accepted producer's"),
    "facts that name a producer of another key fail": ({}, (inventory(key="scanner"),), FAIL, "no accepted producer's"),
    "an accepted producer passes": ({"producers": ["ci"]}, (inventory(),), PASS, ""),
    "another format fails": ({}, (inventory(format="cyclonedx"),), FAIL, "the format is cyclonedx"),
    "another accepted format passes": (
        {"formats": ["spdx", "cyclonedx"]},
        (inventory(format="cyclonedx"),),
        PASS,
        "",
    ),
    "an empty SBOM fails": ({}, (inventory(components=0),), FAIL, "lists 0 components"),
    "a short SBOM fails": ({"minComponents": 50}, (inventory(),), FAIL, "lists 42 components"),
    "one good SBOM among several passes": ({}, (inventory(), inventory("empty", components=0, received=9)), PASS, ""),
    "an untrusted SBOM does not help": (
        {},
        (inventory(components=0), inventory("evil", producer=None)),
        FAIL,
        "lists 0 components",
    ),
}


@pytest.mark.parametrize(("changes", "items", "outcome", "title"), SBOMS.values(), ids=SBOMS)
def test_sboms(changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, title: str) -> None:
    finding = sole(policy("SBM-1", **changes), *items)
    assert finding.outcome is outcome
    assert title in finding.title
