# SPDX-License-Identifier: Apache-2.0
"""Abuse of what becomes of a release: packs, deployments, what is taken back."""

from __future__ import annotations

import base64
import io
import tarfile

import pytest

from signer.domain.subject import Subject
from signer.formats.ustar import header
from signer.verify.checks import CheckFailed
from signer.verify.pack import VerifiedPack, verify_pack
from tests.abuse.stack import Answer, Release, Stack

HOSTILE = (
    "../../../../etc/passwd",
    "/etc/passwd",
    "-rf",
    "a" * 300,
    "CON",
    "con",
    "x|<script>alert(1)</script>",
    "=HYPERLINK(1)",
)


def packed(stack: Stack, release: Release, *, by: str = "auditor") -> bytes:
    answer = stack.request("GET", f"/v1/releases/{release.subject.sha256}/pack", by=by)
    assert answer.status == 200, answer.body
    return answer.body


def verified(stack: Stack, data: bytes) -> VerifiedPack:
    row = stack.authority.reader().trust()
    assert row is not None
    return verify_pack(data, trust=row.file, allow_dev=False)


@pytest.fixture
def pack(stack: Stack) -> bytes:
    """The pack of a release that was signed and deployed."""
    release = stack.release()
    assert stack.ask(release, release.evidence()).status == 200
    digest = f"sha256:{release.subject.sha256}"
    told = {"policy": "demo", "environment": "release", "reference": "shop:1.2", "digest": digest}
    assert stack.post("/v1/deployments", told, by="alice").status == 201
    return packed(stack, release)


def test_L05_no_name_of_a_caller_becomes_a_name_in_a_pack(stack: Stack) -> None:
    for name in HOSTILE:
        release = stack.release(name)
        assert stack.ask(release, release.evidence()).status == 200
        data = packed(stack, release)
        assert verified(stack, data).contents.sha256 == release.subject.sha256
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as opened:
            members = opened.getmembers()
        assert all(member.isreg() and member.name.startswith("release-evidence/0") for member in members)
        assert len({member.name.lower() for member in members}) == len(members)
        for member in members:
            assert name not in member.name
            header(member.name, member.size)


def test_L08_a_pack_that_is_not_exactly_the_sealed_one_is_never_verified(stack: Stack, pack: bytes) -> None:
    assert verified(stack, pack).files > 20
    block = pack[:512]
    changed = (
        b"",
        pack[:-512],
        pack[: len(pack) // 2],
        pack + bytes(512),
        pack + pack,
        block + pack,
        pack.replace(b"release-evidence/00-index/summary.md", b"release-evidence/00-index/summarx.md", 1),
        pack[:600] + b"x" + pack[601:],
        header("release-evidence/00-index/bomb.txt", 8**11 - 1) + pack,
        b"\x1f\x8b\x08" + pack,
    )
    for data in changed:
        with pytest.raises(CheckFailed):
            verified(stack, data)


def test_M01_another_team_sees_nothing_of_a_release(stack: Stack) -> None:
    release = stack.release()
    assert stack.ask(release, release.evidence()).status == 200
    sha256 = release.subject.sha256
    unknown = stack.release().subject.sha256
    for path in ("/v1/releases/%s", "/v1/releases/%s/pack"):
        theirs, nobodys = (stack.request("GET", path % each, by="other") for each in (sha256, unknown))
        assert theirs.said == nobodys.said == (404, "not-found")
    assert stack.request("GET", f"/v1/deployments?digest={sha256}", by="other").json["deployments"] == []
    assert stack.request("GET", "/v1/findings", by="other").json["findings"] == []
    with stack.unrecorded():
        told = {"policy": "demo", "environment": "release", "reference": "shop:1.2", "digest": f"sha256:{sha256}"}
        assert stack.post("/v1/deployments", told, by="other").status in (403, 404)
        taken = {"policy": "demo", "environment": "release", "digest": f"sha256:{sha256}", "reason": "mine"}
        assert stack.post("/v1/revocations", taken, by="other").status in (403, 404)
    # Who may, can; and what was taken back is signed no more.
    assert stack.post("/v1/revocations", taken, by="alice").status == 201
    assert stack.ask(release, release.evidence()).said == (403, "release-revoked")


@pytest.mark.parametrize("member", ["leaf", "principal", "recorded", "decided_by", "tenant_id", "id"])
def test_M02_fields_of_ours_in_a_deployment_or_revocation_refuse_it(stack: Stack, member: str) -> None:
    with stack.unrecorded():
        for path, body in (
            ("/v1/deployments", {"policy": "demo", "environment": "release", "reference": "shop:1.2"}),
            (
                "/v1/revocations",
                {"policy": "demo", "environment": "release", "digest": "sha256:" + "ab" * 32, "reason": "x"},
            ),
        ):
            assert stack.post(path, {**body, member: "robot:ci"}, by="alice").status == 400


def test_E24_an_older_digest_needs_a_rollback_plan_of_its_own(stack: Stack) -> None:
    """What was signed once is not promoted again without saying so, for exactly this digest."""
    older, newer = stack.release(), stack.release()
    for release in (older, newer):
        assert stack.ask(release, release.evidence(), policy="rollback").said == (409, "evidence-missing")
        plan = _plan(stack, release.subject)
        assert plan.status == 201, plan.body
        assert stack.ask(release, release.evidence(), policy="rollback").status == 200
    third = stack.release()
    # The plan of another digest speaks of none of this one's.
    answer = stack.ask(third, third.evidence(), policy="rollback")
    assert answer.said == (409, "evidence-missing")
    assert "rollback plan" in answer.finding("RBK-1")["found"] + answer.finding("RBK-1")["required"]


def _plan(stack: Stack, subject: Subject) -> Answer:
    item = {
        "content": base64.b64encode(f"back from {subject.sha256}\n".encode()).decode(),
        "kind": "rollback-plan",
        "media_type": "text/markdown",
        "subjects": [f"sha256:{subject.sha256}"],
    }
    return stack.post("/v1/evidence", {"policy": "rollback", "evidence": [item]})
