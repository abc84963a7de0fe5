# SPDX-License-Identifier: Apache-2.0
"""What every holder of keys must do, on each device and with each algorithm that it offers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from signer.domain.algorithm import Algorithm, key_input
from signer.domain.subject import Subject
from signer.errors import Refused
from signer.formats.bundle import build_bundle
from signer.formats.dsse import IN_TOTO, pae
from signer.formats.own_signature import require_key, verify_own
from signer.formats.spki import keyid, load_spki, spki_pem
from signer.formats.vsa import build_vsa
from signer.keys.backend import KeyFault, Scope
from tests.conformance.sigstore_js import SigstoreJs
from tests.contract.devices import DEVICES, ContractDevice

MESSAGE = b"DSSEv1 28 application/vnd.in-toto+json 2 {}"
SHA256 = ("dgst", "-sha256", "-verify", "key.pem", "-signature", "sig")
PSS = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32", "-sigopt", "rsa_mgf1_md:sha256")
OPENSSL = {
    Algorithm.ECDSA_P256: (*SHA256, "message"),
    Algorithm.ECDSA_P384: ("dgst", "-sha384", *SHA256[2:], "message"),
    Algorithm.ED25519: (
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.pem",
        "-rawin",
        "-in",
        "message",
        "-sigfile",
        "sig",
    ),
    Algorithm.RSA_PKCS1_3072: (*SHA256, "message"),
    Algorithm.RSA_PKCS1_4096: (*SHA256, "message"),
    Algorithm.RSA_PSS_3072: (*SHA256, *PSS, "message"),
    Algorithm.RSA_PSS_4096: (*SHA256, *PSS, "message"),
}
"""How the openssl command verifies each."""

SIGSTORE_JS = {
    Algorithm.ECDSA_P256: "verified",
    Algorithm.ECDSA_P384: "SIGNATURE_ERROR",
    Algorithm.ED25519: "verified",
    Algorithm.RSA_PKCS1_3072: "verified",
    Algorithm.RSA_PKCS1_4096: "verified",
    Algorithm.RSA_PSS_3072: "SIGNATURE_ERROR",
    Algorithm.RSA_PSS_4096: "SIGNATURE_ERROR",
}
"""What @sigstore/verify says with a managed key: it knows SHA-256 alone, and no PSS (docs/reference/algorithms.md)."""


@pytest.fixture(scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContractDevice]:
    with DEVICES[request.param](tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture(params=Algorithm)
def algorithm(request: pytest.FixtureRequest, device: ContractDevice) -> Algorithm:
    chosen = Algorithm(request.param)
    if chosen not in device.offers:
        pytest.skip(f"this device does not offer {chosen}")
    return chosen


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> SigstoreJs:
    return SigstoreJs.install(tmp_path_factory.mktemp("npm"))


def summary() -> bytes:
    """A verification summary as the custodian builds it."""
    return build_vsa(
        subjects=[Subject.parse(f"shop@sha256:{'a' * 64}")],
        verifier="https://sign.example.com/authority",
        resource_uri="https://sign.example.com/authority/demo/release",
        policy_uri="https://sign.example.com/authority/policies/demo",
        policy_digest="c" * 64,
        time=datetime(2026, 11, 23, 10, tzinfo=UTC),
        inputs=["d" * 64],
        levels=["SLSA_BUILD_LEVEL_3"],
        request_id="e" * 32,
        dev=False,
        version="0.1.0",
    )


def sign(device: ContractDevice, algorithm: Algorithm, message: bytes = MESSAGE) -> bytes:
    device.found(algorithm)
    return device.backend.sign(device.place(algorithm), algorithm, key_input(algorithm, message))


def test_the_key_is_of_the_kind_that_was_asked_and_cannot_leave(device: ContractDevice, algorithm: Algorithm) -> None:
    found = device.found(algorithm)
    require_key(algorithm, load_spki(found.spki))
    assert "never extractable" in found.protection
    assert device.found(algorithm) == found


def test_openssl_verifies_the_signature_and_refuses_another_message(
    device: ContractDevice, algorithm: Algorithm, tmp_path: Path
) -> None:
    key = load_spki(device.found(algorithm).spki)
    signature = sign(device, algorithm)
    verify_own(algorithm, key, MESSAGE, signature)
    with pytest.raises(Refused):
        verify_own(algorithm, key, MESSAGE + b" ", signature)
    for name, data in (("key.pem", spki_pem(key).encode()), ("sig", signature)):
        (tmp_path / name).write_bytes(data)
    codes = []
    for message in (MESSAGE, MESSAGE + b" "):
        (tmp_path / "message").write_bytes(message)
        done = subprocess.run(["openssl", *OPENSSL[algorithm]], cwd=tmp_path, capture_output=True, check=False)
        codes.append(done.returncode)
    assert codes == [0, 1]


def test_sigstore_of_npm_says_what_the_reference_says(
    device: ContractDevice, algorithm: Algorithm, npm: SigstoreJs
) -> None:
    spki = device.found(algorithm).spki
    statement = summary()
    signature = sign(device, algorithm, pae(IN_TOTO, statement))
    bundle = build_bundle(payload_type=IN_TOTO, payload=statement, keyid=keyid(spki), signature=signature)
    assert npm.verify(json.loads(bundle), load_spki(spki)) == SIGSTORE_JS[algorithm]


def test_an_input_of_another_length_is_not_signed_and_harms_nothing(
    device: ContractDevice, algorithm: Algorithm
) -> None:
    device.found(algorithm)
    wrong = b"" if algorithm is Algorithm.ED25519 else key_input(algorithm, MESSAGE)[:-1]
    with pytest.raises(KeyFault) as caught:
        device.backend.sign(device.place(algorithm), algorithm, wrong)
    assert (caught.value.scope, caught.value.touched) == (Scope.CALL, False)
    assert sign(device, algorithm)


def test_a_key_is_not_found_under_an_algorithm_of_another_kind(device: ContractDevice, algorithm: Algorithm) -> None:
    other = {
        Algorithm.ECDSA_P256: Algorithm.ECDSA_P384,
        Algorithm.ECDSA_P384: Algorithm.ECDSA_P256,
        Algorithm.ED25519: Algorithm.ECDSA_P256,
        Algorithm.RSA_PKCS1_3072: Algorithm.RSA_PKCS1_4096,
        Algorithm.RSA_PKCS1_4096: Algorithm.RSA_PSS_3072,
        Algorithm.RSA_PSS_3072: Algorithm.ECDSA_P256,
        Algorithm.RSA_PSS_4096: Algorithm.RSA_PSS_3072,
    }[algorithm]
    with pytest.raises(KeyFault) as caught:
        device.backend.public_key(device.place(algorithm), other)
    assert (caught.value.code, caught.value.scope) == ("key-unsuited", Scope.KEY)
    assert caught.value.remedy


@pytest.mark.parametrize("chosen", Algorithm)
def test_what_a_device_does_not_offer_is_said_when_the_key_is_looked_for(
    device: ContractDevice, chosen: Algorithm
) -> None:
    if chosen in device.offers:
        assert device.found(chosen).spki
        return
    with pytest.raises(KeyFault) as caught:
        device.backend.public_key(device.absent(), chosen)
    assert (caught.value.code, caught.value.scope) == ("key-unsuited", Scope.KEY)


def test_a_key_that_is_not_there_is_missing_and_signs_nothing(device: ContractDevice) -> None:
    chosen = min(device.offers, key=lambda each: list(Algorithm).index(each))
    for attempt in (device.backend.public_key, lambda uri, algorithm: device.backend.sign(uri, algorithm, bytes(32))):
        with pytest.raises(KeyFault) as caught:
            attempt(device.absent(), chosen)
        assert (caught.value.scope, caught.value.touched) == (Scope.KEY, False)
    with pytest.raises(KeyFault) as caught:
        device.backend.public_key(device.absent(), chosen)
    assert caught.value.code == "key-missing"
    assert caught.value.remedy


def test_where_a_key_stands_no_second_one_is_made(device: ContractDevice) -> None:
    chosen = min(device.offers, key=lambda each: list(Algorithm).index(each))
    before = device.found(chosen)
    with pytest.raises(KeyFault) as caught:
        device.backend.generate(device.place(chosen), chosen)
    assert caught.value.scope is Scope.KEY
    assert device.found(chosen) == before
