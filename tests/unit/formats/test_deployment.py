# SPDX-License-Identifier: Apache-2.0
"""Deployments on the wire."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.formats.deployment import Deployment, Gate, cd_event, name_of, parse_deployment, pinned_digest

AT = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
DIGEST = "9c" * 32
TOLD = Deployment(
    policy="demo",
    environment="production",
    status="deployed",
    reference="registry.example/shop:1.2",
    sha256=DIGEST,
    at=AT,
    approval="",
    gate=Gate(verifier="signer 0.1.0", result="passed", reason="", receipt="ab" * 32, time=AT),
)


@pytest.mark.parametrize("told", [TOLD, replace(TOLD, sha256=""), replace(TOLD, gate=None)])
def test_a_kept_record_reads_as_it_was_written(told: Deployment) -> None:
    assert parse_deployment(told.body()) == told
    assert parse_deployment(told.body()).id == told.id


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        TOLD.body().replace(b'"status":"deployed"', b'"status":"rolled"'),
        TOLD.body().replace(b"registry.example/shop:1.2", b"a b"),
        TOLD.body().replace(b'"policy":', b'"trusted":true,"policy":'),
        TOLD.body().replace(b"2026-11-23T10:00:00.000000Z", b"2026-11-23"),
    ],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_deployment(data)


@given(st.binary(max_size=300) | st.integers(0, len(TOLD.body()) - 1).map(lambda at: TOLD.body()[:at] + b"\xff"))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse_deployment(data)
    except Malformed:
        return


@pytest.mark.parametrize(
    ("reference", "name", "digest"),
    [
        ("registry.example/shop:1.2", "registry.example/shop", ""),
        ("registry.example:5000/shop", "registry.example:5000/shop", ""),
        ("registry.example:5000/shop:1.2", "registry.example:5000/shop", ""),
        (f"registry.example/shop:1.2@sha256:{DIGEST}", "registry.example/shop", DIGEST),
        (f"shop.tar@sha256:{DIGEST}", "shop.tar", DIGEST),
        ("shop.tar", "shop.tar", ""),
        ("shop:prod", "shop", ""),
    ],
)
def test_a_reference_is_a_name_and_perhaps_a_digest(reference: str, name: str, digest: str) -> None:
    assert (name_of(reference), pinned_digest(reference)) == (name, digest)


def test_an_event_names_the_digest_as_its_artifact_and_a_tag_as_none() -> None:
    event = cd_event(TOLD, leaf=7, recorded="2026-11-23T10:00:01.000000Z", origin="sign.example/a")
    assert event["subject"]["content"]["artifactId"] == f"pkg:oci/shop@sha256%3A{DIGEST}"
    bare = cd_event(replace(TOLD, sha256=""), leaf=7, recorded="", origin="sign.example/a")
    assert bare["subject"]["content"]["artifactId"] == "pkg:oci/shop"
    assert bare["context"]["id"] != event["context"]["id"]
