# SPDX-License-Identifier: Apache-2.0
"""GET /v1/releases/{digest}/pack: who may fetch one, where it is cut, and what is sent."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import pytest

from signer.custodian.release_commands import Sealed, SealPack
from signer.formats.dsse import IN_TOTO, sign_envelope
from signer.formats.rfc3339 import format_time
from signer.formats.ustar import read_archive
from signer.ledger.documents import StoredDocument
from signer.ledger.leaves import Trust
from signer.ledger.sequencer import Entry
from signer.pack.layout import MANIFEST, ROOT
from tests.unit.web.world import NOW, SUBJECT, World

AUDITOR = "spiffe://dev.invalid/robot/auditor"
PACK = f"/v1/releases/{SUBJECT.sha256}/pack"


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world with one decision about the subject, asked by the auditor."""
    world = make_world()
    document = StoredDocument.of(b"trust")
    trust = Trust(time=format_time(NOW), version=1, digest=document.digest, principal="person:olga", signatures=())
    world.sequencer.append([Entry(trust, (document,))])
    assert world.client().post("/v1/signatures", json=world.body([]), headers={"Idempotency-Key": "one"}).status_code
    assert (
        world.client().post("/v1/evidence", json={"policy": "demo", "evidence": world.body()["evidence"]}).status_code
    )
    world.san = AUDITOR
    return world


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as opened:
        return [member.name.removeprefix(ROOT) for member in opened]


def test_a_pack_is_one_archive_of_the_length_that_was_told(world: World) -> None:
    answer = world.client().get(PACK)
    assert (answer.status_code, answer.mimetype) == (200, "application/x-tar")
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    assert "release-evidence-" in answer.headers["Content-Disposition"]
    assert MANIFEST in names(answer.data)
    assert [member.name for member in read_archive(answer.data)] == sorted(
        f"{ROOT}{name}" for name in names(answer.data)
    )
    assert isinstance(world.custodian.asked[-1], SealPack)


def test_a_pack_of_an_earlier_checkpoint_is_the_same_pack(world: World) -> None:
    size = world.custodian.reader.head().size
    first = world.client().get(PACK).data
    world.activate("policy", "third", 1, b"third")
    assert world.client().get(f"{PACK}?size={size}").data == first
    assert world.client().get(PACK).data != first


@pytest.mark.parametrize("who", ["robot/ci", "robot/other", "person/olga"])
def test_without_the_audit_grant_there_is_no_pack(world: World, who: str) -> None:
    world.san = f"spiffe://dev.invalid/{who}"
    asked = len(world.custodian.asked)
    answer = world.client().get(PACK)
    assert (answer.status_code, answer.get_json()["type"].rpartition(":")[2]) == (404, "not-found")
    assert len(world.custodian.asked) == asked


@pytest.mark.parametrize("sha256", ["ab" * 32, "AB" * 32, "x", "..", "9c"])
def test_of_what_the_ledger_does_not_know_there_is_no_pack(world: World, sha256: str) -> None:
    assert world.client().get(f"/v1/releases/{sha256}/pack").status_code == 404


@pytest.mark.parametrize("query", ["?size=0", "?size=x", "?size=1&size=2", "?by=olga"])
def test_bad_queries_are_refused(world: World, query: str) -> None:
    assert world.client().get(f"{PACK}{query}").status_code == 400


def test_a_manifest_of_other_files_is_not_served(world: World) -> None:
    sealed = sign_envelope(IN_TOTO, b"{}", world.custodian.ledger_key)
    world.custodian.replies = [Sealed(size=world.custodian.reader.head().size, manifest=sealed)]
    answer = world.client().get(PACK)
    assert (answer.status_code, answer.get_json()["type"].rpartition(":")[2]) == (503, "pack-differs")
