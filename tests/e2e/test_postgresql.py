# SPDX-License-Identifier: Apache-2.0
"""The whole service with its ledger in PostgreSQL: web, custodian, token, and a database that crashes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.abuse.stack import Stack
from tests.postgres import Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster.running() as started:
        yield started


@pytest.fixture(scope="module")
def stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    started = Stack.start(tmp_path_factory.mktemp("postgresql"), database=cluster.new_database())
    yield started
    started.stop()


def verify(stack: Stack, *more: str | Path) -> subprocess.CompletedProcess[bytes]:
    """`signer log verify` on the database itself."""
    trust = stack.authority.reader().trust()
    assert trust is not None
    path = stack.authority.directory / "trust.json"
    path.write_bytes(trust.file)
    command = ["log", "verify", "--trust", path, "--database", stack.authority.settings.ledger.database, *more]
    return subprocess.run(
        [sys.executable, "-P", "-m", "signer.cli", *map(str, command)], capture_output=True, timeout=60, check=False
    )


def test_it_signs_denies_repeats_and_is_verified(stack: Stack) -> None:
    release = stack.release()
    good = release.evidence()
    signed = stack.ask(release, good, key="once")
    assert signed.status == 200, signed.body[:500]
    size = stack.size()
    assert stack.ask(release, good, key="once").body == signed.body
    assert stack.size() == size, "a repeat leaves no leaf"
    other = stack.release()
    scan = other.scan(vulnerabilities=[("CVE-2026-1", "critical")])
    assert stack.ask(other, other.evidence(scan=scan)).said == (403, "denied")
    found = stack.request("GET", f"/v1/decisions?digest={release.subject.sha256}").json["decisions"]
    assert [each["request_id"] for each in found] == [signed.json["request_id"]]
    assert verify(stack).returncode == 0


def test_a_database_that_crashes_costs_nothing_that_was_answered(stack: Stack, cluster: Cluster) -> None:
    release = stack.release()
    signed = stack.ask(release, release.evidence(), key="before")
    assert signed.status == 200
    kept = stack.authority.directory / "checkpoint"
    kept.write_bytes(stack.request("GET", "/checkpoint").body)
    cluster.stop()
    try:
        other = stack.release()
        refused = stack.ask(other, other.evidence(), key="during", may_fail=True)
        assert refused.said == (503, "ledger-unavailable"), refused.body[:300]
        assert stack.request("GET", "/livez").status == 200
    finally:
        cluster.start()
    stack.wait(
        lambda: stack.ask(other, other.evidence(), may_fail=True).status == 200, what="it does not find the database"
    )
    assert stack.ask(release, release.evidence(), key="before", may_fail=True).status == 409, "other bytes, same key"
    ran = verify(stack, "--checkpoint", kept)
    assert ran.returncode == 0, ran.stderr


def test_a_killed_custodian_goes_on_where_the_database_is(stack: Stack) -> None:
    release = stack.release()
    assert stack.ask(release, release.evidence()).status == 200
    size = stack.size()
    assert stack.authority.process is not None
    stack.authority.process.send_signal(signal.SIGKILL)
    stack.authority.process.wait(10)
    stack.authority.start()
    stack.authority.wait_until_ready()
    assert stack.size() >= size
    other = stack.release()
    stack.wait(
        lambda: stack.ask(other, other.evidence(), may_fail=True).status == 200, what="web does not find the custodian"
    )
    assert verify(stack).returncode == 0
