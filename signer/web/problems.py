# SPDX-License-Identifier: Apache-2.0
"""Problems: the only place that knows which HTTP status an error code has (RFC 9457).

    HTTP/1.1 409 Conflict
    Content-Type: application/problem+json

    {"detail":"1 rule cannot be decided","request_id":"…","retryable":false,"status":409,
     "title":"Evidence missing","type":"urn:signing-authority:problem:evidence-missing","violations":[…]}

Views raise; `problem_of` turns what they raised into an answer. Bodies are canonical JSON, so that the same
judgement gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.exceptions import HTTPException

from signer.errors import Malformed, Misconfigured, Refused, SignerError, Unavailable
from signer.formats.canonical import canonical

PREFIX = "urn:signing-authority:problem:"
MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[str, int] = {
    # The request cannot be understood.
    "algorithm-unknown": 400,
    "duplicate-key": 400,
    "invalid-deployment": 400,
    "invalid-digest": 400,
    "invalid-encoding": 400,
    "invalid-idempotency-key": 400,
    "invalid-key": 400,
    "invalid-key-uri": 400,
    "invalid-level": 400,
    "invalid-range": 400,
    "invalid-reason": 400,
    "invalid-signature": 400,
    "invalid-since": 400,
    "invalid-subject": 400,
    "malformed-approval": 400,
    "malformed-json": 400,
    "malformed-log-text": 400,
    "malformed-owner-act": 400,
    "malformed-receipt": 400,
    "malformed-record": 400,
    "malformed-request": 400,
    "malformed-revocations": 400,
    "malformed-trust": 400,
    "malformed-vkey": 400,
    "malformed-waiver": 400,
    "untrusted-header": 400,
    "client-identity-required": 401,
    "method-not-allowed": 405,
    "too-large": 413,
    "uri-too-long": 414,
    "unsupported-media-type": 415,
    "headers-too-large": 431,
    # Evidence or a document that is not judged.
    "access-invalid": 422,
    "digest-mismatch": 422,
    "invalid-certificate": 422,
    "evidence-invalid": 422,
    "evidence-missing-bytes": 422,
    "evidence-unverified": 422,
    "pack-invalid": 500,
    "payload-too-large": 422,
    "payload-unexpected": 422,
    "reason-missing": 422,
    "policy-invalid": 422,
    "purpose-mixed": 422,
    "purpose-unknown": 422,
    "statement-not-accepted": 422,
    "subject-mismatch": 422,
    "subject-not-image": 422,
    "too-many-subjects": 422,
    "upload-missing": 422,
    # The caller, or what it shows, is not enough. Unknown and forbidden are one answer.
    "approval-foreign": 403,
    "approval-unsigned": 403,
    "approver-not-eligible": 403,
    "checkpoint-foreign": 403,
    "key-ended": 403,
    "key-in-use": 403,
    "key-pin-mismatch": 403,
    "key-shared": 403,
    "key-unknown": 403,
    "not-authorised": 403,
    "note-signature-invalid": 403,
    "pack-unsigned": 403,
    "note-unsigned": 403,
    "owner-threshold": 403,
    "proof-invalid": 403,
    "signature-invalid": 403,
    "release-revoked": 403,
    "timestamp-invalid": 403,
    "rule-not-waivable": 403,
    "revocations-unsigned": 403,
    "trust-foreign": 403,
    "waiver-foreign": 403,
    "waiver-not-granted": 403,
    "waiver-one-person": 403,
    "waiver-unsigned": 403,
    "not-found": 404,
    # Judged, or no longer to be judged.
    "waiting-for-approval": 202,
    "denied": 403,
    "evidence-missing": 409,
    "outcome-unknown": 409,
    "frozen": 423,
    "halted": 423,
    # It does not fit what is there.
    "access-renamed": 409,
    "approval-mismatch": 409,
    "approval-recorded": 409,
    "approval-stale": 409,
    "approval-used": 409,
    "document-missing": 409,
    "hold-closed": 409,
    "hold-rejected": 409,
    "hold-superseded": 409,
    "idempotency-conflict": 409,
    "leaf-too-large": 413,
    "not-halted": 409,
    "not-signed": 409,
    "request-id-used": 409,
    "rule-not-required": 409,
    "too-much-evidence": 409,
    "trust-rollback": 409,
    "version-not-newer": 409,
    "waiver-expired": 409,
    "waiver-limit": 409,
    "waiver-recorded": 409,
    "waiver-renewal": 409,
    "waiver-too-long": 409,
    "promotion-too-early": 409,
    "flips-unacknowledged": 409,
    "policy-missing": 409,
    "over-quota": 429,
    # Our own fault, or a stored thing that cannot be read any more.
    "internal": 500,
    "malformed-document": 500,
    "malformed-facts": 500,
    "malformed-findings": 500,
    "malformed-results": 500,
    "malformed-frame": 500,
    "malformed-leaf": 500,
    # Nothing was decided or nothing was signed: another time it may be.
    "access-missing": 503,
    "custodian-unavailable": 503,
    "document-unusable": 503,
    "evidence-unreadable": 503,
    "key-exhausted": 503,
    "key-not-active": 503,
    "key-not-configured": 503,
    "key-not-recorded": 503,
    "key-not-trusted": 503,
    "keyless-missing": 503,
    "key-purpose": 503,
    "key-throttled": 503,
    "ledger-unavailable": 503,
    "not-ready": 503,
    "pack-differs": 503,
    "outcome-open": 503,
    "overloaded": 503,
    "spool-full": 503,
    "spool-unusable": 503,
    "stale": 503,
    "time-untrusted": 503,
    "timestamp-unavailable": 503,
    "token-unavailable": 503,
    "trust-unusable": 503,
}
"""Every code that an answer may carry; a test finds every code that the server's rooms raise."""

RETRYABLE = frozenset({202, 423, 429, 503})
"""Statuses after which the same request, key and body, may end otherwise."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem document; `members` are what a judged answer adds."""

    code: str
    detail: str
    remedy: str = ""
    request_id: str = ""
    status: int = 0
    """Zero: as the table says."""
    violations: tuple[Mapping[str, Any], ...] = ()
    members: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The code as words."""
        words = self.code.replace("-", " ")
        return words[:1].upper() + words[1:]

    @property
    def http_status(self) -> int:
        """The status that the answer carries."""
        return self.status or status_of(self.code)

    def body(self) -> bytes:
        """Canonical bytes of the document."""
        status = self.http_status
        document: dict[str, Any] = {
            "type": PREFIX + self.code,
            "title": self.title,
            "status": status,
            "detail": self.detail,
            "retryable": status in RETRYABLE,
            "violations": [dict(violation) for violation in self.violations],
            **self.members,
        }
        if self.remedy:
            document["remedy"] = self.remedy
        if self.request_id:
            document["request_id"] = self.request_id
        return canonical(document)


def status_of(code: str, error: SignerError | None = None) -> int:
    """The HTTP status of a code; one that the table lacks falls to its family, never to a success."""
    known = STATUS.get(code)
    if known is not None:
        return known
    match error:
        case Malformed():
            return 400
        case Refused():
            return 403
        case Unavailable() | Misconfigured():
            return 503
        case SignerError() | None:
            return 500


def problem_of(error: SignerError, *, request_id: str) -> Problem:
    """The problem that a raised error is for its caller."""
    if isinstance(error, Misconfigured):
        # What is wrong is the operator's to read, in the log.
        return Problem(
            "not-ready",
            "the authority cannot serve this until its operator acts; nothing was signed",
            remedy="tell the operator the request_id",
            request_id=request_id,
        )
    return Problem(
        error.code,
        error.detail,
        remedy=error.remedy,
        request_id=request_id,
        status=status_of(error.code, error),
    )


def problem_of_http(error: HTTPException, *, request_id: str) -> Problem:
    """The problem for what Flask and werkzeug raise by themselves; their texts may quote the caller."""
    match error.code:
        case 404:
            return Problem("not-found", "there is nothing here", request_id=request_id)
        case 405:
            return Problem(
                "method-not-allowed",
                "this resource has no such method",
                remedy="see the Allow header",
                request_id=request_id,
            )
        case 413:
            return too_large(request_id=request_id)
        case 415:
            return Problem("unsupported-media-type", "the body has another type", request_id=request_id)
        case code if code is not None and 400 <= code < 500:  # noqa: PLR2004 - the class of client errors
            return Problem("malformed-request", "the request cannot be understood", request_id=request_id)
        case _:
            return internal(request_id=request_id)


def too_large(*, request_id: str = "") -> Problem:
    """The body exceeds the cap, however it was framed."""
    return Problem(
        "too-large", "the body is larger than this server accepts", remedy="send less", request_id=request_id
    )


def internal(*, request_id: str) -> Problem:
    """A fault of ours: nothing of it is told but the id under which the log has it."""
    return Problem(
        "internal",
        "the server failed; nothing was signed for this answer",
        remedy="tell the operator the request_id",
        request_id=request_id,
    )
