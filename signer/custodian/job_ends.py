# SPDX-License-Identifier: Apache-2.0
"""What a worker's result means for its job: signed, failed, unknown, or tried once more."""

from __future__ import annotations

from dataclasses import replace

from signer.custodian.token_events import JobEnded, SigningJob
from signer.custodian.token_messages import Result
from signer.keys.backend import Scope

MAX_ATTEMPTS = 2
"""A job that provably was not signed is tried once more: after a pause, or by a worker that found the key anew."""
_PASSING = frozenset({Scope.SESSION, Scope.MODULE, Scope.BUSY})


def ended(
    job: SigningJob, *, status: str, attempts: int, signature: bytes = b"", reason: str = "", detail: str = ""
) -> JobEnded:
    """The end of one job."""
    return JobEnded(
        ticket=job.ticket,
        status=status,
        signature=signature,
        reason=reason,
        detail=detail,
        attempts=attempts,
        kid=job.key.pin.kid,
        probe=job.probe,
    )


def lost(job: SigningJob) -> JobEnded:
    """The end of a job whose worker ended while it may have been using the key: never signed again."""
    detail = "the token worker ended while it may have been using the key"
    return ended(job, status="unknown", reason="worker-lost", detail=detail, attempts=job.attempts + 1)


def conclude(job: SigningJob, result: Result) -> JobEnded | SigningJob:
    """The end of a job, or the job as it is to be tried again."""
    attempts = job.attempts + 1
    if not result.code:
        return ended(job, status="signed", signature=result.signature, attempts=attempts)
    if result.scope in _PASSING and not result.touched and attempts < (1 if job.probe else MAX_ATTEMPTS):
        # The answer proves that nothing was signed.
        return replace(job, attempts=attempts)
    # A signature that failed its self-check is known and dropped; one that never came out is not known.
    unknown = result.touched and result.code != "self-check-failed"
    return ended(
        job,
        status="unknown" if unknown else "failed",
        reason=result.code,
        detail=result.detail,
        attempts=0 if result.code in ("halted", "stale") else attempts,
    )
