# SPDX-License-Identifier: Apache-2.0
"""Replies of the custodian as answers, by one precedence.

    any rule fails 403 denied · any rule unknown 409 evidence-missing · frozen 423 frozen
    · hold 202 waiting-for-approval

A terminal answer is made of the reply alone, so that a replay is the same answer, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response

from signer.custodian.commands import (
    Checked,
    Done,
    Failed,
    Kept,
    NotSigned,
    OutcomeUnknown,
    Reply,
    Signed,
    Stale,
    StatusReport,
)
from signer.custodian.release_commands import Sealed
from signer.errors import Malformed, Refused, SignerError, Unavailable
from signer.formats.strict_json import parse_object
from signer.telemetry.metrics import Metrics
from signer.web.admission import answer_problem
from signer.web.problems import Problem

MAX_DECISION = 64 * 1024 * 1024
JSON = "application/json"


def answer_signature(reply: Reply, *, metrics: Metrics) -> Response:
    """The answer to a request for a signature; raises what a refused command is."""
    match reply:
        case Signed(receipt=receipt):
            metrics.decisions.labels("allow", "none").inc()
            metrics.sign_requests.labels("signed").inc()
            return Response(receipt, mimetype=JSON)
        case NotSigned(request_id=request_id, decision=decision):
            problem = judged_problem(decision, request_id=request_id)
            metrics.decisions.labels("hold" if problem.http_status == 202 else "deny", problem.code).inc()  # noqa: PLR2004 - the answer's HTTP status
            metrics.sign_requests.labels(problem.code).inc()
            return answer_problem(problem)
        case OutcomeUnknown():
            metrics.decisions.labels("allow", "outcome-unknown").inc()
            metrics.sign_requests.labels("outcome-unknown").inc()
            return answer_problem(_outcome_unknown(reply))
        case _:
            raise failed(reply, metrics=metrics)


def answer_check(reply: Reply, *, request_id: str) -> Response:
    """The answer to a check: the decision document when allowed, else the problem that a request would get."""
    match reply:
        case Checked(decision=decision):
            document = _read(decision)
            if document["verdict"] == "allow":
                return Response(decision, mimetype=JSON)
            return answer_problem(judged_problem(decision, request_id=request_id))
        case _:
            raise failed(reply)


def kept(reply: Reply) -> Kept:
    """The reply to evidence that is durable; raises what a refused command is."""
    match reply:
        case Kept():
            return reply
        case _:
            raise failed(reply)


def done(reply: Reply) -> Done:
    """The reply to an administrative act; raises what a refused command is."""
    match reply:
        case Done():
            return reply
        case _:
            raise failed(reply)


def sealed(reply: Reply) -> Sealed:
    """The signed manifest of a pack; raises what a refused command is."""
    match reply:
        case Sealed():
            return reply
        case _:
            raise failed(reply)


def failed(reply: Reply, *, metrics: Metrics | None = None) -> SignerError:
    """The error that the custodian answered; a reply that does not fit its command is one as well."""
    match reply:
        case Failed(family=family, code=code, detail=detail, remedy=remedy, retry_after=retry_after):
            if metrics is not None:
                metrics.sign_requests.labels(code).inc()
            match family:
                case "malformed":
                    return Malformed(code, detail, remedy=remedy)
                case "refused":
                    return Refused(code, detail, remedy=remedy)
                case _:
                    return Unavailable(code, detail, remedy=remedy, retry_after=max(1, retry_after))
        case Stale(reason=reason):
            return Unavailable("stale", reason, remedy="send it again")
        case Signed() | NotSigned() | Checked() | OutcomeUnknown() | Kept() | Done() | StatusReport() | Sealed():
            return Unavailable("custodian-unavailable", "the custodian answered another question")


def judged_problem(decision: bytes, *, request_id: str) -> Problem:
    """The problem for a decision that is no allow: all findings that stand in the way, failures first."""
    document = _read(decision)
    findings = document["findings"]
    failing, unknown, frozen, waiting = (
        [finding for finding in findings if finding["outcome"] == outcome]
        for outcome in ("fail", "unknown", "frozen", "waiting")
    )
    if failing:
        code, detail = "denied", f"{_rules(failing)} failed; nothing was signed"
    elif unknown:
        code, detail = "evidence-missing", f"{_rules(unknown)} cannot be decided; nothing was signed"
    elif frozen:
        code, detail = (
            "frozen",
            f"a freeze is in force: {_rules(frozen)}; nothing was signed",
        )
    elif document["verdict"] == "hold":
        code, detail = "waiting-for-approval", "only approvals are missing; nothing was signed"
    else:
        code, detail = "denied", "the policy allows nothing here; nothing was signed"
    return Problem(
        code,
        detail,
        request_id=request_id,
        violations=tuple(_violation(finding) for finding in (*failing, *unknown, *frozen, *waiting)),
        members={"decision": document},
    )


def _outcome_unknown(reply: OutcomeUnknown) -> Problem:
    return Problem(
        "outcome-unknown",
        f"a key may have been used and no signature was released: decision leaf {reply.decision_leaf},"
        f" outcome leaf {reply.outcome_leaf}",
        remedy="send the request again under a new Idempotency-Key; the leaves record this one",
        request_id=reply.request_id,
        members={"decision_leaf": reply.decision_leaf, "outcome_leaf": reply.outcome_leaf},
    )


def _violation(finding: Mapping[str, Any]) -> dict[str, Any]:
    names = ("rule", "outcome", "title", "required", "found", "evidence", "remedy")
    return {name: finding[name] for name in names}


def _rules(findings: Sequence[Mapping[str, Any]]) -> str:
    rules = list(dict.fromkeys(finding["rule"] for finding in findings))
    return (
        f"{len(rules)} rule{'s' if len(rules) > 1 else ''} ({', '.join(rules[:10])}{', …' if len(rules) > 10 else ''})"  # noqa: PLR2004 - ten names are enough for a sentence
    )


def _read(decision: bytes) -> dict[str, Any]:
    return parse_object(decision, limit=MAX_DECISION, what="decision document")
