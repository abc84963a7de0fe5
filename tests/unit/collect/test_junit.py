# SPDX-License-Identifier: Apache-2.0
"""JUnit reports: how each test ended, and which reports are not believed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from signer.collect import junit
from signer.collect.junit import TestRun, read_junit, run_predicate
from signer.errors import Malformed
from signer.formats.test_result import read_test_report

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="unit" errors="1" failures="1" skipped="1" tests="4">
  <testcase classname="shop.cart" name="adds" time="0.1"/>
  <testcase classname="shop.cart" name="pays"><failure message="no">at line 3</failure></testcase>
  <testcase classname="shop.cart" name="ships"><error message="boom"/></testcase>
  <testcase classname="shop.cart" name="waits"><skipped/></testcase>
</testsuite></testsuites>"""


def suite(inner: str, attributes: str = 'name="unit"') -> bytes:
    return f"<testsuite {attributes}>{inner}</testsuite>".encode()


def test_each_test_is_told_by_how_it_ended() -> None:
    run = read_junit([PYTEST])
    assert run == TestRun(
        suites=["unit"],
        passed=["shop.cart.adds"],
        failed=["shop.cart.pays", "shop.cart.ships"],
        skipped=["shop.cart.waits"],
    )


def test_the_predicate_reads_back_as_a_test_report() -> None:
    predicate = run_predicate(read_junit([PYTEST]), suites=(), url="https://ci.example/1")
    report = read_test_report(predicate)
    assert (report.result, report.suites, report.passed, report.failed) == ("FAILED", ("unit",), 1, 2)
    assert predicate["url"] == "https://ci.example/1"


def test_reports_of_one_run_are_added_up_and_a_given_name_replaces_theirs() -> None:
    run = read_junit([suite('<testcase name="a"/>'), suite('<testcase name="b"/>', 'name="other"')])
    assert run_predicate(run, suites=(), url=None)["configuration"] == [{"name": "other"}, {"name": "unit"}]
    predicate = run_predicate(run, suites=("release",), url=None)
    assert predicate["configuration"] == [{"name": "release"}]
    assert (predicate["result"], predicate["passedTests"]) == ("PASSED", ["a", "b"])


BELIEVED: dict[str, tuple[str, str, list[str], list[str]]] = {
    "what breaks outside a case is a failure": (
        '<testcase name="a"/><error message="no database"/>',
        'name="unit"',
        ["a"],
        ["no database of a suite"],
    ),
    "inner suites are not counted twice": (
        '<testsuite failures="1"><testcase name="a"><failure/></testcase></testsuite>',
        'failures="1"',
        [],
        ["a"],
    ),
    "a failure wins over a skip": ('<testcase name="a"><failure/><skipped/></testcase>', "", [], ["a"]),
    "output is not read": ('<testcase name="a"><system-out>&lt;failure/&gt;</system-out></testcase>', "", ["a"], []),
    "a name is one line": ('<testcase name="a&#10;b&#x202e;"/>', "", ["a\\nb\\u202e"], []),
}


@pytest.mark.parametrize(("inner", "attributes", "passed", "failed"), BELIEVED.values(), ids=BELIEVED.keys())
def test_a_report_says(inner: str, attributes: str, passed: list[str], failed: list[str]) -> None:
    run = read_junit([suite(inner, attributes)])
    assert (run.passed, run.failed) == (passed, failed)


def test_a_long_name_is_cut_and_ends_with_the_hash_of_the_whole() -> None:
    one, two = read_junit([suite(f'<testcase name="{"x" * 999}"/><testcase name="{"x" * 998}"/>')]).passed
    assert len(one) == len(two) == junit.MAX_TEST_NAME
    assert one != two


ENTITY = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
LAUGHS = b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'

REFUSED: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "report-malformed", "no element found"),
    "no XML": (b"ok\n", "report-malformed", "line 1"),
    "a torn report": (PYTEST[:300], "report-malformed", "line"),
    "another document": (b"<html/>", "report-malformed", "neither testsuites nor testsuite"),
    "an outer entity": (ENTITY + suite('<testcase name="a">&x;</testcase>'), "report-malformed", "document type"),
    "entities of entities": (LAUGHS + suite('<testcase name="&b;"/>'), "report-malformed", "document type"),
    "an entity from nowhere": (suite('<testcase name="a">&x;</testcase>'), "report-malformed", "undefined entity"),
    "UTF-16": (PYTEST.decode().encode("utf-16"), "report-malformed", "not UTF-8"),
    "depth": (b"<testsuite>" * 40 + b"</testsuite>" * 40, "report-malformed", "deeper"),
    "a case in a case": (suite('<testcase name="a"><testcase name="b"/></testcase>'), "report-malformed", "inside"),
    "a case without a name": (suite("<testcase/>"), "report-malformed", "no name"),
    "more failures than it shows": (suite('<testcase name="a"/>', 'failures="1"'), "report-malformed", "counts 1"),
    "a number that is none": (suite('<testcase name="a"/>', 'errors="-1"'), "report-malformed", "no number"),
    "no test": (suite(""), "report-empty", "no test ran"),
    "skipped tests alone": (suite('<testcase name="a"><skipped/></testcase>'), "report-empty", "no test ran"),
}


@pytest.mark.parametrize(("data", "code", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_a_report_that_cannot_be_believed_is_refused(data: bytes, code: str, why: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_junit([data])
    assert refused.value.code == code
    assert why in refused.value.detail
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("bound", "data"),
    [("MAX_REPORT", PYTEST), ("MAX_CASES", PYTEST)],
)
def test_a_report_is_bounded(monkeypatch: pytest.MonkeyPatch, bound: str, data: bytes) -> None:
    monkeypatch.setattr(junit, bound, 2)
    with pytest.raises(Malformed) as refused:
        read_junit([data])
    assert refused.value.code == "too-large"


def mutated(data: bytes) -> st.SearchStrategy[bytes]:
    change: Callable[[tuple[int, bytes]], bytes] = lambda edit: data[: edit[0]] + edit[1] + data[edit[0] + 1 :]  # noqa: E731
    return st.tuples(st.integers(0, len(data) - 1), st.binary(max_size=4)).map(change)


@given(st.one_of(st.binary(max_size=200), mutated(PYTEST)))
def test_no_bytes_make_it_fail_otherwise(data: bytes) -> None:
    with suppress(Malformed):
        read_junit([data])
