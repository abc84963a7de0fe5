# SPDX-License-Identifier: Apache-2.0
"""Signatures of images and artifacts out of a real token, verified by OpenSSL and by the offline verifier."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from signer.cli.outputs import artifact_files, image_signatures
from signer.custodian.commands import Done, Failed, Signed
from signer.domain.subject import Subject
from signer.formats.bundle import parse_bundle
from signer.formats.oci_layout import build_layout
from signer.formats.receipt import Receipt, parse_receipt
from signer.formats.spki import load_spki, spki_pem
from signer.ledger.leaves import Outcome, decode_leaf
from signer.verify.answer import verify_release
from signer.verify.bundle import Expectation
from tests.authority import LiveAuthority

ALL = "formats: [vsa, cosign, artifact], imageKey: images, artifactKey: files"
MANIFEST = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}'


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAuthority]:
    authority = LiveAuthority.found(tmp_path_factory.mktemp("outputs"), outputs=ALL)
    with authority.running():
        yield authority


def image(data: bytes, *, name: str = "registry.example.com/shop/api") -> Subject:
    return Subject.of(name, {"sha256": hashlib.sha256(data).hexdigest()})


def sign(live: LiveAuthority, *subjects: Subject) -> bytes:
    reply = live.ask(live.decide(None, *subjects))
    assert isinstance(reply, Signed), reply
    return reply.receipt


def outcome(receipt: Receipt) -> Outcome:
    leaf = decode_leaf(receipt.outcome.leaf)
    assert isinstance(leaf, Outcome)
    return leaf


def openssl_verifies(live: LiveAuthority, folder: Path, *, key: str, data: bytes, signature: bytes) -> bool:
    """`openssl dgst -verify` over the file itself, with the public key that the trust file gives for `key`."""
    (spki,) = (each.spki for each in live.trust().keys if each.name == key)
    (folder / "key.pem").write_text(spki_pem(load_spki(spki)))
    (folder / "data").write_bytes(data)
    (folder / "signature").write_bytes(signature)
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "data"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def test_openssl_verifies_the_signature_of_an_image_over_the_bytes_in_the_layout(
    live: LiveAuthority, tmp_path: Path
) -> None:
    (signed,) = image_signatures(parse_receipt(sign(live, image(MANIFEST))))
    assert json.loads(signed.payload)["critical"]["image"] == {
        "docker-manifest-digest": f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
    }
    files = build_layout([signed])
    assert files[f"blobs/sha256/{hashlib.sha256(signed.payload).hexdigest()}"] == signed.payload
    assert openssl_verifies(live, tmp_path, key="images", data=signed.payload, signature=signed.signature)
    for other in ("release", "files"):
        assert not openssl_verifies(live, tmp_path, key=other, data=signed.payload, signature=signed.signature)


def test_openssl_verifies_the_detached_signature_over_the_artifact_itself(live: LiveAuthority, tmp_path: Path) -> None:
    files = artifact_files(parse_receipt(sign(live, image(b"the artifact"))))
    digest = hashlib.sha256(b"the artifact").hexdigest()
    assert set(files) == {f"{digest}.sig", f"{digest}.sigstore.json"}
    signature = files[f"{digest}.sig"]
    assert openssl_verifies(live, tmp_path, key="files", data=b"the artifact", signature=signature)
    assert not openssl_verifies(live, tmp_path, key="files", data=b"another artifact", signature=signature)
    for other in ("release", "images"):
        assert not openssl_verifies(live, tmp_path, key=other, data=b"the artifact", signature=signature)


def test_one_outcome_leaf_names_every_signature_with_the_key_of_its_purpose(live: LiveAuthority) -> None:
    subjects = [image(str(number).encode(), name=f"registry.example.com/shop/{number}") for number in range(4)]
    data = sign(live, *subjects)
    entries = outcome(parse_receipt(data)).signatures
    kids = {key.kid: key.name for key in live.trust().keys}
    assert [(entry.format, kids[entry.kid], entry.result, entry.attempts) for entry in entries] == [
        ("vsa", "release", "signed", 1),
        *[("cosign", "images", "signed", 1)] * 4,
        *[("artifact", "files", "signed", 1)] * 4,
    ]
    row = live.reader().trust()
    assert row is not None
    (statement, *_) = parse_receipt(data).bundles
    verified = verify_release(
        row.file, bundle=statement.bundle, receipt=data, expect=Expectation(subjects=tuple(subjects)), allow_dev=False
    )
    assert verified.checks[-1].found == "8 of cosign, artifact"


def test_keys_of_other_purposes_have_signed_no_statement(live: LiveAuthority) -> None:
    (statement, *_) = parse_receipt(sign(live, image(b"once more"))).bundles
    (signature,) = parse_bundle(statement.bundle).envelope.signatures
    assert [key.name for key in live.trust().keys if key.kid == signature.keyid] == ["release"]


def test_the_same_request_is_answered_with_the_same_signatures(live: LiveAuthority) -> None:
    evidence = live.evidence(image(b"replayed"))
    first = live.ask(live.decide(evidence, image(b"replayed"), key="again"))
    second = live.ask(live.decide(evidence, image(b"replayed"), key="again"))
    assert isinstance(first, Signed)
    assert first == second


def test_a_policy_cannot_bring_the_key_of_artifacts_to_statements(live: LiveAuthority) -> None:
    swapped = (
        live.policy_bytes.replace(b"version: 1", b"version: 2", 1)
        .replace(b'key: "release"', b"key: spare")
        .replace(b"artifactKey: files", b"artifactKey: release")
    )
    reply = live.activate("policy", swapped)
    assert isinstance(reply, Failed)
    assert reply.code == "purpose-mixed"


def test_an_rsa_key_signs_artifacts_too(live: LiveAuthority, tmp_path: Path) -> None:
    """Last: it puts another policy in force."""
    assert isinstance(live.add_key("files-rsa"), Done)
    assert isinstance(live.publish_trust(version=2), Done)
    changed = live.policy_bytes.replace(b"version: 1", b"version: 2", 1).replace(b"Key: files", b"Key: files-rsa")
    assert isinstance(live.activate("policy", changed), Done)
    files = artifact_files(parse_receipt(sign(live, image(b"by rsa"))))
    signature = files[f"{hashlib.sha256(b'by rsa').hexdigest()}.sig"]
    assert len(signature) == 3072 // 8
    assert openssl_verifies(live, tmp_path, key="files-rsa", data=b"by rsa", signature=signature)
