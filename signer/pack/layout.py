# SPDX-License-Identifier: Apache-2.0
"""The files of a pack: which there are, how they are called, what is in each. A function of the contents alone.

    release-evidence/00-index/… 01-source/… 02-build/… 03-artifacts/… 04-attestations/… 05-approvals/… 06-deployment/…

No name and no number comes from a caller. What was submitted stands there byte for byte; what is rendered is made of
leaves and documents of the same pack. A file that would be empty is not there: MISSING.txt says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from signer.domain.spooled import LARGE
from signer.errors import Malformed
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.deployment import cd_event
from signer.ledger.approval_leaves import ApprovalLeaf
from signer.ledger.documents import read_evidence_uses
from signer.ledger.leaves import Activation, DeploymentLeaf, Evidence, Leaf, Trust, WaiverLeaf, read_deployment
from signer.pack.approvals import approval_lines, of_security, render_approvals
from signer.pack.summary import render_reviews, render_summary
from signer.releases.contents import Contents, PackedEvidence
from signer.releases.kinds import DOCUMENTS, LINES, sbom_file
from signer.releases.reading import statement_of

ROOT = "release-evidence/"
INDEX = "00-index/"
MANIFEST = f"{INDEX}manifest.json"
MISSING = f"{INDEX}MISSING.txt"
RELEASE = f"{INDEX}release.json"
APPROVALS = "05-approvals/approvals.jsonl"
TYPE = "signing-authority/pack/v1"

EXPECTED = (
    ("01-source/pull-request-summary.md", "no document of the kind pull-request-summary is kept about this digest"),
    ("01-source/commit-range.txt", "no document of the kind commit-range is kept about this digest"),
    ("02-build/build-log.txt", "no document of the kind build-log is kept about this digest"),
    ("02-build/runner-metadata.json", "no document of the kind runner-metadata is kept about this digest"),
    ("03-artifacts/image-digests.txt", "no decision is about this digest"),
    ("03-artifacts/sbom.spdx.json", "no SPDX inventory is kept about this digest"),
    ("03-artifacts/sbom.cdx.json", "no CycloneDX inventory is kept about this digest"),
    ("04-attestations/provenance.jsonl", "no provenance is kept about this digest"),
    ("04-attestations/vuln-scan-attestation.jsonl", "no scan is kept about this digest"),
    ("04-attestations/test-attestation.jsonl", "no test result is kept about this digest"),
    ("05-approvals/environment-approval.md", "the ledger records no approval of this digest"),
    ("05-approvals/security-signoff.md", "the ledger records no approval by a security group"),
    ("06-deployment/deploy-record.json", "the ledger records no deployment of this digest"),
    ("06-deployment/rollback-plan.md", "no document of the kind rollback-plan is kept about this digest"),
)
"""Every file that a whole pack has, and what it means when it is not there."""

_MEDIA = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file: its bytes, or the digest and size of a large document that is a file by itself."""

    path: str
    data: bytes | None
    sha256: str
    size: int

    @property
    def media_type(self) -> str:
        """By the ending of the name."""
        ending = f".{self.path.rpartition('/')[2].rpartition('.')[2]}"
        return _MEDIA.get(ending, "application/octet-stream")


def lay_out(contents: Contents) -> tuple[File, ...]:
    """All files but the manifest, in the order of their names; raises Malformed for what the contents lack."""
    named: set[str] = set()
    files = [*_index(contents), *_documents(contents), *_artifacts(contents), *_lines(contents, named)]
    files += _other_evidence(contents, named)
    deployed = [(index, leaf) for index, leaf in contents.deployments() if leaf.digest == contents.sha256]
    if deployed:
        files.append(_file("06-deployment/deploy-record.json", _events(contents, deployed)))
    files += _approvals(contents)
    missing = missing_files({file.path for file in files})
    files.append(_file(f"{INDEX}summary.md", render_summary(contents, missing)))
    if missing:
        files.append(_file(MISSING, "".join(f"{path}: {why}\n" for path, why in missing).encode()))
    return tuple(sorted(files, key=lambda file: file.path))


def missing_files(present: set[str]) -> tuple[tuple[str, str], ...]:
    """The expected files that are not there; one inventory is enough."""
    return tuple(
        (path, why)
        for path, why in EXPECTED
        if path not in present
        and not (
            path.startswith("03-artifacts/sbom.") and any(each.startswith("03-artifacts/sbom.") for each in present)
        )
    )


def _file(path: str, data: bytes) -> File:
    return File(path, data, sha256_hex(data), len(data))


def _index(contents: Contents) -> Iterator[File]:
    yield _file(f"{INDEX}checkpoint.txt", contents.checkpoint.encode())
    trust = contents.trust_file()
    if trust is not None:
        yield _file(f"{INDEX}trust.json", trust)
    yield _file(RELEASE, release_document(contents))
    for index, packed in contents.leaves.items():
        yield _file(f"{INDEX}leaves/{index:08}.json", packed.body)
        yield _file(f"{INDEX}proofs/{index:08}.txt", packed.proof.encode())
        yield from _named(contents, index, packed.leaf)
    for index, leaf in contents.decisions():
        place = f"{INDEX}decisions/{index:08}/"
        for name in ("subjects", "facts", "findings", "evidence"):
            yield _file(f"{place}{name}.json", contents.read(getattr(leaf, name)))
        outcome = contents.outcome(index)
        released = [] if outcome is None else [each for each in outcome[1].signatures if each.bundle is not None]
        for number, each in enumerate(released, start=1):
            yield _file(f"{place}bundle-{number}.json", contents.read(each.bundle or ""))
            if each.document is not None:
                yield _file(f"{place}image-{number}.json", contents.read(each.document))


def _approvals(contents: Contents) -> Iterator[File]:
    pages = (
        (APPROVALS, approval_lines(contents)),
        (
            "05-approvals/environment-approval.md",
            render_approvals(contents, title="Approvals", when=lambda _leaf: True),
        ),
        (
            "05-approvals/security-signoff.md",
            render_approvals(contents, title="Security sign-off", when=partial(of_security, contents)),
        ),
    )
    return (_file(path, data) for path, data in pages if data)


def _named(contents: Contents, index: int, leaf: Leaf) -> Iterator[File]:
    """The documents of one leaf that is no decision, under its index."""
    match leaf:
        case Activation():
            sort = "access" if leaf.document == "access" else "policies"
            yield _file(f"{INDEX}{sort}/{index:08}.yaml", contents.read(leaf.digest))
        case Evidence():
            yield _file(f"{INDEX}evidence-subjects/{index:08}.json", contents.read(leaf.subjects))
        case ApprovalLeaf():
            yield _file(f"{INDEX}approvals/{index:08}.json", contents.read(leaf.digest))
        case WaiverLeaf():
            yield _file(f"{INDEX}waivers/{index:08}.json", contents.read(leaf.envelope))
        case Trust():
            for number, digest in enumerate((leaf.digest, *leaf.signatures)):
                # The document first, then the owners' signatures.
                yield _file(f"{INDEX}trust/{index:08}-{number}.json", contents.read(digest))
        case _:
            return


def release_document(contents: Contents) -> bytes:
    """What the pack is about, canonical JSON: {"decisions":[7],"evidence":[…],"size":42,"subject":"sha256:…", …}."""
    return canonical(
        {
            "type": TYPE,
            "subject": f"sha256:{contents.sha256}",
            "size": contents.size,
            "decisions": list(contents.about),
            "evidence": [
                {
                    "digest": each.digest,
                    "kind": each.kind,
                    "media_type": each.media_type,
                    "size": each.size,
                    "leaf": each.leaf,
                    "subjects": list(each.subjects),
                }
                for each in contents.evidence
            ],
        }
    )


def _documents(contents: Contents) -> Iterator[File]:
    """Submitted documents, verbatim; the first of a kind keeps the plain name, the others are numbered."""
    for kind, (stem, ending) in DOCUMENTS.items():
        for number, each in enumerate((each for each in contents.own() if each.kind == kind), start=1):
            path = f"{stem}{'' if number == 1 else f'-{number}'}{ending}"
            if each.size > LARGE:
                yield File(path, None, each.digest, each.size)
                continue
            data = contents.read(each.digest)
            if kind == "pull-request-summary":
                # The exact document also stands in the index: here people read what reviews say below it.
                yield _file(f"{INDEX}evidence/{each.digest}", data)
                data += render_reviews(contents)
            yield _file(path, data)


def _artifacts(contents: Contents) -> Iterator[File]:
    subjects = {pair: None for _, leaf in contents.decisions() for pair in contents.subjects(leaf)}
    if subjects:
        lines = (f"sha256:{sha256}  {name}\n" for name, sha256 in subjects)
        yield _file("03-artifacts/image-digests.txt", "".join(lines).encode())
    counts: dict[str, int] = {}
    for each in contents.own():
        place = sbom_file(each.kind)
        if place is not None:
            stem, ending = place
            counts[ending] = number = counts.get(ending, 0) + 1
            statement = statement_of(contents.read(each.digest))
            yield _file(f"{stem}{'' if number == 1 else f'-{number}'}{ending}", canonical(statement.get("predicate")))


def _lines(contents: Contents, named: set[str]) -> Iterator[File]:
    """The exact envelopes, one on each line; one that holds line breaks itself stands alone in the index."""
    for path, kinds in LINES:
        lines = []
        for each in contents.own():
            if each.kind in kinds:
                data = contents.read(each.digest)
                if b"\n" in data:
                    yield _file(f"{INDEX}evidence/{each.digest}", data)
                    data = b" ".join(data.split(b"\n"))
                named.add(each.digest)
                lines.append(data + b"\n")
        if lines:
            yield _file(path, b"".join(lines))


def _other_evidence(contents: Contents, named: set[str]) -> Iterator[File]:
    """Every other piece of evidence, under its digest."""
    own = {each.digest for each in contents.own()}
    for each in contents.evidence:
        placed = each.digest in named or (each.kind in DOCUMENTS and each.digest in own)
        if not placed:
            yield _whole(contents, each)


def _whole(contents: Contents, each: PackedEvidence) -> File:
    path = f"{INDEX}evidence/{each.digest}"
    if each.size > LARGE:
        return File(path, None, each.digest, each.size)
    return _file(path, contents.read(each.digest))


def _events(contents: Contents, deployed: Sequence[tuple[int, DeploymentLeaf]]) -> bytes:
    origin = contents.origin
    return canonical(
        [
            dict(cd_event(read_deployment(leaf), leaf=index, recorded=leaf.time, origin=origin))
            for index, leaf in deployed
        ]
    )


def considered(contents: Contents, decision: int) -> tuple[str, ...]:
    """Digests of all evidence that a decision considered, in receipt order; raises Malformed."""
    leaf = dict(contents.decisions()).get(decision)
    if leaf is None:
        raise Malformed("pack-invalid", f"leaf {decision} is no decision of this pack")
    return tuple(use.digest for use in read_evidence_uses(contents.read(leaf.evidence)))
