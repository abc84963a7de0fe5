# SPDX-License-Identifier: Apache-2.0
"""in-toto test-result v0.1: which tests ran and how they ended.

{"result":"PASSED","configuration":[{"name":"unit"}],"passedTests":["a","b"],"failedTests":[]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from signer.errors import Malformed
from signer.formats.shape import read_shape, require_printable

PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestReport:
    """One run; `suites` are the names of its configurations, sorted, or their URIs where a name is absent."""

    __test__ = False

    result: Literal["PASSED", "WARNED", "FAILED"]
    suites: tuple[str, ...]
    passed: int
    failed: int


class _Configuration(msgspec.Struct):
    name: str | None = None
    uri: str | None = None


class _Predicate(msgspec.Struct, rename="camel"):
    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: list[_Configuration]
    passed_tests: list[str] | None = None
    failed_tests: list[str] | None = None


def read_test_report(predicate: Mapping[str, Any]) -> TestReport:
    """Read the predicate of a verified statement; raises Malformed."""
    wire = read_shape(dict(predicate), _Predicate, what="test result")
    if wire.result == "PASSED" and wire.failed_tests:
        raise Malformed("evidence-invalid", "the test result is PASSED and lists failed tests")
    suites = {entry.name or entry.uri or "" for entry in wire.configuration} - {""}
    return TestReport(
        result=wire.result,
        suites=tuple(sorted(require_printable(suite, what="name of a test configuration") for suite in suites)),
        passed=len(wire.passed_tests or ()),
        failed=len(wire.failed_tests or ()),
    )
