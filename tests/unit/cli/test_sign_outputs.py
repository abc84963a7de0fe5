# SPDX-License-Identifier: Apache-2.0
"""`signer sign --oci-layout` and `--artifact-signatures`: the files that other tools take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tests.unit.cli.conftest import FakeAuthority, Signer
from tests.unit.verify.test_outputs import FILES, IMAGE, Made

ASK = ("sign", "--policy", "demo", "--environment", "release", "--subject", f"{IMAGE.name}@sha256:{IMAGE.sha256}")


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    path = tmp_path / "trust.json"
    path.write_bytes(Made().make().trust)
    return path


def test_signatures_are_verified_and_written_for_other_tools(
    signer: Signer, authority: FakeAuthority, trust: Path, tmp_path: Path
) -> None:
    authority.answers = [Made().make().receipt]
    layout, files = tmp_path / "layout", tmp_path / "files"
    ended = signer(*ASK, "--trust", trust, "--oci-layout", layout, "--artifact-signatures", files, "-o", "json")
    assert ended.code == 0, ended.err
    assert ended.document["tags"] == [f"sha256-{IMAGE.sha256}.sig"]
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (described,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert described["annotations"]["org.opencontainers.image.ref.name"] == f"sha256-{IMAGE.sha256}.sig"
    assert len(list((layout / "blobs" / "sha256").iterdir())) == 3
    signature = (files / f"{IMAGE.sha256}.sig").read_bytes()
    FILES.public_key().verify(signature, bytes.fromhex(IMAGE.sha256), ec.ECDSA(Prehashed(hashes.SHA256())))
    assert json.loads((files / f"{IMAGE.sha256}.sigstore.json").read_bytes())["messageSignature"]


def test_a_signature_by_a_key_of_another_purpose_is_not_written(
    signer: Signer, authority: FakeAuthority, trust: Path, tmp_path: Path
) -> None:
    made = Made()
    made.image_key = FILES
    authority.answers = [made.make().receipt]
    ended = signer(*ASK, "--trust", trust, "--oci-layout", tmp_path / "layout")
    assert (ended.code, list((tmp_path / "layout").iterdir())) == (3, [])
    assert "purpose" in ended.err


def test_what_the_environment_does_not_sign_is_said_after_the_bundle_was_kept(
    signer: Signer, authority: FakeAuthority, tmp_path: Path
) -> None:
    made = Made()
    made.formats = ()
    authority.answers = [made.make().receipt]
    ended = signer(*ASK, "--bundle", tmp_path / "bundle.json", "--oci-layout", tmp_path / "layout")
    assert (ended.code, (tmp_path / "bundle.json").exists()) == (2, True)
    assert "format-absent" in ended.err


@pytest.mark.parametrize("option", ["--oci-layout", "--artifact-signatures"])
def test_a_folder_that_holds_something_is_refused_before_anything_is_asked(
    signer: Signer, authority: FakeAuthority, tmp_path: Path, option: str
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "index.json").write_text("{}")
    ended = signer(*ASK, option, tmp_path / "old")
    assert (ended.code, authority.asked) == (2, [])
