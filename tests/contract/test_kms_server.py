# SPDX-License-Identifier: Apache-2.0
"""The stand-in for AWS KMS answers as the service's own model says, and refuses what its reference says it refuses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import StringShape, StructureShape

from tests.kms_server import (
    ACCESS_KEY,
    ALGORITHMS,
    REGION,
    SECRET_KEY,
    Key,
    KmsServer,
    kms_server,
    metadata,
    private_key,
    public_key,
)

MODEL = botocore.session.get_session().get_service_model("kms")


@pytest.fixture(scope="module")
def kms() -> Iterator[KmsServer]:
    with kms_server() as server:
        yield server


@pytest.fixture(scope="module")
def client(kms: KmsServer) -> Any:
    return boto3.client(
        "kms",
        region_name=REGION,
        endpoint_url=kms.endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}),
    )


def require_shape(value: Mapping[str, Any], shape: Any, where: str) -> None:
    assert isinstance(shape, StructureShape)
    for name, member in value.items():
        assert name in shape.members, f"{where}.{name} is not in the model"
        inner = shape.members[name]
        if isinstance(inner, StructureShape):
            require_shape(member, inner, f"{where}.{name}")
        elif isinstance(inner, StringShape) and inner.enum:
            assert member in inner.enum, f"{where}.{name} is {member}"


@pytest.mark.parametrize("spec", ALGORITHMS)
def test_answers_have_the_members_and_words_of_the_model(spec: str) -> None:
    key = Key("key/one", spec, private_key(spec, 1))
    require_shape({"KeyMetadata": metadata(key)}, MODEL.operation_model("DescribeKey").output_shape, "DescribeKey")
    require_shape(public_key(key), MODEL.operation_model("GetPublicKey").output_shape, "GetPublicKey")
    known = set(MODEL.shape_for("SigningAlgorithmSpec").enum)
    assert set(ALGORITHMS[spec]) <= known


@pytest.mark.parametrize(
    ("spec", "members", "code"),
    [
        pytest.param(
            "ECC_NIST_P256",
            {"MessageType": "DIGEST", "Message": bytes(48), "SigningAlgorithm": "ECDSA_SHA_256"},
            "ValidationException",
            id="a digest of another length",
        ),
        pytest.param(
            "ECC_NIST_P256",
            {"MessageType": "RAW", "Message": bytes(4097), "SigningAlgorithm": "ECDSA_SHA_256"},
            "ValidationException",
            id="a message over 4096 bytes",
        ),
        pytest.param(
            "ECC_NIST_EDWARDS25519",
            {"MessageType": "DIGEST", "Message": bytes(64), "SigningAlgorithm": "ED25519_SHA_512"},
            "ValidationException",
            id="a digest for pure Ed25519",
        ),
        pytest.param(
            "ECC_NIST_P384",
            {"MessageType": "DIGEST", "Message": bytes(32), "SigningAlgorithm": "ECDSA_SHA_256"},
            "InvalidKeyUsageException",
            id="an algorithm of another key",
        ),
    ],
)
def test_refuses_what_kms_refuses(
    kms: KmsServer, client: Any, spec: str, members: Mapping[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        client.sign(KeyId=kms.create(spec), **members)
    assert caught.value.response["Error"]["Code"] == code


def test_a_digest_and_the_message_that_it_is_of_are_signed_alike(kms: KmsServer, client: Any) -> None:
    # RSA PKCS #1 v1.5 is deterministic: signing a digest as a message would show.
    arn = kms.create("RSA_3072")
    how = {"KeyId": arn, "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"}
    raw = client.sign(Message=b"message", MessageType="RAW", **how)
    digest = client.sign(Message=hashlib.sha256(b"message").digest(), MessageType="DIGEST", **how)
    assert raw["Signature"] == digest["Signature"]
    assert raw["KeyId"] == arn
