# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64

import pytest
from sqlalchemy import text

from signer.db import tables
from signer.errors import Malformed
from signer.formats.canonical import canonical
from signer.ledger.approval_leaves import ApprovalLeaf
from signer.ledger.leaves import Decision, Evidence, ProbeCount, ProbeLeaf, WaiverLeaf
from signer.ledger.projections import rebuild
from signer.ledger.sequencer import Entry, Sequencer
from signer.tlog.merkle import leaf_hash
from tests.unit.ledger.world import SHADOW, History, World, projected, signed, tamper


@pytest.fixture
def sequencer(world: World) -> Sequencer:
    world.begin()
    return world.open()


@pytest.mark.parametrize("seed", range(6))
def test_dropping_and_rebuilding_gives_equal_tables(world: World, sequencer: Sequencer, seed: int) -> None:
    History(world, seed=seed).append(sequencer, times=60)
    before = projected(world.engine)
    assert rebuild(world.engine) == world.reader.head().size
    assert projected(world.engine) == before
    filled = {name for name, rows in before.items() if rows}
    assert filled == {table.name for table in tables.PROJECTIONS} - {"trust"}


def test_a_rebuild_repairs_what_somebody_changed(world: World, sequencer: Sequencer) -> None:
    History(world, seed=7).append(sequencer, times=30)
    before = projected(world.engine)
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE decision SET verdict = 'allow'"))
        connection.execute(text("DELETE FROM evidence_subject"))
        connection.execute(text("DELETE FROM open_decision"))
    assert projected(world.engine) != before
    rebuild(world.engine)
    assert projected(world.engine) == before


def test_a_rebuild_that_fails_changes_nothing(world: World, sequencer: Sequencer) -> None:
    signed(world, sequencer)
    decision = world.reader.decisions()[0]
    before = projected(world.engine)
    tamper(world, "DELETE FROM document WHERE digest = ?", decision.subjects)
    with pytest.raises(Malformed) as fault:
        rebuild(world.engine)
    assert fault.value.code == "document-missing"
    assert projected(world.engine) == before


def test_a_resume_ends_the_halt_that_the_owners_saw_and_no_later_one(world: World, sequencer: Sequencer) -> None:
    first = sequencer.append([world.halt("first")]).first
    second = sequencer.append([world.halt("second")]).first
    sequencer.append([world.resume(first)])
    halted = world.reader.halted()
    assert halted is not None
    assert (halted.leaf, halted.reason) == (second, "second")
    sequencer.append([world.resume(second)])
    assert world.reader.halted() is None


def test_a_resume_of_the_last_halt_ends_those_before_it(world: World, sequencer: Sequencer) -> None:
    halt = sequencer.append([world.halt(), world.halt()]).size - 1
    sequencer.append([world.resume(halt)])
    assert world.reader.halted() is None


def test_a_halt_in_the_batch_of_a_resume_stays(world: World, sequencer: Sequencer) -> None:
    old = sequencer.append([world.halt("old")]).first
    sequencer.append([world.resume(old), world.halt("new")])
    halted = world.reader.halted()
    assert halted is not None
    assert halted.reason == "new"


def test_the_first_receipt_of_evidence_counts_and_later_subjects_are_added(world: World, sequencer: Sequencer) -> None:
    first = sequencer.append([world.evidence("e", subjects=["sha256:" + "1" * 64])]).first
    sequencer.append([world.evidence("e", subjects=["sha256:" + "2" * 64])])
    for digit in "12":
        (found,) = world.reader.evidence_for([f"sha256:{digit * 64}"])
        assert found.leaf == first
        assert found.subjects == ("sha256:" + "1" * 64, "sha256:" + "2" * 64)


def test_the_latest_decision_counts_for_an_idempotency_key(world: World, sequencer: Sequencer) -> None:
    key, body = "1" * 64, "2" * 64
    sequencer.append([world.decision(verdict="hold", request="a" * 32, idempotency=(key, body))])
    batch = sequencer.append([world.decision(request="b" * 32, idempotency=(key, body))])
    replay = world.reader.replay("robot:ci", key)
    assert replay is not None
    assert (replay.request_id, replay.body, replay.decision_leaf) == ("b" * 32, body, batch.first)
    assert world.reader.replay("robot:other", key) is None
    assert world.reader.replay("robot:ci", "3" * 64) is None


def test_a_waiver_is_found_with_its_end_and_each_allow_that_rests_on_it(world: World, sequencer: Sequencer) -> None:
    entries = [world.waiver("one"), world.waiver("two", environment="staging")]
    sequencer.append(entries)
    one, two = (each.leaf.digest for each in entries if isinstance(each.leaf, WaiverLeaf))
    allowed = [world.decision(waivers=[one, two]), world.decision(verdict="deny", waivers=[one])]
    first = sequencer.append(allowed).first
    assert isinstance(allowed[0].leaf, Decision)
    sequencer.append([world.outcome(first, allowed[0].leaf.request, status="failed"), world.waiver_end(one, "mended")])
    sequencer.append([world.waiver_end(one, "again")])
    found = world.reader.waivers()
    assert [(row.digest, row.environment, row.statement) for row in found] == [
        (one, "release", b"statement one"),
        (two, "staging", b"statement two"),
    ]
    assert found[0].end is not None
    assert (found[0].end.reason, found[1].end) == ("mended", None)
    (use,) = world.reader.waiver_uses(one)
    assert (use.decision, use.subjects, use.status) == (first, allowed[0].leaf.subjects, "failed")
    assert world.reader.waiver_uses("ab" * 32) == ()


def test_a_hold_is_found_with_what_was_said_of_it_and_how_it_ended(world: World, sequencer: Sequencer) -> None:
    first, other, again = (
        world.decision(verdict="hold", environment=environment)
        for environment in ("production", "staging", "production")
    )
    at = sequencer.append([first]).first
    assert isinstance(first.leaf, Decision)
    said = [world.approval(first, at, "one"), world.approval(first, at, "two", signed=False)]
    sequencer.append(said)
    one, two = (each.leaf.digest for each in said if isinstance(each.leaf, ApprovalLeaf))
    sequencer.append([world.approval_revocation(one, "first"), world.approval_revocation(one, "again")])
    held = world.reader.newest_hold("demo", "production", "a" * 64)
    assert held == world.reader.hold(first.leaf.request)
    assert held is not None
    assert (held.leaf, held.cited, held.closed, held.superseded) == (at, "f" * 64, False, False)
    rows = world.reader.approvals_of(at)
    assert [(row.digest, row.kid, row.groups, row.statement) for row in rows] == [
        (one, "kid", ("release-managers", "sre"), b"statement one"),
        (two, "", ("release-managers", "sre"), b"statement two"),
    ]
    assert rows[0].revocation is not None
    assert (rows[0].revocation.reason, rows[1].revocation) == ("first", None)
    assert world.reader.approval(two) == rows[1]
    # Another environment neither closes nor supersedes it; its own release closes it, another hold supersedes it.
    sequencer.append([other, world.decision(environment="staging")])
    assert world.reader.hold(first.leaf.request) == held
    allowed = world.decision(environment="production", approvals=[two])
    place = sequencer.append([allowed]).first
    assert isinstance(allowed.leaf, Decision)
    sequencer.append([world.outcome(place, allowed.leaf.request, status="failed"), again])
    over = world.reader.hold(first.leaf.request)
    assert over is not None
    assert (over.closed, over.superseded) == (True, True)
    (use,) = world.reader.approval_uses(two)
    assert (use.decision, use.environment, use.status) == (place, "production", "failed")
    assert world.reader.approval_uses(one) == ()
    listed = world.reader.holds(environment="production")
    assert [row.superseded for row in listed] == [False, True]
    assert [row.leaf for row in world.reader.holds(before=listed[0].leaf, limit=1)] == [
        row.leaf for row in world.reader.holds(environment="staging")
    ]


def test_what_a_policy_in_shadow_said_is_counted(world: World, sequencer: Sequencer) -> None:
    first = sequencer.append([world.decision(), world.decision(), world.decision(policy="other")]).first
    assert world.reader.last_shadowed(SHADOW) is None
    assert [row.leaf for row in world.reader.decisions_after("demo", first)] == [first + 1]
    assert [row.leaf for row in world.reader.decisions_after("demo", first - 1)] == [first, first + 1]
    sequencer.append([world.shadow(first, first + 1)])
    assert world.reader.last_shadowed(SHADOW) == first + 1
    row = world.reader.decision_at(first)
    assert row is not None
    counted = {(each.rule, each.outcome, each.flip, each.count) for each in world.reader.shadow_counts(SHADOW)}
    assert counted == {("", "deny", "deny", 2), ("VUL-1", "fail", "deny", 2)}
    assert {each.since for each in world.reader.shadow_counts(SHADOW)} == {row.time}
    assert [(each.digest, each.rule) for each in world.reader.shadow_of(first)] == [(SHADOW, ""), (SHADOW, "VUL-1")]


@pytest.mark.parametrize(
    ("would", "flip"),
    [("pass", ""), ("waived", ""), ("not-applicable", ""), ("frozen", "deny"), ("waiting", "deny"), ("fail", "deny")],
)
def test_what_would_have_stopped_an_allowed_decision_is_a_flip(
    would: str, flip: str, world: World, sequencer: Sequencer
) -> None:
    shadow = [("FRZ-1", "pass"), ("FRZ-1", would)]
    leaf = sequencer.append([world.decision(shadow=shadow)]).first
    assert [(each.outcome, each.flip) for each in world.reader.shadow_of(leaf)] == [(would, flip)]


@pytest.mark.parametrize(("verdict", "flip"), [("allow", "deny"), ("deny", "")])
def test_what_a_rule_in_shadow_said_is_counted(verdict: str, flip: str, world: World, sequencer: Sequencer) -> None:
    # Two groups of subjects: the worse one counts.
    shadow = [("VUL-1", "pass"), ("VUL-1", "unknown"), ("SBM-1", "pass")]
    leaf = sequencer.append([world.decision(verdict=verdict, shadow=shadow)]).first
    assert [(each.rule, each.outcome, each.flip) for each in world.reader.shadow_of(leaf)] == [
        ("SBM-1", "pass", ""),
        ("VUL-1", "unknown", flip),
    ]


def test_the_first_recorded_deployment_of_each_environment_is_found(world: World, sequencer: Sequencer) -> None:
    one, two = "1" * 64, "2" * 64
    sequencer.append([world.deployment(one, status="refused"), world.deployment(one, environment="staging")])
    first = sequencer.append([world.deployment(one)]).first
    sequencer.append([world.deployment(one), world.deployment(two, policy="other"), world.deployment("")])
    found = world.reader.first_deployed("demo", [one, two])
    assert [(row.sha256, row.environment) for row in found] == [(one, "staging"), (one, "release")]
    assert found[1].leaf == leaf_hash(world.reader.leaf(first))
    assert len(world.reader.deployments(digest=one)) == 4
    assert [row.body.policy for row in world.reader.deployments(policy="other")] == ["other"]
    (newest,) = world.reader.deployments(limit=1)
    assert (newest.body.digest, world.reader.deployment(newest.body.id)) == ("", newest.leaf)
    assert world.reader.deployment("f" * 64) is None


def test_releases_that_were_taken_back_are_found_in_their_order(world: World, sequencer: Sequencer) -> None:
    sequencer.append([world.revocation("1" * 64), world.revocation("2" * 64, environment="*")])
    first, second = world.reader.revocations()
    assert (first.covers("demo", "release"), first.covers("demo", "staging")) == (True, False)
    assert (second.covers("demo", "staging"), second.covers("other", "staging")) == (True, False)


def test_the_repositories_of_a_digest_are_those_of_its_decisions(world: World, sequencer: Sequencer) -> None:
    sequencer.append(
        [world.decision(), world.decision(source=("github.com/acme/other", None)), world.decision(policy="p")]
    )
    assert world.reader.repositories("demo", "a" * 64) == ("github.com/acme/other", "github.com/acme/shop")
    assert world.reader.repositories("demo", "b" * 64) == ()


def test_a_scan_and_an_approval_given_elsewhere_are_found_by_name(world: World, sequencer: Sequencer) -> None:
    record = world.evidence('{"reference":"registry.example/shop:1.2"}', kind="approval-record")
    broken = world.evidence("{", kind="approval-record")
    payload = base64.b64encode(b'{"subject":[{"name":"registry.example/shop"},{}]}').decode()
    kind = "https://in-toto.io/attestation/vulns/v0.2"
    scan = world.evidence(canonical({"payload": payload}).decode(), kind=kind)
    bundle = world.evidence(canonical({"dsseEnvelope": {"payload": payload}}).decode(), kind=kind)
    sequencer.append([record, broken, scan, bundle])
    found = world.reader.evidence_named("registry.example/shop")
    assert set(found) == {each.leaf.digest for each in (record, scan, bundle) if isinstance(each.leaf, Evidence)}


def test_probes_count_as_calls_of_their_key(world: World, sequencer: Sequencer) -> None:
    for made in (0, 11, 2):
        count = ProbeCount(kid="k" * 44, made=made, signed=made)
        sequencer.append([Entry(ProbeLeaf(time=world.time(), allowed=240, keys=(count,)))])
    assert world.reader.key_use()["k" * 44] == 13
    before = projected(world.engine)
    rebuild(world.engine)
    assert projected(world.engine) == before
