# SPDX-License-Identifier: Apache-2.0
"""Documents of more than 1 MiB: streamed in, named, kept, and streamed out again."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from signer.dev.attestations import attest, provenance_statement
from signer.errors import Unavailable
from signer.formats.canonical import canonical
from signer.web.app import create_app
from signer.web.spool import AT_ONCE, KEEP_SECONDS, Spool
from tests.unit.web.world import ACCESS, LIMIT, MIB, NOW, QUOTA, SUBJECT, World, item

PREFIX = "urn:signing-authority:problem:"
LOG = b"one line of a build log\n" * 100_000
DIGEST = hashlib.sha256(LOG).hexdigest()
OCTETS = "application/octet-stream"


class Zeros:
    """A body that is as long as one likes and takes no memory; counts what was read of it."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.read_of_it = 0

    def read(self, size: int = -1) -> bytes:
        given = min(self.left, size if size >= 0 else self.left)
        self.left -= given
        self.read_of_it += given
        return bytes(given)


def upload(world: World, data: bytes = LOG, **options: Any) -> TestResponse:
    return world.client().post("/v1/uploads", data=data, content_type=OCTETS, **options)


def pour(world: World, body: object, *, length: int | None) -> TestResponse:
    """Send a body that stands in no memory; without a length it comes in chunks."""
    environ = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_TYPE": OCTETS}
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    return world.client().post("/v1/uploads", environ_overrides=environ)


def named(digest: str = DIGEST, **changes: Any) -> dict[str, Any]:
    about = {"kind": "build-log", "media_type": "text/plain", "subjects": [f"sha256:{SUBJECT.sha256}"]}
    return {"upload": digest} | about | changes


def keep(world: World, *evidence: Mapping[str, Any]) -> TestResponse:
    return world.client().post("/v1/evidence", json={"policy": "demo", "evidence": list(evidence)})


def said(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, (answer.get_json() or {}).get("type", "").removeprefix(PREFIX)


def spooled(world: World) -> list[Path]:
    return sorted((world.folder / "spool").iterdir())


@pytest.fixture
def rich(make_world: Any) -> World:
    """A caller whose daily quota of evidence is not what the test is about."""
    world: World = make_world()
    text = ACCESS.replace("version: 1", "version: 2").replace("evidenceBytes: 1000000", "evidenceBytes: 10000000000")
    world.activate("access", "access", 2, text.encode())
    return world


def test_a_large_document_is_uploaded_named_kept_and_fetched(rich: World) -> None:
    answer = upload(rich)
    assert (answer.status_code, answer.get_json()) == (201, {"digest": DIGEST, "size": len(LOG)})
    kept = keep(rich, named())
    assert kept.status_code == 201, kept.data
    assert [row["digest"] for row in kept.get_json()["evidence"]] == [DIGEST]
    assert spooled(rich) == [], "the ledger holds it now"
    fetched = rich.client().get(f"/v1/evidence/{DIGEST}")
    assert fetched.data == LOG
    assert fetched.headers["Content-Length"] == str(len(LOG))
    assert fetched.headers["Content-Type"].startswith("text/plain")
    assert fetched.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_a_kept_large_document_is_a_fact_of_its_subject_and_is_not_read_for_it(
    rich: World,
) -> None:
    upload(rich)
    keep(rich, named())
    (rich.folder / "store" / DIGEST).unlink()
    answer = rich.client().post("/v1/checks", json=rich.body())
    assert answer.status_code == 200
    facts = rich.custodian.asked[-1].judge.facts  # type: ignore[union-attr]  # a check was asked
    assert [fact.kind for fact in facts.documents] == ["build-log"]
    assert rich.client().get(f"/v1/evidence/{DIGEST}").status_code == 503, "and who asks for its bytes is told"


def test_a_small_upload_becomes_a_row_like_any_other(world: World) -> None:
    data = b"small"
    digest = hashlib.sha256(data).hexdigest()
    upload(world, data)
    assert keep(world, named(digest)).status_code == 201
    document = world.application.reader.document(digest)
    assert document is not None
    assert document.data == data
    assert spooled(world) == []


def large_attestation(world: World, *, key: str = "builder", extra: int = 30_000) -> bytes:
    statement = provenance_statement([SUBJECT], finished=NOW - timedelta(hours=1))
    filler = {"filler": [f"part {number} of something that was built" for number in range(extra)]}
    padded = statement.replace(b'"metadata":{', b'"metadata":{"x":' + canonical(filler) + b",", 1)
    assert padded != statement
    return attest(padded, getattr(world.keys, key))


def test_a_large_attestation_is_verified_kept_and_judged(rich: World) -> None:
    data = large_attestation(rich)
    digest = hashlib.sha256(data).hexdigest()
    assert len(data) > MIB
    upload(rich, data)
    kept = keep(rich, {"upload": digest})
    assert kept.status_code == 201, kept.data
    rest = [each for name, each in rich.attestations().items() if name != "provenance"]
    assert rich.client().post("/v1/checks", json=rich.body(rest)).status_code == 200
    # Another worker has not verified it before: it reads it from the store.
    fresh = replace(rich.application, verified=type(rich.application.verified)())
    answer = create_app(fresh).test_client().post("/v1/checks", json=rich.body(rest))
    assert answer.status_code == 200
    assert len(fresh.verified) == 6


def test_a_large_attestation_by_a_stranger_is_not_kept(rich: World) -> None:
    data = large_attestation(rich, key="stranger")
    upload(rich, data)
    answer = keep(rich, {"upload": hashlib.sha256(data).hexdigest()})
    assert said(answer) == (422, "evidence-unverified")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"payload":"","x":[' + b"[]," * 500_000 + b"[]]}", "too-large"),
        (b'{"payload":"' + b"A" * (17 * MIB) + b'"}', "too-large"),
        (b"\xff" * (2 * MIB), "malformed-json"),
    ],
    ids=["a million values around nothing", "more than an attestation may be", "no JSON at all"],
)
def test_a_large_attestation_is_bounded_before_it_is_parsed(rich: World, data: bytes, code: str) -> None:
    upload(rich, data)
    assert said(keep(rich, {"upload": hashlib.sha256(data).hexdigest()}))[1] == code


def test_the_limit_is_told_before_anything_is_sent(world: World) -> None:
    assert world.client().get("/v1/uploads").get_json() == {"limit": LIMIT}
    world.san = "spiffe://dev.invalid/robot/auditor"
    assert said(world.client().get("/v1/uploads")) == (403, "not-authorised")


@pytest.mark.parametrize("length", [2 * 1024 * MIB, None], ids=["with a length", "in chunks"])
def test_two_gigabytes_are_refused_at_the_cap(world: World, length: int | None) -> None:
    body = Zeros(2 * 1024 * MIB)
    assert said(pour(world, body, length=length)) == (413, "too-large")
    assert body.read_of_it <= (0 if length else LIMIT + MIB)
    assert spooled(world) == []


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"data": b"", "content_type": OCTETS}, 400),
        ({"data": LOG, "content_type": "application/json"}, 415),
        ({"data": LOG, "content_type": OCTETS, "headers": {"Content-Encoding": "gzip"}}, 415),
    ],
    ids=["nothing", "another type", "compressed"],
)
def test_what_is_no_plain_document_is_refused(world: World, options: dict[str, Any], status: int) -> None:
    assert world.client().post("/v1/uploads", **options).status_code == status
    assert spooled(world) == []


def test_a_body_that_ends_early_leaves_nothing(world: World) -> None:
    assert said(pour(world, Zeros(3 * MIB), length=4 * MIB)) == (400, "malformed-request")
    assert spooled(world) == []


def test_a_peer_that_breaks_off_leaves_nothing(world: World) -> None:
    class Broken(Zeros):
        def read(self, size: int = -1) -> bytes:
            if self.read_of_it > MIB:
                raise ConnectionResetError
            return super().read(size)

    assert pour(world, Broken(8 * MIB), length=8 * MIB).status_code in (400, 503)
    assert spooled(world) == []


@pytest.mark.parametrize("san", ["auditor", "other"], ids=["may read alone", "may sign alone"])
def test_only_who_may_keep_evidence_may_upload(world: World, san: str) -> None:
    world.san = f"spiffe://dev.invalid/robot/{san}"
    assert said(upload(world)) == (403, "not-authorised")
    assert spooled(world) == []


def test_an_upload_belongs_to_who_made_it(rich: World) -> None:
    upload(rich)
    theirs = rich.application.spool
    assert theirs is not None
    other = rich.application.documents.access().principal("spiffe://dev.invalid/robot/other")
    assert other is not None
    with pytest.raises(Exception, match="upload-missing"):
        theirs.size(other, DIGEST)


@pytest.mark.parametrize(
    ("evidence", "status", "code"),
    [
        (named("0" * 64), 422, "upload-missing"),
        (named("../../etc/passwd"), 400, "malformed-request"),
        (named(DIGEST.upper()), 400, "malformed-request"),
        (named(kind="anything"), 422, "evidence-invalid"),
        (named(subjects=[]), 422, "evidence-invalid"),
        (named(content="AAAA"), 400, "malformed-request"),
        ({"upload": DIGEST, "kind": "build-log"}, 400, "malformed-request"),
        ({"upload": 1}, 400, "malformed-request"),
    ],
    ids=["nobody's", "a path", "another spelling", "no kind", "no subject", "content as well", "half", "a number"],
)
def test_what_names_no_upload_is_refused(world: World, evidence: dict[str, Any], status: int, code: str) -> None:
    upload(world)
    assert said(keep(world, evidence)) == (status, code)


def test_a_request_for_a_signature_names_no_upload(world: World) -> None:
    upload(world)
    body = world.body() | {"evidence": [named()]}
    assert said(world.client().post("/v1/signatures", json=body)) == (400, "malformed-request")


def test_a_principal_fills_its_own_quota_and_no_more(world: World) -> None:
    uploads = [upload(world, bytes([number]) * (11 * MIB)) for number in range(3)]
    assert [said(answer) for answer in uploads] == [(201, ""), (201, ""), (429, "over-quota")]
    assert uploads[2].headers["Retry-After"] == "60"
    assert sum(path.stat().st_size for path in spooled(world)) == 22 * MIB
    assert said(pour(world, Zeros(11 * MIB), length=None)) == (429, "over-quota"), "in chunks it is told on the way"
    assert len(spooled(world)) == 2


def test_all_principals_together_fill_the_spool_and_no_more(world: World) -> None:
    spool = Spool(world.folder / "spool", limit=LIMIT, quota=QUOTA, total=QUOTA)
    access = world.application.documents.access()
    first, second = (access.principal(f"spiffe://dev.invalid/robot/{name}") for name in ("ci", "other"))
    assert first is not None
    assert second is not None
    spool.receive(first, Zeros(16 * MIB), length=None, moved=lambda _size: None)
    with pytest.raises(Unavailable, match="spool-full"):
        spool.receive(second, Zeros(16 * MIB), length=16 * MIB, moved=lambda _size: None)


def test_what_nobody_named_in_time_is_swept(world: World) -> None:
    upload(world)
    (world.folder / "spool" / "0123456789abcdef-dead.part").write_bytes(b"of a worker that was killed")
    long_ago = time.time() - KEEP_SECONDS - 10
    for path in spooled(world):
        os.utime(path, (long_ago, long_ago))
    upload(world, b"another")
    assert [path.stat().st_size for path in spooled(world)] == [len(b"another")]
    assert said(keep(world, named())) == (422, "upload-missing")


def test_uploads_leave_threads_to_those_who_sign(world: World) -> None:
    spool, held, release = world.application.spool, threading.Semaphore(0), threading.Event()
    assert spool is not None

    class Slow(Zeros):
        def read(self, size: int = -1) -> bytes:
            held.release()
            assert release.wait(20)
            return super().read(size)

    principal = world.application.documents.access().principal(world.san)
    assert principal is not None
    threads = [
        threading.Thread(
            target=spool.receive, args=(principal, Slow(10)), kwargs={"length": 10, "moved": lambda _size: None}
        )
        for _ in range(AT_ONCE)
    ]
    for thread in threads:
        thread.start()
        assert held.acquire(timeout=20)
    assert said(upload(world)) == (503, "overloaded")
    release.set()
    for thread in threads:
        thread.join()
    assert upload(world).status_code == 201


def test_new_bytes_are_paid_from_the_daily_quota(world: World) -> None:
    upload(world)
    assert said(keep(world, named())) == (429, "over-quota")
    assert len(spooled(world)) == 1, "it may be named again tomorrow, if it is still there"


def test_a_server_without_documents_says_so(make_world: Any) -> None:
    world = make_world(change=lambda application: replace(application, spool=None, store=None))
    for answer in (upload(world), keep(world, named())):
        assert said(answer) == (413, "too-large")
        assert "[documents]" in answer.get_json()["remedy"]


def test_the_upload_is_readable_by_the_custodians_group(world: World) -> None:
    before = os.umask(0o077)
    try:
        upload(world)
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in spooled(world)] == [0o640]


def test_the_bytes_are_hashed_on_the_way_in_and_never_named_by_a_caller(world: World) -> None:
    upload(world, LOG, headers={"Content-Disposition": 'attachment; filename="../../../etc/passwd"'})
    assert [path.name.partition("-")[2] for path in spooled(world)] == [DIGEST]


def test_one_request_keeps_small_and_large_evidence_in_its_order(rich: World) -> None:
    upload(rich)
    scan = rich.attestations()["scan"]
    answer = keep(rich, item(scan), named())
    assert answer.status_code == 201
    assert [row["digest"] for row in answer.get_json()["evidence"]] == [hashlib.sha256(scan).hexdigest(), DIGEST]
