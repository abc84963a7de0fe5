# SPDX-License-Identifier: Apache-2.0
"""A Sigstore instance of our own without a log: an authority for certificates, one for timestamps, and bundles."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signer.formats.bundle import MEDIA_TYPE
from signer.formats.dsse import IN_TOTO, envelope_object, pae
from signer.formats.fulcio import ARC
from tests.unit.formats.keys import p256

ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v1.2.3"
COMMIT = "5" * 40
IDENTITY: Mapping[int | str, str] = {
    8: ISSUER,
    9: WORKFLOW,
    12: "https://github.com/acme/shop",
    13: COMMIT,
    14: "refs/tags/v1.2.3",
    15: "632596897",
    17: "131804563",
}
TSA_SETTINGS = """
[tsa]
default_tsa = own
[own]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
certs = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True)
class PrivateInstance:
    """Both authorities; `folder` holds what the timestamp authority, the openssl program, reads."""

    folder: Path
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    stamper: int = 42
    """Which key stamps times."""

    @cached_property
    def root(self) -> x509.Certificate:
        return certificate("root", p256(41), None, self.now - timedelta(days=30), days=300, path_length=1)

    @cached_property
    def tsa(self) -> x509.Certificate:
        return certificate(
            "tsa", p256(self.stamper), (self.root, p256(41)), self.now - timedelta(days=30), days=200, usage="timestamp"
        )

    def trusted_root(self, **changes: Any) -> str:
        """The document that a policy pins."""
        chain = [b64encode(self.root.public_bytes(Encoding.DER)).decode()]
        stamping = [b64encode(self.tsa.public_bytes(Encoding.DER)).decode(), *chain]
        start = (self.now - timedelta(days=60)).strftime("%Y-%m-%dT%H:%M:%SZ")

        def authority(certificates: list[str]) -> dict[str, Any]:
            return {
                "subject": {"organization": "acme", "commonName": "own"},
                "uri": "own.invalid",
                "certChain": {"certificates": [{"rawBytes": text} for text in certificates]},
                "validFor": {"start": start},
            }

        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [],
                "certificateAuthorities": [authority(chain)],
                "ctlogs": [],
                "timestampAuthorities": [authority(stamping)],
            }
            | changes
        )

    def bundle(
        self,
        statement: bytes,
        *,
        identity: Mapping[int | str, str] = IDENTITY,
        subject: str = WORKFLOW,
        issued: timedelta = timedelta(minutes=-5),
        issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
        usage: str = "code",
        stamped: bytes | None = None,
        name: str = "",
        **changes: Any,
    ) -> bytes:
        """A bundle with a certificate for `name` and one timestamp; `stamped` is what the timestamp is over."""
        key = p256(43)
        leaf = certificate(
            name,
            key,
            issuer or (self.root, p256(41)),
            # Of the moment at which the timestamp is made: an instance may serve many tests for a long time.
            datetime.now(UTC) + issued,
            days=0,
            usage=usage,
            subject=subject,
            identity=identity,
        )
        signature = key.sign(pae(IN_TOTO, statement), ec.ECDSA(hashes.SHA256()))
        stamp = b64encode(self.timestamp(signature if stamped is None else stamped)).decode()
        material = {
            "certificate": {"rawBytes": b64encode(leaf.public_bytes(Encoding.DER)).decode()},
            "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": stamp}]},
        }
        value = {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": material | changes,
            "dsseEnvelope": envelope_object(IN_TOTO, statement, [("", signature)]),
        }
        return json.dumps(value).encode()

    def timestamp(self, message: bytes) -> bytes:
        """The authority's response, DER."""
        folder = self.folder
        (folder / "tsa.pem").write_bytes(self.tsa.public_bytes(Encoding.PEM))
        key = p256(self.stamper).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "tsa.key").write_bytes(key)
        (folder / "serial").write_text("01\n")
        (folder / "settings").write_text(TSA_SETTINGS.format(folder=folder))
        (folder / "message").write_bytes(message)
        ts = ["openssl", "ts"]
        query = [*ts, "-query", "-data", "message", "-sha256", "-cert", "-out", "query"]
        reply = [*ts, "-reply", "-config", "settings", "-section", "own", "-queryfile", "query", "-out", "reply"]
        for command in (query, reply):
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return (folder / "reply").read_bytes()


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    start: datetime,
    *,
    days: int,
    usage: str = "authority",
    path_length: int | None = None,
    subject: str | None = None,
    identity: Mapping[int | str, str] | None = None,
) -> x509.Certificate:
    """One certificate; with days 0 it lives ten minutes, as those of Fulcio do."""
    authority = usage == "authority"
    own_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    above = issuer[0] if issuer is not None else None
    builder = (
        x509.CertificateBuilder()
        .subject_name(own_name)
        .issuer_name(own_name if above is None else above.subject)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(f"{name or 'leaf'}".encode()[:16]))
        .not_valid_before(start)
        .not_valid_after(start + (timedelta(days=days) or timedelta(minutes=10)))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=authority,
                crl_sign=authority,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    signing = (issuer[1] if issuer is not None else key).public_key()
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing), critical=False)
    purposes = {"code": ExtendedKeyUsageOID.CODE_SIGNING, "timestamp": ExtendedKeyUsageOID.TIME_STAMPING}
    if usage in purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purposes[usage]]), critical=usage == "timestamp")
    if subject is not None:
        workload = "://" in subject
        named = x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier(subject) if workload else x509.RFC822Name(subject)]
        )
        builder = builder.add_extension(named, critical=not name)
    for number, value in (identity or {}).items():
        oid = x509.ObjectIdentifier(f"{ARC}{number}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, encode_der(value)), critical=False)
    return builder.sign(issuer[1] if issuer is not None else key, hashes.SHA256())
