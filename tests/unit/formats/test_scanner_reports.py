# SPDX-License-Identifier: Apache-2.0
"""Reports of grype, trivy and osv-scanner, as cosign wraps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from policy.facts import Vulnerability
from signer.errors import Malformed
from signer.formats.cosign_vuln import read_cosign_scan
from signer.formats.scanners import read_report

GRYPE: dict[str, Any] = {
    "matches": [
        {
            "vulnerability": {
                "id": "CVE-2026-1",
                "severity": "High",
                "fix": {"versions": ["1.2", "2.0"], "state": "fixed"},
                "cvss": [{"version": "3.1", "metrics": {"baseScore": 8.1}}, {"metrics": {"baseScore": 4.1}}],
            },
            "artifact": {"name": "a", "version": "1.0", "purl": "pkg:pypi/a@1.0"},
        },
        {
            "vulnerability": {"id": "CVE-2026-2", "severity": "Negligible", "fix": {"versions": []}, "cvss": []},
            "artifact": {"name": "b", "version": "3"},
        },
    ],
    "ignoredMatches": [{"vulnerability": {"id": "CVE-2026-3", "severity": "Critical"}}],
    "descriptor": {"name": "grype", "version": "0.90.0", "db": {"status": {"built": "2026-11-22T00:00:00Z"}}},
}
TRIVY: dict[str, Any] = {
    "SchemaVersion": 2,
    "ArtifactName": "a",
    "Results": [
        {"Target": "os", "Class": "os-pkgs"},
        {
            "Target": "lib",
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2026-1",
                    "PkgName": "a",
                    "InstalledVersion": "1.0",
                    "FixedVersion": "1.2, 2.0",
                    "Severity": "HIGH",
                    "PkgIdentifier": {"PURL": "pkg:pypi/a@1.0"},
                    "CVSS": {"ghsa": {"V3Score": 8.1}, "nvd": {"V2Score": 9.9, "V3Score": 4.1}},
                },
                {"VulnerabilityID": "CVE-2026-2", "PkgName": "b", "InstalledVersion": "3", "Severity": "LOW"},
            ],
        },
    ],
}
OSV: dict[str, Any] = {
    "results": [
        {
            "source": {"path": "lock", "type": "lockfile"},
            "packages": [
                {
                    "package": {"name": "a", "version": "1.0", "ecosystem": "PyPI"},
                    "vulnerabilities": [
                        {
                            "id": "GHSA-1",
                            "database_specific": {"severity": "HIGH"},
                            "affected": [
                                {"package": {"name": "other"}, "ranges": [{"events": [{"fixed": "9.9"}]}]},
                                {
                                    "package": {"name": "a"},
                                    "ranges": [
                                        {"type": "GIT", "events": [{"fixed": "0badc0de"}]},
                                        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2"}]},
                                    ],
                                },
                            ],
                        },
                        {"id": "PYSEC-2"},
                    ],
                    "groups": [{"ids": ["GHSA-1"], "max_severity": "8.1"}, {"ids": ["PYSEC-2"], "max_severity": ""}],
                }
            ],
        }
    ]
}


def wrapped(report: Any, **scanner: Any) -> dict[str, Any]:
    return {
        "scanner": {"uri": "pkg:github/anchore/grype", "result": report} | scanner,
        "metadata": {"scanStartedOn": "2026-11-23T09:06:00Z", "scanFinishedOn": "2026-11-23T09:07:00Z"},
    }


REPORTS: Mapping[str, tuple[dict[str, Any], datetime | None, tuple[Vulnerability, ...]]] = {
    "grype": (
        GRYPE,
        datetime(2026, 11, 22, tzinfo=UTC),
        (
            Vulnerability(id="CVE-2026-1", severity="high", score=81, package="pkg:pypi/a@1.0", fix="1.2"),
            Vulnerability(id="CVE-2026-2", severity="low", score=None, package="b@3", fix=None),
        ),
    ),
    "trivy": (
        TRIVY,
        None,
        (
            Vulnerability(id="CVE-2026-1", severity="high", score=81, package="pkg:pypi/a@1.0", fix="1.2"),
            Vulnerability(id="CVE-2026-2", severity="low", score=None, package="b@3", fix=None),
        ),
    ),
    "osv-scanner": (
        OSV,
        None,
        (
            Vulnerability(id="GHSA-1", severity="high", score=81, package="a@1.0", fix="1.2"),
            Vulnerability(id="PYSEC-2", severity="unknown", score=None, package="a@1.0", fix=None),
        ),
    ),
}


@pytest.mark.parametrize(("report", "database", "found"), REPORTS.values(), ids=REPORTS)
def test_a_scanners_own_report_says_package_and_fix(
    report: dict[str, Any], database: datetime | None, found: tuple[Vulnerability, ...]
) -> None:
    scan = read_cosign_scan(wrapped(report))
    assert scan is not None
    assert scan.vulnerabilities == found
    assert scan.database_updated == database
    assert scan.finished == datetime(2026, 11, 23, 9, 7, tzinfo=UTC)


def test_the_wrapper_knows_the_database_better_than_the_report() -> None:
    scan = read_cosign_scan(wrapped(GRYPE, db={"lastUpdate": "2026-11-21T00:00:00Z"}))
    assert scan is not None
    assert scan.database_updated == datetime(2026, 11, 21, tzinfo=UTC)


def test_times_of_the_year_one_are_not_stated() -> None:
    unset = {"scanStartedOn": "0001-01-01T00:00:00Z", "scanFinishedOn": "0001-01-01T00:00:00Z"}
    scan = read_cosign_scan(wrapped(TRIVY) | {"metadata": unset})
    assert scan is not None
    assert (scan.started, scan.finished) == (None, None)


def test_a_word_that_is_unknown_leaves_the_rating_to_the_score() -> None:
    report = json.loads(json.dumps(GRYPE))
    report["matches"][0]["vulnerability"]["severity"] = "Unknown"
    scan = read_cosign_scan(wrapped(report))
    assert scan is not None
    assert scan.vulnerabilities[0].severity == "high"


@pytest.mark.parametrize("report", [{}, [], None, "text", {"Issues": []}], ids=["empty", "list", "null", "text", "own"])
def test_a_report_of_no_known_scanner_says_nothing(report: Any) -> None:
    assert read_cosign_scan(wrapped(report)) is None


NO_REPORTS: Mapping[str, Any] = {
    "grype without its list": {"matches": None, "descriptor": {}},
    "a match of nothing": {"matches": [{}], "descriptor": {}},
    "trivy that scanned nothing": {"SchemaVersion": 2, "Results": []},
    "trivy without results": {"SchemaVersion": 2},
    "osv without a list": {"results": None},
    "a score that is text": {**TRIVY, "Results": [{"Vulnerabilities": [{"VulnerabilityID": "1", "PkgName": 1}]}]},
    "an id with a control character": {
        "results": [{"packages": [{"package": {"name": "a"}, "vulnerabilities": [{"id": "\x1b"}]}]}]
    },
}


@pytest.mark.parametrize("report", NO_REPORTS.values(), ids=NO_REPORTS)
def test_a_report_that_does_not_say_what_was_found_is_refused(report: Any) -> None:
    with pytest.raises(Malformed):
        read_report(report)


@settings(max_examples=60)
@given(st.sampled_from([GRYPE, TRIVY, OSV]), st.data())
def test_whatever_stands_in_a_report_it_is_read_or_refused(report: dict[str, Any], data: st.DataObject) -> None:
    value = json.loads(json.dumps(report))
    place: Any = value
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list):
            place[key] = data.draw(st.sampled_from([None, 0, -1, 1e15, "", "x", "9.9.9", [], {}, [None], {"a": {}}]))
            break
        place = place[key]
    with suppress(Malformed):
        read_report(value)
