# SPDX-License-Identifier: Apache-2.0
"""The ends of certificates and revocation lists: metrics before, problems after."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from signer.web.expiry import TlsFiles, look_at
from signer.web.operations import create_operations_app
from tests.unit.formats.keys import p256
from tests.unit.web.world import World

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
DAY = timedelta(days=1)
NAME = x509.Name([])


def certificate(ends: timedelta) -> bytes:
    return (
        x509.CertificateBuilder(NAME, NAME, p256().public_key(), 1, NOW - 9 * DAY, NOW + ends)
        .sign(p256(), hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def revocations(ends: timedelta) -> bytes:
    return (
        x509.CertificateRevocationListBuilder(NAME, NOW - 9 * DAY, NOW + ends)
        .sign(p256(), hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    (tmp_path / "server.pem").write_bytes(certificate(3 * DAY))
    (tmp_path / "clients.pem").write_bytes(certificate(9 * DAY) + certificate(4 * DAY))
    (tmp_path / "clients.crl").write_bytes(revocations(8 * DAY) + revocations(DAY))
    return TlsFiles(
        certificate=tmp_path / "server.pem", client_ca=tmp_path / "clients.pem", crl=tmp_path / "clients.crl"
    )


def test_of_each_file_the_first_end_counts(files: TlsFiles) -> None:
    found = look_at(files, now=NOW)
    assert found.times == {"certificate": NOW + 3 * DAY, "client_ca": NOW + 4 * DAY, "crl": NOW + DAY}
    assert found.problems == ()


@pytest.mark.parametrize(
    ("later", "roles"),
    [
        (DAY - timedelta(seconds=1), []),
        (DAY, ["crl"]),
        (3 * DAY, ["certificate", "crl"]),
        (4 * DAY, ["certificate", "client_ca", "crl"]),
    ],
)
def test_past_an_end_it_is_a_problem_with_what_to_do(files: TlsFiles, later: timedelta, roles: list[str]) -> None:
    problems = look_at(files, now=NOW + later).problems
    assert [problem.partition(":")[0] for problem in problems] == roles
    assert all(" ended 2026-11-" in problem for problem in problems)


@pytest.mark.parametrize("role", ["certificate", "client_ca", "crl"])
@pytest.mark.parametrize("data", [None, b"", b"junk", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_a_file_that_cannot_be_read_is_a_problem_and_has_no_end(files: TlsFiles, role: str, data: bytes | None) -> None:
    path: Path = getattr(files, role)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    found = look_at(files, now=NOW)
    assert role not in found.times
    assert [problem.partition(":")[0] for problem in found.problems] == [role]


def test_what_is_not_configured_is_no_problem(files: TlsFiles) -> None:
    found = look_at(dataclasses.replace(files, client_ca=None, crl=None), now=NOW)
    assert set(found.times) == {"certificate"}
    assert found.problems == ()


def test_the_ends_are_metrics_and_a_stale_list_is_not_ready(world: World, files: TlsFiles) -> None:
    application = dataclasses.replace(world.application, tls=files)
    application.metrics_directory.mkdir()
    client = create_operations_app(application).test_client()
    text = client.get("/metrics").get_data(as_text=True)
    for name, end in (("cert_expiry", 3 * DAY), ("client_ca_expiry", 4 * DAY), ("crl_next_update", DAY)):
        (value,) = (
            line.split()[1] for line in text.splitlines() if line.startswith(f"signer_{name}_timestamp_seconds ")
        )
        assert float(value) == (NOW + end).timestamp()
    assert client.get("/readyz").status_code == 200
    stale = dataclasses.replace(application, clock=lambda: NOW + 2 * DAY)
    assert create_operations_app(stale).test_client().get("/readyz").status_code == 503
