# SPDX-License-Identifier: Apache-2.0
"""Judged answers as bytes, made from the leaf and its documents alone, so that a replay is the same answer.

The first answer and every replay of it pass through `decision_answer`.
"""

from __future__ import annotations

from typing import Any

from policy import decision as verdicts
from policy.document import Policy, parse_policy
from policy.levels import matrix
from policy.questions import question_objects, recorded_answers
from policy.schema import PolicyError
from signer.custodian.commands import NotSigned, OutcomeUnknown, Reply, Signed
from signer.custodian.protocols import Reader, Receipts
from signer.domain.subject import Subject
from signer.errors import Misconfigured, Unavailable
from signer.formats.decision import decision_document
from signer.formats.findings import decode_decision
from signer.formats.rfc3339 import parse_time
from signer.formats.strict_json import parse_object
from signer.ledger.documents import MAX_DOCUMENT
from signer.ledger.leaves import Decision, decode_leaf


def decision_answer(
    leaf: Decision,
    *,
    index: int | None,
    policy: Policy,
    decision: verdicts.Decision,
    subjects: tuple[Subject, ...],
) -> bytes:
    """The decision document of a leaf; `index` is None for a check, which has none."""
    questions, digest = recorded_answers(
        decision.findings,
        policy_digest=leaf.policy.digest,
        environment=leaf.environment,
        subjects=((subject.name, subject.sha256) for subject in subjects),
    )
    return decision_document(
        request_id=leaf.request,
        time=parse_time(leaf.time, what="time of the decision"),
        verdict=verdicts.Verdict(leaf.verdict),
        policy=(leaf.policy.name, leaf.policy.version, leaf.policy.digest),
        access=leaf.access,
        environment=leaf.environment,
        principal=leaf.principal,
        subjects=subjects,
        findings=decision.findings,
        matrix=matrix(policy, decision),
        questions=question_objects(questions),
        answers=digest,
        leaf=index,
    )


def recorded_answer(index: int, *, reader: Reader, receipts: Receipts) -> Reply | None:
    """The terminal answer that stands in the ledger for the decision at `index`; None when it has none (yet).

    Signed, denied and unknown are terminal; a hold, a freeze and a failed outcome are judged anew. Raises Unavailable
    for an allow without outcome that nobody works on: its fate is open until the sweep closes it.
    """
    leaf = decode_leaf(reader.leaf(index))
    assert isinstance(leaf, Decision)
    match verdicts.Verdict(leaf.verdict):
        case verdicts.Verdict.DENY:
            if decode_decision(_kept(leaf.findings, reader)).frozen:
                return None
            return NotSigned(request_id=leaf.request, leaf=index, decision=_replayed(leaf, index, reader))
        case verdicts.Verdict.HOLD:
            return None
        case verdicts.Verdict.ALLOW:
            outcome = reader.outcome(index)
            if outcome is None:
                raise Unavailable("outcome-open", "the outcome of this request is not settled yet", remedy="try again")
            if outcome.status == "signed":
                return Signed(request_id=leaf.request, receipt=receipts(leaf.request))
            if outcome.status == "unknown":
                return OutcomeUnknown(request_id=leaf.request, decision_leaf=index, outcome_leaf=outcome.leaf)
            return None


def _replayed(leaf: Decision, index: int, reader: Reader) -> bytes:
    wire: Any = parse_object(_kept(leaf.subjects, reader), limit=MAX_DOCUMENT, what="subjects document")
    try:
        policy = parse_policy(_kept(leaf.policy.digest, reader))
    except PolicyError as fault:
        raise Misconfigured("policy-unreadable", f"a policy of the record: {fault.detail}") from None
    return decision_answer(
        leaf,
        index=index,
        policy=policy,
        decision=decode_decision(_kept(leaf.findings, reader)),
        subjects=tuple(Subject.of(entry["name"], entry["digest"]) for entry in wire["subjects"]),
    )


def _kept(digest: str, reader: Reader) -> bytes:
    document = reader.document(digest)
    if document is None:
        raise Misconfigured("ledger-damaged", f"the document {digest} that a leaf names is missing")
    return document.data
