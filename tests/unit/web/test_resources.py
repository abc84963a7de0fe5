# SPDX-License-Identifier: Apache-2.0
"""What the reading resources serve, and to whom."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from signer.custodian.commands import Failed, Halt, KeepEvidence, Resume
from signer.dev.attestations import attest, scan_statement
from signer.domain.purpose import Purpose
from signer.formats.canonical import sha256_hex
from signer.formats.jwks import thumbprint
from signer.formats.rfc3339 import format_time
from signer.formats.spki import keyid, spki_der
from signer.formats.strict_base64 import encode_base64
from signer.formats.trust import parse_trust_file, signature_envelopes
from signer.ledger.documents import StoredDocument
from signer.ledger.guard import Guard
from signer.ledger.leaves import HaltLeaf, Trust
from signer.ledger.sequencer import Entry
from signer.tlog.checkpoint import parse_checkpoint
from signer.tlog.merkle import leaf_hash
from signer.tlog.tiles import parse_entries
from signer.tlog.trusted_root import build_trusted_root
from signer.web.app import create_app
from signer.web.keys import url_kid
from tests.unit.verify.authority import Authority, p256, trust_key
from tests.unit.web.trusted import publish_revocations, publish_trust
from tests.unit.web.world import NOW, OTHER, SUBJECT, World, item, write_certificate

PREFIX = "urn:signing-authority:problem:"


def as_robot(world: World, name: str) -> Any:
    world.san = f"spiffe://dev.invalid/robot/{name}"
    return world.client()


# Evidence


def test_kept_evidence_comes_back_byte_for_byte(world: World) -> None:
    scan = world.attestations()["scan"]
    kept = world.client().post("/v1/evidence", json={"policy": "demo", "evidence": [item(scan)]})
    assert kept.status_code == 201
    assert kept.get_json() == {"evidence": [{"digest": sha256_hex(scan), "leaf": 4}]}
    answer = world.client().get(f"/v1/evidence/{sha256_hex(scan)}")
    assert answer.data == scan
    assert answer.content_type == "application/vnd.dsse.envelope.v1+json"


def test_a_document_of_markup_is_inert(world: World) -> None:
    page = b"<script>alert(1)</script>"
    document = item(page) | {"kind": "build-log", "media_type": "text/html", "subjects": [f"sha256:{SUBJECT.sha256}"]}
    assert world.client().post("/v1/evidence", json={"policy": "demo", "evidence": [document]}).status_code == 201
    answer = world.client().get(f"/v1/evidence/{sha256_hex(page)}")
    assert answer.data == page
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_evidence_is_kept_whatever_it_speaks_of_but_never_unverified(world: World) -> None:
    about_other = world.attestations(OTHER)["scan"]
    forged = attest(scan_statement([SUBJECT], finished=NOW), world.keys.stranger)
    assert keep(world, about_other).status_code == 201
    refused = keep(world, forged)
    assert (refused.status_code, refused.get_json()["type"]) == (422, PREFIX + "evidence-unverified")
    assert len([command for command in world.custodian.asked if isinstance(command, KeepEvidence)]) == 1


def test_evidence_is_offered_only_under_a_policy_within_reach(world: World) -> None:
    scan = world.attestations()["scan"]
    assert keep(world, scan, policy="nothing").status_code == 404
    as_robot(world, "other")
    assert keep(world, scan).status_code == 404


def test_evidence_is_read_by_its_submitter_and_by_readers_of_its_policy(world: World) -> None:
    scan = world.attestations()["scan"]
    keep(world, scan)
    for robot, status in (("ci", 200), ("auditor", 200), ("other", 404), ("idle", 404)):
        assert (robot, as_robot(world, robot).get(f"/v1/evidence/{sha256_hex(scan)}").status_code) == (robot, status)


def test_kept_bytes_are_paid_from_the_quota(world: World) -> None:
    document = {"kind": "build-log", "media_type": "text/plain", "subjects": [f"sha256:{SUBJECT.sha256}"]}
    body = {"policy": "demo", "evidence": [item(b"x" * 600_000) | document]}
    assert world.client().post("/v1/evidence", json=body).status_code == 201
    body = {"policy": "demo", "evidence": [item(b"y" * 600_000) | document]}
    answer = world.client().post("/v1/evidence", json=body)
    assert (answer.status_code, answer.get_json()["type"]) == (429, PREFIX + "over-quota")


# Decisions


def test_a_decision_is_found_again_and_explained(world: World) -> None:
    denied = world.client().post("/v1/signatures", json=world.body([])).get_json()
    explained = world.client().get(f"/v1/decisions/{denied['request_id']}").get_json()
    assert (explained.pop("outcome"), explained.pop("shadow")) == (None, [])
    assert explained == denied["decision"]
    [row] = (
        world.client().get(f"/v1/decisions?digest={SUBJECT.sha256}&verdict=deny&policy=demo").get_json()["decisions"]
    )
    assert (row["request_id"], row["leaf"], row["first"]) == (denied["request_id"], 4, SUBJECT.sha256)
    assert world.client().get("/v1/decisions?verdict=allow").get_json() == {"decisions": [], "next": None}


def test_pages_follow_each_other_without_gap_or_overlap(world: World) -> None:
    ids = [world.client().post("/v1/signatures", json=world.body([])).get_json()["request_id"] for _ in range(5)]
    seen: list[str] = []
    before = ""
    while True:
        page = world.client().get(f"/v1/decisions?limit=2{before}").get_json()
        seen += [row["request_id"] for row in page["decisions"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert seen == ids[::-1]


def test_decisions_of_others_are_not_there(world: World) -> None:
    request_id = world.client().post("/v1/signatures", json=world.body([])).get_json()["request_id"]
    for robot, status, rows in (("ci", 200, 1), ("auditor", 200, 1), ("idle", 404, 0), ("other", 404, 0)):
        client = as_robot(world, robot)
        assert (robot, client.get(f"/v1/decisions/{request_id}").status_code) == (robot, status)
        assert len(client.get("/v1/decisions").get_json()["decisions"]) == rows


def test_unknown_and_forbidden_decisions_answer_alike(world: World) -> None:
    request_id = world.client().post("/v1/signatures", json=world.body([])).get_json()["request_id"]
    client = as_robot(world, "idle")
    forbidden, unknown = (client.get(f"/v1/decisions/{each}").get_json() for each in (request_id, "f" * 32))
    del forbidden["request_id"], unknown["request_id"]
    assert forbidden == unknown


# Keys and trust


def test_a_key_is_served_as_pem_under_a_name_that_fits_a_path(world: World) -> None:
    [key] = world.client().get("/v1/keys").get_json()["keys"]
    expected = spki_der(world.keys.release.public_key())
    assert (key["name"], key["purpose"], key["status"]) == ("release", "statement", "next")
    assert (key["role"], key["trust"], key["uses"]) == ("release", "unpublished", 0)
    assert key["kid"] == keyid(expected)
    assert key["spki"] == encode_base64(expected)
    pem = world.client().get(key["pem"])
    assert pem.content_type.startswith("application/x-pem-file")
    loaded = load_pem_public_key(pem.data)
    assert spki_der(loaded) == expected  # type: ignore[arg-type]  # an EC key


def test_a_key_id_in_a_path_has_no_character_of_its_own(world: World) -> None:
    assert set(url_kid("+/" * 21 + "8=")) == set("-_8")
    assert world.client().get("/v1/keys/nothing.pem").status_code == 404


def test_without_a_trust_document_no_key_is_vouched_for(world: World) -> None:
    assert world.client().get("/v1/trust").status_code == 404
    assert world.client().get("/v1/trusted_root.json").status_code == 404
    assert world.client().get("/.well-known/jwks.json").get_json() == {"keys": []}


def test_what_deployers_fetch_is_kept_a_minute_and_asked_for_again_by_its_etag(world: World) -> None:
    trust = publish_trust(world)
    publish_revocations(world)
    client = world.client()
    [key] = client.get("/v1/keys").get_json()["keys"]
    for path in (
        "/.well-known/jwks.json",
        "/v1/trust",
        "/v1/trusted_root.json",
        "/v1/revocations",
        "/v1/keys",
        key["pem"],
    ):
        answer = client.get(path)
        assert (path, answer.status_code, answer.headers["Cache-Control"]) == (path, 200, "public, max-age=60")
        again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (path, again.status_code, again.data) == (path, 304, b"")
    assert client.get("/v1/trusted_root.json").data == build_trusted_root(trust)
    before = client.get("/v1/keys").headers["ETag"]
    publish_trust(world, version=2, status="retired", not_after=NOW)
    retired = client.get("/v1/keys", headers={"If-None-Match": before})
    assert retired.status_code == 200
    assert retired.get_json()["keys"][0]["not_after"] == "2026-11-23T10:00:00.000000Z"
    assert len(client.get("/.well-known/jwks.json").get_json()["keys"]) == 1, "a retired key stays for verification"


def test_the_key_set_lists_the_keys_of_statements_alone(world: World) -> None:
    """A JWK names no purpose: whoever reads the set would believe a statement of the key of artifacts."""
    authority = Authority()
    keys = [
        trust_key(p256(30 + at), name=purpose, purpose=purpose, status=status)
        for at, (purpose, status) in enumerate(
            [*((each, "active") for each in Purpose), (Purpose.STATEMENT, "compromised")]
        )
    ]
    keys[-1] = replace(keys[-1], not_after=keys[-1].not_before)
    file = parse_trust_file(authority.trust(keys=tuple(keys)))
    document, *envelopes = (file.document_bytes, *signature_envelopes(file))
    stored = [StoredDocument.of(each) for each in (document, *envelopes)]
    leaf = Trust(
        time=format_time(NOW),
        version=1,
        digest=stored[0].digest,
        principal="operator",
        signatures=tuple(each.digest for each in stored[1:]),
    )
    world.sequencer.append([Entry(leaf, tuple(stored))])
    listed = world.client().get("/.well-known/jwks.json").get_json()["keys"]
    assert [each["kid"] for each in listed] == [thumbprint(keys[0].spki)]


# The log


def test_the_published_checkpoint_is_the_guards(world: World) -> None:
    answer = world.client().get("/checkpoint")
    assert answer.data.decode() == Guard(world.application.guard.path).text()
    assert answer.content_type == "text/plain; charset=utf-8"
    assert parse_checkpoint(answer.data)[0].size == 4


def test_a_tile_holds_the_leaf_hashes(world: World) -> None:
    answer = world.client().get("/tile/0/000.p/4")
    assert answer.data == b"".join(leaf_hash(body) for body in world.application.reader.leaves(0, 4))
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_nothing_beyond_the_guards_checkpoint_is_served(world: World) -> None:
    guard = world.application.guard.path
    before = guard.read_bytes()
    for _ in range(3):
        world.client().post("/v1/signatures", json=world.body([]))
    shutil.copy(guard, guard.with_suffix(".new"))
    guard.write_bytes(before)
    auditor = as_robot(world, "auditor")
    for path, status in (
        ("/tile/0/000.p/4", 200),
        ("/tile/0/000.p/5", 404),
        ("/tile/entries/000.p/4", 200),
        ("/tile/entries/000.p/5", 404),
        ("/tile/0/000", 404),
        ("/tile/1/000.p/1", 404),
        ("/tile/63/000", 404),
    ):
        assert (path, auditor.get(path).status_code) == (path, status)


@pytest.mark.parametrize(
    "path",
    [
        "0/00.p/4",
        "00/000.p/4",
        "0/000.p/04",
        "0/000.p/0",
        "0/000.p/256",
        "0/x000/000",
        "64/000",
        "-1/000",
        "0/000.p/4/",
    ],
)
def test_another_spelling_of_a_tile_is_not_there(lasting_world: World, path: str) -> None:
    assert lasting_world.client().get(f"/tile/{path}").status_code == 404


def test_entries_are_for_readers_of_every_policy(world: World) -> None:
    entries = as_robot(world, "auditor").get("/tile/entries/000.p/4")
    assert parse_entries(entries.data) == world.application.reader.leaves(0, 4)
    refused = as_robot(world, "ci").get("/tile/entries/000.p/4")
    assert (refused.status_code, refused.get_json()["type"]) == (403, PREFIX + "not-authorised")


def test_a_lost_guard_is_503(world: World) -> None:
    world.application.guard.path.unlink()
    for path in ("/checkpoint", "/tile/0/000.p/4"):
        answer = world.client().get(path)
        assert (answer.status_code, answer.get_json()["type"]) == (503, PREFIX + "ledger-unavailable")


# Halt, resume, documents


def test_a_halt_is_ordered_by_whom_the_access_document_lets(world: World) -> None:
    world.san = "spiffe://dev.invalid/person/olga"
    answer = world.client().post("/v1/halt", json={"reason": "key compromise suspected: ticket 7"})
    assert (answer.status_code, answer.get_json()) == (200, {"leaf": 7})
    assert world.custodian.asked == [Halt(principal="person:olga", reason="key compromise suspected: ticket 7")]
    refused = as_robot(world, "ci").post("/v1/halt", json={"reason": "mischief"})
    assert (refused.status_code, refused.get_json()["type"]) == (403, PREFIX + "not-authorised")


def test_a_resume_carries_the_owners_signatures_unread(world: World) -> None:
    world.san = "spiffe://dev.invalid/person/olga"
    body = {"halt_index": 7, "signatures": [encode_base64(b"one"), encode_base64(b"two")]}
    assert world.client().post("/v1/resume", json=body).status_code == 200
    assert world.custodian.asked == [Resume(principal="person:olga", halt_index=7, signatures=(b"one", b"two"))]
    world.custodian.replies = [Failed(family="refused", code="owner-threshold", detail="one of two", remedy="r")]
    assert world.client().post("/v1/resume", json=body).status_code == 403


def test_documents_in_force_come_with_their_bytes(world: World) -> None:
    auditor = as_robot(world, "auditor")
    [policy] = auditor.get("/v1/policies").get_json()["policies"]
    active = world.application.reader.active("policy", "demo")
    assert active is not None
    assert policy == {
        "name": "demo",
        "version": 1,
        "digest": active.digest,
        "leaf": active.leaf,
        "content": encode_base64(active.data),
        "expires": None,
    }
    [access] = auditor.get("/v1/access").get_json()["access"]
    assert access["name"] == "access"
    ci = as_robot(world, "ci")
    assert ci.get("/v1/policies").get_json() == {"policies": [], "shadows": []}
    assert ci.get("/v1/access").status_code == 403


# Health


def ready(world: World) -> Any:
    write_certificate(world, ends=timedelta(days=1))
    return world.client().get("/readyz")


def test_a_whole_authority_is_ready(world: World) -> None:
    answer = ready(world)
    proved = {"name": "release", "proved": "2026-11-23T10:00:00.000000Z", "probes": 7, "failed": 1}
    warnings = ["the server certificate expires at 2026-11-24T10:00:00Z"]
    assert answer.status_code == 200
    told = {"keys": [proved], "warnings": warnings}
    assert answer.get_json() == {"status": "ready", "tree_size": 4, "halted": False, **told}


def test_an_expired_server_certificate_is_not_ready(world: World) -> None:
    write_certificate(world, ends=-timedelta(seconds=1))
    answer = world.client().get("/readyz")
    assert answer.status_code == 503
    assert "ended" in answer.get_json()["problems"][0]


def test_a_lost_database_is_not_ready_and_reads_are_503(world: World) -> None:
    folder = world.application.guard.path.parent
    world.application.reader._engine.dispose()
    for file in folder.glob("ledger.db*"):
        file.write_bytes(b"no database any more" * 1000)
    answer = world.client().get("/readyz")
    assert answer.status_code == 503
    for path in ("/v1/keys", "/v1/decisions"):
        lost = world.client().get(path)
        assert (lost.status_code, lost.get_json()["type"]) == (503, PREFIX + "ledger-unavailable")


def test_a_database_behind_the_guard_is_not_ready(world: World) -> None:
    real = world.application.reader
    old = world.application.guard.path
    world.client().post("/v1/signatures", json=world.body([]))

    class Older:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def head(self) -> Any:
            return replace(real.head(), size=3)

    app = create_app(replace(world.application, reader=Older()))  # type: ignore[arg-type]  # a reader of the past
    answer = app.test_client().get("/readyz")
    assert old.exists()
    assert any("older than the published checkpoint" in problem for problem in answer.get_json()["problems"])


def test_a_halt_leaf_does_not_hide_what_reads_serve(world: World) -> None:
    world.sequencer.append([Entry(HaltLeaf(time="2026-11-23T10:00:00.000000Z", reason="r", principal="person:olga"))])
    assert world.client().get("/v1/decisions").status_code == 200
    assert world.client().get("/checkpoint").status_code == 200


def keep(world: World, data: bytes, *, policy: str = "demo") -> Any:
    return world.client().post(
        "/v1/evidence", data=json.dumps({"policy": policy, "evidence": [item(data)]}), content_type="application/json"
    )
