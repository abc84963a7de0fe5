# SPDX-License-Identifier: Apache-2.0
"""What a pack holds before it has files: leaves with their proofs, the documents that they name, the evidence.

The server gathers it from the ledger, and the verifier from the files of a pack; the same contents lay out as the
same files, so that everything rendered for people is compared byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from signer.errors import Malformed
from signer.formats.trust import encode_trust_file
from signer.ledger.documents import read_evidence_uses
from signer.ledger.leaves import (
    Activation,
    Decision,
    DeploymentLeaf,
    Evidence,
    Genesis,
    Leaf,
    Outcome,
    RevocationLeaf,
    Trust,
    WaiverLeaf,
)
from signer.releases.reading import read_subject_names

Kind = TypeVar("Kind", bound=Leaf)


@dataclass(frozen=True, slots=True)
class PackedLeaf:
    """A leaf's bytes, what they say, and the proof that they stand in the tree of the pack's checkpoint."""

    body: bytes
    leaf: Leaf
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedEvidence:
    """One piece of evidence, as the ledger holds it; `leaf` is that of its first receipt."""

    digest: str
    kind: str
    media_type: str
    size: int
    leaf: int
    subjects: tuple[str, ...]
    """`sha256:…`, `gitCommit:…` or `gitTree:…`."""


class Bytes(Protocol):
    """The exact bytes of documents and evidence, by sha256."""

    def __call__(self, digest: str) -> bytes:
        """The bytes; raises Malformed("document-missing")."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything about one digest up to one checkpoint."""

    sha256: str
    size: int
    """Of the tree at which the pack is cut."""
    checkpoint: str
    about: tuple[int, ...]
    """Leaves of the decisions about this digest."""
    leaves: Mapping[int, PackedLeaf]
    evidence: tuple[PackedEvidence, ...]
    """In receipt order; also what is about other digests under the same name."""
    read: Bytes

    @property
    def origin(self) -> str:
        """The origin of the ledger, by its first leaf."""
        genesis = self.leaves[0].leaf if 0 in self.leaves else None
        if not isinstance(genesis, Genesis):
            raise Malformed("pack-invalid", "the pack does not hold the first leaf of its ledger")
        return genesis.origin

    def of(self, kind: type[Kind]) -> Iterator[tuple[int, Kind]]:
        """The leaves of one kind with their indices, oldest first."""
        for index in sorted(self.leaves):
            leaf = self.leaves[index].leaf
            if isinstance(leaf, kind):
                yield index, leaf

    def decisions(self) -> Iterator[tuple[int, Decision]]:
        """The decisions about this digest; others are here only because evidence came with them."""
        return ((index, leaf) for index, leaf in self.of(Decision) if index in self.about)

    def subjects(self, leaf: Decision) -> tuple[tuple[str, str], ...]:
        """Name and sha256 of every subject of a decision about this digest."""
        return read_subject_names(self.read(leaf.subjects))

    def names(self) -> tuple[str, ...]:
        """The names under which decisions know this digest, each once."""
        found = (name for _, leaf in self.decisions() for name, sha256 in self.subjects(leaf) if sha256 == self.sha256)
        return tuple(dict.fromkeys(found))

    def own(self) -> tuple[PackedEvidence, ...]:
        """Evidence about this digest, or counted for it; not what is about others of its name."""
        used = {each.digest for _, leaf in self.decisions() for each in read_evidence_uses(self.read(leaf.evidence))}
        about = f"sha256:{self.sha256}"
        return tuple(each for each in self.evidence if each.digest in used or about in each.subjects)

    def outcome(self, decision: int) -> tuple[int, Outcome] | None:
        """How the signing of an allowed decision ended."""
        return next(((index, leaf) for index, leaf in self.of(Outcome) if leaf.decision == decision), None)

    def deployments(self) -> Iterator[tuple[int, DeploymentLeaf]]:
        """Deployments of this digest, and those by its name alone."""
        return self.of(DeploymentLeaf)

    def revocations(self) -> Iterator[tuple[int, RevocationLeaf]]:
        """Where this digest was taken back."""
        return self.of(RevocationLeaf)

    def waivers(self) -> Iterator[tuple[int, WaiverLeaf]]:
        """Waivers on which a decision rests."""
        return self.of(WaiverLeaf)

    def kept(self) -> Iterator[tuple[int, Evidence]]:
        """Leaves of evidence that came by itself."""
        return self.of(Evidence)

    def activation(self, digest: str) -> tuple[int, Activation]:
        """The leaf that put a policy or access document in force; raises Malformed when the pack lacks it."""
        for index, leaf in self.of(Activation):
            if leaf.digest == digest:
                return index, leaf
        raise Malformed("document-missing", f"no activation of the document sha256:{digest} is in the pack")

    def trust_file(self) -> bytes | None:
        """The trust file in force at the checkpoint, as the ledger published it; None before the first one."""
        published = [leaf for _, leaf in self.of(Trust)]
        if not published:
            return None
        newest = published[-1]
        return encode_trust_file(self.read(newest.digest), [self.read(each) for each in newest.signatures])
