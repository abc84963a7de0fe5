# SPDX-License-Identifier: Apache-2.0
"""A bundle: the seven steps that SLSA asks of a verifier of summaries (SLSA 1.2, spec/verification_summary.md).

    1 signature under a trusted key      2 subject digest       3 predicate type       4 verifier id
    5 resource URI and environment       6 result PASSED        7 expected levels

Nothing of the payload is looked at before its signature holds, and the bytes that were verified are those that
are read. With a largest age, `timeVerified` is compared with an instant that the caller gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from signer.domain.purpose import Purpose
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.bundle import MAX_BUNDLE, Bundle, build_bundle, parse_bundle
from signer.formats.dsse import IN_TOTO, pae
from signer.formats.own_signature import verify_own
from signer.formats.rfc3339 import format_time
from signer.formats.spki import load_spki
from signer.formats.statement import Statement, StatementSubject, parse_statement
from signer.formats.strict_json import parse_json
from signer.formats.trust import TrustDocument, TrustKey
from signer.formats.vsa import DEV_LEVEL, PREDICATE_TYPE, Vsa, read_vsa
from signer.verify.checks import Checklist
from signer.verify.keys import require_valid, trusted_key
from signer.verify.timestamps import VerifiedTimestamp, check_timestamps

BREAK_GLASS = "BREAK_GLASS"
CLOCK_SKEW = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the caller wants to hear; None means that any value of the trusted authority will do."""

    subjects: tuple[Subject, ...]
    policy: str | None = None
    environment: str | None = None
    levels: tuple[str, ...] = ()
    max_age: timedelta | None = None
    now: datetime | None = None
    """Required with `max_age`."""
    timestamp: bool = False
    """Whether a timestamp must be there; one that is there must count in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """A bundle whose checks all held; `data` and `payload` are the exact bytes."""

    data: bytes
    payload: bytes
    vsa: Vsa
    time: datetime
    key: TrustKey
    policy: str
    environment: str
    request_id: str
    timestamp: VerifiedTimestamp | None


def verify_bundle(data: bytes, *, trust: TrustDocument, expect: Expectation, checks: Checklist) -> VerifiedBundle:
    """The summary in `data` when it is by this authority and says what is expected; raises CheckFailed."""
    if not expect.subjects or (expect.max_age is not None and expect.now is None):
        raise ValueError("name at least one subject, and the instant with a largest age")
    with checks.check("bundle is one envelope and nothing else", code="bundle-invalid") as check:
        bundle = parse_bundle(data)
        envelope = bundle.envelope
        signature = envelope.signatures[0]
        _require_closed(data, bundle)
        check.found = f"{len(data)} bytes"
    with checks.check("signature by a trusted key", code="key-untrusted") as check:
        key = trusted_key(check, trust, signature.keyid, purpose=Purpose.STATEMENT)
        message = pae(envelope.payload_type, envelope.payload)
        verify_own(key.algorithm, load_spki(key.spki), message, signature.sig)
        check.found = f"{key.name} ({key.kid})"
    with checks.check("payload is an in-toto statement", code="payload-unexpected") as check:
        check.require(envelope.payload_type == IN_TOTO, expected=IN_TOTO, found=repr(envelope.payload_type))
        statement = parse_statement(envelope.payload)
        check.found = f"{len(statement.subjects)} subject(s)"
    _check_subjects(statement, expect, checks)
    with checks.check("predicate type", code="predicate-unexpected") as check:
        check.require(
            statement.predicate_type == PREDICATE_TYPE, expected=PREDICATE_TYPE, found=repr(statement.predicate_type)
        )
        vsa = read_vsa(statement)
    time, request_id = _check_key_in_time(vsa, key, checks)
    timestamp = check_timestamps(
        bundle.timestamps,
        signature=signature.sig,
        judged=time,
        key=key,
        trust=trust,
        required=expect.timestamp,
        checks=checks,
    )
    policy, environment = _check_resource(vsa, trust, expect, checks)
    _check_levels(vsa, trust, expect, checks)
    if expect.max_age is not None and expect.now is not None:
        _check_age(time, expect.now, expect.max_age, checks)
    return VerifiedBundle(
        data=data,
        payload=envelope.payload,
        vsa=vsa,
        time=time,
        key=key,
        policy=policy,
        environment=environment,
        request_id=request_id,
        timestamp=timestamp,
    )


def _require_closed(data: bytes, bundle: Bundle) -> None:
    """Refuse members that no check looks at: whatever a bundle says, it says under a signature."""
    envelope = bundle.envelope
    (signature,) = envelope.signatures
    rebuilt = build_bundle(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        keyid=signature.keyid,
        signature=signature.sig,
        timestamps=bundle.timestamps,
    )
    given = parse_json(data, limit=MAX_BUNDLE, what="Sigstore bundle")
    if given != parse_json(rebuilt, limit=2 * MAX_BUNDLE, what="Sigstore bundle"):
        raise Malformed(
            "bundle-invalid",
            "the bundle holds something beside the envelope and its key id, or another spelling of them",
            remedy="use the bundle as the authority gave it",
        )


def _check_subjects(statement: Statement, expect: Expectation, checks: Checklist) -> None:
    with checks.check("subject digest", code="subject-mismatch") as check:
        for subject in expect.subjects:
            found = [other for other in statement.subjects if other.artifact.get("sha256") == subject.sha256]
            check.require(
                any(_agrees(subject, other) for other in found),
                expected=", ".join(map(str, subject.digests)),
                found=_digests(statement.subjects),
                remedy="this bundle is about another artifact; use the bundle of this one",
            )
        check.found = ", ".join(f"sha256:{subject.sha256}" for subject in expect.subjects)


def _agrees(subject: Subject, other: StatementSubject) -> bool:
    """Every algorithm that both sides state must agree, not merely one of them."""
    return all(other.artifact.get(digest.algorithm, digest.value) == digest.value for digest in subject.digests)


def _digests(subjects: tuple[StatementSubject, ...]) -> str:
    shown = [f"sha256:{subject.artifact.get('sha256', 'none')}" for subject in subjects[:5]]
    return ", ".join(shown) + (f" and {len(subjects) - 5} more" if len(subjects) > 5 else "")  # noqa: PLR2004 - bound


def _check_key_in_time(vsa: Vsa, key: TrustKey, checks: Checklist) -> tuple[datetime, str]:
    with checks.check("key was valid when it signed", code="key-not-valid") as check:
        if vsa.time is None or vsa.request_id is None:
            raise check.failure(
                code="bundle-invalid", expected="timeVerified and the request id", found="a summary without them"
            )
        require_valid(check, key, at=vsa.time)
        check.found = f"{key.status}, signed at {format_time(vsa.time)}"
    return vsa.time, vsa.request_id


def _check_resource(vsa: Vsa, trust: TrustDocument, expect: Expectation, checks: Checklist) -> tuple[str, str]:
    with checks.check("verifier id", code="verifier-mismatch") as check:
        check.require(vsa.verifier == trust.verifier, expected=trust.verifier, found=repr(vsa.verifier))
        check.found = vsa.verifier
    with checks.check("policy and environment", code="environment-mismatch") as check:
        rest = vsa.resource_uri.removeprefix(trust.verifier + "/")
        policy, separator, environment = rest.partition("/")
        well_formed = rest != vsa.resource_uri and bool(policy and separator and environment) and "/" not in environment
        check.require(
            well_formed and vsa.policy_uri == f"{trust.verifier}/policies/{policy}",
            expected=f"{trust.verifier}/POLICY/ENVIRONMENT and the policy's own URI",
            found=f"{vsa.resource_uri!r} and {vsa.policy_uri!r}",
        )
        check.require(
            expect.environment in (None, environment),
            expected=f"environment {expect.environment}",
            found=f"environment {environment}",
            remedy="ask for a signature for this environment",
        )
        check.require(
            expect.policy in (None, policy),
            code="policy-mismatch",
            expected=f"policy {expect.policy}",
            found=f"policy {policy}",
        )
        check.found = f"{policy}, {environment}"
    return policy, environment


def _check_levels(vsa: Vsa, trust: TrustDocument, expect: Expectation, checks: Checklist) -> None:
    with checks.check("result", code="not-passed") as check:
        check.require(vsa.result == "PASSED", expected="PASSED", found=vsa.result)
        check.found = vsa.result
    with checks.check("levels", code="levels-missing") as check:
        for level in expect.levels:
            check.require(level in vsa.levels, expected=level, found=", ".join(vsa.levels) or "no level")
        check.require(
            BREAK_GLASS not in vsa.levels,
            code="break-glass",
            expected="an ordinary release",
            found="a break-glass release",
        )
        check.require(
            vsa.dev == trust.dev == (DEV_LEVEL in vsa.levels),
            code="dev-untrusted",
            expected="the development mark on everything of a development authority and on nothing else",
            found=f"authority {trust.dev}, summary {vsa.dev}, level {DEV_LEVEL in vsa.levels}",
        )
        check.found = ", ".join(vsa.levels) or "none asked for"


def _check_age(time: datetime, now: datetime, max_age: timedelta, checks: Checklist) -> None:
    with checks.check("age", code="too-old") as check:
        check.require(
            now - time <= max_age,
            expected=f"at most {max_age}",
            found=f"{now - time}",
            remedy="ask for a new signature",
        )
        check.require(
            time - now <= CLOCK_SKEW,
            code="time-in-future",
            expected=f"a time before {format_time(now)}",
            found=format_time(time),
            remedy="check this machine's clock",
        )
        check.found = f"{now - time}"
