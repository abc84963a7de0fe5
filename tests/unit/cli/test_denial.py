# SPDX-License-Identifier: Apache-2.0
"""The text of a decision: grouped, complete, safe for a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from signer.cli.denial import render_decision
from tests.unit.cli.conftest import decision, finding

GOLDEN = """\
DENIED  sha256:121212121212…  shop.tar.gz -> release
 request 5d41402abc4b2a76b9719d911017c592  policy demo v3 (cdcdcdcdcdcd…)
 1 failed, 1 unknown, 1 waived, 1 passed; nothing was signed

 x VUL-1  title of VUL-1  [artifact/better]
     required  required by VUL-1
     found     found by VUL-1
     evidence  sha256:abababababab… (bound by subject)
     fix       remedy of VUL-1
 ? TST-1  title of TST-1  [artifact/better]
     required  required by TST-1
     found     found by TST-1
     fix       remedy of TST-1
 ~ LIC-1  title of LIC-1  [artifact/better]
     required  required by LIC-1
     found     found by LIC-1
     evidence  sha256:abababababab… (bound by subject)
     fix       remedy of LIC-1
 next     fix what is listed, then send the same request again; stored evidence is kept
          signer explain 5d41402abc4b2a76b9719d911017c592 --rule VUL-1"""

FINDINGS = [
    finding("BLD-1", "pass"),
    finding("TST-1", "unknown", evidence=[], bound="none"),
    finding("LIC-1", "waived"),
    finding("VUL-1", "fail"),
]


def render(document: Any, **options: Any) -> str:
    return render_decision(document, paint=lambda text, _: text, **options)


def test_a_denial_reads_as_designed() -> None:
    assert render(decision("deny", FINDINGS)) == GOLDEN


def test_an_explanation_shows_every_rule_and_the_levels() -> None:
    text = render(decision("deny", FINDINGS), every=True)
    assert " + BLD-1  title of BLD-1" in text
    assert " levels   artifact better, build none" in text


def test_an_explanation_of_one_rule_shows_that_rule() -> None:
    text = render(decision("deny", FINDINGS), rule="BLD-1")
    assert "BLD-1" in text
    assert "VUL-1" not in text
    assert "no finding of the rule NONE-1" in render(decision("deny", FINDINGS), rule="NONE-1")


QUESTION = {
    "id": "source",
    "question": "Was it built from a reviewed and protected source change?",
    "answer": "unknown",
    "good": False,
    "why": "no rule asks for reviews",
    "rules": [],
}


def test_an_explanation_shows_the_six_answers_and_never_an_unknown_as_good() -> None:
    text = render(decision("deny", FINDINGS, questions=[QUESTION], answers="9a" * 32), every=True)
    assert " answers  sha256:9a9a9a9a9a9a…" in text
    assert " ! unknown  Was it built from a reviewed and protected source change?" in text
    assert "no rule asks for reviews" in text


@pytest.mark.parametrize(
    ("outcomes", "verdict", "head"),
    [
        (["pass", "frozen"], "deny", "FROZEN"),
        (["frozen", "waiting"], "deny", "FROZEN"),
        (["frozen", "unknown"], "deny", "DENIED"),
        (["frozen", "fail"], "deny", "DENIED"),
        (["pass", "waiting"], "hold", "WAITING"),
    ],
)
def test_the_head_says_what_stands_in_the_way_first(outcomes: list[str], verdict: str, head: str) -> None:
    findings = [finding(f"R-{index}", outcome) for index, outcome in enumerate(outcomes)]
    assert render(decision(verdict, findings)).startswith(head)


def test_an_outcome_is_told() -> None:
    text = render(decision("allow", FINDINGS[:1]), every=True, outcome={"status": "signed"})
    assert text.startswith("ALLOWED")
    assert "outcome signed" in text
    assert "next" not in text


def test_a_check_says_that_nothing_was_recorded() -> None:
    text = render(decision("deny", FINDINGS, leaf=None))
    assert "nothing was recorded" in text
    assert "signer check" in text


def test_a_finding_about_some_subjects_names_them() -> None:
    subjects = [{"name": f"part-{n}", "digest": {"sha256": f"{n:02d}" * 32}} for n in range(15)]
    one = finding("VUL-1", "fail", subjects=[1])
    many = finding("SBM-1", "fail", subjects=list(range(14)))
    text = render(decision("deny", [one, many], subjects=subjects))
    assert "     subject   part-1\n" in text
    assert "part-9, and 4 more" in text
    assert "and 5 more subjects" in text


@pytest.mark.parametrize("place", ["title", "required", "found", "remedy", "rule", "level"])
def test_nothing_that_was_sent_can_draw_on_the_terminal(place: str) -> None:
    text = render(decision("deny", [finding("VUL-1", "fail", **{place: "\x1b[2J\x07\u202eevil"})]))
    assert not any(char in text for char in "\x1b\x07\u202e")
    assert "evil" in text


def test_a_line_break_in_a_finding_cannot_forge_a_line() -> None:
    text = render(decision("deny", [finding("VUL-1", "fail", found="x\nALLOWED  everything")]))
    assert "\nALLOWED" not in text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(decision("deny", []), ANYTHING)))
@settings(max_examples=100)
def test_a_document_of_any_shape_is_rendered(document: dict[str, Any]) -> None:
    assert isinstance(render(document, every=True), str)


@given(st.lists(st.dictionaries(st.sampled_from(sorted(QUESTION)), ANYTHING)))
@settings(max_examples=100)
def test_questions_of_any_shape_are_rendered(questions: list[Any]) -> None:
    assert isinstance(render(decision("deny", [], questions=questions), every=True), str)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(finding("X", "fail"), ANYTHING)))
@settings(max_examples=100)
def test_a_finding_of_any_shape_is_rendered(found: dict[str, Any]) -> None:
    assert isinstance(render(decision("deny", [{"outcome": "fail", **found}]), every=True), str)


def test_a_waived_finding_says_by_which_waiver_whom_and_until_when() -> None:
    use = {
        "digest": "ef" * 32,
        "approved_by": "person:5f0c",
        "requested_by": "person:1111",
        "expires": "2026-12-20T00:00:00Z",
        "use": 2,
        "max_uses": 3,
    }
    text = render(decision("deny", [finding("VUL-1", "waived", waived_by=[use, "no use"])]))
    assert (
        "     waived    sha256:efefefefefef… until 2026-12-20T00:00:00Z (use 2 of 3), approved by person:5f0c\n" in text
    )


def test_the_command_of_a_remedy_names_the_request() -> None:
    remedy = "or appsec may waive it: signer waiver request --rule VUL-1 --decision REQUEST-ID"
    text = render(decision("deny", [finding("VUL-1", "fail", remedy=remedy)]))
    assert "signer waiver request --rule VUL-1 --decision 5d41402abc4b2a76b9719d911017c592\n" in text
