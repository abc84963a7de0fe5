# SPDX-License-Identifier: Apache-2.0
"""An evidence pack: what is in it, and that no byte of it can be another."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.domain.subject import Subject
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.dsse import IN_TOTO, parse_envelope, sign_envelope
from signer.formats.trust import build_trust_document, encode_trust_file, parse_trust_file
from signer.formats.ustar import END, header, padding
from signer.pack.layout import EXPECTED, MANIFEST, ROOT
from signer.verify.checks import CheckFailed
from signer.verify.pack import VerifiedPack, verify_pack
from tests.authority import SUBJECT, subject
from tests.unit.custodian.world import LEDGER_KEY
from tests.unit.pack.world import KINDS, Release, archive

Whole = tuple[bytes, bytes]


def verify(data: bytes, trust: bytes, **options: Any) -> VerifiedPack:
    return verify_pack(data, trust=trust, allow_dev=False, **options)


def refused(data: bytes, trust: bytes) -> CheckFailed:
    with pytest.raises(CheckFailed) as fault:
        verify(data, trust)
    return fault.value


def files_of(data: bytes) -> dict[str, bytes]:
    """Read by somebody else's reader."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as opened:
        found = {}
        for member in opened:
            content = opened.extractfile(member)
            assert content is not None
            found[member.name.removeprefix(ROOT)] = content.read()
        return found


def resealed(files: Mapping[str, bytes], key: Ed25519PrivateKey = LEDGER_KEY) -> bytes:
    """The files with a manifest that lists them as they are, signed by whoever has the key."""
    statement = json.loads(parse_envelope(files[MANIFEST]).payload)
    for each in statement["predicate"]["references"]:
        data = files[each["name"]]
        each["digest"]["sha256"], each["annotations"]["size"] = sha256_hex(data), len(data)
    return archive({**files, MANIFEST: sign_envelope(IN_TOTO, canonical(statement), key)})


# What is in it


def test_a_pack_proves_itself_and_is_read_by_any_tar(whole: Whole) -> None:
    verified = verify(*whole, subjects={SUBJECT.sha256})
    assert verified.contents.sha256 == SUBJECT.sha256
    assert [leaf.verdict for _, leaf in verified.contents.decisions()] == ["deny", "allow"]
    files = files_of(whole[0])
    expected = {path for path, _ in EXPECTED} - {"03-artifacts/sbom.cdx.json"}
    assert expected - files.keys() == set(verified.missing)
    assert set(verified.missing) == {"05-approvals/environment-approval.md", "05-approvals/security-signoff.md"}
    assert len(files) == verified.files


def test_documents_stand_in_it_byte_for_byte(whole: Whole) -> None:
    files = files_of(whole[0])
    assert files["01-source/commit-range.txt"] == b"the commit-range\n"
    assert files["02-build/build-log.txt"] == b"the build-log\n"
    assert files["06-deployment/rollback-plan.md"] == b"the rollback-plan\n"
    summary = files["01-source/pull-request-summary.md"]
    assert summary.startswith(b"the pull-request-summary\n")
    assert b"Reviews, as recorded" in summary
    (line,) = files["04-attestations/provenance.jsonl"].splitlines()
    assert json.loads(line)["payloadType"] == IN_TOTO
    assert f"sha256:{SUBJECT.sha256}  {SUBJECT.name}\n".encode() in files["03-artifacts/image-digests.txt"]
    assert "spdxVersion" in json.loads(files["03-artifacts/sbom.spdx.json"])
    (event,) = json.loads(files["06-deployment/deploy-record.json"])
    assert event["context"]["type"] == "dev.cdevents.service.deployed.0.3.0"
    assert b"# Release evidence" in files["00-index/summary.md"]


@pytest.mark.parametrize("kind", KINDS)
def test_several_documents_of_a_kind_are_numbered(kind: str, tmp_path: Path) -> None:
    release = Release()
    release.keep(kind, b"one\n")
    release.keep(kind, b"two\n")
    release.signed()
    data = release.pack(tmp_path)
    verify(data, release.trust)
    names = sorted(path for path in files_of(data) if path.rpartition("/")[2].startswith(kind))
    stem, _, ending = names[-1].rpartition(".")
    assert names == [f"{stem}-2.{ending}", f"{stem}.{ending}"]
    files = files_of(data)
    assert files[f"{stem}-2.{ending}"].startswith(b"two\n")


def test_several_attestations_are_lines_and_several_subjects_too(tmp_path: Path) -> None:
    release = Release()
    both = (SUBJECT, subject(1))
    release.signed(*both)
    release.signed(evidence=release.evidence()[:1])
    data = release.pack(tmp_path)
    verify(data, release.trust)
    files = files_of(data)
    assert len(files["04-attestations/provenance.jsonl"].splitlines()) == 2
    assert len(files["03-artifacts/image-digests.txt"].splitlines()) == 2


def test_what_is_absent_is_named_and_never_made_up(tmp_path: Path) -> None:
    release = Release()
    release.deny()
    data = release.pack(tmp_path)
    verified = verify(data, release.trust)
    files = files_of(data)
    there = {"03-artifacts/image-digests.txt"}
    assert set(verified.missing) == {path for path, _ in EXPECTED} - there
    assert all(f"{path}: ".encode() in files["00-index/MISSING.txt"] for path in verified.missing)
    assert not any(path.startswith(("01-", "02-", "04-", "05-", "06-")) for path in files)
    assert all(files.values())


def test_two_exports_at_one_checkpoint_are_the_same_bytes(tmp_path: Path) -> None:
    release = Release()
    release.signed()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert release.pack(tmp_path / "one") == release.pack(tmp_path / "two")


def test_an_envelope_with_line_breaks_is_one_line_and_kept_as_it_came(tmp_path: Path) -> None:
    release = Release()
    provenance, *rest = release.evidence()
    pretty = json.dumps(json.loads(provenance), indent=2).encode()
    release.signed(evidence=[pretty, *rest])
    data = release.pack(tmp_path)
    verify(data, release.trust)
    files = files_of(data)
    assert files[f"00-index/evidence/{sha256_hex(pretty)}"] == pretty
    (line,) = files["04-attestations/provenance.jsonl"].splitlines()
    assert json.loads(line) == json.loads(provenance)


# No byte of it can be another


def edited(data: bytes, at: int, by: int) -> bytes:
    return data[:at] + bytes([data[at] ^ by]) + data[at + 1 :]


def test_any_edited_byte_is_refused_and_its_part_named(whole: Whole) -> None:
    data, trust = whole
    rng = random.Random(7)
    named = {member.name.removeprefix(ROOT) for member in _members(data)}
    for _ in range(60):
        at = rng.randrange(len(data))
        fault = refused(edited(data, at, rng.randrange(1, 256)), trust)
        said = f"{fault.title} {fault.expected} {fault.found}"
        assert any(name in said for name in named) or "manifest" in said or "end of the archive" in said, said


def _members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as opened:
        return opened.getmembers()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("00-index/policies/", "document-mismatch"),
        ("00-index/access/", "document-mismatch"),
        ("00-index/decisions/", "pack-invalid"),
        ("00-index/leaves/", "proof-invalid"),
        ("04-attestations/provenance.jsonl", "document-missing"),
        ("00-index/summary.md", "pack-invalid"),
        ("03-artifacts/image-digests.txt", "pack-invalid"),
        ("06-deployment/deploy-record.json", "pack-invalid"),
        ("02-build/build-log.txt", "document-missing"),
    ],
)
def test_what_even_the_ledger_key_cannot_make_true(path: str, code: str, whole: Whole) -> None:
    """Somebody with the ledger key alters a part and lists it anew: the leaf still names the other bytes."""
    files = files_of(whole[0])
    target = max(each for each in files if each.startswith(path))
    files[target] = edited(files[target], len(files[target]) - 2, 1)
    fault = refused(resealed(files), whole[1])
    assert fault.code == code, fault
    assert fault.number > 5


def test_altered_facts_and_policy_fail_by_the_leaf(whole: Whole) -> None:
    for name, said in (("facts.json", "names facts"), ("findings.json", "names findings")):
        files = files_of(whole[0])
        target = max(each for each in files if each.endswith(name))
        files[target] = files[target].replace(b"true", b"false", 1) + b" "
        fault = refused(resealed(files), whole[1])
        assert fault.code == "document-mismatch"
        assert said in fault.found


def test_a_whole_pack_under_its_own_root_is_refused(tmp_path: Path, whole: Whole) -> None:
    theirs = Release(ledger_key=Ed25519PrivateKey.generate())
    theirs.signed()
    data = theirs.pack(tmp_path)
    verify(data, theirs.trust)
    assert refused(data, whole[1]).code == "pack-unsigned"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(
            lambda files: files.pop("02-build/build-log.txt"), "missing: 02-build/build-log.txt", id="missing"
        ),
        pytest.param(lambda files: files.update({"05-approvals/x.md": b"ok"}), "extra: 05-approvals/x.md", id="extra"),
        pytest.param(lambda files: files.pop(MANIFEST), "manifest.json is not in the pack", id="no manifest"),
        pytest.param(lambda files: files.update({MANIFEST: b"{}"}), "payload", id="another manifest"),
    ],
)
def test_a_closed_manifest(change: Callable[[dict[str, bytes]], object], found: str, whole: Whole) -> None:
    files = files_of(whole[0])
    change(files)
    assert found in refused(archive(files), whole[1]).found


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a/../b", "a//b", ".hidden", "a/.", "x" * 101, "a\\b", "COM1:", "a b", "ü"],
)
def test_a_name_that_is_a_trick_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="plain characters"):
        header(name, 0)


def raw(name: bytes, data: bytes = b"x", *, kind: bytes = b"0", link: bytes = b"") -> bytes:
    """A member as somebody else's writer makes one."""
    block = bytearray(header("a", len(data)))
    block[:100] = name.ljust(100, b"\0")
    block[156:157] = kind
    block[157:257] = link.ljust(100, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data + padding(len(data))


FIRST = raw(f"{ROOT}00-index/a".encode())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(raw(b"../../x") + END, id="a path upwards"),
        pytest.param(raw(b"/x") + END, id="an absolute path"),
        pytest.param(raw(b"other/x") + END, id="outside the folder"),
        pytest.param(raw(f"{ROOT}x".encode(), b"", kind=b"2", link=b"/etc/passwd") + END, id="a symbolic link"),
        pytest.param(raw(f"{ROOT}x".encode(), b"", kind=b"5") + END, id="a folder"),
        pytest.param(raw(f"{ROOT}x".encode(), kind=b"x") + END, id="an extended header"),
        pytest.param(FIRST + FIRST + END, id="one name twice"),
        pytest.param(raw(f"{ROOT}b".encode()) + raw(f"{ROOT}a".encode()) + END, id="another order"),
        pytest.param(FIRST, id="no end"),
        pytest.param(FIRST + END[:512], id="half an end"),
        pytest.param(FIRST + END + bytes(512), id="more after the end"),
        pytest.param(FIRST[:-1] + b"y" + END, id="something in the padding"),
        pytest.param(FIRST[:700], id="cut off"),
        pytest.param(header("a", 8**11 - 1) + END, id="a size that is not there"),
        pytest.param(b"\x1f\x8b" + bytes(2000), id="compressed"),
    ],
)
def test_an_archive_in_another_form_is_refused(data: bytes, whole: Whole) -> None:
    assert refused(data, whole[1]).number == 3


def test_a_cut_off_pack_is_refused(whole: Whole) -> None:
    data, trust = whole
    for size in (0, 1, 511, 512, 4096, len(data) // 2, len(data) - 512, len(data) - 1):
        refused(data[:size], trust)


def test_a_pack_about_something_else_is_refused(whole: Whole) -> None:
    with pytest.raises(CheckFailed) as fault:
        verify(*whole, subjects={"ab" * 32})
    assert fault.value.code == "subject-mismatch"


# A web process that lies


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param(
            lambda facts: replace(facts, provenance=(replace(facts.provenance[0], isolation="hardened"),)),
            "isolation",
            id="a better builder",
        ),
        pytest.param(
            lambda facts: replace(facts, scans=(replace(facts.scans[0], scanner_uri="pkg:other"),)),
            "scanner_uri",
            id="another scanner",
        ),
        pytest.param(
            lambda facts: replace(facts, reviews=(replace(facts.reviews[0], authors=("email:reviewer@dev.invalid",)),)),
            "authors",
            id="another author",
        ),
        pytest.param(
            lambda facts: replace(
                facts, tests=(facts.tests[0], replace(facts.tests[0], suites=("made-up",))), sboms=facts.sboms
            ),
            "tests",
            id="a test that nobody ran",
        ),
    ],
)
def test_facts_that_the_evidence_does_not_say_are_reported(
    change: Callable[[Any], Any], where: str, tmp_path: Path
) -> None:
    release = Release()
    assert type(release.forge(change)).__name__ in ("Signed", "NotSigned")
    fault = refused(release.pack(tmp_path), release.trust)
    assert fault.code == "facts-differ"
    assert where in fault.found
    assert "sha256:" in fault.found or "tests" in fault.found


# What came with evidence stays text


def test_hostile_names_and_words_are_inert(tmp_path: Path) -> None:
    release = Release()
    hostile = replace(SUBJECT, name="../../x|<script>alert(1)</script>`")
    release.signed(hostile)
    release.deploy(reference="javascript:alert(1)<img/src=x>")
    data = release.pack(tmp_path)
    verify(data, release.trust)
    files = files_of(data)
    assert all(path.isascii() and ".." not in path for path in files)
    summary = files["00-index/summary.md"].decode()
    assert "<script>" not in summary
    assert "<img" not in summary


# Signatures of images and artifacts

IMAGE = Subject.of("registry.example.com/shop/api", {"sha256": "1d" * 32})


@pytest.fixture(scope="module")
def with_outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, bytes]:
    release = Release()
    release.sign_outputs()
    release.signed(IMAGE)
    return release, release.pack(tmp_path_factory.mktemp("outputs"), IMAGE)


def test_signatures_of_images_and_artifacts_are_in_it_with_what_they_cover(
    with_outputs: tuple[Release, bytes],
) -> None:
    release, data = with_outputs
    verified = verify(data, release.trust)
    (check,) = (each for each in verified.checks if each.title == "every signature holds")
    assert check.found == "3 signatures"
    (document,) = (content for path, content in files_of(data).items() if path.endswith("/image-2.json"))
    assert json.loads(document)["critical"]["image"]["docker-manifest-digest"] == f"sha256:{IMAGE.sha256}"


@pytest.mark.parametrize("name", ["images", "files"])
def test_a_signature_by_a_key_that_was_taken_back_fails_the_pack(
    with_outputs: tuple[Release, bytes], name: str
) -> None:
    release, data = with_outputs
    document = parse_trust_file(release.trust).trust
    keys = tuple(
        replace(key, status="compromised", not_after=key.not_before) if key.name == name else key
        for key in document.keys
    )
    changed = build_trust_document(replace(document, version=3, keys=keys))
    trust = encode_trust_file(changed, release.sign("trust", 3, sha256_hex(changed)))
    assert refused(data, trust).code == "key-not-valid"
