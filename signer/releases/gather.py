# SPDX-License-Identifier: Apache-2.0
"""From the ledger to the contents of a pack: every leaf that speaks of one digest, cut at one checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from signer.errors import Malformed
from signer.formats.deployment import name_of
from signer.ledger.documents import read_evidence_uses
from signer.ledger.leaves import Decision, decode_leaf
from signer.ledger.rows import DecisionRow, DeploymentRow, IndexedEvidence
from signer.releases.contents import Contents, PackedEvidence, PackedLeaf
from signer.releases.kinds import APPROVAL_RECORD, is_scan
from signer.releases.reading import read_approval_record, read_subject_names
from signer.releases.source import Source
from signer.tlog.proof import encode_proof

PAGE = 200
MAX_DECISIONS = 2000
"""Decisions about one digest that a pack holds; more are refused, never cut off."""


MAX_BY_NAME = 20
"""Of what only shares the name of the artifact: the newest, since a name lives longer than any release."""


def policies_of(source: Source, sha256: str, *, size: int | None = None) -> frozenset[str]:
    """The policies that the ledger's record of a digest belongs to; empty when it has none."""
    cut = _cut(source, size)
    found = {row.policy.name for row in _decisions(source, sha256, cut)}
    found |= {row.body.policy for row in _deployments(source, cut, digest=sha256)}
    found |= {row.policy for row in source.ledger.evidence_for([f"sha256:{sha256}"]) if row.leaf < cut}
    return frozenset(found)


def gather(source: Source, sha256: str, *, size: int | None = None, prove: bool = True) -> Contents:
    """The contents of the pack of one digest, cut at the tree of `size`, or at the newest checkpoint.

    Raises Malformed("not-found") when no checkpoint has that size or the ledger says nothing of the digest. Without
    `prove` the proofs are left empty: enough to look at, and not to pack.
    """
    ledger = source.ledger
    cut = _cut(source, size)
    checkpoint = ledger.checkpoint_covering(cut - 1)
    if checkpoint is None or checkpoint.size != cut:
        raise Malformed("not-found", f"the ledger has no checkpoint of the size {cut}")
    decisions = tuple(_decisions(source, sha256, cut))
    deployments = list(_deployments(source, cut, digest=sha256))
    evidence = _evidence(source, sha256, decisions, cut)
    if not (decisions or deployments or evidence):
        raise Malformed("not-found", "the ledger says nothing of this digest")
    names = {
        name_of(name)
        for row in decisions
        for name, each in read_subject_names(source.read(row.subjects))
        if each == sha256
    }
    for name in sorted(names):
        bare = [row for row in _deployments(source, cut, name=name) if not row.body.digest]
        deployments += bare[:MAX_BY_NAME]
        evidence |= _by_name(source, sha256, name, evidence, cut)
    indices = {0, *(row.leaf for row in deployments), *(held.leaf for held in evidence.values())}
    indices |= {row.leaf for row in ledger.revocations() if row.sha256 == sha256}
    trust = ledger.trust_leaf(cut)
    indices |= {trust} if trust is not None else set()
    indices |= set(_around(source, decisions))
    leaves = {}
    for index in sorted(index for index in indices if index < cut):
        body = ledger.leaf(index)
        proof = encode_proof(index, ledger.inclusion(index, cut), checkpoint.text) if prove else ""
        leaves[index] = PackedLeaf(body, decode_leaf(body), proof)
    return Contents(
        sha256=sha256,
        size=cut,
        checkpoint=checkpoint.text,
        about=tuple(sorted(row.leaf for row in decisions)),
        leaves=leaves,
        evidence=tuple(_packed(held) for held in sorted(evidence.values(), key=lambda held: held.received)),
        read=source.read,
    )


def _cut(source: Source, size: int | None) -> int:
    return newest_size(source) if size is None else size


def newest_size(source: Source) -> int:
    """The size of the newest checkpoint's tree; raises Malformed when there is none."""
    latest = source.ledger.latest_checkpoint()
    if latest is None:
        raise Malformed("not-found", "the ledger has no checkpoint")
    return latest.size


def _decisions(source: Source, sha256: str, cut: int) -> Iterator[DecisionRow]:
    before, count = cut, 0
    while rows := source.ledger.decisions(digest=f"sha256:{sha256}", before=before, limit=PAGE):
        count += len(rows)
        if count > MAX_DECISIONS:
            raise Malformed("too-large", f"the ledger holds more than {MAX_DECISIONS} decisions about this digest")
        yield from rows
        before = rows[-1].leaf


def _deployments(
    source: Source, cut: int, *, digest: str | None = None, name: str | None = None
) -> Iterator[DeploymentRow]:
    before = cut
    while rows := source.ledger.deployments(digest=digest, name=name, before=before, limit=PAGE):
        yield from rows
        before = rows[-1].leaf


def _evidence(source: Source, sha256: str, decisions: Sequence[DecisionRow], cut: int) -> dict[str, IndexedEvidence]:
    """What is about the digest, and what its decisions considered beside that: the evidence of its commit."""
    found = {held.digest: held for held in source.ledger.evidence_for([f"sha256:{sha256}"]) if held.leaf < cut}
    for row in decisions:
        for use in read_evidence_uses(source.read(row.evidence)):
            held = found.get(use.digest) or source.ledger.evidence(use.digest)
            if held is not None:
                found[use.digest] = held
    return found


def _by_name(
    source: Source, sha256: str, name: str, own: dict[str, IndexedEvidence], cut: int
) -> dict[str, IndexedEvidence]:
    """Approvals given elsewhere for the name, and, where the digest has no scan of its own, scans of the name."""
    rows = [held for digest in source.ledger.evidence_named(name) if (held := source.ledger.evidence(digest))]
    rows = sorted((held for held in rows if held.leaf < cut), key=lambda held: held.received, reverse=True)
    approvals = [
        held
        for held in rows
        if held.kind == APPROVAL_RECORD
        and (record := read_approval_record(source.read(held.digest))) is not None
        and record[1] in ("", sha256)
    ]
    scanned = any(is_scan(held.kind) for held in own.values())
    scans = [] if scanned else [held for held in rows if is_scan(held.kind)]
    return {held.digest: held for held in (*approvals[:MAX_BY_NAME], *scans[:MAX_BY_NAME])}


def _around(source: Source, decisions: Sequence[DecisionRow]) -> Iterator[int]:
    """The leaves of each decision, and of what it rests on: documents in force, outcome, keys, waivers."""
    ledger = source.ledger
    waivers = {row.digest: row for row in ledger.waivers()} if decisions else {}
    events = ledger.keys()
    access = ledger.access_leaves() if decisions else ()
    for row in decisions:
        yield row.leaf
        if row.verdict == "hold":
            yield from _said(source, row.leaf, access)
        decision = decode_leaf(ledger.leaf(row.leaf))
        assert isinstance(decision, Decision)
        for digest in (row.policy.digest, row.access):
            index = ledger.activation_leaf(digest)
            if index is not None:
                yield index
        for digest in decision.waivers:
            yield waivers[digest].leaf
            end = waivers[digest].end
            if end is not None:
                yield end.leaf
        outcome = ledger.outcome(row.leaf)
        if outcome is not None:
            yield outcome.leaf
            used = {entry.kid for entry in outcome.signatures}
            yield from (event.leaf for event in events if event.kid in used)


def _said(source: Source, hold: int, access: Sequence[int]) -> Iterator[int]:
    """What people said of a hold, each with the access document that registered their keys then."""
    for said in source.ledger.approvals_of(hold):
        yield said.leaf
        yield from [index for index in access if index < said.leaf][-1:]
        if said.revocation is not None:
            yield said.revocation.leaf


def _packed(held: IndexedEvidence) -> PackedEvidence:
    return PackedEvidence(
        digest=held.digest,
        kind=held.kind,
        media_type=held.media_type,
        size=held.size,
        leaf=held.leaf,
        subjects=held.subjects,
    )
