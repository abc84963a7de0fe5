# SPDX-License-Identifier: Apache-2.0
"""Findings F1 to F8: what an auditor of a build factory looks for, one predicate each, over what is known of a digest.

    F1  an approval or a deployment names a reference and no digest
    F2  provenance is stored, and the gate of a deployment is absent, failed, stale or late
    F3  a scan of the same name and another digest
    F4  a deployment claims an approval that the ledger lacks
    F5  a deployed digest that was not allowed for that environment
    F6  a deployment with no evidence before it
    F7  the ledger's count of a key's calls differs from the device's
    F8  a builder with broad access in a protected environment

A predicate answers found, clean or unknown; unknown is never clean. Nothing here reads a clock: a deployment is held
against what stood in the ledger before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from policy.document import Policy, parse_policy
from policy.schema import PolicyError
from signer.errors import Malformed
from signer.formats.deployment import DEPLOYED, PASSED
from signer.formats.facts import decode_facts
from signer.formats.findings import decode_findings
from signer.formats.rfc3339 import parse_time
from signer.ledger.leaves import Decision, DeploymentLeaf
from signer.releases.contents import Contents
from signer.releases.kinds import APPROVAL_RECORD, PROVENANCE, is_scan
from signer.releases.reading import read_approval_record

Status = Literal["found", "clean", "unknown"]
STALE: Final = timedelta(hours=1)
"""How old what a gate verified may be when the deployment follows."""
SKEW: Final = timedelta(minutes=2)
"""How far the clocks of gate and deployment may be apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFinding:
    """One thing that is wrong, or that nobody can tell; `leaves` and `evidence` are where it can be seen."""

    id: str
    status: Status
    title: str
    detail: str
    environment: str
    """Empty where it is about no single one."""
    leaves: tuple[int, ...]
    evidence: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a predicate saw."""

    detail: str
    environment: str = ""
    leaves: tuple[int, ...] = ()
    evidence: tuple[str, ...] = ()
    status: Status = "found"


@dataclass(frozen=True, slots=True)
class Rule:
    """One of the eight."""

    id: str
    title: str
    remedy: str
    look: Callable[[Contents], Iterator[_Seen]]


def find(contents: Contents) -> tuple[ReleaseFinding, ...]:
    """All that is found or unknown about one digest, in the order of the eight; nothing for what is clean."""
    return tuple(
        ReleaseFinding(
            id=rule.id,
            status=seen.status,
            title=rule.title,
            detail=seen.detail,
            environment=seen.environment,
            leaves=seen.leaves,
            evidence=seen.evidence,
            remedy=rule.remedy,
        )
        for rule in RULES
        for seen in rule.look(contents)
    )


def _deployed(contents: Contents) -> Iterator[tuple[int, DeploymentLeaf]]:
    """What reached an environment by this digest; a gate that refused let nothing there."""
    for index, leaf in contents.deployments():
        if leaf.status == DEPLOYED and leaf.digest == contents.sha256:
            yield index, leaf


def _by_tag(contents: Contents) -> Iterator[_Seen]:
    for index, leaf in contents.deployments():
        if leaf.status == DEPLOYED and not leaf.digest:
            yield _Seen(f"deployed {leaf.reference} names no digest", leaf.environment, (index,))
    for each in contents.evidence:
        record = read_approval_record(contents.read(each.digest)) if each.kind == APPROVAL_RECORD else None
        if record is not None and not record[1]:
            yield _Seen(f"the approval of {record[0]} names no digest", record[2], (each.leaf,), (each.digest,))


def _unverified(contents: Contents) -> Iterator[_Seen]:
    provenance = tuple(each.digest for each in contents.own() if each.kind in PROVENANCE)
    for index, leaf in _deployed(contents) if provenance else ():
        why = _gate_fault(leaf)
        if why:
            yield _Seen(f"provenance is stored, and {why}", leaf.environment, (index,), provenance)


def _gate_fault(leaf: DeploymentLeaf) -> str:
    if leaf.gate is None:
        return "the deployment had no gate"
    if leaf.gate.result != PASSED:
        return f"the deployment went past a gate that failed: {leaf.gate.reason}"
    at, verified = parse_time(leaf.at, what="at"), parse_time(leaf.gate.time, what="time of the gate")
    if at - verified > STALE:
        return f"the gate verified {at - verified} before the deployment"
    return "the gate verified after the deployment" if verified - at > SKEW else ""


def _detached_scan(contents: Contents) -> Iterator[_Seen]:
    own = {each.digest for each in contents.own()}
    if any(is_scan(each.kind) for each in contents.evidence if each.digest in own):
        return
    for each in contents.evidence:
        if is_scan(each.kind):
            subject = ", ".join(each.subjects) or "no digest"
            yield _Seen(f"a scan of the same name is about {subject}", "", (each.leaf,), (each.digest,))


def _unapproved(contents: Contents) -> Iterator[_Seen]:
    for index, leaf in _deployed(contents):
        if leaf.approval and not _approved(contents, leaf, before=index):
            detail = f"the deployment claims the approval {leaf.approval}, which the ledger does not hold for it"
            yield _Seen(detail, leaf.environment, (index,))


def _approved(contents: Contents, leaf: DeploymentLeaf, *, before: int) -> bool:
    """Whether the claim names a decision that allowed this, and in which a rule counted approvals."""
    for index, decision in contents.decisions():
        if index < before and decision.request == leaf.approval and _allows(contents, index, decision, leaf):
            findings = decode_findings(contents.read(decision.findings))
            return any(each.type.startswith("approval.") and each.outcome.value == "pass" for each in findings)
    return False


def _allows(contents: Contents, index: int, decision: Decision, leaf: DeploymentLeaf) -> bool:
    outcome = contents.outcome(index)
    return (
        decision.verdict == "allow"
        and (decision.policy.name, decision.environment) == (leaf.policy, leaf.environment)
        and outcome is not None
        and outcome[1].status == "signed"
    )


def _not_allowed(contents: Contents) -> Iterator[_Seen]:
    for index, leaf in _deployed(contents):
        allowed = [
            place for place, each in contents.decisions() if place < index and _allows(contents, place, each, leaf)
        ]
        revoked = [
            place
            for place, each in contents.revocations()
            if place < index and each.policy == leaf.policy and each.environment in ("*", leaf.environment)
        ]
        if not allowed:
            yield _Seen(f"nothing was signed for {leaf.environment} before the deployment", leaf.environment, (index,))
        elif revoked:
            yield _Seen("it had been taken back before the deployment", leaf.environment, (*revoked, index))


def _without_evidence(contents: Contents) -> Iterator[_Seen]:
    own = contents.own()
    for index, leaf in _deployed(contents):
        if not any(each.leaf < index for each in own):
            yield _Seen("no evidence was kept before the deployment", leaf.environment, (index,))


def _reconciled(_: Contents) -> Iterator[_Seen]:
    yield _Seen("no counter of a device is configured, so nobody can tell", status="unknown")


def _broad_access(contents: Contents) -> Iterator[_Seen]:
    for index, decision in contents.decisions():
        if decision.verdict != "allow":
            continue
        policy = policy_of(contents, decision)
        environment = policy.environments.get(decision.environment)
        if environment is None or not any(rule.control == "deployment" for rule in environment.rules):
            continue  # nothing guards this environment, so nothing is circumvented
        provenance = decode_facts(contents.read(decision.facts)).evidence.provenance
        for item in provenance:
            builder = policy.trust.builders.get(item.builder or "")
            if builder is not None and builder.broad_access:
                detail = f"the builder {builder.name} has broad access"
                yield _Seen(detail, decision.environment, (index,), (item.origin.digest,))


def policy_of(contents: Contents, decision: Decision) -> Policy:
    """The policy under which a decision fell; raises Malformed."""
    try:
        return parse_policy(contents.read(decision.policy.digest))
    except PolicyError as fault:
        raise Malformed("policy-invalid", fault.detail, remedy=fault.remedy) from None


RULES: Final = (
    Rule(
        "F1",
        "approved or deployed by reference alone",
        "approve and deploy by digest: NAME@sha256:HEX; a tag proves nothing about what ran",
        _by_tag,
    ),
    Rule(
        "F2",
        "provenance was not verified at the deployment",
        "put `signer gate` right before the deployment, and let it record",
        _unverified,
    ),
    Rule(
        "F3",
        "a scan is of another digest",
        "scan the digest that is released: signer evidence add SCAN, then sign again",
        _detached_scan,
    ),
    Rule(
        "F4",
        "a claimed approval is not in the ledger",
        "approve the hold itself: signer approve; name its request id when deploying",
        _unapproved,
    ),
    Rule(
        "F5",
        "deployed without being allowed there",
        "roll back, or have the digest signed for that environment: signer sign --environment NAME",
        _not_allowed,
    ),
    Rule(
        "F6",
        "deployed without evidence",
        "bring the evidence of the build first: signer evidence add; emergencies have break-glass, with evidence",
        _without_evidence,
    ),
    Rule(
        "F7",
        "key calls are not reconciled",
        "compare the device's own counter with `signer keys list`",
        _reconciled,
    ),
    Rule(
        "F8",
        "a builder with broad access",
        "build on a runner without access to environments, and say broadAccess: false of it",
        _broad_access,
    ),
)
