# SPDX-License-Identifier: Apache-2.0
"""Which requested subject does a piece of evidence speak of (invariant I2). Two ways bind, and no other:

subject   the statement lists it: sha256 equal, and every other accepted digest that both have is equal
source    the statement speaks of a commit of a repository, and provenance by a trusted builder, about this
          very subject, names that repository and that commit; or it speaks of a git tree, and a trusted review record
          of that commit names the tree
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from policy.facts import Bound, Origin
from policy.identity import TrustedIdentity
from policy.trust import Builder, Trust
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.evidence.verifier import Evidence, UnverifiedAttestation, VerifiedAttestation
from signer.formats.opaque import OpaqueDocument
from signer.formats.provenance import Provenance
from signer.formats.review_record import ReviewRecord
from signer.formats.source_uri import find_source_uri
from signer.formats.source_vsa import SourceVsa
from signer.formats.statement import Statement, StatementSubject


class Entry(Protocol):
    """A trust entry: the name of a key or of an identity, and that identity."""

    @property
    def key(self) -> str:
        """The name."""
        ...

    @property
    def signer(self) -> TrustedIdentity | None:
        """The identity; None when the name is a key's."""
        ...


_AnyEntry = TypeVar("_AnyEntry", bound=Entry)


@dataclass(frozen=True, slots=True)
class Stored:
    """How the ledger holds a piece of evidence: the index of its leaf and who submitted it."""

    received: int
    submitter: str | None


@dataclass(frozen=True, slots=True)
class PlacedEvidence:
    """Evidence in receipt order, with the indices of the requested subjects that it lists, ascending."""

    item: VerifiedAttestation | OpaqueDocument
    listed: tuple[int, ...]
    stored: Stored | None

    def origin(self, *, key: str | None, bound: Bound, covers: tuple[int, ...]) -> Origin:
        """Where this evidence comes from; `key` is None for what nobody signed, and for an identity nobody named."""
        identity = None if isinstance(self.item, OpaqueDocument) else self.item.identity
        return Origin(
            digest=self.item.digest,
            attested=not isinstance(self.item, OpaqueDocument),
            key=key,
            submitter=None if self.stored is None else self.stored.submitter,
            bound=bound,
            covers=covers,
            received=0 if self.stored is None else self.stored.received,
            identity=identity,
        )


@dataclass(frozen=True, slots=True)
class SourceJoin:
    """Which subjects were built from which commit of which repository, as trusted provenance says."""

    built_from: Mapping[tuple[str, str], frozenset[int]]
    trees: Mapping[str, tuple[tuple[str, str], ...]]
    """Tree → repositories and commits among those, as records by trusted collectors say."""

    @classmethod
    def of(cls, placed: Sequence[PlacedEvidence], trust: Trust) -> SourceJoin:
        """Collect the commits from all provenance by trusted builders, and their trees from trusted records."""
        built_from: dict[tuple[str, str], frozenset[int]] = {}
        for entry in placed:
            item = entry.item
            if not isinstance(item, VerifiedAttestation) or not isinstance(item.predicate, Provenance):
                continue
            built = item.predicate
            if built.repository is None or built.commit is None or find_builder(item, built, trust) is None:
                continue
            source = (built.repository, built.commit)
            built_from[source] = built_from.get(source, frozenset()) | frozenset(entry.listed)
        return cls(built_from, _trees(placed, trust, built_from))

    def subjects(self, repository: str, commit: str) -> tuple[int, ...]:
        """Indices of the subjects built from this commit, ascending."""
        return tuple(sorted(self.built_from.get((repository, commit), ())))

    def commits_of(self, tree: str) -> tuple[tuple[str, str], ...]:
        """Repository and commit of everything built that has this tree."""
        return self.trees.get(tree, ())

    def subjects_of(self, statement: Statement) -> tuple[int, ...]:
        """The same for a statement whose subjects are commits, each with the repository as its `uri`."""
        found: set[int] = set()
        for subject in statement.subjects:
            location = find_source_uri(subject.uri or "")
            if location is not None and subject.commit is not None:
                found.update(self.subjects(location.repository, subject.commit))
        return tuple(sorted(found))


def _trees(
    placed: Iterable[PlacedEvidence], trust: Trust, built_from: Mapping[tuple[str, str], frozenset[int]]
) -> dict[str, tuple[tuple[str, str], ...]]:
    trees: dict[str, tuple[tuple[str, str], ...]] = {}
    for entry in placed:
        item = entry.item
        if not isinstance(item, VerifiedAttestation) or not isinstance(item.predicate, ReviewRecord):
            continue
        record = item.predicate
        source = (record.repository, record.commit)
        collectors = [each for each in trust.collectors.values() if each.verifier == record.verifier]
        if record.tree is not None and source in built_from and speaker_of(item, collectors) is not None:
            trees[record.tree] = tuple(sorted({*trees.get(record.tree, ()), source}))
    return trees


def find_builder(item: VerifiedAttestation, built: Provenance, trust: Trust) -> Builder | None:
    """The builder that signed the provenance AND whose id it names (SLSA 1.2, verifying artifacts, step 1)."""
    return next(
        (
            entry
            for entry in trust.builders.values()
            if speaks_for(item, entry)
            and not entry.differences(built.builder_id, built.repository, built.commit, item.identity)
        ),
        None,
    )


def speaker_of(item: VerifiedAttestation, entries: Iterable[_AnyEntry]) -> _AnyEntry | None:
    """The trusted entry whose key or identity signed the item."""
    return next((entry for entry in entries if speaks_for(item, entry)), None)


def origin_of(
    placed: PlacedEvidence, item: VerifiedAttestation, speaker: Entry | None, joined: tuple[int, ...] = ()
) -> Origin:
    """The origin of an item that lists subjects, or else reached those in `joined`."""
    key = speaker.key if speaker is not None else item.keys[0] if item.keys else None
    if placed.listed:
        return placed.origin(key=key, bound="subject", covers=placed.listed)
    return placed.origin(key=key, bound="source" if joined else "none", covers=joined)


def speaks_for(item: VerifiedAttestation, entry: Entry) -> bool:
    """Whether the key or the identity of this trust entry signed the item."""
    if entry.signer is None:
        return entry.key in item.keys
    return not item.keys and not entry.signer.differences(item.identity)


def place_evidence(
    items: Sequence[Evidence],
    *,
    subjects: Sequence[Subject],
    stored: Mapping[str, Stored],
    offered: Collection[str],
) -> Iterator[PlacedEvidence]:
    """Each item once, stored ones first and in receipt order, without those that count as absent.

    What a signer said once is received once: wrapped into other bytes, or beside another signature, it is no news.

    Raises Malformed("subject-mismatch") for an item of the request about other artifacts: one that is `offered`, or
    not stored.
    """
    unique = {item.digest: item for item in items}
    known = sorted((digest for digest in unique if digest in stored), key=lambda digest: stored[digest].received)
    said: set[tuple[str, object]] = set()
    for digest in [*known, *(digest for digest in unique if digest not in stored)]:
        item = unique[digest]
        if isinstance(item, UnverifiedAttestation):
            continue
        listed = _listed(item, subjects)
        if listed or is_about_source(item):
            news = _unsaid(item, said)
            if news is not None:
                yield PlacedEvidence(news, listed, stored.get(digest))
        elif digest in offered or digest not in stored:
            raise Malformed(
                "subject-mismatch",
                f"the evidence sha256:{digest} speaks of none of the requested digests",
                remedy="send evidence about the artifact that is to be signed",
            )


def _unsaid(
    item: VerifiedAttestation | OpaqueDocument, said: set[tuple[str, object]]
) -> VerifiedAttestation | OpaqueDocument | None:
    """The item as said by those of its signers who had not said it before; None when all had. Adds to `said`."""
    if isinstance(item, OpaqueDocument):
        return item
    keys = tuple(key for key in item.keys if (item.payload, key) not in said)
    repeated = item.identity is None or (item.payload, item.identity) in said
    said.update((item.payload, signer) for signer in (*item.keys, item.identity))
    return None if repeated and not keys else replace(item, keys=keys)


def is_about_source(item: VerifiedAttestation | OpaqueDocument) -> bool:
    """Whether it is a source attestation: it speaks of commits, or of git trees, and of no artifact."""
    if isinstance(item, OpaqueDocument):
        return False
    if isinstance(item.predicate, SourceVsa | ReviewRecord):
        return True
    subjects = item.statement.subjects
    return all(not subject.artifact for subject in subjects) and any(
        subject.commit is not None or subject.tree is not None for subject in subjects
    )


def _listed(item: VerifiedAttestation | OpaqueDocument, subjects: Sequence[Subject]) -> tuple[int, ...]:
    if isinstance(item, OpaqueDocument):
        about = frozenset(item.subjects)
        return tuple(index for index, subject in enumerate(subjects) if subject.sha256 in about)
    if is_about_source(item):
        return ()
    by_sha256: dict[str, list[StatementSubject]] = {}
    for entry in item.statement.subjects:
        by_sha256.setdefault(entry.artifact.get("sha256", ""), []).append(entry)
    return tuple(
        index
        for index, subject in enumerate(subjects)
        if (entries := by_sha256.get(subject.sha256)) is not None and _all_agree(entries, subject)
    )


def _all_agree(listed: Iterable[StatementSubject], subject: Subject) -> bool:
    """Whether no other accepted digest contradicts: agreeing on sha256 alone is not being the same artifact."""
    return len(subject.digests) == 1 or all(
        entry.artifact.get(digest.algorithm, digest.value) == digest.value
        for entry in listed
        for digest in subject.digests
    )
