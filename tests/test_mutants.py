# SPDX-License-Identifier: Apache-2.0
"""The driver of `make mutants`: which changes it makes, and that a trial tells a noticed change from none."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from tests.mutants.changes import sites

ROOT = Path(__file__).resolve().parent.parent

CODE = '''\
"""Text."""
LIMIT: int = 3


def judge(value: int, *, strict: bool = True) -> str:
    """Wording."""
    if value > LIMIT and strict:
        raise ValueError("too large by 1")
    try:
        return {"a": 1}[str(value)]
    except KeyError:
        print(f"{value} of 3")
        return "unknown" if value == 2 else "known"
'''


def changed(number: int) -> str:
    tree = ast.parse(CODE)
    sites(tree)[number].make()
    return ast.unparse(tree)


def test_each_kind_of_change_is_found_and_wording_is_left_alone() -> None:
    kinds = sorted(site.kind for site in sites(ast.parse(CODE)))
    assert kinds == [
        "and/or", "comparison", "comparison", "condition", "condition", "not called", "not raised", "number", "number",
        "number", "return", "return", "swallowed", "truth",
    ]  # fmt: skip


def test_each_change_makes_other_code_and_keeps_the_text() -> None:
    plain = ast.unparse(ast.parse(CODE))
    all_changed = [changed(number) for number in range(len(sites(ast.parse(CODE))))]
    assert len({plain, *all_changed}) == len(all_changed) + 1
    assert all("Wording." in text for text in all_changed)


def test_trials_notice_changes_and_nothing_else() -> None:
    # The program itself ends in error when a test fails on code that was not changed.
    words = (
        "-n",
        "2",
        "--path",
        "signer/formats/strict_base64.py",
        "--tests",
        "tests/unit/formats/test_strict_base64.py",
    )
    ran = subprocess.run(
        [sys.executable, "-m", "tests.mutants", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = re.search(r"^signer/formats/strict_base64.py +2 +([12])$", ran.stdout, re.MULTILINE)
    assert found is not None, ran.stdout
