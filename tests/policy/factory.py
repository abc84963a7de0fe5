# SPDX-License-Identifier: Apache-2.0
"""A policy and the facts of a release that satisfies it; every test changes one thing."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from policy.artifact_facts import Licence, VexStatement
from policy.decision import Decision, Finding
from policy.document import Policy, parse_policy
from policy.engine import evaluate
from policy.facts import (
    ArtifactSignature,
    Bound,
    Document,
    EvidenceFacts,
    Facts,
    Item,
    Origin,
    Provenance,
    RequestFacts,
    ReviewRecord,
    Sbom,
    SourceSummary,
    SubjectFact,
    TestResult,
    Vex,
    Vulnerability,
    VulnerabilityScan,
)
from policy.ledger_facts import LedgerFacts
from policy.review_facts import OwnedFiles, ProtectedRef, Review

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BUILD_TYPE = "https://actions.github.io/buildtypes/workflow/v1"
REPOSITORY = "github.com/acme/shop"
COMMIT = "51c0de" + "0" * 34
LOG = sha256(b"made, packed, done").hexdigest()
AUTHOR, COMMITTER, REVIEWER, ADMIN = "person:author", "person:committer", "person:reviewer", "person:admin"
WORKFLOWS = ".github/workflows/"
PARAMETERS = ("workflow.path", "workflow.ref", "workflow.repository")


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def pem(name: str) -> str:
    body = (sha256(name.encode()).hexdigest() * 2)[:60]
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


def document() -> dict[str, Any]:
    """The policy `demo` as a plain value: seven rules, one environment."""
    return {
        "schema": "signing-policy/v1",
        "metadata": {"name": "demo", "version": 1, "owner": "appsec", "expires": "2027-06-30T00:00:00Z"},
        "defaults": {"maxEvidenceAge": "7d", "clockSkew": "2m"},
        "trust": {
            "keys": {name: pem(name) for name in ("builder", "other", "scanner", "source", "stranger")},
            "builders": {
                "ci": {
                    "key": "builder",
                    "id": "https://dev.invalid/builder",
                    "isolation": "ephemeral",
                    "network": "restricted",
                    "identity": "workload",
                    "broadAccess": False,
                    "principal": "robot:ci",
                },
                "shared-ci": {
                    "key": "other",
                    "id": "https://dev.invalid/shared",
                    "isolation": "shared",
                    "network": "open",
                    "identity": "workload",
                    "broadAccess": True,
                },
            },
            "scanners": {"grype": {"key": "scanner", "maxDatabaseAge": "2d"}},
            "testers": {"ci": {"key": "builder"}},
            "collectors": {"forge": {"key": "source", "verifier": "https://dev.invalid/source"}},
            "producers": {"ci": {"key": "builder"}},
        },
        "rules": [
            {
                "id": "BLD-1",
                "type": "build.provenance",
                "control": "build",
                "level": "minimum",
                "builders": ["ci", "shared-ci"],
                "buildTypes": [BUILD_TYPE],
                "parameters": {"allow": list(PARAMETERS)},
                "workflows": [".github/workflows/release.yml"],
            },
            {"id": "BLD-2", "type": "build.isolation", "control": "build", "level": "better", "atLeast": "ephemeral"},
            {
                "id": "SRC-1",
                "type": "source.ref",
                "control": "source",
                "level": "minimum",
                "repositories": [REPOSITORY],
                "refs": ["refs/heads/main", "refs/tags/v*"],
            },
            {
                "id": "SRC-2",
                "type": "source.reviews",
                "control": "source",
                "level": "better",
                "collectors": ["forge"],
                "atLeast": "SLSA_SOURCE_LEVEL_3",
                "properties": ["SLSA_SOURCE_TWO_PARTY_REVIEWED"],
            },
            {
                "id": "TST-1",
                "type": "tests.passed",
                "control": "build",
                "level": "minimum",
                "testers": ["ci"],
                "suites": ["unit"],
                "maxFailed": 0,
            },
            {
                "id": "VUL-1",
                "type": "vulns.threshold",
                "control": "artifact",
                "level": "better",
                "scanners": ["grype"],
                "deny": {"critical": 0, "high": 0},
                "maxAge": "2d",
            },
            {
                "id": "SBM-1",
                "type": "sbom.present",
                "control": "artifact",
                "level": "minimum",
                "formats": ["spdx"],
                "minComponents": 1,
            },
        ],
        "environments": {"release": {"require": ["*"], "key": "release", "formats": ["vsa"]}},
    }


REVIEW_RULES: list[dict[str, Any]] = [
    {
        "id": "SRC-3",
        "type": "source.protection",
        "control": "source",
        "level": "minimum",
        "collectors": ["forge"],
        "refs": ["refs/heads/main"],
    },
    {
        "id": "SRC-4",
        "type": "source.reviewers",
        "control": "source",
        "level": "better",
        "collectors": ["forge"],
        "min": 2,
    },
    {"id": "SRC-5", "type": "source.owners", "control": "source", "level": "better", "collectors": ["forge"]},
    {
        "id": "SRC-6",
        "type": "source.workflow-files",
        "control": "source",
        "level": "better",
        "collectors": ["forge"],
        "paths": [WORKFLOWS],
    },
    {"id": "SRC-7", "type": "source.workflow", "control": "source", "level": "strong", "collectors": ["forge"]},
    {
        "id": "SRC-8",
        "type": "source.admin-review",
        "control": "source",
        "level": "strong",
        "collectors": ["forge"],
        "min": 1,
    },
]
"""What `document` leaves out: the rules over review records."""
FURTHER_TRUST: dict[str, Any] = {
    "signers": {"release": {"key": "builder"}},
    "authors": {"appsec": {"key": "source"}},
}
"""What `further_rules` and parameters that `document` does not use rest on."""


def further_rules() -> list[dict[str, Any]]:
    """One rule of each type that `document` does not use."""
    return [
        {"id": "BLD-3", "type": "build.identity", "control": "build", "level": "minimum"},
        {"id": "BLD-4", "type": "build.pinned", "control": "build", "level": "strong"},
        {
            "id": "BLD-5",
            "type": "build.described",
            "control": "build",
            "level": "better",
            "buildTypes": [BUILD_TYPE],
            "parameters": {"allow": list(PARAMETERS)},
        },
        {"id": "ART-1", "type": "artifact.digest", "control": "artifact", "level": "minimum"},
        {"id": "ART-2", "type": "artifact.provenance", "control": "artifact", "level": "strong"},
        {
            "id": "ART-3",
            "type": "artifact.signature",
            "control": "artifact",
            "level": "strong",
            "signers": ["release"],
        },
        {"id": "SBM-2", "type": "sbom.digests", "control": "artifact", "level": "strong"},
        {
            "id": "LIC-1",
            "type": "sbom.licences",
            "control": "artifact",
            "level": "better",
            "allow": ["MIT"],
            "deny": ["SSPL-1.0"],
        },
        {"id": "BLD-6", "type": "build.log", "control": "build", "level": "strong"},
        {
            "id": "BLD-7",
            "type": "build.secrets",
            "control": "build",
            "level": "strong",
            "secrets": {"allow": []},
        },
        *copy.deepcopy(REVIEW_RULES),
    ]


def encode(value: dict[str, Any]) -> bytes:
    """JSON is YAML, and the strict subset takes it."""
    return json.dumps(value).encode()


def policy(*only: str, **changes: Any) -> Policy:
    """The policy `demo`; `only` names the rules kept, `changes` are keys of the first of them (None removes one)."""
    value = copy.deepcopy(document())
    value["trust"].update(FURTHER_TRUST)
    if only:
        by_id = {rule["id"]: rule for rule in (*value["rules"], *further_rules())}
        value["rules"] = [by_id[name] for name in only]
    rule = value["rules"][0]
    rule.update(changes)
    for key in [key for key, change in changes.items() if change is None]:
        del rule[key]
    return parse_policy(encode(value))


def origin(
    name: str,
    *,
    key: str | None,
    bound: Bound = "subject",
    covers: tuple[int, ...] = (0,),
    received: int = 1,
    attested: bool = True,
) -> Origin:
    return Origin(
        digest=sha256(name.encode()).hexdigest(),
        attested=attested,
        key=key,
        submitter="robot:ci",
        bound=bound,
        covers=covers,
        received=received,
    )


def taken(changes: dict[str, Any]) -> dict[str, Any]:
    """The changes that are about the origin, removed from the others."""
    return {field: changes.pop(field) for field in ("bound", "covers", "received", "attested") if field in changes}


def built(name: str = "provenance", *, key: str | None = "builder", **changes: Any) -> Provenance:
    placing = taken(changes)
    item = Provenance(
        origin=origin(name, key=key, **placing),
        builder="ci",
        builder_id="https://dev.invalid/builder",
        build_type=BUILD_TYPE,
        isolation="ephemeral",
        repository=REPOSITORY,
        ref="refs/heads/main",
        commit=COMMIT,
        workflow=".github/workflows/release.yml",
        parameters=PARAMETERS,
        dependencies=1,
        undigested=0,
        triggered_by=None,
        started=ago(hours=5),
        finished=ago(hours=4),
        definition=COMMIT,
        logs=(LOG,),
        secrets=(),
    )
    return replace(item, **changes)


def built_shared(name: str = "shared", **changes: Any) -> Provenance:
    return built(
        name,
        **{
            "key": "other",
            "builder": "shared-ci",
            "builder_id": "https://dev.invalid/shared",
            "isolation": "shared",
            **changes,
        },
    )


def reviewed(name: str = "source", *, key: str | None = "source", **changes: Any) -> SourceSummary:
    placing = taken(changes)
    item = SourceSummary(
        origin=origin(name, key=key, **{"bound": "source", **placing}),
        collector="forge",
        verifier="https://dev.invalid/source",
        repository=REPOSITORY,
        commit=COMMIT,
        refs=("refs/heads/main",),
        result="PASSED",
        levels=("SLSA_SOURCE_LEVEL_3", "SLSA_SOURCE_TWO_PARTY_REVIEWED"),
        verified=ago(hours=6),
    )
    return replace(item, **changes)


def approval(reviewer: str = REVIEWER, **changes: Any) -> Review:
    return replace(Review(reviewer=reviewer, commit=COMMIT, decision="approved", role="write"), **changes)


def protected(**changes: Any) -> ProtectedRef:
    item = ProtectedRef(ref="refs/heads/main", by_request=True, force_push=False, deletion=False, includes_admins=True)
    return replace(item, **changes)


def owned(**changes: Any) -> OwnedFiles:
    return replace(OwnedFiles(paths=(WORKFLOWS,), owners=(REVIEWER,), changed=True), **changes)


def recorded(name: str = "record", *, key: str | None = "source", **changes: Any) -> ReviewRecord:
    """A review record that satisfies every rule of the source control."""
    placing = taken(changes)
    item = ReviewRecord(
        origin=origin(name, key=key, **{"bound": "source", **placing}),
        collector="forge",
        verifier="https://dev.invalid/source",
        repository=REPOSITORY,
        commit=COMMIT,
        tree=None,
        by_tree=False,
        authors=(AUTHOR, COMMITTER),
        reviews=(approval(), approval(ADMIN, role="admin")),
        protected=(protected(),),
        owners_enforced=True,
        owned=(owned(),),
        merged_by=COMMITTER,
        bypassed=False,
    )
    return replace(item, **changes)


def ran(name: str = "tests", *, key: str | None = "builder", **changes: Any) -> TestResult:
    placing = taken(changes)
    item = TestResult(
        origin=origin(name, key=key, **placing), tester="ci", result="PASSED", suites=("unit",), passed=128, failed=0
    )
    return replace(item, **changes)


def scanned(name: str = "scan", *, key: str | None = "scanner", **changes: Any) -> VulnerabilityScan:
    placing = taken(changes)
    item = VulnerabilityScan(
        origin=origin(name, key=key, **placing),
        scanner="grype",
        scanner_uri="https://dev.invalid/scanner",
        database_updated=ago(hours=12),
        finished=ago(hours=3),
        vulnerabilities=(),
    )
    return replace(item, **changes)


def vulnerability(severity: Any, *, name: str = "CVE-2026-40021", score: int | None = None) -> Vulnerability:
    return Vulnerability(id=name, severity=severity, score=score)


def signed(name: str = "signature", *, key: str | None = "builder", **changes: Any) -> ArtifactSignature:
    placing = taken(changes)
    item = ArtifactSignature(origin=origin(name, key=key, **placing), signer="release")
    return replace(item, **changes)


def dismissal(
    *ids: str,
    status: Any = "not_affected",
    justification: str | None = "vulnerable_code_not_present",
    packages: tuple[str, ...] = (),
) -> VexStatement:
    return VexStatement(ids=ids, status=status, justification=justification, packages=packages)


def vex(*statements: VexStatement, name: str = "vex", key: str | None = "source", **changes: Any) -> Vex:
    placing = taken(changes)
    item = Vex(origin=origin(name, key=key, **placing), author="appsec", made=ago(hours=2), statements=statements)
    return replace(item, **changes)


def inventory(name: str = "sbom", *, key: str | None = "builder", **changes: Any) -> Sbom:
    placing = taken(changes)
    item = Sbom(
        origin=origin(name, key=key, **placing),
        producer="ci",
        format="spdx",
        version="2.3",
        components=42,
        undigested=0,
        licences=(Licence(expression="MIT", components=42, example="flask"),),
    )
    return replace(item, **changes)


def kept(name: str = "log", *, kind: str = "build-log", submitter: str = "robot:ci", **changes: Any) -> Document:
    """A document that nobody signed; `digest` of None is made from the name."""
    digest = changes.pop("digest", None)
    placed = origin(name, key=None, **{"attested": False, **taken(changes)})
    placed = replace(placed, submitter=submitter, digest=placed.digest if digest is None else digest)
    return Document(origin=placed, kind=kind)


def good() -> tuple[Item, ...]:
    """Evidence that satisfies every rule of `document`."""
    return (built(), reviewed(), ran(), scanned(), inventory(), recorded(), signed())


def facts(
    *items: Item,
    subjects: int = 1,
    environment: str = "release",
    name: str = "demo",
    ledger: LedgerFacts = LedgerFacts(policy_digest="0" * 64, access_digest="1" * 64),  # noqa: B008 - frozen
) -> Facts:
    return Facts(
        request=RequestFacts(
            policy=name,
            environment=environment,
            submitter="robot:ci",
            subjects=tuple(
                SubjectFact(name=f"shop-{index}", sha256=sha256(bytes([index % 256, index // 256])).hexdigest())
                for index in range(subjects)
            ),
        ),
        evidence=EvidenceFacts(
            provenance=tuple(item for item in items if isinstance(item, Provenance)),
            sources=tuple(item for item in items if isinstance(item, SourceSummary)),
            tests=tuple(item for item in items if isinstance(item, TestResult)),
            scans=tuple(item for item in items if isinstance(item, VulnerabilityScan)),
            sboms=tuple(item for item in items if isinstance(item, Sbom)),
            documents=tuple(item for item in items if isinstance(item, Document)),
            reviews=tuple(item for item in items if isinstance(item, ReviewRecord)),
            signatures=tuple(item for item in items if isinstance(item, ArtifactSignature)),
            vex=tuple(item for item in items if isinstance(item, Vex)),
        ),
        ledger=ledger,
    )


def judge(judged: Policy, *items: Item, now: datetime = NOW, subjects: int = 1, **known: Any) -> Decision:
    """`known` is what the ledger knows beside the documents in force."""
    ledger = LedgerFacts(policy_digest="0" * 64, access_digest="1" * 64, **known)
    return evaluate(judged, facts(*items, subjects=subjects, ledger=ledger), now=now)


def sole(judged: Policy, *items: Item, now: datetime = NOW, **known: Any) -> Finding:
    """The one finding of a policy with one rule."""
    (finding,) = judge(judged, *items, now=now, **known).findings
    return finding
