# SPDX-License-Identifier: Apache-2.0
"""The fold: which rows of the projections follow from one leaf and the documents that it names. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TypeAlias

from signer.db.statements import Row
from signer.domain.spooled import LARGE
from signer.formats.deployment import name_of
from signer.formats.shadow_results import decode_results
from signer.formats.strict_base64 import decode_base64
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.documents import (
    LETS_THROUGH,
    SCANS,
    read_evidence_names,
    read_evidence_uses,
    read_shadowed,
    read_sources,
    read_subject_digests,
    read_subjects,
)
from signer.ledger.leaves import (
    Activation,
    Decision,
    DeploymentLeaf,
    Evidence,
    Genesis,
    HaltLeaf,
    Key,
    Leaf,
    Outcome,
    ProbeLeaf,
    Refusal,
    ResumeLeaf,
    RevocationLeaf,
    ShadowLeaf,
    Trust,
    WaiverEndLeaf,
    WaiverLeaf,
)

Document: TypeAlias = Callable[[str], bytes]
"""Gives the bytes of a document that a leaf names; raises Malformed when it is not there."""


class Change(Enum):
    """What a fold can do to the tables, in the order in which the changes of one batch are applied."""

    DECISION = "decision"
    DECISION_SUBJECT = "decision_subject"
    DECISION_SOURCE = "decision_source"
    OPEN_DECISION = "open_decision"
    OUTCOME = "outcome"
    CLOSED_DECISION = "closed_decision"
    IDEMPOTENCY = "idempotency"
    SHADOW = "shadow"
    EVIDENCE = "evidence"
    EVIDENCE_SUBJECT = "evidence_subject"
    EVIDENCE_NAME = "evidence_name"
    ACTIVATION = "activation"
    TRUST = "trust"
    KEY_EVENT = "key_event"
    WAIVER = "waiver"
    WAIVER_END = "waiver_end"
    WAIVER_USE = "waiver_use"
    DEPLOYMENT = "deployment"
    REVOCATION = "revocation"
    HOLD = "hold"
    APPROVAL = "approval"
    APPROVAL_REVOCATION = "approval_revocation"
    APPROVAL_USE = "approval_use"
    KEY_USE = "key_use"
    HALT = "halt"
    RESUMED = "resumed"


Changes: TypeAlias = Mapping[Change, list[Row]]

NAMED = frozenset({*SCANS, "approval-record"})
"""Kinds of evidence that are found by name too."""
KEYED = frozenset({Change.DECISION_SUBJECT, Change.EVIDENCE_SUBJECT})
"""Changes whose order means nothing and whose rows begin with the key."""


def fold(changes: defaultdict[Change, list[Row]], *, index: int, leaf: Leaf, document: Document) -> None:
    """Add the rows that `leaf` at `index` makes to `changes`; raises Malformed for a document of another form."""
    match leaf:
        case Genesis() | Refusal():
            pass
        case Decision():
            _fold_decision(changes, index, leaf, document)
        case Outcome() | ProbeLeaf():
            _fold_key_calls(changes, index, leaf)
        case Evidence():
            _fold_evidence(changes, index, leaf, document)
        case Activation() | Trust() | HaltLeaf() | ResumeLeaf():
            _fold_in_force(changes, index, leaf)
        case Key():
            spki = decode_base64(leaf.spki, what="SPKI of the key leaf")
            row = (index, leaf.event, leaf.name, leaf.kid, leaf.purpose, leaf.algorithm, spki, leaf.principal)
            changes[Change.KEY_EVENT].append((*row, leaf.time, leaf.succeeds, leaf.since, leaf.reason))
        case WaiverLeaf() | WaiverEndLeaf() | ApprovalLeaf() | ApprovalRevocationLeaf():
            _fold_said(changes, index, leaf)
        case DeploymentLeaf() | RevocationLeaf():
            _fold_release(changes, index, leaf)
        case ShadowLeaf():
            _fold_shadow(changes, leaf, document)


def _fold_key_calls(changes: defaultdict[Change, list[Row]], index: int, leaf: Outcome | ProbeLeaf) -> None:
    match leaf:
        case Outcome():
            changes[Change.OUTCOME].append((leaf.decision, index, leaf.request, leaf.time, leaf.status, leaf.reason))
            changes[Change.CLOSED_DECISION].append((leaf.decision,))
            changes[Change.KEY_USE] += ((entry.kid, entry.attempts) for entry in leaf.signatures if entry.attempts)
        case ProbeLeaf():
            changes[Change.KEY_USE] += ((each.kid, each.made) for each in leaf.keys if each.made)


def _fold_said(
    changes: defaultdict[Change, list[Row]],
    index: int,
    leaf: WaiverLeaf | WaiverEndLeaf | ApprovalLeaf | ApprovalRevocationLeaf,
) -> None:
    """What people say of a release, and take back."""
    row: Row
    match leaf:
        case WaiverLeaf():
            row = (index, leaf.digest, leaf.envelope, leaf.policy, leaf.environment, leaf.requester, leaf.approver)
            changes[Change.WAIVER].append((*row, leaf.renewal, leaf.principal, leaf.time))
        case WaiverEndLeaf():
            changes[Change.WAIVER_END].append((leaf.waiver, index, leaf.reason, leaf.principal, leaf.time))
        case ApprovalLeaf():
            row = (index, leaf.verb, leaf.digest, leaf.envelope, leaf.kid, leaf.decision, leaf.person)
            changes[Change.APPROVAL].append((*row, " ".join(leaf.groups), leaf.answers, leaf.at, leaf.principal))
        case ApprovalRevocationLeaf():
            row = (leaf.approval, index, leaf.envelope, leaf.reason, leaf.principal, leaf.time)
            changes[Change.APPROVAL_REVOCATION].append(row)


def _fold_release(changes: defaultdict[Change, list[Row]], index: int, leaf: DeploymentLeaf | RevocationLeaf) -> None:
    """What became of a release."""
    match leaf:
        case DeploymentLeaf():
            name = name_of(leaf.reference)
            told = (leaf.id, leaf.policy, leaf.environment, leaf.status, leaf.digest, name)
            changes[Change.DEPLOYMENT].append((index, *told, leaf.time))
        case RevocationLeaf():
            changes[Change.REVOCATION].append(
                (index, leaf.digest, leaf.policy, leaf.environment, leaf.reason, leaf.principal, leaf.time)
            )


def _fold_in_force(
    changes: defaultdict[Change, list[Row]], index: int, leaf: Activation | Trust | HaltLeaf | ResumeLeaf
) -> None:
    match leaf:
        case Activation():
            changes[Change.ACTIVATION].append(
                (index, leaf.document, leaf.name, leaf.version, leaf.digest, leaf.principal, leaf.time)
            )
        case Trust():
            changes[Change.TRUST].append((index, leaf.version, leaf.digest, leaf.principal, leaf.time))
        case HaltLeaf():
            changes[Change.HALT].append((index, leaf.reason, leaf.principal, leaf.time, None))
        case ResumeLeaf():
            # Ends the halt that the owners saw and those before it, never a later one.
            changes[Change.RESUMED].append((index, leaf.halt))


def _fold_shadow(changes: defaultdict[Change, list[Row]], leaf: ShadowLeaf, document: Document) -> None:
    digest = leaf.policy.digest
    for each in decode_results(document(leaf.results)):
        changes[Change.SHADOW].append((digest, "", each.decision, each.outcome, each.flip))
        changes[Change.SHADOW] += (
            (digest, rule, each.decision, outcome, each.flip) for rule, outcome in each.rules.items()
        )


def _fold_evidence(changes: defaultdict[Change, list[Row]], index: int, leaf: Evidence, document: Document) -> None:
    changes[Change.EVIDENCE].append(
        (leaf.digest, leaf.media_type, leaf.predicate, leaf.size, index, 0, leaf.principal, leaf.policy)
    )
    subjects = read_subject_digests(document(leaf.subjects))
    changes[Change.EVIDENCE_SUBJECT] += ((leaf.digest, subject) for subject in subjects)
    if leaf.size <= LARGE:
        _fold_names(changes, leaf.digest, leaf.predicate, document)


def _fold_names(changes: defaultdict[Change, list[Row]], digest: str, kind: str, document: Document) -> None:
    if kind in NAMED:
        changes[Change.EVIDENCE_NAME] += ((name, digest) for name in read_evidence_names(kind, document(digest)))


def _fold_decision(changes: defaultdict[Change, list[Row]], index: int, leaf: Decision, document: Document) -> None:
    policy = leaf.policy
    changes[Change.DECISION].append(
        (
            index,
            leaf.request,
            leaf.time,
            leaf.principal,
            policy.name,
            policy.version,
            policy.digest,
            leaf.access,
            leaf.environment,
            leaf.verdict,
            leaf.subjects,
            leaf.facts,
            leaf.findings,
            leaf.evidence,
            leaf.first,
            leaf.count,
        )
    )
    if leaf.verdict == "allow":
        changes[Change.OPEN_DECISION].append((index,))
        changes[Change.WAIVER_USE] += ((waiver, index) for waiver in leaf.waivers)
        changes[Change.APPROVAL_USE] += ((approval, index) for approval in leaf.approvals)
    if leaf.verdict == "hold" and leaf.cited:
        held = (index, leaf.first, leaf.environment, policy.name, policy.digest, leaf.cited, leaf.answers)
        changes[Change.HOLD].append(held)
    changes[Change.DECISION_SUBJECT] += ((digest, index) for digest in read_subjects(document(leaf.subjects)))
    changes[Change.DECISION_SOURCE] += ((index, *source) for source in read_sources(document(leaf.facts)))
    for rule, would in read_shadowed(document(leaf.findings)).items():
        flip = "deny" if leaf.verdict == "allow" and would not in LETS_THROUGH else ""
        changes[Change.SHADOW].append((policy.digest, rule, index, would, flip))
    if leaf.idempotency is not None:
        changes[Change.IDEMPOTENCY].append(
            (leaf.principal, leaf.idempotency.key, leaf.idempotency.body, leaf.request, index)
        )
    for position, use in enumerate(read_evidence_uses(document(leaf.evidence))):
        if use.new:
            size = len(document(use.digest))
            row = (use.digest, use.media_type, use.kind, size, index, position, leaf.principal, policy.name)
            changes[Change.EVIDENCE].append(row)
            changes[Change.EVIDENCE_SUBJECT] += ((use.digest, subject) for subject in dict.fromkeys(use.subjects))
            _fold_names(changes, use.digest, use.kind, document)


def fold_all(leaves: Iterable[tuple[int, Leaf]], document: Document) -> Changes:
    """The changes of several leaves in their order."""
    changes: defaultdict[Change, list[Row]] = defaultdict(list)
    for index, leaf in leaves:
        fold(changes, index=index, leaf=leaf, document=document)
    return changes
