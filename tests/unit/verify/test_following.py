# SPDX-License-Identifier: Apache-2.0
"""A ledger watched over time, and the leaves that somebody wants to hear of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signer.errors import Malformed
from signer.ledger.leaves import decode_leaf
from signer.tlog.checkpoint import Checkpoint, sign_checkpoint
from signer.tlog.merkle import EMPTY_ROOT
from signer.tlog.tiles import WIDTH, Tile
from signer.verify.checks import CheckFailed
from signer.verify.following import Inconsistent, take_step
from signer.verify.selecting import parse_selection
from tests.unit.verify.authority import Authority, halt_leaf


def grown(authority: Authority, size: int) -> Authority:
    while len(authority.bodies) < size:
        authority.append(halt_leaf(len(authority.bodies)))
    return authority


def test_a_first_look_knows_nothing_before() -> None:
    authority = grown(Authority(), 5)
    step = take_step(authority, trust=authority.trust_document(), held=None)
    assert (step.before, step.head.size) == (0, 5)
    assert [body for _, body in step.leaves(0)] == authority.bodies


@pytest.mark.parametrize(("old", "new"), [(1, 1), (1, 2), (5, WIDTH), (WIDTH, WIDTH + 1), (WIDTH - 1, 2 * WIDTH + 3)])
def test_each_state_extends_the_one_before_and_only_what_is_new_is_told(old: int, new: int) -> None:
    authority = grown(Authority(), old)
    held = authority.checkpoint()
    grown(authority, new)
    step = take_step(authority, trust=authority.trust_document(), held=held)
    assert (step.before, step.head.size) == (old, new)
    assert list(step.leaves(step.before)) == list(enumerate(authority.bodies))[old:]


def test_the_empty_state_is_extended_by_any() -> None:
    authority = grown(Authority(), 5)
    empty = sign_checkpoint(Checkpoint(authority.origin, 0, EMPTY_ROOT), signer=authority.notary())
    assert take_step(authority, trust=authority.trust_document(), held=empty.encode()).before == 0


@pytest.mark.parametrize(
    ("held", "code"),
    [
        pytest.param(lambda other: grown(other, 9).checkpoint(), "log-rollback", id="a ledger that lost leaves"),
        pytest.param(lambda other: altered(other, 5).checkpoint(), "proof-invalid", id="another one of the same size"),
        pytest.param(lambda other: altered(other, 3).checkpoint(), "proof-invalid", id="another history"),
    ],
)
def test_a_contradiction_is_an_alarm_that_carries_its_proof(held: Any, code: str) -> None:
    authority = grown(Authority(), 5)
    with pytest.raises(Inconsistent) as alarm:
        take_step(authority, trust=authority.trust_document(), held=held(Authority()))
    assert (alarm.value.code, alarm.value.note) == (code, authority.checkpoint())


def altered(authority: Authority, size: int) -> Authority:
    authority.append(halt_leaf(1000))
    return grown(authority, size)


def test_a_checkpoint_that_nobody_signed_is_no_contradiction() -> None:
    authority = grown(Authority(), 5)
    forged = authority.checkpoint().replace(b"\n5\n", b"\n4\n")
    with pytest.raises(CheckFailed) as refused:
        take_step(authority, trust=authority.trust_document(), held=forged)
    assert not isinstance(refused.value, Inconsistent)


def test_an_altered_leaf_is_not_told() -> None:
    class Altering(Authority):
        def tile(self, tile: Tile) -> bytes:
            return super().tile(tile).replace(b"drill", b"grill")

    authority = Altering()
    grown(authority, 5)
    step = take_step(authority, trust=authority.trust_document(), held=None)
    told: list[tuple[int, bytes]] = []
    with pytest.raises(CheckFailed) as refused:
        told.extend(step.leaves(0))
    assert (told, "leaf 1 " in refused.value.expected) == ([], True)


def test_the_first_leaf_since_an_instant_is_found_by_its_time() -> None:
    authority = grown(Authority(), 40)
    step = take_step(authority, trust=authority.trust_document(), held=None)
    times = [datetime.fromisoformat(decode_leaf(body).time) for body in authority.bodies]
    assert step.first_since(datetime(2000, 1, 1, tzinfo=UTC)) == 0
    for index in (0, 1, 17, 39):
        assert step.first_since(times[index]) == times.index(times[index])
    assert step.first_since(max(times) + timedelta(seconds=1)) == 40


LEAF: Mapping[str, Any] = {
    "kind": "decision",
    "verdict": "deny",
    "count": 2,
    "dev": False,
    "gone": None,
    "policy": {"name": "demo"},
    "signatures": [{"kid": "one"}, {"kid": "two"}],
}


@pytest.mark.parametrize(
    ("conditions", "takes"),
    [
        ((), True),
        (("kind=decision",), True),
        (("kind=decision", "verdict=allow"), False),
        (("policy.name=demo",), True),
        (("policy=demo",), False),
        (("signatures.kid=two",), True),
        (("signatures.kid=three",), False),
        (("count=2", "dev=false", "gone=null"), True),
        (("absent=x",), False),
        (("verdict=",), False),
    ],
)
def test_leaves_are_selected_by_their_fields(conditions: tuple[str, ...], takes: bool) -> None:
    assert parse_selection(conditions).takes(LEAF) is takes


@pytest.mark.parametrize("text", ["", "kind", "=x", "Kind=x", "a..b=x", "a b=x"])
def test_other_conditions_are_malformed(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_selection([text])
    assert "kind=decision" in refused.value.remedy
