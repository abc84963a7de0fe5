# SPDX-License-Identifier: Apache-2.0
"""Answers that are not a success: `application/problem+json` (RFC 9457).

{"type":"urn:signing-authority:problem:denied","title":"…","status":403,"detail":"…","request_id":"…",
 "retryable":false,"violations":[{"rule","required","found","evidence","remedy"}],"decision":{…}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signer.errors import Malformed, SignerError
from signer.formats.strict_json import parse_object

PREFIX = "urn:signing-authority:problem:"
MAX_PROBLEM = 16 * 1024 * 1024
_EVIDENCE_CODES = frozenset({"subject-mismatch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem; `document` is the whole object, `decision` the decision document of a judged answer."""

    status: int
    code: str
    title: str
    detail: str
    remedy: str = ""
    request_id: str = ""
    retryable: bool = False
    violations: tuple[Mapping[str, Any], ...] = ()
    decision: Mapping[str, Any] | None = None
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def about_evidence(self) -> bool:
        """True when the request is well formed and a piece of its evidence is not usable."""
        return self.code.startswith("evidence-") or self.code in _EVIDENCE_CODES


class Answered(SignerError):
    """The authority answered with a problem; what it means to the caller depends on status and type."""

    def __init__(self, problem: Problem) -> None:
        remedy = problem.remedy or next((str(v["remedy"]) for v in problem.violations if v.get("remedy")), "")
        super().__init__(problem.code, problem.detail or problem.title, remedy=remedy)
        self.problem = problem


def parse_problem(status: int, body: bytes, *, media_type: str) -> Problem:
    """Read a problem; an answer that is none (a proxy's page) becomes the problem `http-<status>`."""
    if media_type.partition(";")[0].strip().lower() != "application/problem+json":
        return _foreign(status, f"the answer has media type {media_type[:64] or 'none'!r}")
    try:
        document = parse_object(body, limit=MAX_PROBLEM, what="answer")
    except Malformed as fault:
        return _foreign(status, fault.detail)
    violations = document.get("violations")
    decision = document.get("decision")
    return Problem(
        status=status,
        code=_text(document, "type").removeprefix(PREFIX) or f"http-{status}",
        title=_text(document, "title"),
        detail=_text(document, "detail"),
        remedy=_text(document, "remedy"),
        request_id=_text(document, "request_id"),
        retryable=document.get("retryable") is True,
        violations=tuple(v for v in violations if isinstance(v, dict)) if isinstance(violations, list) else (),
        decision=decision if isinstance(decision, dict) else None,
        document=document,
    )


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _foreign(status: int, found: str) -> Problem:
    return Problem(
        status=status,
        code=f"http-{status}",
        title=f"HTTP {status}",
        detail=f"the server answered {status} and it is not this product's answer: {found}",
        remedy="check SIGNER_URL, and that nothing but TLS pass-through stands in front of the authority",
        document={"status": status},
    )
