# SPDX-License-Identifier: Apache-2.0
"""Probes: when a key is called to prove its health, what the ledger says before and after, and when it is not ready."""

from __future__ import annotations

import hashlib

import pytest

from signer.custodian.commands import Status, StatusReport
from signer.custodian.key_health import CALM_NS, TROUBLE_NS, KeyHealth
from signer.custodian.probing import ALLOWED, HOUR_NS, PREFIX, RETRY_NS
from signer.custodian.token_events import SigningJob, TokenEvent
from signer.ledger import leaves
from tests.unit.custodian.world import NOW, World

INTERVAL = 60
SECOND = 1_000_000_000


@pytest.fixture
def world() -> World:
    return World(probe_interval=INTERVAL)


def wait(world: World, seconds: float, events: list[TokenEvent] | None = None) -> list[SigningJob]:
    """Let time pass and take a turn; the probes that wait now."""
    world.clock.move(seconds)
    world.turn(events=events or [])
    return [job for job in world.tokens.jobs if job.probe]


def probe_leaves(world: World) -> list[leaves.ProbeLeaf]:
    return [leaf for _, leaf in world.ledger.of(leaves.ProbeLeaf) if isinstance(leaf, leaves.ProbeLeaf)]


def status(world: World) -> StatusReport:
    reply = world.ask(Status())
    assert isinstance(reply, StatusReport)
    return reply


def fail_probes(world: World, count: int) -> None:
    """Let probes fail one after the other."""
    for _ in range(count):
        assert wait(world, INTERVAL + 1 if not world.tokens.jobs else 0)
        wait(world, RETRY_NS / SECOND + 0.3, world.tokens.end("failed", reason="token-unavailable"))


def test_an_idle_key_is_probed_once_in_an_interval(world: World) -> None:
    wait(world, 1)
    assert wait(world, INTERVAL - 2) == []
    (job,) = wait(world, 3)
    assert job.key.pin.name == "release"
    assert wait(world, INTERVAL) == [job], "one at a time"
    wait(world, 1, world.tokens.end())
    assert wait(world, INTERVAL - 2) == []
    assert len(wait(world, 3)) == 1


def test_the_leaf_that_allows_a_probe_is_durable_before_the_key_is_called(world: World) -> None:
    wait(world, 1)
    world.journal.clear()
    wait(world, INTERVAL + 1)
    assert world.journal == ["durable ProbeLeaf", "key"]
    (leaf,) = probe_leaves(world)
    assert leaf.allowed == ALLOWED
    assert [(each.made, each.signed) for each in leaf.keys] == [(0, 0)]


def test_no_key_is_called_where_the_leaf_could_not_be_written(world: World) -> None:
    wait(world, 1)
    world.ledger.fault = "before"
    assert wait(world, INTERVAL + 1) == []
    world.ledger.fault = None
    wait(world, 1)
    assert len(wait(world, 1)) == 1


def test_an_hour_of_probes_is_one_leaf_and_the_next_one_tells_of_them(world: World) -> None:
    wait(world, 1)
    wait(world, INTERVAL + 1)
    for number in range(10):
        ends = world.tokens.end("failed" if number == 3 else "signed", reason="device" if number == 3 else "")
        wait(world, 0, ends)
        assert wait(world, INTERVAL + 1)
    assert len(probe_leaves(world)) == 1
    wait(world, 0, world.tokens.end())
    wait(world, HOUR_NS / SECOND)
    _, second = probe_leaves(world)
    assert [(each.made, each.signed) for each in second.keys] == [(11, 10)]


def test_a_probe_can_never_be_a_statement(world: World) -> None:
    wait(world, 1)
    (job,) = wait(world, INTERVAL + 1)
    assert not PREFIX.startswith(b"DSSEv1")
    assert len(job.data) == hashlib.sha256().digest_size
    wait(world, 0, world.tokens.end())
    (other,) = wait(world, INTERVAL + 1)
    assert other.data != job.data, "each says something of its own"


def test_a_key_that_signs_is_not_probed(world: World) -> None:
    wait(world, 1)
    for _ in range(5):
        world.clock.move(INTERVAL - 5)
        world.turn(world.decide())
        world.turn(events=world.tokens.end())
    assert probe_leaves(world) == []
    (proof,) = status(world).proofs
    assert proof.name == "release"
    assert proof.proved
    assert proof.probes == 0


def test_a_key_with_a_limit_spends_no_call_on_a_probe(world: World) -> None:
    world.limits["release"] = 5
    wait(world, 1)
    assert wait(world, 10 * INTERVAL) == []
    assert status(world).ready


def test_while_signing_is_halted_no_key_is_probed(world: World) -> None:
    from signer.custodian.commands import Halt  # noqa: PLC0415 - beside its only use

    wait(world, 1)
    world.ask(Halt(principal="person:alice", reason="drill"))
    assert wait(world, 10 * INTERVAL) == []


def test_one_failed_probe_is_tried_again_and_two_make_the_key_unready(world: World) -> None:
    wait(world, 1)
    fail_probes(world, 1)
    assert status(world).ready, "one alone says little"
    fail_probes(world, 1)
    wait(world, TROUBLE_NS / SECOND + 0.1)
    wait(world, TROUBLE_NS / SECOND + 0.1)
    report = status(world)
    assert not report.ready
    assert "its last probe failed" in report.problems[0]


def test_a_proof_makes_it_ready_after_a_calm_while(world: World) -> None:
    wait(world, 1)
    fail_probes(world, 3)
    wait(world, 2)
    assert not status(world).ready
    wait(world, 0.3, world.tokens.end())
    assert not status(world).ready, "not at once"
    wait(world, 1)
    wait(world, CALM_NS / SECOND + 0.1)
    assert status(world).ready


def test_a_short_hindrance_does_not_make_the_key_unready(world: World) -> None:
    wait(world, 1)
    world.tokens.reason = "the device throttles"
    wait(world, 0.3)
    assert status(world).ready
    wait(world, 0.3)
    world.tokens.reason = ""
    wait(world, 0.5)
    assert status(world).ready


def test_a_lasting_hindrance_does_and_no_probe_is_made_meanwhile(world: World) -> None:
    wait(world, 1)
    world.tokens.reason = "the token is gone"
    wait(world, 0.3)
    assert wait(world, INTERVAL + 1) == []
    assert status(world).problems == ("key release: the token is gone",)


def test_a_key_that_nothing_proves_is_not_ready() -> None:
    health = KeyHealth(since=0)
    health.look("", interval=SECOND, now=1)
    health.prove(at=NOW, now=SECOND)
    health.look("", interval=SECOND, now=4 * SECOND)
    assert health.trouble == ""
    for now in (5 * SECOND, 7 * SECOND):
        health.look("", interval=SECOND, now=now)
    assert "three intervals" in health.trouble
