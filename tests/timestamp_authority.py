# SPDX-License-Identifier: Apache-2.0
"""A timestamp authority of our own, over HTTP on loopback where asked, which can do wrong what a real one could.

with TimestampServer(OwnAuthority(folder)) as server:
    server.mood = "another nonce"
    ... server.url, server.authority.chain, server.asked

The answers are made by the openssl program; of a mood the rest is right, so that a test knows what was refused.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

REPLY = "application/timestamp-reply"
REJECTION = bytes.fromhex("30053003020102")
"""TimeStampResp of status 2 and nothing else."""
SETTINGS = """
[tsa]
default_tsa = own
[own]
serial = {folder}/serial
signer_cert = {folder}/{name}.pem
certs = {folder}/{name}.pem
signer_key = {folder}/{name}.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_alg = sha256
"""
MOODS = (
    "rejection",
    "another nonce",
    "another imprint",
    "another algorithm",
    "another authority",
    "a certificate that expired",
    "an error",
    "another type",
    "a redirect",
    "too many bytes",
    "no bytes",
    "rubbish",
    "hangs up",
    "silent",
    "in drops",
)
"""Each of them must end as: no timestamp."""
_OWN: Mapping[str, str] = {
    "another authority": "foreign",
    "a certificate that expired": "expired",
}


class OwnAuthority:
    """Certificates in `folder`, and what they sign."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        now = datetime.now(UTC)
        root_key, foreign_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = _certificate("root", root_key, None, start=now - timedelta(days=30))
        foreign = _certificate("foreign root", foreign_key, None, start=now - timedelta(days=30))
        self.issuer = (self.root, root_key)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.own = self._issue("tsa", self.issuer, key=self.key)
        self._issue("expired", self.issuer, start=now - timedelta(days=20), days=10)
        self._issue("foreign", (foreign, foreign_key))
        (folder / "serial").write_text("01\n")

    @property
    def chain(self) -> tuple[bytes, ...]:
        """What owners pin: the authority's certificate and its root, DER."""
        return tuple(each.public_bytes(Encoding.DER) for each in (self.own, self.root))

    @property
    def pem(self) -> bytes:
        """The same as a PEM file."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in (self.own, self.root))

    def twin(self, *usage: x509.ObjectIdentifier) -> bytes:
        """A certificate with the name, the key and the serial number of the authority's own, for these usages."""
        start, serial = self.own.not_valid_before_utc, self.own.serial_number
        made = _certificate("tsa", self.key, self.issuer, start=start, days=9, usage=list(usage), serial=serial)
        return made.public_bytes(Encoding.DER)

    def reply(self, query: bytes, *, name: str = "tsa") -> bytes:
        """The response that the certificate `name` signs for a query, DER."""
        with self._lock:
            (self.folder / "query").write_bytes(query)
            command = ["openssl", "ts", "-reply", "-config", f"{name}.cnf", "-section", "own"]
            done = subprocess.run(
                [*command, "-queryfile", "query", "-out", "reply"], cwd=self.folder, capture_output=True, check=False
            )
            return (self.folder / "reply").read_bytes() if done.returncode == 0 else REJECTION

    def _issue(
        self,
        name: str,
        issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
        *,
        key: ec.EllipticCurvePrivateKey | None = None,
        start: datetime | None = None,
        days: int = 200,
    ) -> x509.Certificate:
        key = key or ec.generate_private_key(ec.SECP256R1())
        begin = start or datetime.now(UTC) - timedelta(days=1)
        usage = [ExtendedKeyUsageOID.TIME_STAMPING]
        made = _certificate(name, key, issuer, start=begin, days=days, usage=usage)
        (self.folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{name}.key").write_bytes(pem)
        (self.folder / f"{name}.cnf").write_text(SETTINGS.format(folder=self.folder, name=name))
        return made


class TimestampServer:
    """The authority on loopback: one thread for each connection."""

    def __init__(self, authority: OwnAuthority) -> None:
        self.authority = authority
        self.mood = ""
        self.delay = 0.0
        self.asked: list[bytes] = []
        """Every question, as it came."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


def _handler(server: TimestampServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            server.asked.append(query)
            time.sleep(server.delay)
            match server.mood:
                case "a redirect":
                    self.send_response(307)
                    self.send_header("Location", server.url)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                case "hangs up":
                    self.close_connection = True
                case "silent":
                    time.sleep(5)
                case "in drops":
                    self.drip(server.authority.reply(query))
                case mood:
                    kind = "text/html" if mood == "another type" else REPLY
                    self.answer(_altered(server, query), status=500 if mood == "an error" else 200, kind=kind)

        def answer(self, data: bytes, *, status: int = 200, kind: str = REPLY) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def drip(self, data: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", REPLY)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):  # whoever asked hangs up before the end
                for at in range(60):
                    self.wfile.write(data[at : at + 1])
                    time.sleep(0.1)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def _altered(server: TimestampServer, query: bytes) -> bytes:
    """The response in the mood of the moment, right in all but one thing."""
    tsa, mood = server.authority, server.mood
    constant = {"rejection": REJECTION, "no bytes": b"", "rubbish": b"\x30\x82 rubbish"}.get(mood)
    if constant is not None:
        return constant
    # SHA-256 imprint and nonce stand at fixed places of the query that rfc3161-client writes.
    match mood:
        case "another nonce":
            query = _flipped(query, at=len(query) - 4)
        case "another imprint":
            query = _flipped(query, at=query.index(b"\x04\x20") + 2)
        case "another algorithm":
            query = TimestampRequestBuilder().data(b"x").hash_algorithm(HashAlgorithm.SHA512).build().as_bytes()
    reply = tsa.reply(query, name=_OWN.get(mood, "tsa"))
    return reply + bytes(40_000) if mood == "too many bytes" else reply


def _flipped(data: bytes, *, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    *,
    start: datetime,
    days: int = 300,
    usage: list[x509.ObjectIdentifier] | None = None,
    serial: int | None = None,
) -> x509.Certificate:
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    above, signing = (own, key) if issuer is None else (issuer[0].subject, issuer[1])
    authority = issuer is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
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
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=True)
    return builder.sign(signing, hashes.SHA256())
