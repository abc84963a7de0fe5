# SPDX-License-Identifier: Apache-2.0
"""An evidence pack: every step of a release proved again, by its own files and a trust file from outside.

archive ▸ manifest under the ledger key ▸ every file ▸ checkpoint ▸ every leaf ▸ every document ▸ every rendered byte
▸ signatures and their keys' time ▸ facts from evidence ▸ verdicts
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signer.domain.subject import Subject
from signer.errors import Malformed, Refused
from signer.formats.facts import decode_facts
from signer.formats.strict_json import parse_object
from signer.formats.trust import TrustDocument, parse_trust_file, verify_trust_file
from signer.formats.ustar import Buffer, read_archive
from signer.identity.access import parse_access
from signer.ledger.leaves import Decision, decode_leaf
from signer.pack.layout import INDEX, MANIFEST, RELEASE, ROOT, lay_out
from signer.pack.manifest import MAX_MANIFEST, Manifest, build_manifest, read_manifest
from signer.releases.contents import Contents, PackedLeaf
from signer.releases.findings import ReleaseFinding, find, policy_of
from signer.tlog.checkpoint import verify_checkpoint
from signer.tlog.merkle import leaf_hash
from signer.tlog.proof import verify_proof
from signer.verify.checks import Check, Checklist
from signer.verify.pack_approvals import verify_approvals
from signer.verify.pack_facts import Renaming, rederive
from signer.verify.pack_files import MAX_FILE, PackedRelease, PackFiles
from signer.verify.pack_signatures import check_released
from signer.verify.replay import verify_replay
from signer.verify.trust import ledger_keys, verify_trust

_CODE = "pack-invalid"
_LINES = ".jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPack:
    """A pack whose checks all held, and what it says."""

    contents: Contents
    manifest: Manifest
    findings: tuple[ReleaseFinding, ...]
    missing: tuple[str, ...]
    files: int
    checks: tuple[Check, ...]


def verify_pack(
    data: Buffer,
    *,
    trust: bytes,
    allow_dev: bool,
    subjects: Collection[str] = (),
    moved: Callable[[int], None] = lambda _size: None,
) -> VerifiedPack:
    """Verify a whole pack against a trust file that did not come with it; raises CheckFailed.

    `subjects` are sha256 digests of which the pack has to be about one; empty for any. `moved` is told how many bytes
    were digested since it was told last.
    """
    checks = Checklist()
    trusted = verify_trust(trust, checks=checks, allow_dev=allow_dev)
    with checks.check("archive has the one form", code=_CODE) as check:
        files = PackFiles(data, read_archive(data))
        if not all(member.name.startswith(ROOT) for member in read_archive(data)):
            raise Malformed(_CODE, f"a file stands outside {ROOT}")
        check.found = f"{len(files.members)} files"
    manifest = _manifest(files, trusted, checks)
    if subjects:
        with checks.check("pack is about the expected digest", code="subject-mismatch") as check:
            check.require(
                manifest.sha256 in subjects, expected=", ".join(sorted(subjects)), found=f"sha256:{manifest.sha256}"
            )
    _listed(files, manifest, checks, moved)
    contents = _contents(files, manifest, trusted, checks)
    _rendered(files, contents, manifest, checks)
    _trust_copy(contents, trusted, checks)
    check_released(contents, trusted, checks)
    _judgements(contents, checks)
    with checks.check("findings are made again", code=_CODE) as check:
        findings = find(contents)
        check.found = f"{sum(each.status == 'found' for each in findings)} found"
    missing = contents_missing(files)
    return VerifiedPack(
        contents=contents,
        manifest=manifest,
        findings=findings,
        missing=missing,
        files=len(files.members),
        checks=checks.passed,
    )


def contents_missing(files: PackFiles) -> tuple[str, ...]:
    """What MISSING.txt names."""
    if f"{INDEX}MISSING.txt" not in files.members:
        return ()
    text = files.bytes_of(f"{INDEX}MISSING.txt").decode("utf-8")
    return tuple(line.partition(": ")[0] for line in text.splitlines())


def _manifest(files: PackFiles, trust: TrustDocument, checks: Checklist) -> Manifest:
    with checks.check("manifest is signed by the ledger key", code=_CODE) as check:
        data = files.bytes_of(MANIFEST)
        keys = [Ed25519PublicKey.from_public_bytes(key.public) for key in ledger_keys(trust)]
        manifest = read_manifest(data, keys)
        if len(data) > MAX_MANIFEST or manifest.attester != f"https://{trust.origin}":
            raise Refused("pack-foreign", f"{MANIFEST} is of another authority")
        check.found = f"{len(manifest.files)} files of sha256:{manifest.sha256}"
    return manifest


def _listed(files: PackFiles, manifest: Manifest, checks: Checklist, moved: Callable[[int], None]) -> None:
    with checks.check("files are those that the manifest lists", code=_CODE) as check:
        listed = {each.path: each for each in manifest.files}
        there = files.members.keys() - {MANIFEST}
        missing, extra = sorted(listed.keys() - there), sorted(there - listed.keys())
        check.require(not missing, expected="every listed file", found=f"missing: {', '.join(missing[:5])}")
        check.require(not extra, expected="no file beside the listed ones", found=f"extra: {', '.join(extra[:5])}")
        files.hash_all(moved)
        for path, each in listed.items():
            check.require(
                (files.members[path].size, files.digests[path]) == (each.size, each.sha256),
                expected=f"{path} with sha256:{each.sha256}",
                found=f"{path} with sha256:{files.digests[path]}",
                remedy="the file was changed after the pack was made",
            )
        check.found = f"{len(listed)} files"


def _contents(files: PackFiles, manifest: Manifest, trust: TrustDocument, checks: Checklist) -> Contents:
    with checks.check("checkpoint is signed by the ledger key", code=_CODE) as check:
        text = files.bytes_of(f"{INDEX}checkpoint.txt")
        checkpoint = verify_checkpoint(text, origin=trust.origin, keys=ledger_keys(trust))
        release = PackedRelease.read(files.bytes_of(RELEASE))
        check.require(
            (release.sha256, release.size) == (manifest.sha256, checkpoint.size),
            expected=f"a pack of sha256:{manifest.sha256} at {checkpoint.size} leaves",
            found=f"{RELEASE} is of sha256:{release.sha256} at {release.size} leaves",
        )
        check.found = f"{checkpoint.size} leaves"
    with checks.check("every leaf stands in the ledger", code="proof-invalid") as check:
        leaves: dict[int, PackedLeaf] = {}
        for path in files.members:
            if path.startswith(f"{INDEX}leaves/"):
                index = int(path.removeprefix(f"{INDEX}leaves/").removesuffix(".json"))
                leaves[index] = _proven(files, path, index, text.decode(), trust)
        check.require(
            0 in leaves and leaf_hash(leaves[0].body).hex() == trust.genesis,
            expected=f"the first leaf {trust.genesis}",
            found="another one",
        )
        check.found = f"{len(leaves)} leaves"
    files.split()
    contents = Contents(
        sha256=release.sha256,
        size=release.size,
        checkpoint=text.decode(),
        about=release.decisions,
        leaves=leaves,
        evidence=release.evidence,
        read=files.read,
    )
    with checks.check("documents are those that the leaves name", code="document-mismatch") as check:
        check.found = f"{_require_documents(contents)} documents"
    return contents


def _proven(files: PackFiles, path: str, index: int, checkpoint: str, trust: TrustDocument) -> PackedLeaf:
    body = files.bytes_of(path)
    proof = files.bytes_of(f"{INDEX}proofs/{index:08}.txt").decode("utf-8", "replace")
    proven, _ = verify_proof(proof, leaf=body, origin=trust.origin, keys=ledger_keys(trust))
    if (proven.index, proven.checkpoint, proven.extra) != (index, checkpoint, None):
        raise Refused("proof-invalid", f"the proof of leaf {index} is of another leaf or checkpoint")
    return PackedLeaf(body, decode_leaf(body), proof)


def _require_documents(contents: Contents) -> int:
    """Every decision has its documents and is about the digest; raises Malformed that names what lacks."""
    count = 0
    for index in contents.about:
        packed = contents.leaves.get(index)
        if packed is None or not isinstance(packed.leaf, Decision):
            raise Malformed(_CODE, f"leaf {index} is no decision of the pack")
        leaf = packed.leaf
        names = {"policy": leaf.policy.digest, "access": leaf.access}
        names |= {name: getattr(leaf, name) for name in ("subjects", "facts", "findings", "evidence")}
        for name, digest in names.items():
            try:
                contents.read(digest)
            except Malformed:
                raise Malformed(
                    "document-mismatch", f"decision leaf {index} names {name} sha256:{digest}, which the pack lacks"
                ) from None
            count += 1
        if contents.sha256 not in {sha256 for _, sha256 in contents.subjects(leaf)}:
            raise Malformed(_CODE, f"decision leaf {index} is about other digests")
    return count


def _rendered(files: PackFiles, contents: Contents, manifest: Manifest, checks: Checklist) -> None:
    with checks.check("every file is made again byte for byte", code=_CODE) as check:
        made = lay_out(contents)
        expected, found = [file.path for file in made], sorted(files.members.keys() - {MANIFEST})
        odd = sorted(set(expected) ^ set(found))
        check.require(not odd, expected="the files that the leaves make", found=f"others: {', '.join(odd[:5])}")
        for file in made:
            member = files.members[file.path]
            check.require(
                (file.sha256, file.size) == (files.digests[file.path], member.size),
                expected=f"{file.path} with sha256:{file.sha256}",
                found=f"sha256:{files.digests[file.path]}",
            )
        check.require(
            build_manifest(contents, made) == manifest.payload, expected="the manifest of these files", found="another"
        )
        check.found = f"{len(made)} files"


def _trust_copy(contents: Contents, trust: TrustDocument, checks: Checklist) -> None:
    with checks.check("trust file in the pack is of this authority", code="trust-foreign") as check:
        data = contents.trust_file()
        if data is None:
            raise Malformed("document-missing", "no trust file was published when the pack was made")
        copy = verify_trust_file(parse_trust_file(data), previous=None)
        check.require(
            (copy.origin, copy.genesis) == (trust.origin, trust.genesis),
            expected=f"{trust.origin}, {trust.genesis}",
            found=f"{copy.origin}, {copy.genesis}",
        )
        check.found = f"version {copy.version}"


def _judgements(contents: Contents, checks: Checklist) -> None:
    renaming = Renaming()
    with checks.check("facts follow from the evidence, approvals are signed", code="facts-differ") as check:
        count = 0
        for index, leaf in contents.decisions():
            subjects = tuple(
                Subject.of(each["name"], each["digest"])
                for each in parse_object(contents.read(leaf.subjects), limit=MAX_FILE)["subjects"]
            )
            count += rederive(
                contents,
                index,
                leaf,
                facts=decode_facts(contents.read(leaf.facts)),
                policy=policy_of(contents, leaf),
                access=parse_access(contents.read(leaf.access)),
                subjects=subjects,
                renaming=renaming,
            )
        approvals = verify_approvals(contents, renaming=renaming)
        check.found = f"{count} facts, {approvals} approvals, {renaming.require()} persons"
    with checks.check("every verdict follows from policy and facts", code="replay-mismatch") as check:
        for index, leaf in contents.decisions():
            verify_replay(
                contents.leaves[index].body,
                policy=contents.read(leaf.policy.digest),
                facts=contents.read(leaf.facts),
                findings=contents.read(leaf.findings),
                checks=Checklist(),
            )
        check.found = f"{len(contents.about)} decisions"
