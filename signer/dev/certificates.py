# SPDX-License-Identifier: Apache-2.0
"""A throwaway CA, the server's certificate and one client certificate per identity (RFC 5280, SPIFFE X.509-SVID)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signer.dev.directory import write_private, write_public

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=90)
RENEW_BEFORE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def open_ca(folder: Path, *, now: datetime) -> Authority:
    """Load the CA of `folder` (ca.pem, ca.key), or make it there."""
    certificate_path, key_path = folder / "ca.pem", folder / "ca.key"
    if certificate_path.exists():
        return Authority(x509.load_pem_x509_certificate(certificate_path.read_bytes()), load_key(key_path))
    key = new_key(key_path)
    name = _name("Signing Authority DEV CA: trust nothing it issues")
    certificate = (
        _builder(name, name, key.public_key(), now=now, life=CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_public(certificate_path, _pem(certificate))
    return Authority(certificate, key)


def ensure_server(ca: Authority, folder: Path, *, now: datetime) -> None:
    """A certificate for localhost in `folder` (server/cert.pem, server/key.pem), renewed a week before it ends."""
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    _ensure(ca, folder / "server", name="localhost", names=names, usage=ExtendedKeyUsageOID.SERVER_AUTH, now=now)


def ensure_client(ca: Authority, folder: Path, *, name: str, san: str, now: datetime) -> None:
    """A client certificate in `folder` (cert.pem, key.pem) whose one URI SAN is `san`."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(san)]
    _ensure(ca, folder, name=name, names=names, usage=ExtendedKeyUsageOID.CLIENT_AUTH, now=now)


def new_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key and keep it at `path` as PKCS #8 PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(
        path,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return key


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Load a P-256 key from PEM."""
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} is not an EC key")
    return key


def ensure_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Load the key at `path` or make it; its public half stands beside it as .pub."""
    key = load_key(path) if path.exists() else new_key(path)
    write_public(path.with_suffix(".pub"), public_pem(key))
    return key


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half as PEM SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _ensure(
    ca: Authority,
    folder: Path,
    *,
    name: str,
    names: list[x509.GeneralName],
    usage: x509.ObjectIdentifier,
    now: datetime,
) -> None:
    certificate_path, key_path = folder / "cert.pem", folder / "key.pem"
    if certificate_path.exists():
        held = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        if held.not_valid_after_utc - now > RENEW_BEFORE:
            return
    key = load_key(key_path) if key_path.exists() else new_key(key_path)
    certificate = (
        _builder(_name(name), ca.certificate.subject, key.public_key(), now=now, life=LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    write_public(certificate_path, _pem(certificate))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + life)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
