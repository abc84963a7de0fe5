# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from signer.identity.authorities import MAX_AUTHORITIES, load_authorities, public_names
from tests.unit.formats.keys import p256

NOW = datetime(2026, 11, 23, tzinfo=UTC)
GLOBALSIGN = (("OU", "GlobalSign Root CA - R3"), ("O", "GlobalSign"), ("CN", "GlobalSign"))
KINDS = {"OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "O": NameOID.ORGANIZATION_NAME, "CN": NameOID.COMMON_NAME}


def name(parts: Sequence[tuple[str, str]]) -> x509.Name:
    return x509.Name([x509.NameAttribute(KINDS[kind], value) for kind, value in parts])


def authority(subject: str = "clients", *, issuer: Sequence[tuple[str, str]] = (), ca: bool | None = True) -> bytes:
    """A certificate in PEM, signed by some key: what is asked is what it says."""
    own = name([("CN", subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(name(issuer) if issuer else own)
        .public_key(p256().public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(p256(), hashes.SHA256()).public_bytes(Encoding.PEM)


def load(folder: Path, pem: bytes) -> ssl.SSLContext:
    path = folder / "clients.pem"
    path.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_authorities(context, path)
    return context


@pytest.mark.parametrize("count", [1, 2, MAX_AUTHORITIES])
def test_a_few_authorities_of_ones_own_name_callers(tmp_path: Path, count: int) -> None:
    pem = b"".join(authority(f"clients {number}") for number in range(count))
    assert load(tmp_path, pem).cert_store_stats()["x509_ca"] == count


REFUSED = {
    "nothing": (b"", "no certificate"),
    "a leaf": (authority(ca=False), "is no authority"),
    "a certificate that says nothing of it, beside an authority": (
        authority() + authority("a leaf", ca=False),
        "is no authority",
    ),
    "more than one organisation has": (
        b"".join(authority(f"clients {number}") for number in range(MAX_AUTHORITIES + 1)),
        "holds 33 authorities",
    ),
    "all public ones": (Path(certifi.where()).read_bytes(), "may name callers"),
    "an authority that a public one issued": (authority(issuer=GLOBALSIGN), "organizationName=GlobalSign"),
}


@pytest.mark.parametrize(("pem", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses(tmp_path: Path, pem: bytes, told: str) -> None:
    with pytest.raises(OSError, match=told):
        load(tmp_path, pem)


def test_each_public_authority_is_refused_alone(tmp_path: Path) -> None:
    end = b"-----END CERTIFICATE-----\n"
    blocks = [block[block.index(b"-----BEGIN") :] + end for block in Path(certifi.where()).read_bytes().split(end)[:-1]]
    assert len(blocks) > 100
    for block in blocks:
        with pytest.raises(OSError, match="issues for anybody"):
            load(tmp_path, block)
    assert len(public_names()) > 100
