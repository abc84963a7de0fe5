# SPDX-License-Identifier: Apache-2.0
"""Attestations for demonstrations and tests: what a real pipeline would have signed about an artifact.

Statements are plain functions of their arguments; `attest` signs one with a private key held in memory, which only
the development authority and the tests may do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.domain.subject import Subject
from signer.formats import (
    build_context,
    gittuf,
    provenance,
    review_record,
    spdx,
    test_result,
    vsa,
    vulns,
)
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.dsse import IN_TOTO, encode_envelope, pae
from signer.formats.rfc3339 import format_time
from signer.formats.spki import keyid, spki_der
from signer.formats.statement import TYPE, build_statement

BUILD_TYPE = "https://actions.github.io/buildtypes/workflow/v1"
BUILDER_ID = "https://dev.invalid/builder"
VERIFIER_ID = "https://dev.invalid/source"
REPOSITORY = "github.com/acme/shop"
REF = "refs/heads/main"
COMMIT = "51c0de" + "0" * 34
WORKFLOW = ".github/workflows/release.yml"
DEVELOPER, REVIEWER, MAINTAINER = (f"email:{name}@dev.invalid" for name in ("developer", "reviewer", "maintainer"))
"""Who works on the demo repository: one writes, one reviews, one administers it."""
SCANNER_URI = "https://dev.invalid/scanner"

DemoKey: TypeAlias = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


def attest(statement: bytes, private_key: DemoKey, *, payload_type: str = IN_TOTO) -> bytes:
    """The DSSE envelope around `statement`, signed with ECDSA (the curve's own hash) or Ed25519."""
    message = pae(payload_type, statement)
    signature = _sign(message, private_key)
    return encode_envelope(payload_type, statement, [(keyid(spki_der(private_key.public_key())), signature)])


def provenance_statement(
    subjects: Sequence[Subject],
    *,
    finished: datetime,
    builder_id: str = BUILDER_ID,
    build_type: str = BUILD_TYPE,
    repository: str = REPOSITORY,
    ref: str = REF,
    commit: str = COMMIT,
    workflow: str = WORKFLOW,
    parameters: Mapping[str, Any] | None = None,
    triggered_by: str | None = None,
    secrets: Sequence[str] | None = (),
    log: bytes | None = b"made, packed, done\n",
    dependencies: Sequence[Mapping[str, Any]] = (),
) -> bytes:
    """SLSA provenance v1 in GitHub's shape; `parameters` are further external parameters, `log` is the build's log.

    `dependencies` are resolved beside the source.
    """
    metadata = {
        "invocationId": f"https://{repository}/actions/runs/1/attempts/1",
        "startedOn": format_time(finished - timedelta(minutes=4)),
        "finishedOn": format_time(finished),
    }
    if triggered_by is not None:
        metadata[provenance.TRIGGERED_BY] = triggered_by
    internal = {} if secrets is None else {"internalParameters": {build_context.SECRETS: list(secrets)}}
    logs = [] if log is None else [{"name": build_context.BUILD_LOG, "digest": {"sha256": sha256_hex(log)}}]
    workflow_parameter = {"repository": f"https://{repository}", "ref": ref, "path": workflow}
    return build_statement(
        subjects,
        predicate_type=provenance.PREDICATE_TYPE,
        predicate={
            "buildDefinition": {
                "buildType": build_type,
                "externalParameters": {"workflow": workflow_parameter, **(parameters or {})},
                **internal,
                "resolvedDependencies": [
                    {"uri": f"git+https://{repository}@{ref}", "digest": {"gitCommit": commit}},
                    *dependencies,
                ],
            },
            "runDetails": {"builder": {"id": builder_id}, "metadata": metadata, "byproducts": logs},
        },
    )


def source_statement(
    *,
    verified: datetime,
    verifier: str = VERIFIER_ID,
    repository: str = REPOSITORY,
    commit: str = COMMIT,
    refs: Sequence[str] = (REF,),
    levels: Sequence[str] = ("SLSA_SOURCE_LEVEL_3", "SLSA_SOURCE_TWO_PARTY_REVIEWED"),
    result: str = "PASSED",
) -> bytes:
    """A source VSA for one commit."""
    return canonical(
        {
            "_type": TYPE,
            "subject": [{"digest": {"gitCommit": commit}, "annotations": {"sourceRefs": list(refs)}}],
            "predicateType": vsa.PREDICATE_TYPE,
            "predicate": {
                "verifier": {"id": verifier},
                "timeVerified": format_time(verified),
                "resourceUri": f"git+https://{repository}",
                "policy": {"uri": f"{verifier}/policy"},
                "verificationResult": result,
                "verifiedLevels": list(levels),
                "slsaVersion": vsa.SLSA_VERSION,
            },
        }
    )


def review_statement(
    *,
    verifier: str = VERIFIER_ID,
    repository: str = REPOSITORY,
    commit: str = COMMIT,
    tree: str | None = None,
    authors: Sequence[str] = (DEVELOPER,),
    approvals: Mapping[str, str] | None = None,
    protected: Sequence[str] = (REF,),
    protection: Mapping[str, bool] | None = None,
    enforced: bool = True,
    owners: Sequence[str] = (REVIEWER, MAINTAINER),
    changed: bool = True,
    bypassed: bool = False,
    without: Sequence[str] = (),
) -> bytes:
    """A review record of one commit: `approvals` are reviewer → role, `protection` changes how the refs are guarded,
    `without` names attributes that it does not state.
    """
    reviews = {REVIEWER: "write", MAINTAINER: "admin"} if approvals is None else approvals
    guarded = {"byRequest": True, "forcePush": False, "deletion": False, "includesAdmins": True, **(protection or {})}
    files = [{"paths": [".github/workflows/"], "owners": list(owners), "changed": changed}]
    attributes: list[tuple[str, dict[str, Any]]] = [
        (review_record.AUTHORED, {"authors": list(authors), "committers": list(authors)}),
        *(
            (
                review_record.REVIEWED,
                {"reviewer": reviewer, "commit": commit, "decision": "approved", "role": role},
            )
            for reviewer, role in reviews.items()
        ),
        *((review_record.REF_PROTECTED, {"ref": ref, **guarded}) for ref in protected),
        (review_record.FILES_OWNED, {"enforced": enforced, "files": files}),
        (review_record.MERGED, {"by": authors[0], "bypassed": bypassed}),
    ]
    digests = {"gitCommit": commit} if tree is None else {"gitCommit": commit, "gitTree": tree}
    return canonical(
        {
            "_type": TYPE,
            "subject": [{"digest": digests, "uri": f"git+https://{repository}"}],
            "predicateType": review_record.PREDICATE_TYPE,
            "predicate": {
                "producer": {"uri": verifier},
                "attributes": [
                    {"attribute": name, "conditions": conditions}
                    for name, conditions in attributes
                    if name not in without
                ],
            },
        }
    )


def approvals_statement(*, tree: str, approvers: Sequence[str], dismissed: Sequence[str] = ()) -> bytes:
    """What gittuf's GitHub app records of a pull request; `approvers` are logins with numbers, `octocat+583231`."""
    return canonical(
        {
            "_type": TYPE,
            "subject": [{"digest": {"gitTree": tree}}],
            "predicateType": gittuf.PREDICATE_TYPE,
            "predicate": {
                "targetRef": REF,
                "fromRevisionID": "f" * 40,
                "targetTreeID": tree,
                "approvers": list(approvers),
                "dismissedApprovers": list(dismissed),
            },
        }
    )


def suite_statement(
    subjects: Sequence[Subject],
    *,
    suites: Sequence[str] = ("unit",),
    passed: int = 128,
    failed: int = 0,
    result: str | None = None,
) -> bytes:
    """An in-toto test result; its result follows from `failed` unless stated."""
    return build_statement(
        subjects,
        predicate_type=test_result.PREDICATE_TYPE,
        predicate={
            "result": result or ("FAILED" if failed else "PASSED"),
            "configuration": [{"name": suite} for suite in suites],
            "passedTests": [f"test_{number}" for number in range(passed)],
            "failedTests": [f"test_failing_{number}" for number in range(failed)],
        },
    )


def scan_statement(
    subjects: Sequence[Subject],
    *,
    finished: datetime,
    database_updated: datetime | None = None,
    scanner_uri: str = SCANNER_URI,
    vulnerabilities: Sequence[tuple[str, str]] = (),
) -> bytes:
    """An in-toto vulnerability scan; `vulnerabilities` are (id, severity word or CVSS score)."""
    return build_statement(
        subjects,
        predicate_type=vulns.PREDICATE_TYPE,
        predicate={
            "scanner": {
                "uri": scanner_uri,
                "version": "1.0.0",
                "db": {"lastUpdate": format_time(database_updated or finished - timedelta(hours=6))},
                "result": [
                    {"id": name, "severity": [{"method": "nvd", "score": score}]} for name, score in vulnerabilities
                ],
            },
            "metadata": {
                "scanStartedOn": format_time(finished - timedelta(minutes=1)),
                "scanFinishedOn": format_time(finished),
            },
        },
    )


def sbom_statement(
    subjects: Sequence[Subject], *, created: datetime, packages: Sequence[str] = ("shop",), licence: str = "Apache-2.0"
) -> bytes:
    """An SPDX 2.3 document with the named packages, all under one licence and with checksums of their names."""
    return build_statement(
        subjects,
        predicate_type=f"{spdx.PREDICATE_TYPE}/v2.3",
        predicate={
            "spdxVersion": "SPDX-2.3",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": "shop",
            "dataLicense": "CC0-1.0",
            "documentNamespace": f"https://dev.invalid/sbom/{subjects[0].sha256}",
            "creationInfo": {"created": format_time(created)[:19] + "Z", "creators": ["Tool: demo"]},
            "packages": [
                {
                    "SPDXID": f"SPDXRef-{number}",
                    "name": name,
                    "downloadLocation": "NOASSERTION",
                    "licenseConcluded": licence,
                    "checksums": [{"algorithm": "SHA256", "checksumValue": sha256_hex(name.encode())}],
                }
                for number, name in enumerate(packages)
            ],
        },
    )


def _sign(message: bytes, private_key: DemoKey) -> bytes:
    match private_key:
        case Ed25519PrivateKey():
            return private_key.sign(message)
        case ec.EllipticCurvePrivateKey():
            small = isinstance(private_key.curve, ec.SECP256R1)
            return private_key.sign(message, ec.ECDSA(hashes.SHA256() if small else hashes.SHA384()))
