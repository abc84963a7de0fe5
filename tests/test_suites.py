# SPDX-License-Identifier: Apache-2.0
"""The runner itself: what it counts, and that a suite that ran nothing is a failure."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests import suites
from tests.suites import ROOT, SUITES, Result, read_report, run_suite, table

REPORT = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" tests="5">
<testcase name="a"/>
<testcase name="b"><failure message="assert 1 == 2"/></testcase>
<testcase name="c"><error message="fixture"/></testcase>
<testcase name="d"><skipped type="pytest.skip" message="no vectors here"/></testcase>
<testcase name="e"><skipped type="pytest.skip" message="no vectors here"/></testcase>
</testsuite></testsuites>"""


def test_a_report_counts_errors_as_failures_and_keeps_reasons_of_skips() -> None:
    assert read_report(REPORT) == (1, 2, Counter({"no vectors here": 2}))


def test_the_last_line_is_the_sum_and_each_skip_reason_stands_before_it() -> None:
    lines = list(
        table(
            [
                Result(name="lint", ok=True, seconds=1.0),
                Result(name="unit", ok=True, seconds=2.0, passed=7, skips=Counter({"no vectors here": 2})),
                Result(name="e2e", ok=False, seconds=3.0, passed=1, failed=4),
            ]
        )
    )
    assert lines[-1] == "8 passed, 4 failed, 2 skipped"
    assert lines[-2] == "skipped in unit: 2 x no vectors here"
    assert [line.split()[0] for line in lines if line.endswith("FAILED")] == ["e2e"]


@pytest.mark.parametrize(
    ("body", "ok", "passed", "failed"),
    [
        pytest.param("def test_one(): pass", True, 1, 0, id="one test that passes"),
        pytest.param("def test_one(): raise ValueError", False, 0, 1, id="one test that fails"),
        pytest.param(
            "import pytest\n@pytest.mark.skip(reason='why')\ndef test_one(): pass", False, 0, 0, id="only skips"
        ),
        pytest.param("", False, 0, 0, id="no test at all"),
        pytest.param("this is not Python", False, 0, 1, id="a file that cannot be collected"),
    ],
)
def test_a_suite_passes_only_when_it_ran_a_test_and_none_failed(
    tmp_path: Path, body: str, ok: bool, passed: int, failed: int
) -> None:
    (tmp_path / "test_sample.py").write_text(body, encoding="utf-8")
    result = run_suite("sample", [str(tmp_path)])
    assert (result.ok, result.passed, result.failed) == (ok, passed, failed)


def test_a_missing_folder_fails_the_suite(tmp_path: Path) -> None:
    assert not run_suite("sample", [str(tmp_path / "absent")]).ok


def test_every_test_file_belongs_to_exactly_one_suite() -> None:
    owners = Counter(
        str(test.relative_to(ROOT))
        for paths in SUITES.values()
        for path in paths
        for test in ([ROOT / path] if path.endswith(".py") else (ROOT / path).rglob("test_*.py"))
    )
    assert {str(test.relative_to(ROOT)) for test in (ROOT / "tests").rglob("test_*.py")} == set(owners)
    assert set(owners.values()) == {1}


def test_an_unknown_suite_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as ended:
        suites.main(["no-such-suite"])
    assert ended.value.code == 2
