# SPDX-License-Identifier: Apache-2.0
"""`signer release show` and `signer findings`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.conftest import FakeAuthority, Signer

DIGEST = f"sha256:{'9c' * 32}"
FINDING: dict[str, Any] = {
    "id": "F2",
    "status": "found",
    "title": "provenance was not verified at the deployment",
    "detail": "provenance is stored, and the deployment had no gate",
    "environment": "production",
    "leaves": [9],
    "evidence": ["ab" * 32],
    "remedy": "put `signer gate` right before the deployment",
    "digest": DIGEST,
}
UNKNOWN = {"id": "F7", "title": "t", "detail": "no counter of a device is configured", "remedy": "r"}


def test_findings_are_told_with_what_to_do_and_stop_a_pipeline(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [
        {"findings": [FINDING], "unknown": [UNKNOWN], "next": 9},
        {"findings": [FINDING], "unknown": [UNKNOWN], "next": None},
    ]
    run = signer("findings", "--since", "30d", "--environment", "production")
    assert run.code == 10
    assert run.out.count("F2") == 1
    assert "seen sha256:" in run.out
    assert "fix  put `signer gate`" in run.out
    assert "F7 UNKNOWN" in run.out
    filters = [asked[1][0] for asked in authority.asked]
    assert [isinstance(each, dict) and each.get("before") for each in filters] == [None, "9"]


def test_what_is_clean_exits_with_zero_and_says_what_nobody_can_tell(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [{"findings": [], "unknown": [UNKNOWN], "next": None}]
    run = signer("findings", "-o", "json")
    assert (run.code, run.document["result"], run.document["unknown"]) == (0, "clean", [UNKNOWN])


@pytest.mark.parametrize("answer", [{}, {"findings": 7, "unknown": []}, {"findings": ["x"], "unknown": []}])
def test_an_answer_that_is_none_is_not_clean(signer: Signer, authority: FakeAuthority, answer: dict[str, Any]) -> None:
    authority.answers = [answer]
    assert signer("findings").code == 20


def test_a_release_is_shown(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [
        {
            "digest": DIGEST,
            "names": ["shop.tar"],
            "environments": [
                {
                    "policy": "demo",
                    "version": 3,
                    "environment": "release",
                    "status": "signed",
                    "levels": {"build": "better", "source": None},
                    "needs": {"build": "strong: BLD-9 (build.isolation)"},
                    "questions": [{"question": "Is rollback defined?", "answer": "unknown", "good": False, "why": "w"}],
                }
            ],
            "timeline": [{"leaf": 7, "time": "2026-11-23T10:00:00Z", "what": "decision", "detail": "allow"}],
            "findings": [FINDING],
        }
    ]
    run = signer("release", "show", DIGEST)
    assert run.code == 0, run.err
    for said in ("shop.tar", "next strong: BLD-9", "!! Is rollback defined? unknown", "leaf      7", "F2"):
        assert said in run.out
    assert authority.asked[0][1] == ("9c" * 32,)
