# SPDX-License-Identifier: Apache-2.0
"""JUnit XML reports, which every test runner can write, as an in-toto test-result predicate.

    <testsuites><testsuite name="unit" tests="2" failures="1">
      <testcase classname="shop.cart" name="adds"/>
      <testcase classname="shop.cart" name="pays"><failure message="…"/></testcase>
    </testsuite></testsuites>

The report is read as a stream, in UTF-8, without a document type: no entity is declared, none is expanded, nothing is
fetched. A report that counts more failures than it shows is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from xml.parsers import expat

from signer.errors import Malformed
from signer.formats.shape import one_line

MAX_REPORT = 16 * 1024 * 1024
MAX_CASES = 100_000
MAX_DEPTH = 32
MAX_TEST_NAME = 256

Outcome: TypeAlias = Literal["passed", "failed", "skipped"]
_SUITES = ("testsuites", "testsuite")


@dataclass(slots=True)
class TestRun:
    """The tests of one or more reports, by how they ended."""

    __test__ = False

    suites: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def read_junit(reports: Iterable[bytes]) -> TestRun:
    """Read reports into one run; raises Malformed, also when no test ran at all."""
    run = TestRun()
    for data in reports:
        _Reader(run).read(data)
    if not run.passed and not run.failed:
        raise Malformed(
            "report-empty",
            "no test ran: the reports hold no test case that passed or failed",
            remedy="check that the test step wrote its report, and that it did not skip everything",
        )
    return run


def run_predicate(run: TestRun, *, suites: Sequence[str], url: str | None) -> Mapping[str, Any]:
    """The predicate that states `run`; `suites` stand in the place of the names that the reports give."""
    names = sorted(set(suites or run.suites or ("tests",)))
    return {
        "result": "FAILED" if run.failed else "PASSED",
        "configuration": [{"name": name} for name in names],
        "passedTests": sorted(run.passed),
        "failedTests": sorted(run.failed),
        **({} if url is None else {"url": url}),
    }


class _Reader:
    """Reads one report into a run; expat calls it for each tag."""

    def __init__(self, run: TestRun) -> None:
        self._run = run
        self._cases = 0
        self._path: list[str] = []
        self._case: tuple[str, Outcome] | None = None
        self._announced = 0
        self._failures = 0

    def read(self, data: bytes) -> None:
        if len(data) > MAX_REPORT:
            raise Malformed("too-large", f"a test report is at most {MAX_REPORT} bytes", remedy="split the report")
        parser = expat.ParserCreate("utf-8")
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        try:
            data.decode("utf-8")  # expat would follow a byte order mark into another encoding
            parser.Parse(data, True)
        except UnicodeDecodeError as fault:
            raise _malformed(f"byte {fault.start}: not UTF-8") from None
        except expat.ExpatError as fault:
            raise _malformed(f"line {fault.lineno}: {expat.ErrorString(fault.code)}") from None
        if self._announced > self._failures:
            raise _malformed(f"it counts {self._announced} failures and shows {self._failures}")

    def _doctype(self, *_: object) -> None:
        raise _malformed("it declares a document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name not in _SUITES:
            raise _malformed("its first element is neither testsuites nor testsuite")
        self._path.append(name)
        if len(self._path) > MAX_DEPTH:
            raise _malformed(f"it is nested deeper than {MAX_DEPTH} levels")
        match name:
            case "testsuite":
                self._suite(attributes)
            case "testcase":
                self._open(attributes)
            case "failure" | "error":
                self._fault(name, attributes)
            case "skipped" if self._case is not None and self._case[1] == "passed":
                self._case = (self._case[0], "skipped")
            case _:
                pass

    def _suite(self, attributes: Mapping[str, str]) -> None:
        if "testsuite" not in self._path[:-1]:
            # Inner suites count again what the outer one has counted.
            self._announced += sum(_count(attributes, kind) for kind in ("failures", "errors"))
        if attributes.get("name"):
            self._run.suites.append(_name(attributes["name"]))

    def _open(self, attributes: Mapping[str, str]) -> None:
        if self._case is not None:
            raise _malformed("a test case stands inside another one")
        if not attributes.get("name"):
            raise _malformed("a test case has no name")
        self._case = (_name(".".join(filter(None, map(attributes.get, ("classname", "name"))))), "passed")

    def _fault(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._case is not None:
            self._case = (self._case[0], "failed")
        elif self._path[-2:-1] == ["testsuite"]:
            # What broke outside any case, such as a suite that could not be set up.
            self._count("failed", _name(f"{attributes.get('message') or name} of a suite"))

    def _end(self, name: str) -> None:
        self._path.pop()
        if name == "testcase" and self._case is not None:
            test, outcome = self._case
            self._case = None
            self._count(outcome, test)

    def _count(self, outcome: Outcome, test: str) -> None:
        self._cases += 1
        if self._cases > MAX_CASES:
            raise Malformed("too-large", f"a report holds at most {MAX_CASES} test cases", remedy="split the report")
        self._failures += outcome == "failed"
        {"passed": self._run.passed, "failed": self._run.failed, "skipped": self._run.skipped}[outcome].append(test)


def _name(text: str) -> str:
    """`text` as one printable line; a long one is cut and ends with the hash of the whole."""
    line = one_line(text)
    if len(line) <= MAX_TEST_NAME:
        return line
    return f"{line[: MAX_TEST_NAME - 18]}… {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _count(attributes: Mapping[str, str], name: str) -> int:
    text = attributes.get(name) or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 9:  # noqa: PLR2004 - far more than any report holds
        raise _malformed(f"its number of {name} is no number")
    return int(text)


def _malformed(why: str) -> Malformed:
    return Malformed(
        "report-malformed",
        f"the test report is not JUnit XML that can be believed: {why}",
        remedy="write it again, whole, as JUnit XML in UTF-8 (pytest --junitxml, gotestsum --junitfile, surefire)",
    )
