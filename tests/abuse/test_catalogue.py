# SPDX-License-Identifier: Apache-2.0
"""Every abuse case has a test, or a reason; the threat model says the same."""

from __future__ import annotations

from tests.abuse.catalogue import BEGIN, CASES, END, GROUPS, NOT_YET, PAGE, known_tests, page


def test_every_case_has_a_test_or_a_reason_and_never_both() -> None:
    assert len(CASES) == 89
    assert {case[0] for case in CASES} == set(GROUPS)
    tested = set(known_tests())
    assert tested - set(CASES) == set(), "a test of a case that the catalogue lacks"
    assert set(NOT_YET) - set(CASES) == set()
    assert set(CASES) - tested - set(NOT_YET) == set(), "neither a test nor a reason"
    assert tested & set(NOT_YET) == set(), "there is a test: remove the reason"
    assert all(NOT_YET.values())


def test_the_threat_model_shows_every_case() -> None:
    text = PAGE.read_text("utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text == page(text), "run python -m tests.abuse.catalogue"
