# SPDX-License-Identifier: Apache-2.0
"""Approvals as documents: what one person says of one hold, and what they take back. SCAI v0.3 in DSSE.

    {"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"9c56…"},"name":"shop"}],
     "predicateType":"https://in-toto.io/attestation/scai/v0.3",
     "predicate":{"attributes":[{"attribute":"RELEASE_APPROVED","conditions":{
         "answered":{"digest":"yes","findings":"no",…},"answers":"<sha256>","at":"2026-11-23T10:00:00.000000Z",
         "cited":"<sha256>","environment":"production","hold":"<request id>","policy":"demo","policyDigest":"<sha256>",
         "reason":"","reasons":{"rollback":"the last release stands by"}}}],
       "producer":{"name":"kim","uri":"https://sign.example/authority"}}}

The producer is the person of the access document who says it, at the authority of that origin. A revocation has the
approval's own statement as its subject, by the sha256 that is the approval's name. One spelling each: a statement that
is not in its canonical form is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeVar, get_args

from signer.domain.subject import Subject
from signer.formats.canonical import sha256_hex
from signer.formats.claim import CODE, Attribute, Closed, read_claim, read_claim_envelope, refuse, write_claim
from signer.formats.dsse import IN_TOTO, Envelope, PrivateKey, sign_envelope
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.shape import read_shape

Verb = Literal["approve", "reject", "cosign", "review"]
VERBS: Final[tuple[Verb, ...]] = get_args(Verb)
Answer = Literal["yes", "no", "unknown"]
PAYLOAD_TYPE: Final = IN_TOTO
MAX_REASON = 1000
MAX_ANSWERS = 16

_ATTRIBUTES: Final[Mapping[str, str]] = {
    "approve": "RELEASE_APPROVED",
    "reject": "RELEASE_REJECTED",
    "cosign": "BREAK_GLASS_COSIGNED",
    "review": "BREAK_GLASS_REVIEWED",
}
_REVOKED: Final = "APPROVAL_REVOKED"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ORIGIN = re.compile(r"[\x21-\x7e]{1,256}")
_REQUEST = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]*")
_Conditions = TypeVar("_Conditions")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalStatement:
    """What one person signs about a hold; times are in UTC."""

    verb: Verb
    origin: str
    hold: str
    """Request id of the hold, whose leaf fixes the next five."""
    subject: Subject
    environment: str
    policy: str
    policy_digest: str
    cited: str
    answers: str
    """Digest of the six answers as they were shown."""
    answered: Mapping[str, Answer]
    """The answers themselves, by the id of the question."""
    reasons: Mapping[str, str]
    """Why it is approved all the same, for each answer that speaks against the release."""
    reason: str
    """Why it is rejected, or anything to be remembered."""
    approver: str
    """Person id of the access document."""
    at: datetime

    def __post_init__(self) -> None:
        _require_bounds(self)

    def payload(self) -> bytes:
        """The canonical bytes that stand in the envelope."""
        conditions = {
            "hold": self.hold,
            "environment": self.environment,
            "policy": self.policy,
            "policyDigest": self.policy_digest,
            "cited": self.cited,
            "answers": self.answers,
            "answered": dict(self.answered),
            "reasons": dict(self.reasons),
            "reason": self.reason,
            "at": format_time(self.at),
        }
        subject = {"name": self.subject.name, "digest": {each.algorithm: each.value for each in self.subject.digests}}
        return write_claim(subject, _ATTRIBUTES[self.verb], conditions, by=self.approver, origin=self.origin)

    @property
    def digest(self) -> str:
        """The approval's name: sha256 of the payload, in hexadecimal."""
        return sha256_hex(self.payload())


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationStatement:
    """What one person signs to take back an own approval or rejection."""

    approval: str
    """Its name: sha256 of its statement."""
    origin: str
    reason: str
    approver: str
    at: datetime

    def __post_init__(self) -> None:
        if _SHA256.fullmatch(self.approval) is None:
            raise refuse("the subject is the sha256 of an approval")
        _require_text("reason", self.reason, least=1)
        _require_who(self.approver, self.origin)

    def payload(self) -> bytes:
        """The canonical bytes that stand in the envelope."""
        conditions = {"reason": self.reason, "at": format_time(self.at)}
        subject = {"digest": {"sha256": self.approval}}
        return write_claim(subject, _REVOKED, conditions, by=self.approver, origin=self.origin)


class _Said(Closed):
    hold: str
    environment: str
    policy: str
    policy_digest: str
    cited: str
    answers: str
    answered: dict[str, Answer]
    reasons: dict[str, str]
    reason: str
    at: str


class _Revoked(Closed):
    reason: str
    at: str


def sign_approval(statement: ApprovalStatement | RevocationStatement, key: PrivateKey) -> bytes:
    """The envelope, signed with a key held in memory."""
    return sign_envelope(PAYLOAD_TYPE, statement.payload(), key)


def read_approval(data: bytes) -> tuple[Envelope, ApprovalStatement]:
    """Read an envelope and what it states; no signature is verified. Raises Malformed."""
    envelope = read_claim_envelope(data)
    return envelope, parse_approval(envelope.payload)


def read_revocation(data: bytes) -> tuple[Envelope, RevocationStatement]:
    """The same for a revocation."""
    envelope = read_claim_envelope(data)
    return envelope, parse_revocation(envelope.payload)


def parse_approval(payload: bytes) -> ApprovalStatement:
    """Read a statement; raises Malformed unless `payload` is exactly what `ApprovalStatement.payload` writes."""
    wire, attribute = read_claim(payload)
    verb = next((name for name in VERBS if _ATTRIBUTES[name] == attribute.attribute), None)
    if verb is None:
        raise refuse(f"the attribute is none of {', '.join(_ATTRIBUTES.values())}")
    said = _conditions(attribute, _Said)
    statement = ApprovalStatement(
        verb=verb,
        origin=wire.predicate.producer.uri.removeprefix("https://"),
        hold=said.hold,
        subject=Subject.of(wire.subject[0].name, wire.subject[0].digest),
        environment=said.environment,
        policy=said.policy,
        policy_digest=said.policy_digest,
        cited=said.cited,
        answers=said.answers,
        answered=said.answered,
        reasons=said.reasons,
        reason=said.reason,
        approver=wire.predicate.producer.name,
        at=parse_time(said.at, what="time of the approval", code=CODE),
    )
    # One spelling per approval: its digest is its name, so a second spelling would be a second approval.
    return _require_exact(statement, payload)


def parse_revocation(payload: bytes) -> RevocationStatement:
    """Read a revocation; raises Malformed unless it is exactly what `RevocationStatement.payload` writes."""
    wire, attribute = read_claim(payload)
    if attribute.attribute != _REVOKED:
        raise refuse(f"the attribute is not {_REVOKED}")
    said = _conditions(attribute, _Revoked)
    statement = RevocationStatement(
        approval=wire.subject[0].digest.get("sha256", ""),
        origin=wire.predicate.producer.uri.removeprefix("https://"),
        reason=said.reason,
        approver=wire.predicate.producer.name,
        at=parse_time(said.at, what="time of the revocation", code=CODE),
    )
    return _require_exact(statement, payload)


def _conditions(attribute: Attribute, shape: type[_Conditions]) -> _Conditions:
    return read_shape(attribute.conditions, shape, what="approval's conditions", code=CODE)


_Made = TypeVar("_Made", ApprovalStatement, RevocationStatement)


def _require_exact(statement: _Made, payload: bytes) -> _Made:
    if statement.payload() != payload:
        raise refuse("the approval is not in its canonical form")
    return statement


def _require_bounds(said: ApprovalStatement) -> None:
    if _REQUEST.fullmatch(said.hold) is None:
        raise refuse("hold is a request id of 32 hexadecimal digits")
    if not all(map(_NAME.fullmatch, (said.environment, said.policy))):
        raise refuse("environment and policy are names")
    if not all(map(_SHA256.fullmatch, (said.policy_digest, said.cited, said.answers))):
        raise refuse("policyDigest, cited and answers are sha256 digests")
    if not 1 <= len(said.answered) <= MAX_ANSWERS or not all(map(_NAME.fullmatch, said.answered)):
        raise refuse("answered are the answers by the ids of the questions")
    if not said.reasons.keys() <= said.answered.keys():
        raise refuse("reasons are given for questions that were answered")
    for name, text in said.reasons.items():
        _require_text(f"reasons.{name}", text, least=1)
    _require_text("reason", said.reason, least=0 if said.verb in ("approve", "cosign") else 1)
    _require_who(said.approver, said.origin)


def _require_who(approver: str, origin: str) -> None:
    if _PERSON.fullmatch(approver) is None or _ORIGIN.fullmatch(origin) is None:
        raise refuse("the producer is a person of the access document, at the origin of a ledger")


def _require_text(name: str, text: str, *, least: int) -> None:
    if not least <= len(text) <= MAX_REASON or _TEXT.fullmatch(text) is None or (least and not text.strip()):
        raise refuse(f"{name} is one line of {least} to {MAX_REASON} characters")
