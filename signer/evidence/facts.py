# SPDX-License-Identifier: Apache-2.0
"""What does the evidence say (signing cycle, step 4): the one translator to `policy.facts`.

Trust is a tuple: an item belongs to a builder when signer and builder id are the builder's, to a collector when signer
and verifier id are; to a scanner, tester or producer by its signer, a key or a certified identity. Persons stay as the
evidence states them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from policy import facts
from policy.artifact_facts import VexStatement
from policy.trust import Trust
from signer.domain.subject import Subject
from signer.evidence.binding import (
    PlacedEvidence,
    SourceJoin,
    Stored,
    find_builder,
    origin_of,
    place_evidence,
    speaker_of,
)
from signer.evidence.source_facts import approval_facts, record_fact, summary_facts
from signer.evidence.verifier import Evidence, VerifiedAttestation
from signer.formats.artifact_signature import DigestSigned
from signer.formats.cyclonedx import CycloneDxDocument
from signer.formats.gittuf import TreeApprovals
from signer.formats.opaque import OpaqueDocument
from signer.formats.openvex import VexDocument, statements_about
from signer.formats.provenance import Provenance
from signer.formats.review_record import ReviewRecord
from signer.formats.source_vsa import SourceVsa
from signer.formats.spdx import SpdxDocument
from signer.formats.test_result import TestReport
from signer.formats.vulns import ScanReport

__all__ = ["JudgedPolicy", "Stored", "evidence_facts", "requested_source_digests"]


class JudgedPolicy(Protocol):
    """The part of a policy that this translation needs."""

    @property
    def trust(self) -> Trust:
        """Keys, and the entries that they may speak for."""
        ...


def evidence_facts(
    items: Sequence[Evidence],
    *,
    policy: JudgedPolicy,
    subjects: Sequence[Subject],
    stored: Mapping[str, Stored] | None = None,
    offered: Collection[str] = (),
) -> facts.EvidenceFacts:
    """Translate the union of submitted and stored evidence: stored items first, in receipt order.

    `stored` tells by digest which items the ledger holds; the others keep their order and have `received` 0. An item
    about other artifacts is passed over when it is only stored; when it came with the request (it is not stored, or
    among `offered`) it raises Malformed("subject-mismatch").
    """
    placed = list(place_evidence(items, subjects=subjects, stored=stored or {}, offered=offered))
    join = SourceJoin.of(placed, policy.trust)
    made = [fact for entry in placed for fact in _translate(entry, subjects, trust=policy.trust, join=join)]
    return facts.EvidenceFacts(
        provenance=tuple(fact for fact in made if isinstance(fact, facts.Provenance)),
        sources=tuple(fact for fact in made if isinstance(fact, facts.SourceSummary)),
        tests=tuple(fact for fact in made if isinstance(fact, facts.TestResult)),
        scans=tuple(fact for fact in made if isinstance(fact, facts.VulnerabilityScan)),
        sboms=tuple(fact for fact in made if isinstance(fact, facts.Sbom)),
        documents=tuple(fact for fact in made if isinstance(fact, facts.Document)),
        reviews=tuple(fact for fact in made if isinstance(fact, facts.ReviewRecord)),
        signatures=tuple(fact for fact in made if isinstance(fact, facts.ArtifactSignature)),
        vex=tuple(fact for fact in made if isinstance(fact, facts.Vex)),
    )


def requested_source_digests(evidence: facts.EvidenceFacts) -> tuple[str, ...]:
    """`gitCommit:<hex>` of each commit that trusted provenance of a requested subject names, then `gitTree:<hex>` of
    each tree that a trusted review record of such a commit names; sorted.

    Stored source attestations of these commits and trees belong to the union that the judge sees.
    """
    commits = {item.commit for item in evidence.provenance if item.builder is not None and item.origin.covers}
    trees = {item.tree for item in evidence.reviews if item.collector is not None and item.origin.covers}
    return (
        *sorted(f"gitCommit:{commit}" for commit in commits if commit is not None),
        *sorted(f"gitTree:{tree}" for tree in trees if tree is not None),
    )


def _translate(
    placed: PlacedEvidence, subjects: Sequence[Subject], *, trust: Trust, join: SourceJoin
) -> Iterator[facts.Item]:
    item = placed.item
    if isinstance(item, OpaqueDocument):
        yield facts.Document(origin=placed.origin(key=None, bound="subject", covers=placed.listed), kind=item.kind)
        return
    match item.predicate:
        case SourceVsa() as summary:
            yield from summary_facts(placed, item, summary, trust=trust, join=join)
        case ReviewRecord() as record:
            yield record_fact(placed, item, record, trust=trust, join=join)
        case TreeApprovals() as approvals:
            yield from approval_facts(placed, item, approvals, trust=trust, join=join)
        case TestReport() as report:
            yield _test(placed, item, report, trust=trust, join=join)
        case Provenance() | ScanReport() | SpdxDocument() | CycloneDxDocument() | VexDocument() | DigestSigned() | None:
            # About a commit alone it says nothing of the artifact.
            if placed.listed:
                yield from _about_artifact(placed, item, subjects, trust=trust)


def _about_artifact(
    placed: PlacedEvidence, item: VerifiedAttestation, subjects: Sequence[Subject], *, trust: Trust
) -> Iterator[facts.Item]:
    match item.predicate:
        case Provenance() as built:
            yield _provenance(placed, item, built, trust=trust)
        case ScanReport() as report:
            yield _scan(placed, item, report, trust=trust)
        case SpdxDocument() | CycloneDxDocument() as document:
            yield _sbom(placed, item, document, trust=trust)
        case DigestSigned():
            yield _signature(placed, item, trust=trust)
        case VexDocument() as document:
            yield from _vex(placed, item, document, subjects=subjects, trust=trust)
        case SourceVsa() | ReviewRecord() | TreeApprovals() | TestReport() | None:
            # The first four are translated above; of an unknown type it says nothing at all.
            return


def _provenance(
    placed: PlacedEvidence, item: VerifiedAttestation, built: Provenance, *, trust: Trust
) -> facts.Provenance:
    builder = find_builder(item, built, trust)
    return facts.Provenance(
        origin=origin_of(placed, item, builder),
        builder=None if builder is None else builder.name,
        builder_id=built.builder_id,
        build_type=built.build_type,
        isolation=None if builder is None else builder.isolation,
        repository=built.repository,
        ref=built.ref,
        commit=built.commit,
        workflow=built.workflow,
        parameters=built.parameters,
        dependencies=built.dependencies,
        undigested=built.undigested,
        triggered_by=built.triggered_by,
        started=built.started,
        finished=built.finished,
        definition=built.definition,
        logs=built.logs,
        secrets=built.secrets,
        bare=built.bare,
    )


def _test(
    placed: PlacedEvidence, item: VerifiedAttestation, report: TestReport, *, trust: Trust, join: SourceJoin
) -> facts.TestResult:
    """Tests that ran on the artifact, or on the commit that it was built from."""
    tester = speaker_of(item, trust.testers.values())
    return facts.TestResult(
        origin=origin_of(placed, item, tester, join.subjects_of(item.statement)),
        tester=None if tester is None else tester.name,
        result=report.result,
        suites=report.suites,
        passed=report.passed,
        failed=report.failed,
    )


def _scan(
    placed: PlacedEvidence, item: VerifiedAttestation, report: ScanReport, *, trust: Trust
) -> facts.VulnerabilityScan:
    scanner = speaker_of(item, trust.scanners.values())
    return facts.VulnerabilityScan(
        origin=origin_of(placed, item, scanner),
        scanner=None if scanner is None else scanner.name,
        scanner_uri=report.scanner_uri,
        database_updated=report.database_updated,
        finished=report.finished,
        vulnerabilities=report.vulnerabilities,
        tells_fixes=report.tells_fixes,
    )


def _sbom(
    placed: PlacedEvidence, item: VerifiedAttestation, document: SpdxDocument | CycloneDxDocument, *, trust: Trust
) -> facts.Sbom:
    producer = speaker_of(item, trust.producers.values())
    return facts.Sbom(
        origin=origin_of(placed, item, producer),
        producer=None if producer is None else producer.name,
        format="spdx" if isinstance(document, SpdxDocument) else "cyclonedx",
        version=document.version,
        components=document.components,
        undigested=document.undigested,
        licences=document.licences,
        bare=document.bare,
    )


def _signature(placed: PlacedEvidence, item: VerifiedAttestation, *, trust: Trust) -> facts.ArtifactSignature:
    signer = speaker_of(item, trust.signers.values())
    return facts.ArtifactSignature(
        origin=origin_of(placed, item, signer), signer=None if signer is None else signer.name
    )


def _vex(
    placed: PlacedEvidence,
    item: VerifiedAttestation,
    document: VexDocument,
    *,
    subjects: Sequence[Subject],
    trust: Trust,
) -> Iterator[facts.Vex]:
    """One fact for each group of subjects of which the document says the same; a product names others by digest."""
    author = speaker_of(item, trust.authors.values())
    origin = origin_of(placed, item, author)
    groups: dict[tuple[VexStatement, ...], list[int]] = {}
    for index in placed.listed:
        groups.setdefault(tuple(statements_about(document, subjects[index].sha256)), []).append(index)
    for statements, covers in groups.items():
        if statements:
            yield facts.Vex(
                origin=replace(origin, covers=tuple(covers)),
                author=None if author is None else author.name,
                made=document.made,
                statements=statements,
            )
