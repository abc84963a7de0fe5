# SPDX-License-Identifier: Apache-2.0
"""Scans, test results, inventories and opaque documents."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from signer.errors import Malformed
from signer.formats.opaque import KINDS, opaque_document
from signer.formats.spdx import is_spdx, read_spdx
from signer.formats.test_result import read_test_report
from signer.formats.vulns import read_scan

SCAN: dict[str, Any] = {
    "scanner": {
        "uri": "https://example.com/scanner",
        "version": "1",
        "db": {"uri": "https://example.com/db", "lastUpdate": "2026-11-22T00:00:00Z"},
        "result": [],
    },
    "metadata": {"scanStartedOn": "2026-11-23T09:06:00Z", "scanFinishedOn": "2026-11-23T09:07:00Z"},
}


def scan(*results: Any) -> dict[str, Any]:
    copy = deepcopy(SCAN)
    copy["scanner"]["result"] = list(results)
    return copy


def rating(score: Any, method: str = "nvd") -> dict[str, Any]:
    return {"method": method, "score": score}


def test_an_empty_result_says_that_nothing_was_found() -> None:
    found = read_scan(SCAN)
    assert found.vulnerabilities == ()
    assert found.database_updated == datetime(2026, 11, 22, tzinfo=UTC)
    assert found.finished == datetime(2026, 11, 23, 9, 7, tzinfo=UTC)


SEVERITIES = [
    pytest.param([rating("high")], "high", None, id="a word"),
    pytest.param([rating("HIGH")], "high", None, id="an upper-case word"),
    pytest.param([rating("important")], "high", None, id="a vendor's word"),
    pytest.param([rating("9.8")], "critical", 98, id="a score"),
    pytest.param([rating("10")], "critical", 100, id="the highest score"),
    pytest.param([rating("10.0")], "critical", 100, id="the highest score with a decimal"),
    pytest.param([rating("7.0")], "high", 70, id="the lowest high score"),
    pytest.param([rating("6.99")], "medium", 69, id="further digits are cut off"),
    pytest.param([rating("0.0")], "none", 0, id="no risk"),
    pytest.param([rating("low"), rating("9.1", "cvss_score")], "critical", 91, id="the worst of two counts"),
    pytest.param([rating("3.0"), rating("8.0")], "high", 80, id="the highest score counts"),
    pytest.param(rating("medium"), "medium", None, id="an object instead of a list"),
    pytest.param([], "unknown", None, id="no rating"),
    pytest.param(None, "unknown", None, id="null"),
    pytest.param([rating("CVSS:3.1/AV:N/AC:L")], "unknown", None, id="a vector"),
    pytest.param([rating("10.1")], "unknown", None, id="a score beyond ten"),
    pytest.param([rating("-1")], "unknown", None, id="a negative score"),
    pytest.param([rating("\uff19.8")], "unknown", None, id="a digit outside ASCII"),
    pytest.param([rating("h\u0456gh")], "unknown", None, id="a look-alike word"),
    pytest.param([rating("low"), rating("serious")], "unknown", None, id="an unreadable rating is not hidden by low"),
]


@pytest.mark.parametrize(("stated", "severity", "score"), SEVERITIES)
def test_severity(stated: Any, severity: str, score: int | None) -> None:
    [found] = read_scan(scan({"id": "CVE-2026-31337", "severity": stated})).vulnerabilities
    assert (found.id, found.severity, found.score) == ("CVE-2026-31337", severity, score)


def without(base: dict[str, Any], *path: str) -> dict[str, Any]:
    copy = deepcopy(base)
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return copy


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param({}, id="E06 empty"),
        pytest.param(without(SCAN, "scanner"), id="E06 no scanner"),
        pytest.param(without(SCAN, "scanner", "uri"), id="E06 no scanner uri"),
        pytest.param(without(SCAN, "scanner", "result"), id="E06 no result: that is not an empty one"),
        pytest.param(without(SCAN, "scanner", "db"), id="E06 no database"),
        pytest.param(without(SCAN, "scanner", "db", "lastUpdate"), id="E06 no database date"),
        pytest.param(without(SCAN, "metadata"), id="E06 no times"),
        pytest.param(without(SCAN, "metadata", "scanFinishedOn"), id="E06 no finish"),
        pytest.param(scan({"severity": []}), id="a finding without id"),
        pytest.param(scan({"id": ""}), id="a finding with an empty id"),
        pytest.param(scan({"id": "CVE\u202e"}), id="a finding whose id turns text around"),
        pytest.param(scan({"id": "a", "severity": "high"}), id="a severity that is text"),
        pytest.param(scan({"id": "a", "severity": [rating(9.8)]}), id="P07 a score that is a number"),
        pytest.param(scan("CVE-1"), id="a finding that is text"),
    ],
)
def test_refuses_the_scan(predicate: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read_scan(predicate)


def test_reads_a_test_result() -> None:
    found = read_test_report(
        {
            "result": "FAILED",
            "configuration": [
                {"name": "unit"},
                {"uri": "https://example.com/it"},
                {"digest": {"sha256": "a"}},
                {"name": "unit"},
            ],
            "passedTests": ["a", "b"],
            "warnedTests": ["d"],
            "failedTests": ["c"],
        }
    )
    assert (found.result, found.suites, found.passed, found.failed) == (
        "FAILED",
        ("https://example.com/it", "unit"),
        2,
        1,
    )


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param({}, id="E06 empty"),
        pytest.param({"result": "PASSED"}, id="E06 no configuration"),
        pytest.param({"configuration": []}, id="E06 no result"),
        pytest.param({"result": "passed", "configuration": []}, id="a lower-case result"),
        pytest.param({"result": "SKIPPED", "configuration": []}, id="an unknown result"),
        pytest.param({"result": True, "configuration": []}, id="P07 a result that is true"),
        pytest.param({"result": "PASSED", "configuration": [], "failedTests": ["a"]}, id="passed with failures"),
        pytest.param({"result": "PASSED", "configuration": [], "failedTests": 1}, id="a count instead of names"),
        pytest.param({"result": "PASSED", "configuration": [{"name": "a\x00"}]}, id="a name with a control character"),
    ],
)
def test_refuses_the_test_result(predicate: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read_test_report(predicate)


SPDX_2: dict[str, Any] = {"spdxVersion": "SPDX-2.3", "packages": [{"name": "a"}, {"name": "b"}]}
SPDX_3: dict[str, Any] = {
    "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
    "@graph": [
        {"type": "CreationInfo", "specVersion": "3.0.1"},
        {"type": "software_Package", "name": "a"},
        {"type": "software_File", "name": "b"},
    ],
}


@pytest.mark.parametrize(
    ("kind", "predicate", "version", "components"),
    [
        pytest.param("https://spdx.dev/Document", SPDX_2, "2.3", 2, id="the type that cosign uses"),
        pytest.param("https://spdx.dev/Document/v2.3", SPDX_2, "2.3", 2, id="the type with its version"),
        pytest.param("https://spdx.dev/Document", {"spdxVersion": "SPDX-2.2"}, "2.2", 0, id="no packages"),
        pytest.param("https://spdx.dev/Document/v3", SPDX_3, "3.0.1", 1, id="SPDX 3"),
        pytest.param("https://spdx.dev/Document", SPDX_3, "3.0.1", 1, id="SPDX 3 without version in the type"),
    ],
)
def test_reads_spdx(kind: str, predicate: dict[str, Any], version: str, components: int) -> None:
    assert is_spdx(kind)
    found = read_spdx(kind, predicate)
    assert (found.version, found.components) == (version, components)


@pytest.mark.parametrize(
    "kind",
    [
        "https://spdx.dev/Document/v4",
        "https://spdx.dev/Document/",
        "https://spdx.dev/Documents",
        "https://spdx.dev/Document/v2.3/x",
        "https://cyclonedx.org/bom",
        "xhttps://spdx.dev/Document",
    ],
)
def test_other_types_are_not_spdx(kind: str) -> None:
    assert not is_spdx(kind)


@pytest.mark.parametrize(
    ("kind", "predicate"),
    [
        pytest.param("https://spdx.dev/Document", {}, id="E06 empty"),
        pytest.param("https://spdx.dev/Document", {"spdxVersion": "SPDX-1.2"}, id="an old version"),
        pytest.param("https://spdx.dev/Document", {"spdxVersion": "2.3"}, id="a version without prefix"),
        pytest.param("https://spdx.dev/Document/v3", SPDX_2, id="E05 version 2 declared as 3"),
        pytest.param("https://spdx.dev/Document/v2.3", SPDX_3, id="E05 version 3 declared as 2"),
        pytest.param("https://spdx.dev/Document", {**SPDX_2, "packages": {}}, id="packages that are an object"),
        pytest.param("https://spdx.dev/Document", {**SPDX_2, "packages": [{}]}, id="a package without name"),
        pytest.param("https://spdx.dev/Document", {"@graph": []}, id="SPDX 3 without version"),
        pytest.param("https://spdx.dev/Document", {"@graph": ["x"]}, id="an element that is text"),
        pytest.param("https://cyclonedx.org/bom", SPDX_2, id="another type"),
    ],
)
def test_refuses_spdx(kind: str, predicate: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read_spdx(kind, predicate)


SUBJECT = f"sha256:{'a' * 64}"


@pytest.mark.parametrize("kind", KINDS)
def test_keeps_a_document_of_a_known_kind(kind: str) -> None:
    found = opaque_document(b"log", kind=kind, media_type="text/plain", subjects=[SUBJECT])
    assert (found.kind, found.subjects) == (kind, ("a" * 64,))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"kind": "diary"}, id="an unknown kind"),
        pytest.param({"kind": ""}, id="no kind"),
        pytest.param({"media_type": "text"}, id="half a media type"),
        pytest.param({"media_type": "text/plain; charset=x"}, id="a media type with parameters"),
        pytest.param({"media_type": "text/plain\r\nX: 1"}, id="I6 a media type that breaks a header"),
        pytest.param({"subjects": []}, id="no subject"),
        pytest.param({"subjects": [SUBJECT, SUBJECT]}, id="a subject twice"),
        pytest.param({"subjects": ["a" * 64]}, id="P06 a digest without algorithm"),
        pytest.param({"subjects": [SUBJECT.upper()]}, id="P06 upper case"),
        pytest.param({"subjects": [f"sha512:{'a' * 128}"]}, id="another algorithm"),
        pytest.param({"data": bytes(1024 * 1024 + 1)}, id="too many bytes"),
    ],
)
def test_refuses_the_document(changes: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {
        "data": b"log",
        "kind": "build-log",
        "media_type": "text/plain",
        "subjects": [SUBJECT],
        **changes,
    }
    with pytest.raises(Malformed):
        opaque_document(arguments.pop("data"), **arguments)
