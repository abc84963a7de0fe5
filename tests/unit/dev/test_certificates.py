# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from signer.dev.certificates import ensure_client, ensure_key, ensure_server, load_key, open_ca

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_server_certificate_verifies_for_localhost(tmp_path: Path) -> None:
    ca = open_ca(tmp_path, now=NOW)
    ensure_server(ca, tmp_path, now=NOW)
    verifier = PolicyBuilder().store(Store([ca.certificate])).time(NOW).build_server_verifier(x509.DNSName("localhost"))
    assert len(verifier.verify(certificate(tmp_path / "server" / "cert.pem"), [])) == 2


def test_a_client_certificate_verifies_and_names_one_uri(tmp_path: Path) -> None:
    ca = open_ca(tmp_path, now=NOW)
    ensure_client(ca, tmp_path, name="ci", san="spiffe://dev.invalid/robot/ci", now=NOW)
    verified = (PolicyBuilder().store(Store([ca.certificate])).time(NOW).build_client_verifier()).verify(
        certificate(tmp_path / "cert.pem"), []
    )
    assert verified.subjects is not None
    assert [name.value for name in verified.subjects] == ["spiffe://dev.invalid/robot/ci"]
    usage = certificate(tmp_path / "cert.pem").extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


@pytest.mark.parametrize(
    ("later", "renewed"),
    [
        pytest.param(timedelta(days=80), False, id="ten days before its end it stays"),
        pytest.param(timedelta(days=84), True, id="six days before its end it is renewed"),
        pytest.param(timedelta(days=200), True, id="after its end it is renewed"),
    ],
)
def test_a_certificate_is_renewed_with_the_same_key(tmp_path: Path, later: timedelta, renewed: bool) -> None:
    def ensure(now: datetime) -> bytes:
        ensure_client(open_ca(tmp_path, now=now), tmp_path, name="ci", san="spiffe://dev.invalid/robot/ci", now=now)
        return (tmp_path / "cert.pem").read_bytes()

    assert (ensure(NOW) != ensure(NOW + later)) is renewed
    held = certificate(tmp_path / "cert.pem")
    assert held.public_key() == load_key(tmp_path / "key.pem").public_key()
    assert open_ca(tmp_path, now=NOW).certificate.subject == held.issuer


def test_private_keys_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    ensure_key(tmp_path / "owner-1.key")
    assert stat.S_IMODE((tmp_path / "owner-1.key").stat().st_mode) == 0o600
    assert (tmp_path / "owner-1.pub").read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")


def test_a_key_is_made_once(tmp_path: Path) -> None:
    assert ensure_key(tmp_path / "k.key").private_numbers() == ensure_key(tmp_path / "k.key").private_numbers()
