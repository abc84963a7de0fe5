# SPDX-License-Identifier: Apache-2.0
"""The release view: one JSON document of everything that is known of a digest.

{"approvals":[…],"deployments":[…],"digest":"sha256:9c56…","environments":[{"environment":"production","levels":{…},
 "needs":{…},"questions":[…],…}],"evidence":[…],"findings":[…],"names":["shop.tar"],"revocations":[…],"size":42,
 "timeline":[{"detail":"…","leaf":7,"time":"…","what":"decision"}],"type":"signing-authority/release/v1"}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from policy.questions import question_objects
from signer.formats.deployment import cd_event
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.leaves import (
    Decision,
    DeploymentLeaf,
    Evidence,
    Leaf,
    Outcome,
    RevocationLeaf,
    WaiverEndLeaf,
    WaiverLeaf,
    read_deployment,
)
from signer.releases.contents import Contents
from signer.releases.findings import find
from signer.releases.posture import postures

TYPE: Final = "signing-authority/release/v1"


def release_view(contents: Contents) -> dict[str, Any]:
    """The document as JSON values."""
    revoked = {leaf.approval: index for index, leaf in contents.of(ApprovalRevocationLeaf)}
    return {
        "type": TYPE,
        "digest": f"sha256:{contents.sha256}",
        "names": list(contents.names()),
        "size": contents.size,
        "environments": [
            {
                "policy": each.decision.policy.name,
                "version": each.decision.policy.version,
                "environment": each.decision.environment,
                "leaf": each.leaf,
                "request_id": each.decision.request,
                "time": each.decision.time,
                "status": each.status,
                "levels": dict(each.levels),
                "needs": dict(each.needs),
                "questions": question_objects(each.questions),
            }
            for each in postures(contents)
        ],
        "timeline": list(timeline(contents)),
        "evidence": [
            {"digest": each.digest, "kind": each.kind, "leaf": each.leaf, "size": each.size} for each in contents.own()
        ],
        "approvals": [
            {
                "leaf": index,
                "verb": leaf.verb,
                "person": leaf.person,
                "groups": list(leaf.groups),
                "environment": leaf.environment,
                "at": leaf.at,
                "hold": leaf.hold,
                "signed": bool(leaf.kid),
                "revoked": revoked.get(leaf.digest),
            }
            for index, leaf in contents.of(ApprovalLeaf)
        ],
        "deployments": [
            dict(cd_event(read_deployment(leaf), leaf=index, recorded=leaf.time, origin=contents.origin))
            for index, leaf in contents.deployments()
        ],
        "revocations": [
            {
                "leaf": index,
                "time": leaf.time,
                "policy": leaf.policy,
                "environment": leaf.environment,
                "reason": leaf.reason,
            }
            for index, leaf in contents.revocations()
        ],
        "findings": [asdict(each) for each in find(contents)],
    }


def timeline(contents: Contents) -> Iterator[dict[str, Any]]:
    """What happened, in the order of the leaves."""
    for index in sorted(contents.leaves):
        told = _told(contents, index, contents.leaves[index].leaf)
        if told is not None:
            what, detail = told
            yield {"leaf": index, "time": contents.leaves[index].leaf.time, "what": what, "detail": detail}


def _told(contents: Contents, index: int, leaf: Leaf) -> tuple[str, str] | None:
    """What one leaf says of the release, and of what kind it is; None for what only gives context."""
    told: tuple[str, str] | None = None
    match leaf:
        case Decision() if index in contents.about:
            told = "decision", f"{leaf.verdict} for {leaf.environment} by {leaf.policy.name} v{leaf.policy.version}"
        case Outcome():
            told = "outcome", f"{leaf.status} {leaf.reason}".rstrip()
        case Evidence():
            told = "evidence", f"{leaf.predicate} sha256:{leaf.digest}"
        case ApprovalLeaf():
            told = "approval", f"{leaf.verb} for {leaf.environment} by {leaf.person}"
        case ApprovalRevocationLeaf():
            told = "approval taken back", leaf.reason
        case WaiverLeaf():
            told = "waiver", f"for {leaf.environment}, sha256:{leaf.digest}"
        case WaiverEndLeaf():
            told = "waiver ended", leaf.reason
        case DeploymentLeaf():
            gate = "no gate" if leaf.gate is None else f"gate {leaf.gate.result}"
            told = "deployment", f"{leaf.status} {leaf.reference} to {leaf.environment}, {gate}"
        case RevocationLeaf():
            told = "taken back", f"for {leaf.environment}: {leaf.reason}"
        case _:
            pass
    return told
