# SPDX-License-Identifier: Apache-2.0
"""AWS KMS over real HTTP, as far as its API reference describes Sign, GetPublicKey and DescribeKey.

It signs digests as digests, knows Ed25519, keeps to the states of keys and to the limits of messages, and fails when
a test says so: throttled, silent after the deed, answered by another key. Its answers are checked against the
service's own model in tests/contract/test_kms_server.py.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from signer.formats.spki import spki_der

REGION = "eu-central-1"
ACCOUNT = "111122223333"
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "canary/secret/of/the/access/key"

Private: TypeAlias = ec.EllipticCurvePrivateKey | Ed25519PrivateKey | rsa.RSAPrivateKey
Members: TypeAlias = Mapping[str, Any]

_RSA = tuple(f"RSASSA_{scheme}_SHA_{bits}" for scheme in ("PKCS1_V1_5", "PSS") for bits in (256, 384, 512))
ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "ECC_NIST_P256": ("ECDSA_SHA_256",),
    "ECC_NIST_P384": ("ECDSA_SHA_384",),
    "ECC_NIST_EDWARDS25519": ("ED25519_SHA_512", "ED25519_PH_SHA_512"),
    "RSA_3072": _RSA,
    "RSA_4096": _RSA,
}
_HASHES: Mapping[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


@dataclass
class Key:
    """One key of the account."""

    arn: str
    spec: str
    private: Private
    state: str = "Enabled"
    origin: str = "AWS_KMS"


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the next call of one operation.

    error: refused with `code` · silence: done, and never answered · cut: done, and the connection ends ·
    other-key: another key signs under this one's name · other-name: answered under another key's name ·
    other-algorithm: another algorithm in the answer · empty: an empty signature
    """

    kind: str
    code: str = ""
    status: int = 400


class Refusal(Exception):
    """An error answer of KMS."""

    def __init__(self, code: str, *, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@cache
def private_key(spec: str, number: int) -> Private:
    """A key of this kind, made once in a run: RSA takes its time."""
    match spec:
        case "ECC_NIST_P256":
            return ec.derive_private_key(7000 + number, ec.SECP256R1())
        case "ECC_NIST_P384":
            return ec.derive_private_key(7000 + number, ec.SECP384R1())
        case "ECC_NIST_EDWARDS25519":
            return Ed25519PrivateKey.from_private_bytes(number.to_bytes(32))
        case _:
            return rsa.generate_private_key(public_exponent=65537, key_size=int(spec.removeprefix("RSA_")))


@dataclass
class KmsServer:
    """Keys, aliases, what was asked, and what goes wrong next."""

    keys: dict[str, Key] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    lasting: dict[str, Fault] = field(default_factory=dict)
    """What goes wrong with every call of an operation."""
    calls: list[tuple[str, Members]] = field(default_factory=list)
    signed: int = 0
    access_keys: set[str] = field(default_factory=lambda: {ACCESS_KEY})
    endpoint: str = ""
    delay: float = 0.0
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, spec: str, *, number: int | None = None, **changes: str) -> str:
        """Make a key; its ARN."""
        arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{uuid.uuid4()}"
        self.keys[arn] = Key(arn, spec, private_key(spec, number or len(self.keys) + 1), **changes)
        return arn

    def alias(self, name: str, arn: str) -> str:
        """Point an alias at a key; its ARN."""
        alias = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/{name}"
        self.aliases[alias] = arn
        return alias

    def fail(self, operation: str, *faults: Fault) -> None:
        """What goes wrong with the next calls of `operation`, one after the other."""
        self.faults.setdefault(operation, deque()).extend(faults)

    def count(self, operation: str) -> int:
        """How often an operation was asked."""
        return sum(name == operation for name, _ in self.calls)

    def answer(self, operation: str, members: Members, fault: Fault | None) -> Members:
        """Do it; raises Refusal."""
        if fault is not None and fault.kind == "error":
            raise Refusal(fault.code, status=fault.status)
        deeds: Mapping[str, Callable[[Key, Members], Members]] = {
            "DescribeKey": lambda key, _: {"KeyMetadata": metadata(key)},
            "GetPublicKey": lambda key, _: public_key(key),
            "Sign": self._sign,
        }
        if operation not in deeds:
            raise Refusal("UnknownOperationException")
        key = self._find(members)
        if operation != "DescribeKey":
            if key.state == "Disabled":
                raise Refusal("DisabledException")
            if key.state != "Enabled":
                raise Refusal("KMSInvalidStateException")
        if fault is not None and fault.kind == "other-key":
            key = Key(key.arn, key.spec, private_key(key.spec, 999))
        answer = dict(deeds[operation](key, members))
        match fault:
            case Fault(kind="other-name"):
                answer["KeyId"] = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{uuid.uuid4()}"
            case Fault(kind="other-algorithm"):
                answer["SigningAlgorithm"] = "ECDSA_SHA_512"
            case Fault(kind="empty"):
                answer["Signature"] = ""
        return answer

    def _find(self, members: Members) -> Key:
        name = str(members.get("KeyId", ""))
        key = self.keys.get(self.aliases.get(name, name))
        if key is None:
            raise Refusal("NotFoundException")
        return key

    def _sign(self, key: Key, members: Members) -> Members:
        algorithm, kind = members.get("SigningAlgorithm", ""), members.get("MessageType", "RAW")
        message = base64.b64decode(members.get("Message", ""))
        if algorithm not in ALGORITHMS[key.spec]:
            raise Refusal("InvalidKeyUsageException")
        if not 1 <= len(message) <= 4096 or kind not in ("RAW", "DIGEST"):
            raise Refusal("ValidationException")
        if members.get("DryRun"):
            raise Refusal("DryRunOperationException", status=412)
        with self.lock:
            self.signed += 1
        return {
            "KeyId": key.arn,
            "Signature": base64.b64encode(sign(key.private, algorithm, kind, message)).decode(),
            "SigningAlgorithm": algorithm,
        }


def metadata(key: Key) -> Members:
    """KeyMetadata, the members that asymmetric signing keys always have."""
    return {
        "AWSAccountId": ACCOUNT,
        "Arn": key.arn,
        "CreationDate": 1780000000.0,
        "Description": "",
        "Enabled": key.state == "Enabled",
        "KeyId": key.arn.rsplit("/", 1)[1],
        "KeyManager": "CUSTOMER",
        "KeySpec": key.spec,
        "KeyState": key.state,
        "KeyUsage": "SIGN_VERIFY",
        "MultiRegion": False,
        "Origin": key.origin,
        "SigningAlgorithms": list(ALGORITHMS[key.spec]),
    }


def public_key(key: Key) -> Members:
    """Answer of GetPublicKey."""
    return {
        "KeyId": key.arn,
        "KeySpec": key.spec,
        "KeyUsage": "SIGN_VERIFY",
        "PublicKey": base64.b64encode(spki_der(key.private.public_key())).decode(),
        "SigningAlgorithms": list(ALGORITHMS[key.spec]),
    }


def sign(private: Private, algorithm: str, kind: str, message: bytes) -> bytes:
    """What KMS answers: a digest is signed as it is, a raw message is hashed once."""
    if isinstance(private, Ed25519PrivateKey):
        if algorithm != "ED25519_SHA_512" or kind != "RAW":
            raise Refusal("ValidationException")
        return private.sign(message)
    hashed = _HASHES[algorithm[-3:]]
    if kind == "DIGEST" and len(message) != hashed.digest_size:
        raise Refusal("ValidationException")
    how = Prehashed(hashed) if kind == "DIGEST" else hashed
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return private.sign(message, ec.ECDSA(how))
    if "_PSS_" in algorithm:
        return private.sign(message, padding.PSS(padding.MGF1(hashed), padding.PSS.DIGEST_LENGTH), how)
    return private.sign(message, padding.PKCS1v15(), how)


@contextmanager
def kms_server() -> Iterator[KmsServer]:
    """A running server on a free port of this machine."""
    kms = KmsServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_POST(self) -> None:
            operation = self.headers.get("X-Amz-Target", "").removeprefix("TrentService.")
            members = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
            with kms.lock:
                kms.calls.append((operation, members))
                waiting = kms.faults.get(operation)
                fault = waiting.popleft() if waiting else kms.lasting.get(operation)
            if kms.delay:
                kms.closing.wait(kms.delay)
            try:
                self.authenticate()
                status, answer = 200, kms.answer(operation, members, fault)
            except Refusal as refusal:
                status, answer = refusal.status, {"__type": refusal.code, "message": "refused"}
            if fault is not None and fault.kind in ("silence", "cut"):
                self.close_connection = True
                if fault.kind == "silence":
                    kms.closing.wait(20)
                return
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def authenticate(self) -> None:
            given = re.match(r"AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/", self.headers.get("Authorization", ""))
            if given is None:
                raise Refusal("MissingAuthenticationTokenException")
            if given[1] not in kms.access_keys:
                raise Refusal("UnrecognizedClientException")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kms.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield kms
        finally:
            kms.closing.set()
            server.shutdown()
            thread.join()
