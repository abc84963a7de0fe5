# SPDX-License-Identifier: Apache-2.0
"""Waivers as documents: what two people excuse, for which subjects, until when, and how often.

DSSE over canonical JSON, payload type `application/vnd.signing-authority.waiver+json`, signed by the requester and by
the approver over the same bytes; the sha256 of these bytes is the waiver's name, however it is wrapped:

    {"approvedBy":"bob","environment":"release","expires":"2026-12-20T00:00:00.000000Z","match":{"found":null,
     "offenders":[{"id":"CVE-2026-40021","package":null}],"outcome":"fail"},"maxUses":3,"notBefore":"2026-11-23T…Z",
     "origin":"sign.example/authority","policy":"demo","reason":"not reachable","renews":null,"requestedBy":"alice",
     "rules":["VUL-1"],"schema":"signing-waiver/v1","scope":{"digests":["9c56…"],"repositories":[]},
     "ticket":"SEC-4411"}

The scope names digests (sha256), repositories or both; both then have to fit. `match` names what the rule found wrong,
part by part, or what it found as a whole, word for word. There is no wildcard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from policy.decision import Offender
from signer.errors import Malformed
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.dsse import Envelope, PrivateKey, encode_envelope, parse_envelope, sign_envelope
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.shape import read_shape
from signer.formats.source_uri import find_source_uri
from signer.formats.strict_json import parse_object

PAYLOAD_TYPE = "application/vnd.signing-authority.waiver+json"
SCHEMA = "signing-waiver/v1"
MAX_WAIVER = 256 * 1024
"""Bytes of the envelope."""
MAX_RULES = 16
MAX_OFFENDERS = 100
MAX_DIGESTS = 100
MAX_REPOSITORIES = 16
MAX_USES = 1000
MAX_ID = 256
MAX_FOUND = 8192
MAX_REASON = 1000
MAX_TICKET = 128

_CODE = "malformed-waiver"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverStatement:
    """What both people sign; sequences are sorted, times are in UTC."""

    origin: str
    policy: str
    environment: str
    rules: tuple[str, ...]
    outcome: Literal["fail", "unknown"]
    offenders: tuple[Offender, ...]
    found: str | None
    """Instead of offenders; exactly one of the two is there."""
    digests: tuple[str, ...]
    repositories: tuple[str, ...]
    reason: str
    ticket: str
    requested_by: str
    """Person id of the access document, as is the next."""
    approved_by: str
    not_before: datetime
    expires: datetime
    max_uses: int
    renews: str | None
    """Digest of the waiver that this one goes on with."""

    def __post_init__(self) -> None:
        _require_bounds(self)

    def payload(self) -> bytes:
        """The canonical bytes that stand in the envelope."""
        return canonical(
            {
                "schema": SCHEMA,
                "origin": self.origin,
                "policy": self.policy,
                "environment": self.environment,
                "rules": list(self.rules),
                "match": {
                    "outcome": self.outcome,
                    "offenders": [{"id": each.id, "package": each.package} for each in self.offenders],
                    "found": self.found,
                },
                "scope": {"digests": list(self.digests), "repositories": list(self.repositories)},
                "reason": self.reason,
                "ticket": self.ticket,
                "requestedBy": self.requested_by,
                "approvedBy": self.approved_by,
                "notBefore": format_time(self.not_before),
                "expires": format_time(self.expires),
                "maxUses": self.max_uses,
                "renews": self.renews,
            }
        )

    @property
    def digest(self) -> str:
        """The waiver's name: sha256 of the payload, in hexadecimal."""
        return sha256_hex(self.payload())


class _Closed(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Unknown members refuse the document."""


class _Offender(_Closed):
    id: str
    package: str | None


class _Match(_Closed):
    outcome: Literal["fail", "unknown"]
    offenders: list[_Offender]
    found: str | None


class _Scope(_Closed):
    digests: list[str]
    repositories: list[str]


class _Waiver(_Closed):
    schema: Literal["signing-waiver/v1"]
    origin: str
    policy: str
    environment: str
    rules: list[str]
    match: _Match
    scope: _Scope
    reason: str
    ticket: str
    requested_by: str
    approved_by: str
    not_before: str
    expires: str
    max_uses: int
    renews: str | None


DOCUMENT = _Waiver  # its shape, for the published schema


def sign_waiver(statement: WaiverStatement, key: PrivateKey) -> bytes:
    """The envelope with one signature, made with a key held in memory."""
    return sign_envelope(PAYLOAD_TYPE, statement.payload(), key)


def join_waivers(envelopes: Iterable[bytes]) -> bytes:
    """One envelope with the signatures of several over the same statement; raises Malformed when they differ."""
    parsed = [read_waiver(each)[0] for each in envelopes]
    if len({each.payload for each in parsed}) != 1:
        raise Malformed(_CODE, "the signatures are over different waivers", remedy="sign the very same file")
    signatures = dict.fromkeys((each.keyid, each.sig) for envelope in parsed for each in envelope.signatures)
    return encode_envelope(PAYLOAD_TYPE, parsed[0].payload, signatures)


def read_waiver(data: bytes) -> tuple[Envelope, WaiverStatement]:
    """Read an envelope and what it states; no signature is verified. Raises Malformed."""
    envelope = parse_envelope(data, limit=MAX_WAIVER)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise Malformed(_CODE, "the envelope does not hold a waiver", remedy="signer waiver request writes one")
    return envelope, parse_waiver(envelope.payload)


def parse_waiver(payload: bytes) -> WaiverStatement:
    """Read a statement; raises Malformed unless `payload` is exactly what `WaiverStatement.payload` writes."""
    value: Any = parse_object(payload, limit=MAX_WAIVER, what="waiver")
    wire = read_shape(value, _Waiver, what="waiver", code=_CODE)
    statement = WaiverStatement(
        origin=wire.origin,
        policy=wire.policy,
        environment=wire.environment,
        rules=tuple(wire.rules),
        outcome=wire.match.outcome,
        offenders=tuple(Offender(id=each.id, package=each.package) for each in wire.match.offenders),
        found=wire.match.found,
        digests=tuple(wire.scope.digests),
        repositories=tuple(wire.scope.repositories),
        reason=wire.reason,
        ticket=wire.ticket,
        requested_by=wire.requested_by,
        approved_by=wire.approved_by,
        not_before=parse_time(wire.not_before, what="notBefore of the waiver", code=_CODE),
        expires=parse_time(wire.expires, what="expires of the waiver", code=_CODE),
        max_uses=wire.max_uses,
        renews=wire.renews,
    )
    # One spelling per waiver: its digest is its name, so a second spelling would be a second waiver.
    if statement.payload() != payload:
        raise _refuse("the waiver is not in its canonical form")
    return statement


def _require_bounds(waiver: WaiverStatement) -> None:
    names = (waiver.policy, waiver.environment, waiver.requested_by, waiver.approved_by, *waiver.rules)
    if not all(map(_NAME.fullmatch, names)):
        raise _refuse("policy, environment, people and rules are names")
    if not 0 < len(waiver.origin) <= MAX_ID or _VISIBLE.fullmatch(waiver.origin) is None:
        raise _refuse("origin is the name of a ledger")
    _require_list("rules", waiver.rules, most=MAX_RULES)
    _require_match(waiver)
    _require_scope(waiver)
    for name, text, most in (("reason", waiver.reason, MAX_REASON), ("ticket", waiver.ticket, MAX_TICKET)):
        if len(text) > most or _TEXT.fullmatch(text) is None or not text.strip():
            raise _refuse(f"{name} is one line of 1 to {most} characters")
    if not 1 <= waiver.max_uses <= MAX_USES:
        raise _refuse(f"maxUses is 1 to {MAX_USES}")
    if waiver.not_before >= waiver.expires:
        raise _refuse("expires is after notBefore")
    if waiver.renews is not None and _SHA256.fullmatch(waiver.renews) is None:
        raise _refuse("renews is the sha256 of a waiver")


def _require_match(waiver: WaiverStatement) -> None:
    offenders = [(each.id, each.package or "") for each in waiver.offenders]
    if bool(offenders) == (waiver.found is not None):
        raise _refuse("match names offenders, or what was found, and not both")
    if offenders:
        _require_list("offenders", offenders, most=MAX_OFFENDERS)
    for each in waiver.offenders:
        for text in (each.id, each.package):
            if text is not None and (not 0 < len(text) <= MAX_ID or _TEXT.fullmatch(text) is None):
                raise _refuse(f"an offender's id and package are 1 to {MAX_ID} characters")
    if waiver.found is not None and (len(waiver.found) > MAX_FOUND or _TEXT.fullmatch(waiver.found) is None):
        raise _refuse(f"found is what the rule found: one line of 1 to {MAX_FOUND} characters")


def _require_scope(waiver: WaiverStatement) -> None:
    if not waiver.digests and not waiver.repositories:
        raise _refuse("scope names digests, repositories or both")
    if waiver.digests:
        _require_list("digests", waiver.digests, most=MAX_DIGESTS)
    if waiver.repositories:
        _require_list("repositories", waiver.repositories, most=MAX_REPOSITORIES)
    if not all(map(_SHA256.fullmatch, waiver.digests)):
        raise _refuse("a digest is a sha256 of 64 lower-case hexadecimal digits")
    for each in waiver.repositories:
        location = find_source_uri(f"https://{each}")
        if location is None or location.ref is not None or location.repository != each:
            raise _refuse("a repository is written like github.com/acme/shop")


def _require_list(name: str, values: Sequence[Any], *, most: int) -> None:
    if not 1 <= len(values) <= most or list(values) != sorted(set(values)):
        raise _refuse(f"{name} are 1 to {most}, sorted, each once")


def _refuse(fault: str) -> Malformed:
    return Malformed(_CODE, fault, remedy="signer waiver request writes a waiver as it has to be")
