# SPDX-License-Identifier: Apache-2.0
"""A throwaway authority (trustme) and the client certificates, good and odd, that it signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Identity:
    """Paths of a certificate and its key."""

    certificate: Path
    key: Path
    serial: int


class Authority:
    """One CA and the files it writes below `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.ca = trustme.CA(organization_name=name)
        self.pem = folder / f"{name}-ca.pem"
        self.ca.cert_pem.write_to_path(str(self.pem))
        self._certificate = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        key = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    def server(self) -> Identity:
        issued = self.ca.issue_cert("localhost", "127.0.0.1")
        certificate, key = self.folder / "server.pem", self.folder / "server.key"
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return Identity(certificate, key, 0)

    def client(
        self,
        name: str,
        *,
        uris: Sequence[str] | None = None,
        is_ca: bool = False,
        usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
        begins: timedelta = timedelta(hours=-1),
        ends: timedelta = timedelta(days=1),
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        serial = x509.random_serial_number()
        now = datetime.now(UTC)
        names = [f"spiffe://dev.invalid/robot/{name}"] if uris is None else uris
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "spiffe://dev.invalid/robot/ci")]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names:
            uri_names = [x509.UniformResourceIdentifier(uri) for uri in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(uri_names), critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        certificate_path, key_path = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate_path.write_bytes(signed.public_bytes(PEM))
        key_path.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return Identity(certificate_path, key_path, serial)

    def revoke(self, path: Path, *serials: int, ends: timedelta = timedelta(days=1)) -> None:
        """Put a revocation list in place, as an operator does: written beside, then renamed."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - timedelta(days=2))
            .next_update(now + ends)
        )
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(revoked)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(PEM))
        fresh.rename(path)
