# SPDX-License-Identifier: Apache-2.0
"""A receipt: the record stands in the ledger, and it speaks of this bundle and of nothing else.

decision leaf ── proof ──▶ checkpoint signed by the ledger key          names subjects, findings, policy
outcome leaf  ── proof ──▶ checkpoint signed by the ledger key          names decision, payload, key, bundle
"""

from __future__ import annotations

from dataclasses import dataclass

from policy.decision import LETS_THROUGH, Verdict
from policy.outputs import VSA
from signer.errors import Malformed
from signer.formats.canonical import sha256_hex
from signer.formats.findings import decode_decision
from signer.formats.receipt import ProvenLeaf, Receipt, parse_receipt
from signer.formats.rfc3339 import parse_time
from signer.formats.strict_json import parse_json
from signer.formats.trust import TrustDocument
from signer.ledger.leaves import Decision, Outcome, decode_leaf
from signer.tlog.checkpoint import Checkpoint
from signer.tlog.proof import verify_proof
from signer.verify.bundle import VerifiedBundle
from signer.verify.checks import Checklist
from signer.verify.outputs import check_outputs
from signer.verify.trust import ledger_keys

MAX_SUBJECTS_DOCUMENT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReceipt:
    """A receipt whose checks all held."""

    receipt: Receipt
    decision: Decision
    outcome: Outcome
    checkpoint: Checkpoint
    """The checkpoint that covers both leaves."""


def verify_receipt(data: bytes, *, trust: TrustDocument, bundle: VerifiedBundle, checks: Checklist) -> VerifiedReceipt:
    """The receipt in `data` when it proves that `bundle` was decided and recorded; raises CheckFailed."""
    with checks.check("receipt is well formed", code="receipt-invalid") as check:
        receipt = parse_receipt(data)
        check.found = f"request {receipt.request_id}"
    decision_body, _ = _check_included("decision", receipt.decision, trust, checks)
    outcome_body, checkpoint = _check_included("outcome", receipt.outcome, trust, checks)
    with checks.check("decision leaf allows this request", code="decision-mismatch") as check:
        decision = decode_leaf(decision_body)
        if not isinstance(decision, Decision):
            raise check.failure(expected="a decision leaf", found=f"a leaf of kind {type(decision).__name__.lower()}")
        for name, expected, found in _decision_pairs(receipt, decision, bundle):
            check.require(found == expected, expected=f"{name} {expected}", found=f"{name} {found}")
        check.found = f"leaf {receipt.decision.index}, {decision.verdict}"
    named = _signed_documents(outcome_body)
    _check_documents(receipt, decision, bundle, checks, signed=named)
    with checks.check("outcome leaf names this bundle", code="outcome-mismatch") as check:
        outcome = decode_leaf(outcome_body)
        if not isinstance(outcome, Outcome):
            raise check.failure(expected="an outcome leaf", found=f"a leaf of kind {type(outcome).__name__.lower()}")
        for name, expected, found in _outcome_pairs(receipt, outcome):
            check.require(found == expected, expected=f"{name} {expected}", found=f"{name} {found}")
        check.require(
            receipt.outcome.index > receipt.decision.index,
            expected=f"an outcome after leaf {receipt.decision.index}",
            found=f"leaf {receipt.outcome.index}",
        )
        wanted = (sha256_hex(bundle.payload), bundle.key.kid, "signed", sha256_hex(bundle.data))
        signed = [(entry.payload, entry.kid, entry.result, entry.bundle) for entry in outcome.signatures]
        check.require(
            wanted in signed,
            expected=f"a signature over payload {wanted[0]} by {wanted[1]} in bundle {wanted[3]}",
            found="; ".join(f"payload {entry[0]} by {entry[1]} in bundle {entry[3]}" for entry in signed) or "none",
            remedy="this receipt belongs to another bundle",
        )
        stamped = [entry.timestamp == "granted" for entry in outcome.signatures if entry.format == VSA]
        check.require(
            stamped == [bundle.timestamp is not None],
            expected="one statement, and what the leaf says of its timestamp",
            found=f"{len(stamped)} statements, timestamps granted: {sum(stamped)}",
        )
        carried = [(entry.format, sha256_hex(entry.bundle)) for entry in receipt.bundles]
        recorded = [(entry.format, entry.bundle) for entry in outcome.signatures]
        check.require(carried == recorded, expected=f"the bundles {recorded}", found=f"{carried}")
        check.found = f"leaf {receipt.outcome.index}, {outcome.status}"
    check_outputs(
        receipt,
        outcome,
        trust=trust,
        subjects=[(subject.name, subject.artifact["sha256"]) for subject in bundle.vsa.subjects],
        time=bundle.time,
        checks=checks,
    )
    return VerifiedReceipt(receipt=receipt, decision=decision, outcome=outcome, checkpoint=checkpoint)


def _check_included(name: str, proven: ProvenLeaf, trust: TrustDocument, checks: Checklist) -> tuple[bytes, Checkpoint]:
    with checks.check(f"{name} leaf stands in the ledger", code="proof-invalid") as check:
        proof, checkpoint = verify_proof(proven.proof, leaf=proven.leaf, origin=trust.origin, keys=ledger_keys(trust))
        check.require(
            proof.index == proven.index, expected=f"the proof of leaf {proven.index}", found=f"leaf {proof.index}"
        )
        check.require(proof.extra is None, expected="a proof without extra data", found="extra data that nobody signed")
        check.found = f"leaf {proven.index} of {checkpoint.size}"
    return proven.leaf, checkpoint


def _decision_pairs(receipt: Receipt, leaf: Decision, bundle: VerifiedBundle) -> tuple[tuple[str, object, object], ...]:
    """(what, by the bundle or the receipt, by the leaf): all must be equal."""
    return (
        ("verdict", Verdict.ALLOW.value, leaf.verdict),
        ("request", bundle.request_id, leaf.request),
        ("request of the receipt", receipt.request_id, leaf.request),
        ("time", bundle.time, parse_time(leaf.time, what="time of the leaf")),
        ("environment", bundle.environment, leaf.environment),
        ("environment of the receipt", receipt.environment, leaf.environment),
        ("policy", bundle.policy, leaf.policy.name),
        ("policy digest", bundle.vsa.policy_digest, leaf.policy.digest),
        (
            "policy of the receipt",
            (receipt.policy.name, receipt.policy.version, receipt.policy.digest),
            (leaf.policy.name, leaf.policy.version, leaf.policy.digest),
        ),
        ("subjects", len(bundle.vsa.subjects), leaf.count),
        ("first subject", bundle.vsa.subjects[0].artifact.get("sha256"), leaf.first),
    )


def _outcome_pairs(receipt: Receipt, leaf: Outcome) -> tuple[tuple[str, object, object], ...]:
    return (
        ("status", "signed", leaf.status),
        ("request", receipt.request_id, leaf.request),
        ("decision leaf", receipt.decision.index, leaf.decision),
    )


def _signed_documents(outcome_body: bytes) -> frozenset[str]:
    """The simple signing documents that an outcome leaf names; none where the leaf cannot be read, which is a check."""
    try:
        outcome = decode_leaf(outcome_body)
    except Malformed:
        return frozenset()
    if not isinstance(outcome, Outcome):
        return frozenset()
    return frozenset(entry.document for entry in outcome.signatures if entry.document is not None)


def _check_documents(
    receipt: Receipt, decision: Decision, bundle: VerifiedBundle, checks: Checklist, *, signed: frozenset[str]
) -> None:
    """The receipt carries the documents that the leaves name; parsing has matched bytes and digests already."""
    with checks.check("judged subjects are the signed subjects", code="subjects-mismatch") as check:
        check.require(
            set(receipt.documents) == {decision.subjects, decision.findings, *signed},
            expected=f"the documents {', '.join((decision.subjects, decision.findings, *sorted(signed)))}",
            found=", ".join(sorted(receipt.documents)) or "none",
        )
        subjects = _subjects(receipt.documents[decision.subjects])
        stated = [(subject.name, dict(subject.artifact)) for subject in bundle.vsa.subjects]
        check.require(subjects == stated, expected="the same names and digests in the same order", found="others")
        check.found = f"{len(subjects)} subject(s)"
    with checks.check("findings let the release through", code="findings-mismatch") as check:
        judged = decode_decision(receipt.documents[decision.findings])
        check.require(judged.verdict is Verdict.ALLOW, expected=Verdict.ALLOW.value, found=judged.verdict.value)
        blocking = [finding.rule for finding in judged.findings if finding.outcome not in LETS_THROUGH]
        check.require(
            bool(judged.findings) and not blocking,
            expected="findings, none of which blocks",
            found=f"{len(judged.findings)} findings, blocking: {', '.join(blocking) or 'none'}",
        )
        check.found = f"{len(judged.findings)} findings"


def _subjects(document: bytes) -> list[tuple[str, dict[str, str]]]:
    value = parse_json(document, limit=MAX_SUBJECTS_DOCUMENT, what="subjects document")
    try:
        return [(entry["name"], dict(entry["digest"])) for entry in value["subjects"]]
    except (TypeError, KeyError, ValueError):
        raise Malformed("receipt-invalid", "the subjects document has another shape") from None
