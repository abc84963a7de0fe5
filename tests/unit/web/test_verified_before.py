# SPDX-License-Identifier: Apache-2.0
"""Evidence that was verified before is not verified again, and nothing is believed longer because of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from signer.dev.attestations import attest, provenance_statement
from signer.evidence import verifier
from signer.ledger.reader import Reader
from signer.web import considered
from tests.unit.web.world import NOW, SUBJECT, Keys, World, item, render_policy


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was verified anew, in order."""
    seen: list[bytes] = []

    def watch(data: bytes, trusted: verifier.TrustedKeys, *, limit: int, digest: str) -> verifier.Attestation:
        seen.append(data)
        return verifier.verify_item(data, trusted, limit=limit, digest=digest)

    monkeypatch.setattr(considered, "verify_item", watch)
    return seen


def counted(world: World) -> Mapping[str, float]:
    (family,) = world.application.metrics.evidence_cache.collect()
    return {each.labels["result"]: each.value for each in family.samples if each.name.endswith("_total")}


def test_the_same_evidence_is_verified_once(world: World, verified: list[bytes]) -> None:
    body = world.body()
    answers = [world.client().post("/v1/checks", json=body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len(verified) == 6
    assert counted(world) == {"hit": 12.0, "miss": 6.0}


def test_kept_evidence_is_judged_without_being_read_again(
    world: World, verified: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"policy": "demo", "evidence": [item(data) for data in world.attestations().values()]}
    assert world.client().post("/v1/evidence", json=body).status_code == 201
    kept = len(verified)

    def unread(_reader: Reader, digest: str) -> None:
        raise AssertionError(f"{digest} was read")

    monkeypatch.setattr(Reader, "document", unread)
    assert world.client().post("/v1/checks", json=world.body([])).status_code == 200
    assert (kept, len(verified)) == (6, 6)


def test_one_changed_byte_is_other_evidence(world: World, verified: list[bytes]) -> None:
    attestations = world.attestations()
    world.client().post("/v1/checks", json=world.body(list(attestations.values())))
    at = attestations["provenance"].index(b'"payload":"') + 100
    changed = b"A" if attestations["provenance"][at : at + 1] != b"A" else b"B"
    forged = attestations["provenance"][:at] + changed + attestations["provenance"][at + 1 :]
    answer = world.client().post("/v1/checks", json=world.body([forged, *list(attestations.values())[1:]]))
    assert answer.status_code == 409, "it verifies under no key"
    assert verified[-1] == forged


def test_a_newer_policy_without_the_key_is_not_answered_from_memory(world: World) -> None:
    body = world.body()
    assert world.client().post("/v1/checks", json=body).status_code == 200
    keys = replace(world.keys, builder=Keys.make().builder)
    world.activate("policy", "demo", 2, render_policy(keys).replace(b"version: 1,", b"version: 2,", 1))
    assert world.client().post("/v1/checks", json=body).status_code == 409
    assert len(world.application.verified) == 3, "only what the newer version trusts is remembered"


def test_absent_and_malformed_evidence_is_looked_at_each_time(world: World, verified: list[bytes]) -> None:
    stranger = attest(provenance_statement([SUBJECT], finished=NOW), world.keys.stranger)
    broken = attest(b'{"_type":"https://in-toto.io/Statement/v1"}', world.keys.builder)
    for data, status in [(stranger, 409), (broken, 422)] * 2:
        assert world.client().post("/v1/checks", json=world.body([data])).status_code == status
    assert verified == [stranger, broken] * 2
    assert len(world.application.verified) == 0


def test_what_was_young_when_it_was_verified_grows_old(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    body = world.body()
    assert world.client().post("/v1/checks", json=body).status_code == 200
    monkeypatch.setattr("tests.unit.web.world.NOW", NOW + timedelta(days=60))
    answer = world.client().post("/v1/checks", json=body)
    assert answer.status_code == 403
    assert counted(world)["hit"] == 6.0
