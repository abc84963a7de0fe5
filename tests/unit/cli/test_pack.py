# SPDX-License-Identifier: Apache-2.0
"""`signer pack export` and `signer pack verify`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.authority import SUBJECT
from tests.unit.cli.conftest import Signer
from tests.unit.pack.conftest import whole
from tests.unit.pack.world import Release

__all__ = ["whole"]  # a fixture of the tests of packs
DIGEST = f"sha256:{SUBJECT.sha256}"


@pytest.fixture
def folder(tmp_path: Path, whole: tuple[bytes, bytes]) -> Path:
    (tmp_path / "pack.tar").write_bytes(whole[0])
    (tmp_path / "trust.json").write_bytes(whole[1])
    return tmp_path


class Client:
    """Sends a pack in pieces, or less of it than it told."""

    def __init__(self, data: bytes, told: int) -> None:
        self.data, self.told = data, told
        self.asked: list[tuple[str, int | None]] = []

    def __call__(self, _endpoint: object) -> Client:
        return self

    def pack(self, digest: str, sink: Callable[[bytes], None], *, size: int | None = None) -> Mapping[str, str]:
        self.asked.append((digest, size))
        for start in range(0, len(self.data), 1000):
            sink(self.data[start : start + 1000])
        return {"content-length": str(self.told)}


def test_an_exported_pack_verifies(
    signer: Signer, folder: Path, whole: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(whole[0], len(whole[0]))
    monkeypatch.setattr("signer.client.http.Client", client)
    out = folder / "exported.tar"
    run = signer("pack", "export", DIGEST, "--out", out, "--size", 7, "--url", "https://sign.example")
    assert (run.code, client.asked) == (0, [(SUBJECT.sha256, 7)]), run.err
    assert out.read_bytes() == whole[0]


def test_a_pack_that_ends_early_is_no_file(
    signer: Signer, folder: Path, whole: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signer.client.http.Client", Client(whole[0][:5000], len(whole[0])))
    out = folder / "exported.tar"
    run = signer("pack", "export", DIGEST, "--out", out, "--url", "https://sign.example")
    assert run.code == 20
    assert not out.exists()


def test_a_pack_is_verified_and_told(signer: Signer, folder: Path) -> None:
    run = signer(
        "pack", "verify", folder / "pack.tar", "--trust", folder / "trust.json", "--subject", DIGEST, "-o", "json"
    )
    assert run.code == 0, run.err
    said = run.document
    assert (said["result"], said["digest"], said["names"]) == ("verified", DIGEST, [SUBJECT.name])
    assert [each["verdict"] for each in said["decisions"]] == ["deny", "allow"]
    assert "05-approvals/environment-approval.md" in said["missing"]
    assert {each["id"] for each in said["findings"]} == {"F1", "F2", "F7"}
    assert "every verdict follows" in run.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["--subject", f"sha256:{'ab' * 32}"], 3, id="about something else"),
        pytest.param(["--subject", "shop.tar"], 2, id="no digest"),
    ],
)
def test_what_a_pack_has_to_be_about(signer: Signer, folder: Path, arguments: list[str], code: int) -> None:
    assert signer("pack", "verify", folder / "pack.tar", "--trust", folder / "trust.json", *arguments).code == code


def test_a_pack_is_not_verified_by_its_own_trust_file_or_by_none(signer: Signer, folder: Path) -> None:
    assert signer("pack", "verify", folder / "pack.tar").code == 2


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b\x08", bytes(1024), b"x" * 10_000], ids=len)
def test_what_is_no_pack_is_not_verified(signer: Signer, folder: Path, data: bytes) -> None:
    (folder / "pack.tar").write_bytes(data)
    run = signer("pack", "verify", folder / "pack.tar", "--trust", folder / "trust.json")
    assert (run.code, "NOT VERIFIED" in run.err) == (3, True)


def test_a_pack_of_another_authority_is_not_verified(signer: Signer, folder: Path) -> None:
    (folder / "trust.json").write_bytes(Release().trust)
    assert signer("pack", "verify", folder / "pack.tar", "--trust", folder / "trust.json").code == 3
