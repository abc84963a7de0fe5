# SPDX-License-Identifier: Apache-2.0
"""/v1/decisions: search what was decided, and explain one decision."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response

from policy.decision import Verdict
from policy.document import parse_policy
from policy.levels import matrix
from policy.questions import question_objects, recorded_answers
from signer.domain.subject import Subject
from signer.errors import Unavailable
from signer.formats.canonical import canonical
from signer.formats.decision import decision_document
from signer.formats.findings import decode_decision
from signer.formats.rfc3339 import format_time
from signer.formats.strict_json import parse_object
from signer.ledger.documents import MAX_DOCUMENT
from signer.ledger.rows import DecisionRow, OutcomeRow
from signer.web.admission import Caller, caller, out_of_reach
from signer.web.answers import JSON
from signer.web.application import Application
from signer.web.resource import Answer, Resource
from signer.web.schemas import DecisionQuery, Loaded
from signer.web.shadow import said

_REQUEST_ID = re.compile(r"[0-9a-f]{32}")


def decisions(application: Application) -> Blueprint:
    """The resource of decisions."""
    resource = Resource("decisions", "Every judged request, with its findings and its outcome.")

    @resource.get("/v1/decisions", Answer(schema={"type": "object"}, description="One page"), query=DecisionQuery)
    def search(filters: Loaded) -> Response:
        """List decisions that the caller may read, newest first.

        A page may hold fewer than `limit` rows and still have a `next`: rows out of the caller's reach are left out.
        """
        wanted: dict[str, Any] = dict(filters)
        if "digest" in wanted:
            wanted["digest"] = f"sha256:{wanted['digest']}"
        rows = application.reader.decisions(**wanted)
        asking = caller()
        page = {
            "decisions": [
                {**_row(row), "shadow": said(application.reader.shadow_of(row.leaf))}
                for row in rows
                if _may_read(asking, row)
            ],
            "next": rows[-1].leaf if len(rows) == wanted["limit"] else None,
        }
        return Response(canonical(page), mimetype=JSON)

    @resource.get(
        "/v1/decisions/<string:request>", Answer(schema={"type": "object"}, description="Decision and outcome")
    )
    def explain(request: str) -> Response:
        """Serve the decision document of one request, with the outcome of its signing."""
        row = application.reader.decision(request) if _REQUEST_ID.fullmatch(request) else None
        if row is None or not _may_read(caller(), row):
            raise out_of_reach()
        document = parse_object(document_of(application, row), limit=4 * MAX_DOCUMENT)
        outcome = application.reader.outcome(row.leaf)
        document["outcome"] = None if outcome is None else _outcome(outcome)
        document["shadow"] = said(application.reader.shadow_of(row.leaf))
        return Response(canonical(document), mimetype=JSON)

    return resource.blueprint


def _may_read(asking: Caller, row: DecisionRow) -> bool:
    return row.principal == asking.principal.id or asking.allows(
        "read", policy=row.policy.name, environment=row.environment
    )


def document_of(application: Application, row: DecisionRow) -> bytes:
    """The decision document, made again from the leaf's documents."""
    decision = decode_decision(stored(application, row.findings))
    subjects = parse_object(stored(application, row.subjects), limit=MAX_DOCUMENT)["subjects"]
    questions, digest = recorded_answers(
        decision.findings,
        policy_digest=row.policy.digest,
        environment=row.environment,
        subjects=((subject["name"], subject["digest"]["sha256"]) for subject in subjects),
    )
    return decision_document(
        request_id=row.request_id,
        time=row.time,
        verdict=Verdict(row.verdict),
        policy=(row.policy.name, row.policy.version, row.policy.digest),
        access=row.access,
        environment=row.environment,
        principal=row.principal,
        subjects=[Subject.of(subject["name"], subject["digest"]) for subject in subjects],
        findings=decision.findings,
        matrix=matrix(parse_policy(stored(application, row.policy.digest)), decision),
        questions=question_objects(questions),
        answers=digest,
        leaf=row.leaf,
    )


def stored(application: Application, digest: str) -> bytes:
    """The bytes of a document that a decision names; raises Unavailable when they are not there."""
    document = application.reader.document(digest)
    if document is None:
        raise Unavailable("ledger-unavailable", "the ledger does not hold a document that a decision names")
    return document.data


def _row(row: DecisionRow) -> dict[str, Any]:
    return {
        "leaf": row.leaf,
        "request_id": row.request_id,
        "time": format_time(row.time),
        "principal": row.principal,
        "policy": {"name": row.policy.name, "version": row.policy.version, "digest": row.policy.digest},
        "environment": row.environment,
        "verdict": row.verdict,
        "first": row.first,
        "count": row.count,
    }


def _outcome(row: OutcomeRow) -> dict[str, Any]:
    return {
        "leaf": row.leaf,
        "time": format_time(row.time),
        "status": row.status,
        "reason": row.reason,
        "signatures": [
            {
                "format": each.format,
                "payload": each.payload,
                "kid": each.kid,
                "attempts": each.attempts,
                "result": each.result,
                "bundle": each.bundle,
            }
            for each in row.signatures
        ],
    }
