# SPDX-License-Identifier: Apache-2.0
"""A key's life is a fold over its events: who signs for a role, and who does no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from signer.ledger.key_life import active_key, key_lives, succession
from signer.ledger.rows import KeyRow

NOW = datetime(2026, 1, 23, tzinfo=UTC)

Step = tuple[str, str] | tuple[str, str, str]
"""(event, key) or (created, key, the role it succeeds in)."""

FIRST, SECOND, THIRD = ("created", "a"), ("created", "b", "a"), ("created", "c", "a")

LIVES: dict[str, tuple[list[Step], dict[str, str], str | None]] = {
    "a first key signs for its own name": ([FIRST], {"a": "active"}, "a"),
    "a successor waits": ([FIRST, SECOND], {"a": "active", "b": "next"}, "a"),
    "a rotation supersedes": ([FIRST, SECOND, ("rotated", "b")], {"a": "superseded", "b": "active"}, "b"),
    "a rotation can be taken back": (
        [FIRST, SECOND, ("rotated", "b"), ("rotated", "a")],
        {"a": "active", "b": "superseded"},
        "a",
    ),
    "a superseded key retires": (
        [FIRST, SECOND, ("rotated", "b"), ("retired", "a")],
        {"a": "retired", "b": "active"},
        "b",
    ),
    "a compromised key leaves its role empty": (
        [FIRST, SECOND, ("compromised", "a")],
        {"a": "compromised", "b": "next"},
        None,
    ),
    "the next key takes an empty role": (
        [FIRST, SECOND, ("compromised", "a"), ("rotated", "b")],
        {"a": "compromised", "b": "active"},
        "b",
    ),
    "a retired key can still turn out compromised": (
        [FIRST, ("retired", "a"), ("compromised", "a")],
        {"a": "compromised"},
        None,
    ),
    "a rotation leaves other roles alone": (
        [FIRST, ("created", "x"), SECOND, ("rotated", "b")],
        {"a": "superseded", "x": "active", "b": "active"},
        "b",
    ),
    "a third key skips the second": (
        [FIRST, SECOND, THIRD, ("rotated", "c")],
        {"a": "superseded", "b": "next", "c": "active"},
        "c",
    ),
}


def row(leaf: int, event: str, name: str, succeeds: str = "") -> KeyRow:
    at = NOW + timedelta(minutes=leaf)
    since = NOW if event == "compromised" else None
    key = (name, f"kid-{name}", "statement", "ecdsa-p256-sha256", b"", "operator")
    return KeyRow(leaf, event, *key, at, succeeds, since, "")


@pytest.mark.parametrize(("steps", "statuses", "active"), LIVES.values(), ids=LIVES.keys())
def test_events_lead_to(steps: list[Step], statuses: dict[str, str], active: str | None) -> None:
    lives = key_lives(row(index, *step) for index, step in enumerate(steps, start=1))
    assert {name: life.status for name, life in lives.items()} == statuses
    serving = active_key(lives, "a")
    assert (None if serving is None else serving.name) == active


def test_a_succession_is_every_key_of_the_role_in_the_order_of_their_making() -> None:
    lives = key_lives(row(index, *step) for index, step in enumerate([FIRST, ("created", "x"), SECOND, THIRD], start=1))
    assert [life.name for life in succession(lives, "a")] == ["a", "b", "c"]


def test_an_earlier_date_of_the_compromise_counts() -> None:
    later = replace(row(3, "compromised", "a"), since=NOW - timedelta(days=9))
    life = key_lives([row(1, *FIRST), row(2, "compromised", "a"), later])["a"]
    assert life.since == NOW - timedelta(days=9)
