# SPDX-License-Identifier: Apache-2.0
"""The doctor looks at a key in AWS KMS: each of its lines, and the one that fails when something is denied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from signer.cli.checkup import Line
from signer.cli.checkup_token import _key_lines
from signer.domain.algorithm import Algorithm
from signer.domain.purpose import Purpose
from signer.keys.aws_kms import KmsBackend
from signer.keys.keyring import KeyPlace
from signer.keys.uri import parse_uri
from tests.contract.devices import kms_credentials, kms_device
from tests.kms_server import Fault, KmsServer, kms_server


@pytest.fixture
def kms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KmsServer]:
    for name, value in kms_credentials(tmp_path).items():
        monkeypatch.setenv(name, value)
    with kms_server() as server:
        yield server


def lines(kms: KmsServer, *, algorithm: Algorithm = Algorithm.ECDSA_P256, other: bool = False) -> dict[str, Line]:
    """What the doctor says of a P-256 key whose public key, or another one, is recorded."""
    backend, place = KmsBackend(kms_device(kms)), parse_uri(f"awskms:///{kms.create('ECC_NIST_P256', number=1)}")
    recorded = backend.public_key(place, Algorithm.ECDSA_P256).spki
    if other:
        recorded = backend.public_key(
            parse_uri(f"awskms:///{kms.create('ECC_NIST_P256', number=2)}"), Algorithm.ECDSA_P256
        ).spki
    key = KeyPlace(name="release", uri=place, purpose=Purpose.STATEMENT, algorithm=algorithm)
    return {line.what: line for line in _key_lines(backend, key, recorded=recorded)}


def test_a_key_that_may_be_used_passes_every_line_and_signs_nothing(kms: KmsServer) -> None:
    found = lines(kms)
    assert [what for what, line in found.items() if line.ok] == [
        "key release",
        "mechanism of key release",
        "pin of key release",
        "permission of key release",
    ]
    assert all(line.required and line.found and line.remedy for line in found.values())
    assert kms.signed == 0


@pytest.mark.parametrize("algorithm", [Algorithm.ECDSA_P384, Algorithm.ED25519, Algorithm.RSA_PSS_3072])
def test_a_key_of_another_kind_fails_the_line_of_its_mechanism(kms: KmsServer, algorithm: Algorithm) -> None:
    found = lines(kms, algorithm=algorithm)
    assert {what: line.ok for what, line in found.items()} == {"mechanism of key release": False}
    assert "[[keys]]" in found["mechanism of key release"].remedy


def test_another_key_in_its_place_fails_the_line_of_its_pin(kms: KmsServer) -> None:
    found = lines(kms, other=True)
    assert [what for what, line in found.items() if not line.ok] == ["pin of key release"]
    assert "signer keys create release" in found["pin of key release"].remedy


def test_whoever_may_look_and_not_sign_is_told_by_a_dry_run(kms: KmsServer) -> None:
    kms.fail("Sign", Fault("error", "AccessDeniedException"))
    found = lines(kms)
    assert [what for what, line in found.items() if not line.ok] == ["permission of key release"]
    assert "kms:Sign" in found["permission of key release"].remedy


def test_whoever_may_not_even_look_is_told_at_the_key(kms: KmsServer) -> None:
    arn = kms.create("ECC_NIST_P256", number=3)
    key = KeyPlace(
        name="release", uri=parse_uri(f"awskms:///{arn}"), purpose=Purpose.STATEMENT, algorithm=Algorithm.ECDSA_P256
    )
    kms.fail("DescribeKey", Fault("error", "AccessDeniedException"))
    [line] = _key_lines(KmsBackend(kms_device(kms)), key, recorded=b"")
    assert (line.what, line.ok, "kms:DescribeKey" in line.remedy) == ("key release", False, True)
