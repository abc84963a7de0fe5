# SPDX-License-Identifier: Apache-2.0
"""A check as a list of things to do: all of them, grouped, each with who and one command."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from signer.cli.todo import render_todo
from tests.unit.cli.conftest import Signer, answered, decision, finding
from tests.unit.cli.test_denial import ANYTHING, QUESTION

FINDINGS = [
    finding("APR-1", "waiting", remedy="people of sre approve this request; then the pipeline asks again: signer sign"),
    finding("BLD-1", "pass"),
    finding("FRZ-1", "frozen"),
    finding("TST-1", "unknown", remedy="the test job attaches its result: signer evidence add RESULT"),
    finding("VUL-1", "fail", remedy="the developer updates the component: signer sign --evidence SCAN"),
    finding("SRC-1", "pass"),
]
GOLDEN = """\
DENIED  sha256:121212121212…  shop.tar.gz -> release
 request 5d41402abc4b2a76b9719d911017c592  policy demo v3 (cdcdcdcdcdcd…)
 1 failed, 1 unknown, 1 frozen, 1 waiting, 2 passed; a check: nothing was recorded, nothing was signed

 to do    what failed
 [ ] VUL-1  the developer updates the component
       why    title of VUL-1
       found  found by VUL-1
       run    signer sign --evidence SCAN

 to do    what is missing or cannot be told
 [ ] TST-1  the test job attaches its result
       why    title of TST-1
       found  found by TST-1
       run    signer evidence add RESULT

 to do    what has to wait for the end of a freeze
 [ ] FRZ-1  remedy of FRZ-1
       why    title of FRZ-1
       found  found by FRZ-1

 to do    who still has to approve
 [ ] APR-1  people of sre approve this request; then the pipeline asks again
       why    title of APR-1
       found  found by APR-1
       run    signer sign

 done     BLD-1, SRC-1

 levels   artifact better, build none
 next     do what is listed, then run `signer check` again with the same options"""


def render(document: dict[str, Any]) -> str:
    return render_todo(document, paint=lambda text, _: text)


def test_a_check_reads_as_designed() -> None:
    assert render(decision("deny", FINDINGS, leaf=None)) == GOLDEN


def test_what_is_in_shadow_is_told_before_it_is_in_force() -> None:
    later = finding("SBM-2", "shadow", would="fail", remedy="the build job lists them: signer sign --evidence SBOM")
    shown = render(decision("allow", [finding("BLD-1", "pass"), later]))
    assert " later    what would stop it once the rule is in force\n [ ] SBM-2  the build job lists them\n" in shown
    assert "later" not in render(decision("allow", [finding("SBM-2", "shadow", would="pass")]))


def test_nothing_is_left_to_do_when_every_rule_passed() -> None:
    text = render(decision("allow", [finding("BLD-1", "pass")], leaf=None))
    assert text.startswith("ALLOWED")
    assert "to do" not in text
    assert "next" not in text


@pytest.mark.parametrize("place", ["title", "found", "remedy", "rule"])
def test_nothing_that_was_sent_can_draw_on_the_terminal(place: str) -> None:
    text = render(decision("deny", [finding("VUL-1", "fail", **{place: "\x1b[2J\nevil"})], leaf=None))
    assert "\x1b" not in text
    assert "\nevil" not in text


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(finding("X", "fail"), ANYTHING)), max_size=3))
@settings(max_examples=100)
def test_findings_of_any_shape_are_rendered(findings: list[dict[str, Any]]) -> None:
    document = decision("deny", [{"outcome": "fail", **each} for each in findings], questions=[QUESTION])
    assert isinstance(render(document), str)


def test_a_check_that_is_not_allowed_prints_the_list_and_exits_like_a_request(signer: Signer, authority: Any) -> None:
    authority.answers = [answered(403, "denied", decision=decision("deny", FINDINGS, leaf=None))]
    ended = signer(
        *("check", "--url", "https://sign.example", "--policy", "demo", "--environment", "release"),
        *("--subject", f"shop@sha256:{'12' * 32}"),
    )
    assert ended.code == 10
    assert "[ ] VUL-1  the developer updates the component" in ended.err
