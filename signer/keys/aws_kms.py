# SPDX-License-Identifier: Apache-2.0
"""AWS KMS. The only module that imports `boto3`, and only a token worker imports this one.

    DescribeKey    state, usage and kind of the key, and the ARN behind an alias
    GetPublicKey   DER SubjectPublicKeyInfo
    Sign           MessageType DIGEST; RAW for Ed25519 alone, at most 4096 bytes

One attempt per call: whether a call may be tried again is decided outside, from `signer.keys.faults`. Each answer is
compared with what was asked: the key's ARN and the algorithm. Credentials come by AWS's chain, which renews them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from signer.domain.algorithm import Algorithm, is_key_input, key_input
from signer.errors import Malformed
from signer.formats.own_signature import require_key
from signer.formats.spki import load_spki
from signer.keys.backend import FoundKey, KeyFault, Scope
from signer.keys.devices import KmsDevice
from signer.keys.faults import AWS_KMS, BOTOCORE, KMS_UNKNOWN, Meaning
from signer.keys.uri import KeyUri, KmsUri

MAX_RAW = 4096
WOULD_WORK = "DryRunOperationException"
"""How KMS answers a dry run that it would have carried out."""


@dataclass(frozen=True, slots=True)
class Spec:
    """How KMS calls a kind of key and its signatures."""

    key: str
    signing: str
    message: str = "DIGEST"


SPECS: Mapping[Algorithm, Spec] = {
    Algorithm.ECDSA_P256: Spec("ECC_NIST_P256", "ECDSA_SHA_256"),
    Algorithm.ECDSA_P384: Spec("ECC_NIST_P384", "ECDSA_SHA_384"),
    Algorithm.ED25519: Spec("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "RAW"),
    Algorithm.RSA_PKCS1_3072: Spec("RSA_3072", "RSASSA_PKCS1_V1_5_SHA_256"),
    Algorithm.RSA_PKCS1_4096: Spec("RSA_4096", "RSASSA_PKCS1_V1_5_SHA_256"),
    Algorithm.RSA_PSS_3072: Spec("RSA_3072", "RSASSA_PSS_SHA_256"),
    Algorithm.RSA_PSS_4096: Spec("RSA_4096", "RSASSA_PSS_SHA_256"),
}


class KmsBackend:
    """The keys of one region; raises KeyFault from every method, which several threads may call at a time."""

    def __init__(self, device: KmsDevice) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._client: Any = None
        self._arns: dict[KmsUri, str] = {}
        """The key's own ARN, as it was when its public key was compared with the pin."""

    def public_key(self, uri: KeyUri, algorithm: Algorithm) -> FoundKey:
        """Look at the key's state, usage and kind, then fetch its public key."""
        place, spec = self._mine(uri), SPECS[algorithm]
        about = _members(self._call("describe_key", place, KeyId=place.arn), "KeyMetadata", place)
        arn, state = about.get("Arn"), about.get("KeyState")
        if state != "Enabled":
            raise KeyFault(
                "key-disabled", f"{uri} is {state}", scope=Scope.KEY, remedy=AWS_KMS["DisabledException"].remedy
            )
        answer = self._call("get_public_key", place, KeyId=place.arn)
        usable = answer.get("KeyUsage") == "SIGN_VERIFY" and spec.signing in answer.get("SigningAlgorithms", ())
        if not usable or answer.get("KeySpec") != spec.key:
            raise _unsuited(place, f"{answer.get('KeySpec')} for {answer.get('KeyUsage')}", wanted=spec.key)
        if not isinstance(arn, str) or answer.get("KeyId") != arn or not (place.is_alias or arn == place.arn):
            raise _another(place, answer.get("KeyId"))
        spki = answer.get("PublicKey")
        try:
            require_key(algorithm, load_spki(spki if isinstance(spki, bytes) else b""))
        except Malformed as fault:
            raise _unsuited(place, fault.detail, wanted=spec.key) from None
        self._arns[place] = arn
        where = "made in KMS" if about.get("Origin") == "AWS_KMS" else f"origin {about.get('Origin')}"
        reach = ", multi-region" if about.get("MultiRegion") else ""
        return FoundKey(spki=bytes(spki or b""), protection=f"{arn}, {where}{reach}, never extractable")

    def generate(self, uri: KeyUri, algorithm: Algorithm) -> FoundKey:
        """KMS names keys itself: none can be made at a given ARN."""
        raise KeyFault(
            "key-missing",
            f"{uri} does not exist, and KMS makes no key at a given ARN",
            scope=Scope.KEY,
            remedy=f"aws kms create-key --key-usage SIGN_VERIFY --key-spec {SPECS[algorithm].key}; put its ARN into "
            "[[keys]]",
        )

    def sign(self, uri: KeyUri, algorithm: Algorithm, data: bytes) -> bytes:
        """Sign a key's input; a digest goes as DIGEST, for as RAW it would be hashed once more in silence."""
        place, spec = self._mine(uri), SPECS[algorithm]
        if not is_key_input(algorithm, data) or len(data) > MAX_RAW:
            raise KeyFault("token-unavailable", f"{len(data)} bytes are no input of {algorithm}", scope=Scope.CALL)
        arn = self._arns.get(place)
        if arn is None:
            raise KeyFault("token-unavailable", f"{uri} was not found before", scope=Scope.KEY)
        answer = self._call(
            "sign",
            place,
            signing=True,
            KeyId=place.arn,
            Message=data,
            MessageType=spec.message,
            SigningAlgorithm=spec.signing,
        )
        if answer.get("KeyId") != arn:
            # An alias that points elsewhere now: what the other key signed is dropped.
            raise _another(place, answer.get("KeyId"))
        signature = answer.get("Signature")
        if answer.get("SigningAlgorithm") != spec.signing or not isinstance(signature, bytes):
            raise KeyFault(
                "token-unavailable",
                f"KMS answered {answer.get('SigningAlgorithm')} where {spec.signing} was asked",
                scope=Scope.KEY,
                touched=True,
                remedy=KMS_UNKNOWN.remedy,
            )
        return signature

    def may_sign(self, uri: KeyUri, algorithm: Algorithm) -> None:
        """Ask by a dry run whether these credentials may sign with a key that `public_key` found; nothing is signed.

        An answer of any other kind raises KeyFault.
        """
        place, spec = self._mine(uri), SPECS[algorithm]
        try:
            self._call(
                "sign",
                place,
                KeyId=place.arn,
                Message=key_input(algorithm, b"may this client sign?"),
                MessageType=spec.message,
                SigningAlgorithm=spec.signing,
                DryRun=True,
            )
        except KeyFault as fault:
            if fault.detail.endswith(f": {WOULD_WORK}"):
                return
            raise
        raise KeyFault("token-unavailable", f"KMS took a dry run for a call: {uri}", scope=Scope.CALL, touched=True)

    def _mine(self, uri: KeyUri) -> KmsUri:
        if not isinstance(uri, KmsUri) or uri.region != self._device.region:
            raise KeyFault("token-unavailable", f"{uri} is not in {self._device.region}", scope=Scope.CALL)
        return uri

    def _call(self, operation: str, uri: KmsUri, *, signing: bool = False, **members: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = getattr(self._connected(), operation)(**members)
            return answer
        except ClientError as fault:
            error = fault.response.get("Error", {})
            name = str(error.get("Code", ""))[:64]
            meaning = AWS_KMS.get(name, KMS_UNKNOWN)
        except BotoCoreError as fault:
            name, meaning = classify(fault)
        except Exception as fault:  # noqa: BLE001 - whatever the library raises, the outcome of this call is not known
            name, meaning = type(fault).__name__, KMS_UNKNOWN
        if meaning.code == "key-denied":
            # Credentials may have been replaced in their file: the next call reads them anew.
            with self._lock:
                self._client = None
        # The text of an answer may quote the request, and that of the library its settings: the name says it all.
        raise KeyFault(
            meaning.code,
            f"{operation} of {uri}: {name}",
            scope=meaning.scope,
            touched=meaning.touched and signing,
            remedy=meaning.remedy,
        )

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                device = self._device
                session = boto3.Session(profile_name=device.profile or None, region_name=device.region)
                self._client = session.client(
                    "kms",
                    endpoint_url=device.endpoint or None,
                    config=Config(
                        retries={"mode": "standard", "total_max_attempts": 1},
                        connect_timeout=device.connect_timeout,
                        read_timeout=device.read_timeout,
                        max_pool_connections=device.threads + 1,
                        tcp_keepalive=True,
                    ),
                )
            return self._client


def classify(fault: BotoCoreError) -> tuple[str, Meaning]:
    """Name and meaning of a call without an answer: that of the nearest listed exception it is derived from."""
    for kind in type(fault).__mro__:
        if kind.__name__ in BOTOCORE:
            return type(fault).__name__, BOTOCORE[kind.__name__]
    return type(fault).__name__, KMS_UNKNOWN


def _members(answer: Mapping[str, Any], name: str, uri: KmsUri) -> Mapping[str, Any]:
    members = answer.get(name)
    if isinstance(members, Mapping):
        return members
    raise KeyFault("token-unavailable", f"KMS answered no {name} for {uri}", scope=Scope.KEY)


def _unsuited(uri: KmsUri, found: str, *, wanted: str) -> KeyFault:
    return KeyFault(
        "key-unsuited",
        f"{uri} is {found}; its algorithm needs a key {wanted} for SIGN_VERIFY",
        scope=Scope.KEY,
        remedy=AWS_KMS["InvalidKeyUsageException"].remedy,
    )


def _another(uri: KmsUri, found: object) -> KeyFault:
    return KeyFault(
        "key-pin-mismatch",
        f"{uri} is answered by another key, {str(found)[:128]}",
        scope=Scope.KEY,
        remedy="point the alias back at the recorded key, or record the other one under a new name",
    )
