# SPDX-License-Identifier: Apache-2.0
"""Traps of policy engines: each was seen in a real product, and each is kept out of this one by a named test."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

TRAPS: Mapping[str, str] = {
    "01": "a denial that tells how to turn the rule off",
    "02": "rules that win over each other by a score of how specific they are",
    "03": "policies that count as the same although a digest in them differs",
    "04": "an instant of judgement that the caller chooses",
    "05": "a rule that counts as skipped until it recognises its input",
    "06": "a flag with which a pipeline lets itself past",
    "07": "exemptions that a pipeline can add to",
    "08": "code in a policy, where no reviewer can read it",
    "09": "an allow-list that never ends",
    "10": "an exempted rule that is not evaluated any more",
    "11": "several copies of the code that says whether an exception applies",
    "12": "one reviewer of many who is enough for all of them",
    "13": "a list of approvers in a file that the author can edit",
    "14": "an approval by timeout",
    "15": "administrators who pass a freeze unseen",
    "16": "a dry run that always ends with 0",
    "17": "an exit code whose meaning is to change some day",
    "18": "a judging server that asks nobody who calls, or that needs a restart for a new policy",
    "19": "a forbidding rule that is skipped when it raises",
    "20": "a negation that is true because of a typing error",
    "21": "an alternative that swallows the error of the other side",
}
"""Number of a trap → what it is."""

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ELSEWHERE: Mapping[str, str] = {
    "16": "tests/unit/cli/test_sign.py::test_a_check_ends_with_the_same_codes",
    "18": "tests/unit/web/test_routes.py::test_every_resource_but_the_open_ones_asks_who_calls",
}
"""Number → the test that stands with what it is about, instead of in test_traps.py."""


def functions(path: Path) -> Iterator[str]:
    """Names of the test functions in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name


def bearing() -> Mapping[str, list[str]]:
    """Number → the tests of test_traps.py that bear it."""
    found: dict[str, list[str]] = {}
    for name in functions(HERE / "test_traps.py"):
        _, mark, rest = name.partition("test_trap_")
        if mark:
            found.setdefault(rest[:2], []).append(name)
    return found
