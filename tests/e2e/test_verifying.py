# SPDX-License-Identifier: Apache-2.0
"""A stranger checks a release: our verifier offline, plain OpenSSL, and RFC 6962 from its text alone."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Release
from tests.e2e.running import Ran, Running


def verify(authority: Running, release: Release, *arguments: str | Path, artifact: Path | None = None) -> Ran:
    """`signer verify` with no way to the authority."""
    return authority.signer(
        "verify",
        "--bundle",
        release.bundle,
        "--receipt",
        release.receipt,
        "--subject-file",
        artifact or authority.sample("artifact.txt"),
        *arguments,
        SIGNER_URL="https://127.0.0.1:1",
    )


def test_a_release_verifies_offline(authority: Running, release: Release) -> None:
    ran = verify(authority, release, "--allow-dev", "--environment", "release", "--max-age", "1h", "-o", "json")
    assert ran.code == 0, ran.err
    assert ran.json["request_id"] == release.request_id
    assert "DEV_UNTRUSTED" in ran.json["levels"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param((), "dev-untrusted", id="a development authority without --allow-dev"),
        pytest.param(("--allow-dev", "--environment", "production"), None, id="another environment"),
        pytest.param(("--allow-dev", "--policy", "other"), None, id="another policy"),
        pytest.param(("--allow-dev", "--level", "SLSA_BUILD_LEVEL_4"), None, id="a level that is not stated"),
    ],
)
def test_what_was_not_asked_for_is_refused(
    authority: Running, release: Release, arguments: tuple[str, ...], code: str | None
) -> None:
    ran = verify(authority, release, *arguments, "-o", "json")
    assert ran.code == 3, ran.err
    assert code in (None, ran.json["error"]["code"])


def test_an_old_judgement_is_refused(authority: Running, release: Release) -> None:
    assert verify(authority, release, "--allow-dev", "--max-age", "0s").code == 3


def test_a_tampered_artifact_is_refused(authority: Running, release: Release, tmp_path: Path) -> None:
    tampered = tmp_path / "artifact.txt"
    tampered.write_bytes(authority.sample("artifact.txt").read_bytes() + b"\n")
    assert verify(authority, release, "--allow-dev", artifact=tampered).code == 3


def test_a_tampered_bundle_is_refused(authority: Running, release: Release, tmp_path: Path) -> None:
    bundle = json.loads(release.bundle.read_bytes())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b"/release", b"/staging")).decode()
    changed = tmp_path / "bundle.json"
    changed.write_text(json.dumps(bundle))
    ran = verify(authority, Release(changed, release.receipt, ""), "--allow-dev")
    assert ran.code == 3, ran.err


def test_the_trust_file_of_another_authority_is_refused(authority: Running, release: Release, tmp_path: Path) -> None:
    trust = json.loads(authority.directory.trust.read_bytes())
    document = json.loads(base64.b64decode(trust["document"]))
    document["keys"] = []
    trust["document"] = base64.b64encode(json.dumps(document, separators=(",", ":"), sort_keys=True).encode()).decode()
    changed = tmp_path / "trust.json"
    changed.write_text(json.dumps(trust))
    assert verify(authority, release, "--allow-dev", "--trust", changed).code == 3


def test_openssl_verifies_the_bundle(authority: Running, release: Release, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    envelope = json.loads(release.bundle.read_bytes())["dsseEnvelope"]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    # DSSE v1.0.2 protocol: PAE(type, body) = "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    (tmp_path / "pae").write_bytes(encoded)
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    trust = json.loads(base64.b64decode(json.loads(authority.directory.trust.read_bytes())["document"]))
    named = envelope["signatures"][0]["keyid"]
    (spki,) = (
        spki
        for spki in (base64.b64decode(key["spki"]) for key in trust["keys"])
        if base64.b64encode(hashlib.sha256(spki).digest()).decode() == named
    )
    (tmp_path / "key.der").write_bytes(spki)

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [openssl, "dgst", "-sha256", "-verify", "key.der", "-keyform", "DER", "-signature", "sig", "pae"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert check().stdout.strip() == "Verified OK"
    (tmp_path / "pae").write_bytes(encoded + b" ")
    assert check().returncode != 0


def rfc6962_root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a Merkle audit path leads to (RFC 6962 §2.1, verification as in RFC 9162 §2.1.3.2)."""

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    place, last, root = index, size - 1, hashlib.sha256(b"\x00" + leaf).digest()
    for sibling in path:
        assert last > 0, "the path is too long"
        if place % 2 == 1 or place == last:
            root = node(sibling, root)
            while place % 2 == 0 and place > 0:
                place, last = place // 2, last // 2
        else:
            root = node(root, sibling)
        place, last = place // 2, last // 2
    assert last == 0, "the path is too short"
    return root


@pytest.mark.parametrize("which", ["decision", "outcome"])
def test_the_receipt_proves_both_leaves_by_rfc_6962_alone(release: Release, which: str) -> None:
    proven = json.loads(release.receipt.read_bytes())[which]
    proof, _, checkpoint = proven["proof"].partition("\n\n")
    header, index, *path = proof.split("\n")
    assert header == "c2sp.org/tlog-proof@v1"
    _, size, root = checkpoint.split("\n")[:3]
    hashes = [base64.b64decode(line) for line in path]
    leaf = base64.b64decode(proven["leaf"])
    found = rfc6962_root(leaf, int(index.removeprefix("index ")), int(size), hashes)
    assert found == base64.b64decode(root)
    assert rfc6962_root(leaf + b" ", int(index.removeprefix("index ")), int(size), hashes) != found
    assert json.loads(leaf)["kind"] == which
