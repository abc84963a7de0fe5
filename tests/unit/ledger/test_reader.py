# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import event, text

from signer.db.engine import open_engine
from signer.errors import Malformed, Misconfigured, Unavailable
from signer.formats.owner_act import OwnerAct, sign_owner_act
from signer.formats.trust import TrustDocument, build_trust_document, parse_trust_file, verify_trust_file
from signer.ledger.documents import StoredDocument
from signer.ledger.leaves import Decision
from signer.ledger.reader import MAX_LEAVES, Reader, open_reader
from signer.ledger.sequencer import Entry, Sequencer
from signer.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from signer.tlog.tiles import WIDTH, parse_entries
from tests.unit.ledger.world import ORIGIN, History, World, signed, tamper
from tests.unit.tlog import naive_tree


@pytest.fixture
def sequencer(world: World) -> Sequencer:
    world.begin()
    return world.open()


def sha(digit: str) -> str:
    return f"sha256:{digit * 64}"


# Tree and tiles


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_537])
def test_tiles_bundles_and_proofs_hold_at_the_edges_of_tiles(world: World, size: int) -> None:
    world.begin()
    sequencer = world.open()
    while (at := world.reader.head().size) < size:
        sequencer.append([world.halt() for _ in range(min(8192, size - at))])
    reader = world.reader
    entries = [each for at in range(0, size, MAX_LEAVES) for each in reader.leaves(at, at + MAX_LEAVES)]
    hashes = [leaf_hash(each) for each in entries]
    level = 0
    while hashes:
        for n in range(0, len(hashes), WIDTH):
            width = min(WIDTH, len(hashes) - n)
            assert reader.tile_width(level, n // WIDTH) == width
            assert reader.hash_tile(level, n // WIDTH, width) == b"".join(hashes[n : n + width])
            assert reader.hash_tile(level, n // WIDTH, 1) == hashes[n]
            if width < WIDTH:
                with pytest.raises(Malformed):
                    reader.hash_tile(level, n // WIDTH, width + 1)
        level += 1
        step = WIDTH**level
        hashes = [naive_tree.root(entries[at : at + step]) for at in range(0, size - step + 1, step)]
    last = (size - 1) // WIDTH
    assert parse_entries(reader.entry_bundle(last, size - last * WIDTH)) == tuple(entries[last * WIDTH :])
    root = naive_tree.root(entries)
    assert reader.head().root == root
    for index in {0, size // 2, max(0, size - 257), size - 1}:
        proof = reader.inclusion(index, size)
        verify_inclusion(leaf_hash(entries[index]), index, size, proof, root)
    for old in {1, max(1, size // 2), max(1, size - 1), size}:
        verify_consistency(old, size, reader.consistency(old, size), naive_tree.root(entries[:old]), root)


def test_proofs_are_given_for_every_older_size(world: World, sequencer: Sequencer) -> None:
    sequencer.append([world.halt() for _ in range(24)])
    entries = world.reader.leaves(0, 100)
    for size in range(1, len(entries) + 1):
        for index in range(0, size, 3):
            assert list(world.reader.inclusion(index, size)) == naive_tree.path(index, entries[:size])


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda reader: reader.leaf(1), id="a leaf beyond the tree"),
        pytest.param(lambda reader: reader.leaf(-1), id="a leaf before it"),
        pytest.param(lambda reader: reader.leaves(0, MAX_LEAVES + 1), id="too many leaves"),
        pytest.param(lambda reader: reader.leaves(-1, 1), id="a range below 0"),
        pytest.param(lambda reader: reader.leaves(2, 1), id="a range that ends before it begins"),
        pytest.param(lambda reader: reader.hash_tile(0, 0, 0), id="an empty tile"),
        pytest.param(lambda reader: reader.hash_tile(0, 0, 257), id="a tile too wide"),
        pytest.param(lambda reader: reader.hash_tile(0, 0, 2), id="a tile wider than the tree"),
        pytest.param(lambda reader: reader.hash_tile(1, 0, 1), id="a level that is not there yet"),
        pytest.param(lambda reader: reader.hash_tile(63, 2**54, 1), id="a tile far away"),
        pytest.param(lambda reader: reader.entry_bundle(0, 2), id="a bundle wider than the tree"),
        pytest.param(lambda reader: reader.entry_bundle(1, 1), id="a bundle beyond the tree"),
        pytest.param(lambda reader: reader.inclusion(1, 1), id="a proof outside the tree"),
        pytest.param(lambda reader: reader.consistency(0, 1), id="consistency with nothing"),
        pytest.param(lambda reader: reader.consistency(2, 1), id="consistency backwards"),
    ],
)
def test_what_is_not_there_is_malformed(world: World, sequencer: Sequencer, read: Callable[[Reader], object]) -> None:
    with pytest.raises(Malformed):
        read(world.reader)


def test_no_proof_reaches_beyond_the_committed_tree(world: World, sequencer: Sequencer) -> None:
    for prove in (world.reader.inclusion, world.reader.consistency):
        with pytest.raises(Malformed):
            prove(1, 2)


def test_the_checkpoint_that_covers_a_leaf_is_always_the_first_one(world: World, sequencer: Sequencer) -> None:
    batches = [sequencer.append([world.halt() for _ in range(count)]) for count in (3, 1, 2)]
    for batch in batches:
        for index in range(batch.first, batch.size):
            covering = world.reader.checkpoint_covering(index)
            assert covering is not None
            assert (covering.size, covering.text) == (batch.size, batch.checkpoint)
    assert world.reader.checkpoint_covering(batches[-1].size) is None
    latest = world.reader.latest_checkpoint()
    assert latest is not None
    assert latest.text == batches[-1].checkpoint


# Documents in force


def test_the_newest_activation_of_a_name_is_in_force(world: World, sequencer: Sequencer) -> None:
    assert world.reader.active("policy", "demo") is None
    assert world.reader.active_all("policy") == ()
    sequencer.append([world.activation(version=1), world.activation("other", version=9)])
    batch = sequencer.append([world.activation(version=2), world.activation("access", document="access")])
    demo = world.reader.active("policy", "demo")
    assert demo is not None
    assert (demo.version, demo.leaf, demo.data) == (2, batch.first, b"policy demo 2")
    assert [(each.name, each.version) for each in world.reader.active_all("policy")] == [("demo", 2), ("other", 9)]
    assert [each.name for each in world.reader.active_all("access")] == ["access"]
    assert world.reader.active("access", "demo") is None


def test_the_trust_file_carries_the_owners_signatures(world: World, sequencer: Sequencer) -> None:
    assert world.reader.trust() is None
    owner = ec.generate_private_key(ec.SECP256R1())
    der = owner.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for version in (1, 2):
        document = build_trust_document(
            TrustDocument(
                version=version,
                origin=ORIGIN,
                genesis=leaf_hash(world.reader.leaf(0)).hex(),
                dev=True,
                verifier=f"https://{ORIGIN}",
                ledger_keys=(sequencer.verifier,),
                threshold=1,
                owners=(der,),
                keys=(),
            )
        )
        act = OwnerAct("trust", version, ORIGIN, StoredDocument.of(document).digest)
        batch = sequencer.append([world.trust(version, document, [sign_owner_act(act, owner)])])
        row = world.reader.trust()
        assert row is not None
        assert (row.version, row.leaf, row.digest) == (version, batch.first, StoredDocument.of(document).digest)
        assert verify_trust_file(parse_trust_file(row.file), previous=None).version == version


def test_key_events_are_listed_oldest_first(world: World, sequencer: Sequencer) -> None:
    sequencer.append([world.key_event("release", "1"), world.key_event("staging", "2")])
    events = world.reader.keys()
    assert [(each.name, each.kid, each.spki) for each in events] == [
        ("release", "1", b"1"),
        ("staging", "2", b"2"),
    ]


def test_a_document_is_hashed_again_when_it_is_read(world: World, sequencer: Sequencer) -> None:
    kept = StoredDocument.of(b"some bytes", media_type="text/plain")
    sequencer.append([Entry(world.halt().leaf, (kept,))])
    assert world.reader.document(kept.digest) == kept
    assert world.reader.document("0" * 64) is None
    tamper(world, "UPDATE document SET data = ? WHERE digest = ?", b"other bytes", kept.digest)
    with pytest.raises(Misconfigured) as fault:
        world.reader.document(kept.digest)
    assert fault.value.code == "ledger-damaged"


# Evidence


def test_evidence_is_found_by_any_of_its_subjects_in_receipt_order(world: World, sequencer: Sequencer) -> None:
    sequencer.append([world.evidence("second", subjects=[sha("2"), sha("1")])])
    submitted = [world.evidence_document("third"), world.evidence_document("fourth")]
    batch = sequencer.append([world.decision(subjects=["1" * 64], evidence=submitted)])
    sequencer.append([world.evidence("fifth", subjects=["gitCommit:" + "c" * 40])])
    found = world.reader.evidence_for([sha("1"), sha("2"), sha("1"), sha("9"), "gitCommit:" + "c" * 40])
    texts = ["second", "third", "fourth", "fifth"]
    assert [each.digest for each in found] == [world.evidence_document(each).digest for each in texts]
    assert [each.received for each in found] == sorted({each.received for each in found})
    third = found[1]
    assert (third.leaf, third.position, third.size) == (batch.first, 0, 5)
    assert (third.principal, third.policy, third.subjects) == ("robot:ci", "demo", (sha("1"),))
    assert world.reader.evidence(third.digest) == third
    assert world.reader.evidence("0" * 64) is None
    assert world.reader.evidence_for([]) == ()
    document = world.reader.document(third.digest)
    assert document is not None
    assert document.data == b"third"


def test_more_evidence_than_a_judge_can_see_is_refused_not_cut(
    world: World, sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signer.ledger.reader.MAX_EVIDENCE", 3)
    sequencer.append([world.evidence(f"e{at}", subjects=[sha("1")]) for at in range(3)])
    assert len(world.reader.evidence_for([sha("1")])) == 3
    sequencer.append([world.evidence("e3", subjects=[sha("1")])])
    with pytest.raises(Malformed) as fault:
        world.reader.evidence_for([sha("1")])
    assert fault.value.code == "too-much-evidence"


# Decisions


def test_a_decision_is_found_with_all_that_it_names(world: World, sequencer: Sequencer) -> None:
    request = signed(world, sequencer, subjects=("1" * 64, "2" * 64))
    row = world.reader.decision(request)
    assert row is not None
    assert world.reader.decision_at(row.leaf) == row
    assert (row.request_id, row.verdict, row.count, row.first) == (request, "allow", 2, "1" * 64)
    assert (row.policy.name, row.policy.version, row.environment) == ("demo", 1, "release")
    assert row.time.utcoffset() == timedelta(0)
    for digest in (row.subjects, row.facts, row.findings, row.evidence):
        assert world.reader.document(digest) is not None
    outcome = world.reader.outcome(row.leaf)
    assert outcome is not None
    assert (outcome.decision, outcome.request_id, outcome.signatures[0].result) == (row.leaf, request, "signed")
    assert world.reader.decision("0" * 32) is None
    assert world.reader.outcome(0) is None


@pytest.fixture
def searched(world: World, sequencer: Sequencer) -> Reader:
    sequencer.append(
        [
            world.decision(request="1" * 32, subjects=["1" * 64], source=("github.com/acme/shop", "1" * 40)),
            world.decision(request="2" * 32, subjects=["2" * 64], verdict="deny", source=("github.com/acme/api", None)),
            world.decision(
                request="3" * 32, subjects=["1" * 64, "3" * 64], principal="robot:other", source=(None, None)
            ),
            world.decision(request="4" * 32, environment="staging", source=("github.com/acme/shop", "4" * 40)),
            world.decision(request="5" * 32, policy="other", verdict="hold", source=("github.com/acme/shop", "1" * 40)),
        ]
    )
    return world.reader


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "54321"),
        ({"limit": 2}, "54"),
        ({"limit": 0}, "5"),
        ({"digest": sha("1")}, "31"),
        ({"digest": sha("3")}, "3"),
        ({"digest": sha("7")}, ""),
        ({"digest": "1" * 64}, ""),
        ({"repository": "github.com/acme/shop"}, "541"),
        ({"commit": "1" * 40}, "51"),
        ({"repository": "github.com/acme/shop", "commit": "4" * 40}, "4"),
        ({"principal": "robot:other"}, "3"),
        ({"verdict": "deny"}, "2"),
        ({"verdict": "allow", "environment": "release"}, "31"),
        ({"policy": "other"}, "5"),
        ({"digest": sha("1"), "principal": "robot:ci"}, "1"),
        ({"verdict": "'; DROP TABLE decision; --"}, ""),
    ],
    ids=repr,
)
def test_decisions_are_searched_newest_first(searched: Reader, wanted: dict[str, Any], found: str) -> None:
    assert "".join(row.request_id[0] for row in searched.decisions(**wanted)) == found


def test_decisions_are_searched_by_time_and_paged(searched: Reader) -> None:
    rows = searched.decisions()
    times = [row.time for row in rows]
    assert searched.decisions(since=times[2]) == rows[:3]
    assert searched.decisions(until=times[2]) == rows[3:]
    assert searched.decisions(since=times[3], until=times[1]) == rows[2:4]
    assert searched.decisions(before=rows[1].leaf, limit=2) == rows[2:4]


@pytest.mark.parametrize(
    "wanted",
    [
        {"digest": sha("1")},
        {"repository": "r"},
        {"commit": "c"},
        {"principal": "p"},
        {"verdict": "deny"},
        {"environment": "e"},
        {"policy": "p"},
        {"before": 3},
        {},
    ],
    ids=repr,
)
def test_no_search_scans_all_decisions_or_sorts_them(
    world: World, sequencer: Sequencer, wanted: dict[str, Any]
) -> None:
    History(world, seed=1).append(sequencer, times=20)
    seen: list[tuple[str, Any]] = []
    event.listen(
        world.engine,
        "before_cursor_execute",
        lambda _c, _k, sql, values, _x, _m: seen.append((sql, values)),
        named=False,
    )
    world.reader.decisions(**wanted)
    selects = [each for each in seen if each[0].startswith("SELECT")]
    plans = []
    with world.engine.connect() as connection:
        for sql, values in selects:
            plans += [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert plans
    assert not any("TEMP B-TREE" in plan for plan in plans)
    if wanted:
        assert not any(plan.startswith("SCAN") for plan in plans)


def test_open_decisions_are_the_allowed_ones_without_an_outcome(world: World, sequencer: Sequencer) -> None:
    signed(world, sequencer)
    sequencer.append([world.decision(verdict="deny"), world.decision(request="a" * 32), world.decision(verdict="hold")])
    sequencer.append([world.decision(request="b" * 32)])
    assert [row.request_id for row in world.reader.open_decisions()] == ["a" * 32, "b" * 32]
    assert [row.request_id for row in world.reader.open_decisions(limit=1)] == ["a" * 32]


# Other processes


def test_a_read_only_reader_sees_each_commit_and_can_change_nothing(world: World, sequencer: Sequencer) -> None:
    engine = open_engine(f"sqlite:///{world.path}/ledger.db", read_only=True)
    reader = open_reader(engine)
    for size in (2, 3):
        sequencer.append([world.halt()])
        assert reader.head().size == size
    with engine.connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.execute(text("DELETE FROM checkpoint"))
    engine.dispose()


def test_a_reader_of_another_schema_is_refused(world: World, sequencer: Sequencer) -> None:
    tamper(world, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Misconfigured) as fault:
        open_reader(world.engine)
    assert fault.value.code == "ledger-schema"


def test_a_lost_database_is_unavailable_and_comes_back(
    world: World, sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = world.reader

    def lost() -> Any:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as fault:
        fault.setattr(world.engine, "raw_connection", lost)
        with pytest.raises(Unavailable) as error:
            reader.head()
        assert error.value.code == "ledger-unavailable"
    assert reader.head().size == 1


def test_the_first_signed_decision_of_a_digest_counts_for_each_environment(world: World, sequencer: Sequencer) -> None:
    sent = [
        world.decision(environment="staging", subjects=["a" * 64, "b" * 64]),
        world.decision(environment="staging"),
        world.decision(environment="release"),
        world.decision(environment="test"),
        world.decision(environment="staging", policy="another"),
        world.decision(environment="staging", verdict="deny"),
    ]
    first = sequencer.append(sent).first
    for offset, status in ((0, "signed"), (1, "signed"), (2, "failed"), (4, "signed")):
        request = sent[offset].leaf
        assert isinstance(request, Decision)
        sequencer.append([world.outcome(first + offset, request.request, status=status)])
    found = world.reader.first_signed("demo", ["a" * 64, "b" * 64, "c" * 64])
    assert [(row.sha256, row.environment, row.leaf) for row in found] == [
        ("a" * 64, "staging", leaf_hash(world.reader.leaf(first))),
        ("b" * 64, "staging", leaf_hash(world.reader.leaf(first))),
    ]
