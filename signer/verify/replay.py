# SPDX-License-Identifier: Apache-2.0
"""Replay: the recorded decision follows from the policy's bytes, the facts and the instant (invariant I3)."""

from __future__ import annotations

from dataclasses import dataclass

from policy.decision import Decision as Judgement, Verdict
from policy.document import parse_policy
from policy.engine import evaluate
from policy.schema import PolicyError
from signer.errors import Malformed
from signer.formats.canonical import sha256_hex
from signer.formats.facts import decode_facts
from signer.formats.findings import decode_decision
from signer.formats.rfc3339 import parse_time
from signer.ledger.leaves import Decision, decode_leaf
from signer.verify.checks import Checklist


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A decision leaf and the judgement that follows from its documents."""

    leaf: Decision
    judgement: Judgement


def verify_replay(leaf: bytes, *, policy: bytes, facts: bytes, findings: bytes, checks: Checklist) -> Replayed:
    """Judge again and compare with the record; raises CheckFailed.

    `leaf` are the decision leaf's bytes; `policy`, `facts` and `findings` the documents that it names. The instant is
    the leaf's own time. Judgements are compared, not their sentences, so that a later version may say things better.
    """
    with checks.check("leaf is a decision", code="replay-mismatch") as check:
        recorded = decode_leaf(leaf)
        if not isinstance(recorded, Decision):
            raise check.failure(expected="a decision leaf", found=f"a leaf of kind {type(recorded).__name__.lower()}")
        now = parse_time(recorded.time, what="time of the leaf")
        check.found = f"{recorded.verdict} at {recorded.time}"
    with checks.check("documents are those that the leaf names", code="document-mismatch") as check:
        for name, expected, data in (
            ("policy", recorded.policy.digest, policy),
            ("facts", recorded.facts, facts),
            ("findings", recorded.findings, findings),
        ):
            found = sha256_hex(data)
            check.require(found == expected, expected=f"{name} sha256:{expected}", found=f"sha256:{found}")
        try:
            document = parse_policy(policy)
        except PolicyError as fault:
            raise Malformed("policy-invalid", fault.detail, remedy=fault.remedy) from None
        known = decode_facts(facts)
        written = decode_decision(findings)
        check.found = f"policy {document.name} v{document.version}"
    with checks.check("facts are about the recorded request", code="replay-mismatch") as check:
        pairs: tuple[tuple[str, object, object], ...] = (
            ("policy", recorded.policy.name, known.request.policy),
            ("environment", recorded.environment, known.request.environment),
            ("submitter", recorded.principal, known.request.submitter),
            ("first subject", recorded.first, known.request.subjects[0].sha256 if known.request.subjects else ""),
            ("subjects", recorded.count, len(known.request.subjects)),
            ("policy in force", recorded.policy.digest, known.ledger.policy_digest),
            ("access in force", recorded.access, known.ledger.access_digest),
        )
        for name, wanted, stated in pairs:
            check.require(stated == wanted, expected=f"{name} {wanted}", found=f"{name} {stated}")
        check.found = f"request {recorded.request}"
    with checks.check("judging again gives the recorded decision", code="replay-mismatch") as check:
        judgement = evaluate(document, known, now=now)
        check.require(
            judgement.verdict.value == recorded.verdict, expected=recorded.verdict, found=judgement.verdict.value
        )
        different = written.differs(judgement)
        check.require(
            not different,
            expected=f"the judgement in findings sha256:{recorded.findings}",
            found=f"another one of {different}",
        )
        used = judgement.waivers if judgement.verdict is Verdict.ALLOW else ()
        check.require(
            recorded.waivers == used,
            expected=f"the use of {len(used)} waivers that the judgement rests on",
            found=f"the leaf uses {len(recorded.waivers)}, or others",
        )
        check.found = judgement.verdict.value
    return Replayed(leaf=recorded, judgement=judgement)
