# SPDX-License-Identifier: Apache-2.0
"""`signer gate`, `signer deployment` and `signer revoke`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from signer.errors import Unavailable
from signer.formats.canonical import sha256_hex
from tests.unit.cli.conftest import FakeAuthority, Kept, Signer, answered
from tests.unit.verify.authority import SUBJECT

DIGEST = f"sha256:{SUBJECT.sha256}"
DOWN = Unavailable("authority-unreachable", "nothing answers at that address")


def gate(kept: Kept, *more: object) -> Sequence[object]:
    files = [f"--{name}" for name in ("trust", "bundle", "receipt")]
    paths = [kept.path(f"{name}.json") for name in ("trust", "bundle", "receipt")]
    given = [each for pair in zip(files, paths, strict=True) for each in pair]
    return ["gate", *given, "--subject", f"shop@{DIGEST}", "--policy", "demo", "--environment", "release", *more]


def test_a_gate_opens_when_it_verified_and_recorded(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    authority.answers = [{"leaf": 9, "id": "x"}]
    run = signer(*gate(kept, "-o", "json"))
    assert (run.code, run.document["result"], run.document["leaf"]) == (0, "open", 9), run.err
    told = authority.body()
    assert (told["status"], told["digest"], told["reference"]) == ("deployed", DIGEST, f"shop@{DIGEST}")
    assert (told["gate"]["result"], told["gate"]["receipt"]) == ("passed", sha256_hex(kept.release.receipt))


def test_a_release_that_does_not_verify_is_refused_and_recorded(
    signer: Signer, authority: FakeAuthority, kept: Kept
) -> None:
    authority.answers = [{"leaf": 9, "id": "x"}]
    run = signer(*gate(kept, "--environment", "production", "-o", "json"))
    assert (run.code, run.document["leaf"], run.document["status"]) == (3, 9, "refused")
    assert "REFUSED" in run.err
    told = authority.body()
    assert (told["status"], told["environment"]) == ("refused", "production")
    assert (told["gate"]["result"], told["gate"]["reason"]) == ("failed", "environment-mismatch")


@pytest.mark.parametrize("environment", ["release", "production"])
def test_a_gate_that_cannot_record_stays_shut(
    signer: Signer, authority: FakeAuthority, kept: Kept, environment: str
) -> None:
    authority.answers = [DOWN]
    assert signer(*gate(kept, "--environment", environment)).code == 20


def test_a_gate_without_the_grant_to_record_stays_shut(signer: Signer, authority: FakeAuthority, kept: Kept) -> None:
    authority.answers = [answered(404, "not-found")]
    assert signer(*gate(kept)).code == 4


@pytest.mark.parametrize(("environment", "code"), [("release", 0), ("production", 3)])
def test_a_record_is_kept_for_later_and_recorded_without_a_gate(
    signer: Signer, authority: FakeAuthority, kept: Kept, environment: str, code: int
) -> None:
    later = kept.path("later.json")
    authority.answers = [DOWN, {"leaf": 9, "id": "x"}]
    run = signer(*gate(kept, "--environment", environment, "--record-later", later, "-o", "json"))
    assert (run.code, run.document["leaf"], run.document["kept"]) == (code, None, str(later))
    assert json.loads(later.read_bytes())["gate"]["verifier"].startswith("signer ")
    assert signer("deployment", "record", "--from", later).code == 0
    told = authority.body()
    assert (told["gate"], told["environment"]) == (None, environment)
    assert told["status"] == ("deployed" if code == 0 else "refused")


def test_a_gate_opens_for_one_artifact(signer: Signer, kept: Kept) -> None:
    run = signer(*gate(kept, "--subject", f"other@sha256:{'ab' * 32}"))
    assert run.code == 2
    assert "one subject" in run.err


def test_a_deployment_by_tag_is_recorded_and_said_to_name_nothing(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [{"leaf": 9, "id": "x"}]
    run = signer(
        *("deployment", "record", "--policy", "demo", "--environment", "production", "--reference", "shop:prod")
    )
    assert run.code == 0
    assert "no digest" in run.err
    assert "digest" not in authority.body()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--policy", "demo", "--environment", "production"],
        ["--policy", "demo", "--environment", "e", "--reference", "two words"],
        ["--policy", "demo", "--environment", "e", "--reference", "shop:1", "--digest", "sha512:" + "ab" * 64],
        ["--policy", "demo", "--environment", "e", "--reference", "shop:1", "--at", "yesterday"],
    ],
)
def test_what_is_no_deployment_is_not_sent(signer: Signer, authority: FakeAuthority, arguments: list[str]) -> None:
    assert signer("deployment", "record", *arguments).code == 2
    assert authority.asked == []


def test_deployments_are_listed(signer: Signer, authority: FakeAuthority) -> None:
    event: dict[str, Any] = {
        "context": {"type": "dev.cdevents.service.deployed.0.3.0", "timestamp": "2026-11-23T10:00:00Z"},
        "customData": {"leaf": 7, "reference": "shop:prod", "environment": "production", "gate": None},
    }
    authority.answers = [{"deployments": [event], "next": None}]
    run = signer("deployment", "list", "--digest", DIGEST, "--since", "30d")
    assert run.code == 0
    assert "leaf 7" in run.out
    assert "no digest  no gate" in run.out
    (filters,) = authority.asked[0][1]
    assert isinstance(filters, dict)
    assert filters["digest"] == SUBJECT.sha256


def test_a_release_is_revoked_with_a_reason(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [{"leaf": 9}]
    run = signer(
        "revoke", f"shop@{DIGEST}", "--policy", "demo", "--all-environments", "--reason", "backdoor", "-o", "json"
    )
    assert (run.code, run.document["result"], run.document["leaf"]) == (0, "revoked", 9)
    assert authority.body() == {"digest": DIGEST, "policy": "demo", "environment": "*", "reason": "backdoor"}


@pytest.mark.parametrize("scope", [[], ["--environment", "release", "--all-environments"]])
def test_what_is_revoked_where_has_to_be_said(signer: Signer, authority: FakeAuthority, scope: list[str]) -> None:
    assert signer("revoke", DIGEST, "--policy", "demo", "--reason", "backdoor", *scope).code == 2
    assert authority.asked == []
