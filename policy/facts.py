# SPDX-License-Identifier: Apache-2.0
"""Facts: everything a policy may know, as plain values.

`signer.evidence.facts` is the one translator that makes the evidence part from verified bytes; the custodian
adds the ledger part. A rule can see nothing else: no clock, no file, no network.

Persons stand here as `robot:<id>`, `person:<pseudonym>` or `unmapped`; rules only compare them for equality.
Every digest is a sha256 in lower-case hexadecimal, every time is aware and in UTC.

Facts are recorded for ever: a new field has a default that stands for "not stated", no field changes its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from policy.artifact_facts import Licence, VexStatement
from policy.ledger_facts import LedgerFacts
from policy.review_facts import OwnedFiles, ProtectedRef, Review

Bound = Literal["subject", "source", "none"]
"""How evidence reached the requested digest: as a subject of the statement, through the one source join
(trusted provenance of this digest → repository and commit → subject of the source attestation), or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateIdentity:
    """Who signed, where a certificate of a pinned trusted root says it: names may be registered again, ids may not."""

    root: str
    """Name of the pinned root under which signature, certificate, log entry and time verified."""
    issuer: str
    """The identity provider, for example https://token.actions.githubusercontent.com."""
    subject: str
    """The certificate's only URI: for a workflow its file and ref. A person's e-mail address never stands here."""
    workflow: str | None = None
    """The build signer: the (reusable) workflow that did the work."""
    repository: str | None = None
    """Canonical source repository, `github.com/acme/shop`."""
    repository_id: str | None = None
    owner_id: str | None = None
    commit: str | None = None
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where one piece of evidence comes from and what it speaks of."""

    digest: str
    """sha256 of the exact evidence bytes (the DSSE envelope, the bundle or the document)."""
    attested: bool
    """True: the signature verified under a key that the policy trusts. False: submitted only."""
    key: str | None
    """Name of the trusted key or identity that verified it; None when submitted, or when no entry of the policy has
    the identity that signed."""
    submitter: str | None
    """Who submitted it, as the ledger recorded; None while unknown."""
    bound: Bound
    covers: tuple[int, ...]
    """Indices of the requested subjects that this evidence speaks of, ascending."""
    received: int
    """Receipt order in the ledger: smaller was received earlier."""
    identity: CertificateIdentity | None = None
    """What the certificate of keyless-signed evidence says; None when a key of the policy verified it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """SLSA provenance v1: who built it, from what source, how."""

    origin: Origin
    builder: str | None
    """Name of the trusted builder entry whose key AND builder id both match; None when either differs."""
    builder_id: str
    build_type: str
    isolation: str | None
    """The isolation class that the security team gave this builder entry: shared < dedicated < ephemeral < hardened."""
    repository: str | None
    """Canonical source repository, `github.com/acme/shop`; None when the provenance names none."""
    ref: str | None
    commit: str | None
    workflow: str | None
    """Path of the workflow or pipeline definition inside the source repository."""
    parameters: tuple[str, ...]
    """Names of all external parameters, dotted, sorted."""
    dependencies: int
    undigested: int
    """How many resolved dependencies carry no digest."""
    triggered_by: str | None
    """Person or robot that triggered the build; None when not stated."""
    started: datetime | None
    finished: datetime | None
    definition: str | None = None
    """Where the workflow that did the work stands: a commit or digest, or else a ref, which can move; None when not
    stated."""
    logs: tuple[str, ...] = ()
    """sha256 of each byproduct that is a log of the build."""
    secrets: tuple[str, ...] | None = None
    """Names of the secrets that the build could reach, sorted; None when not stated."""
    bare: tuple[str, ...] = ()
    """Names of the dependencies that carry no digest, each once, sorted; none where they cannot all be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSummary:
    """A source VSA (SLSA 1.2 source track): what the source platform enforced for one commit."""

    origin: Origin
    collector: str | None
    """Name of the trusted collector entry whose key AND verifier id both match; None when either differs."""
    verifier: str
    repository: str
    commit: str
    refs: tuple[str, ...]
    result: str
    levels: tuple[str, ...]
    """verifiedLevels as stated, for example SLSA_SOURCE_LEVEL_3, SLSA_SOURCE_TWO_PARTY_REVIEWED."""
    verified: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRecord:
    """A review record (SCAI, or a gittuf approval): how one commit came into a repository. None: it does not say."""

    origin: Origin
    collector: str | None
    """Name of the trusted collector entry whose key AND id both match; None when either differs."""
    verifier: str
    """The id that the record states for its producer; a gittuf approval's predicate type."""
    repository: str
    commit: str
    tree: str | None = None
    """The git tree of that commit."""
    by_tree: bool = False
    """True: it speaks of the tree alone, and another record of a collector has to say whose tree that is."""
    authors: tuple[str, ...] | None
    """Persons, the committers among them."""
    reviews: tuple[Review, ...]
    protected: tuple[ProtectedRef, ...]
    owners_enforced: bool | None
    """The platform takes no change of owned files without an approval by an owner of each."""
    owned: tuple[OwnedFiles, ...]
    merged_by: str | None
    bypassed: bool | None
    """Whoever merged it went past a protection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """in-toto test-result v0.1."""

    __test__ = False

    origin: Origin
    tester: str | None
    """Name of the trusted tester entry; None when the key is trusted for something else only."""
    result: str
    """PASSED, WARNED or FAILED."""
    suites: tuple[str, ...]
    """Names of the configurations that ran, sorted."""
    passed: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vulnerability:
    """One finding of a scan; `score` is CVSS in tenths, so 9.8 is 98; None when not stated."""

    id: str
    severity: Literal["critical", "high", "medium", "low", "none", "unknown"]
    score: int | None
    package: str | None = None
    """What it was found in, a purl or `name@version`; only a scanner's own report tells."""
    fix: str | None = None
    """The first version that has it corrected; None when there is none, or when the format cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerabilityScan:
    """in-toto vulns v0.2."""

    origin: Origin
    scanner: str | None
    """Name of the trusted scanner entry; None when the key is trusted for something else only."""
    scanner_uri: str
    database_updated: datetime | None
    finished: datetime | None
    vulnerabilities: tuple[Vulnerability, ...]
    tells_fixes: bool = False
    """Whether a vulnerability without `fix` has none: a scanner's own report tells, in-toto vulns cannot."""
    first_received: datetime | None = None
    """When the ledger first received these bytes, set by the custodian alone; the judged instant for new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vex:
    """OpenVEX: one document's statements about the same requested subjects."""

    origin: Origin
    author: str | None
    """Name of the trusted author entry; None when the key is trusted for something else only."""
    made: datetime
    statements: tuple[VexStatement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactSignature:
    """A signature over nothing but the digest, as cosign makes one."""

    origin: Origin
    signer: str | None
    """Name of the trusted signer entry; None when the key is trusted for something else only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sbom:
    """SPDX or CycloneDX: the dependency inventory."""

    origin: Origin
    producer: str | None
    """Name of the trusted SBOM producer entry; None when the key is trusted for something else only."""
    format: Literal["spdx", "cyclonedx"]
    version: str
    components: int
    undigested: int | None = None
    """How many components carry no digest; None when not told."""
    licences: tuple[Licence, ...] = ()
    bare: tuple[str, ...] = ()
    """Names of the components that carry no digest, each once, sorted; none where they cannot all be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An opaque document by digest.

    Kinds: pull-request-summary, commit-range, build-log, runner-metadata, rollback-plan, approval-record.
    """

    origin: Origin
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFacts:
    """What verified evidence says, one tuple per kind, each in receipt order."""

    provenance: tuple[Provenance, ...] = ()
    sources: tuple[SourceSummary, ...] = ()
    tests: tuple[TestResult, ...] = ()
    scans: tuple[VulnerabilityScan, ...] = ()
    sboms: tuple[Sbom, ...] = ()
    documents: tuple[Document, ...] = ()
    reviews: tuple[ReviewRecord, ...] = ()
    signatures: tuple[ArtifactSignature, ...] = ()
    vex: tuple[Vex, ...] = ()

    def items(self) -> tuple[Item, ...]:
        """Every item of every kind."""
        first: tuple[Item, ...] = (*self.provenance, *self.sources, *self.tests, *self.scans, *self.sboms)
        return (*first, *self.documents, *self.reviews, *self.signatures, *self.vex)


SourceItem = SourceSummary | ReviewRecord
"""What speaks of a commit, and counts only through the source join."""
Item = Provenance | SourceItem | TestResult | VulnerabilityScan | Sbom | Document | ArtifactSignature | Vex


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectFact:
    """One requested subject: its name for people and its sha256."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What was asked and by whom."""

    policy: str
    environment: str
    submitter: str
    subjects: tuple[SubjectFact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that one decision rests on, beside the policy's bytes and one instant."""

    request: RequestFacts
    evidence: EvidenceFacts
    ledger: LedgerFacts
