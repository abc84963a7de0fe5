# SPDX-License-Identifier: Apache-2.0
"""The shapes of requests, for reading them and for the OpenAPI document.

Types are exact: no text becomes a number, nothing becomes a boolean, an unknown member refuses the request.
Lists of subjects and evidence are read in bulk by the domain's own functions; the first fault ends the work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import marshmallow as ma

from signer.domain.subject import MAX_NAME, Subject
from signer.errors import Malformed
from signer.formats.rfc3339 import parse_time
from signer.web.evidence_field import Evidence, read_bytes

MAX_SUBJECTS = 1000
MAX_PAGE = 200
MAX_REASON = 1024
MAX_SIGNATURES = 32

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
REASON = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REQUEST = re.compile(r"[0-9a-f]{32}")
_PRINCIPAL = re.compile(r"(robot|person):[\x21-\x7e]{1,128}")
_REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Strict(ma.Schema):
    """Base of all request shapes."""

    class Meta:
        """Unknown members refuse the request."""

        unknown = ma.RAISE


class Text(ma.fields.Field[str]):
    """A string that matches one pattern."""

    def __init__(self, pattern: re.Pattern[str], *, limit: int, told: str, **options: Any) -> None:
        metadata = {"type": "string", "pattern": f"^{pattern.pattern}$", "maxLength": limit, "minLength": 1}
        super().__init__(metadata={**metadata, "description": told}, **options)
        self._pattern, self._limit, self._told = pattern, limit, told

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> str:  # noqa: ARG002 - the library's signature
        if not isinstance(value, str) or len(value) > self._limit or self._pattern.fullmatch(value) is None:
            raise ma.ValidationError(f"must be {self._told}")
        return value


class Whole(ma.fields.Field[int]):
    """A JSON integer within bounds."""

    def __init__(self, *, least: int, most: int, **options: Any) -> None:
        super().__init__(metadata={"type": "integer", "minimum": least, "maximum": most}, **options)
        self._least, self._most = least, most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> int:  # noqa: ARG002 - the library's signature
        if type(value) is not int or not self._least <= value <= self._most:
            raise ma.ValidationError(f"must be an integer from {self._least} to {self._most}")
        return value


class Decimal(Whole):
    """The same in a query: plain decimal digits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> int:
        if not isinstance(value, str) or re.fullmatch(r"0|[1-9][0-9]{0,15}", value) is None:
            raise ma.ValidationError(f"must be an integer from {self._least} to {self._most}")
        return super()._deserialize(int(value), attr, data, **options)


class Instant(ma.fields.Field[datetime]):
    """An RFC 3339 time with offset."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metadata={"type": "string", "format": "date-time"}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> datetime:  # noqa: ARG002 - the library's signature
        if not isinstance(value, str):
            raise ma.ValidationError("must be an RFC 3339 time")
        return parse_time(value, what=attr or "time", code="malformed-request")


class Subjects(ma.fields.Field[tuple[Subject, ...]]):
    """1 to 1000 subjects with distinct names."""

    def __init__(self, **options: Any) -> None:
        item = {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "digest"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": "^[\\x21-\\x7e]+$"},
                "digest": {
                    "type": "object",
                    "required": ["sha256"],
                    "additionalProperties": False,
                    "properties": {
                        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                        "sha384": {"type": "string", "pattern": "^[0-9a-f]{96}$"},
                        "sha512": {"type": "string", "pattern": "^[0-9a-f]{128}$"},
                    },
                },
            },
        }
        super().__init__(metadata={"type": "array", "minItems": 1, "maxItems": MAX_SUBJECTS, "items": item}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> tuple[Subject, ...]:  # noqa: ARG002 - the library's signature
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_SUBJECTS:
            raise ma.ValidationError(f"must be a list of 1 to {MAX_SUBJECTS} subjects")
        subjects = tuple(_subject(item) for item in value)
        if len({subject.name for subject in subjects}) != len(subjects):
            raise Malformed("invalid-subject", "two subjects have the same name", remedy="name each artifact once")
        return subjects


class Signatures(ma.fields.Field[tuple[bytes, ...]]):
    """DSSE envelopes made by `signer owner sign`, base64."""

    def __init__(self, **options: Any) -> None:
        item = {"type": "string", "contentEncoding": "base64"}
        super().__init__(
            metadata={"type": "array", "minItems": 1, "maxItems": MAX_SIGNATURES, "items": item}, **options
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> tuple[bytes, ...]:  # noqa: ARG002 - the library's signature
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_SIGNATURES:
            raise ma.ValidationError(f"must be a list of 1 to {MAX_SIGNATURES} envelopes")
        return tuple(read_bytes(item, what="owner signature") for item in value)


class Content(ma.fields.Field[bytes]):
    """The exact bytes of one document, base64."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metadata={"type": "string", "contentEncoding": "base64", "minLength": 4}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> bytes:  # noqa: ARG002 - the library's signature
        return read_bytes(value, what=attr or "document")


class JudgementRequest(Strict):
    """What is asked of the judge: may these digests be signed for that environment?"""

    policy = Text(NAME, limit=128, told="the name of a policy", required=True)
    environment = Text(NAME, limit=128, told="the name of an environment", required=True)
    subjects = Subjects(required=True)
    evidence = Evidence(least=0, load_default=())


class EvidenceRequest(Strict):
    """Evidence to keep, verified under the trust of one policy."""

    policy = Text(NAME, limit=128, told="the name of a policy", required=True)
    evidence = Evidence(least=1, uploads=True, required=True)


class HaltRequest(Strict):
    """Why all signing stops."""

    reason = Text(REASON, limit=MAX_REASON, told="one line of text", required=True)


class ResumeRequest(Strict):
    """Which halt ends, and the owners who agree."""

    halt_index = Whole(least=0, most=2**53 - 1, required=True)
    signatures = Signatures(required=True)


class WaiverRequest(Strict):
    """A waiver with the signatures of its requester and its approver."""

    waiver = Content(required=True)


class WaiverEndRequest(Strict):
    """Why a waiver ends before its time."""

    reason = Text(REASON, limit=500, told="one line of text", required=True)


class WaiverQuery(Strict):
    """Filters of the list."""

    policy = Text(NAME, limit=128, told="the name of a policy")
    environment = Text(NAME, limit=128, told="the name of an environment")


class ApprovalRequest(Strict):
    """What one person says of a hold: signed, or the statement alone."""

    approval = Content()
    statement = Content()


class ApprovalRevocationRequest(Strict):
    """Why it is taken back, and the signed revocation, which a signed rejection needs."""

    reason = Text(REASON, limit=500, told="one line of text", required=True)
    revocation = Content()


class ApprovalQuery(Strict):
    """Filters of the list; `before` is the `next` of the page before."""

    hold = Text(_REQUEST, limit=32, told="the request id of a hold")
    sha256 = Text(_SHA256, limit=64, told="a sha256 in lower-case hexadecimal", data_key="digest")
    policy = Text(NAME, limit=128, told="the name of a policy")
    environment = Text(NAME, limit=128, told="the name of an environment")
    all = ma.fields.String(validate=ma.validate.OneOf(["true"]))
    before = Decimal(least=0, most=2**53 - 1)
    limit = Decimal(least=1, most=MAX_PAGE, load_default=50)


class DecisionQuery(Strict):
    """Filters of the search; `before` is the `next` of the page before."""

    digest = Text(_SHA256, limit=64, told="a sha256 in lower-case hexadecimal")
    commit = Text(_REVISION, limit=64, told="a commit id in lower-case hexadecimal")
    principal = Text(_PRINCIPAL, limit=160, told="robot:<id> or person:<id>")
    verdict = ma.fields.String(validate=ma.validate.OneOf(["allow", "deny", "hold"]))
    policy = Text(NAME, limit=128, told="the name of a policy")
    environment = Text(NAME, limit=128, told="the name of an environment")
    since = Instant()
    until = Instant()
    before = Decimal(least=0, most=2**53 - 1)
    limit = Decimal(least=1, most=MAX_PAGE, load_default=50)


def _subject(item: Any) -> Subject:
    if not isinstance(item, dict) or item.keys() != {"name", "digest"}:
        raise Malformed("malformed-request", "a subject has exactly the members name and digest")
    name, digest = item["name"], item["digest"]
    if not isinstance(name, str) or not isinstance(digest, dict):
        raise Malformed("malformed-request", "a subject has a name and an object of digests")
    if not all(isinstance(value, str) for value in digest.values()):
        raise Malformed("invalid-digest", "a digest is a string of hexadecimal digits")
    return Subject.of(name, digest)


Loaded = Mapping[str, Any]
"""What a schema hands to a view: its fields by name, each already of its own type."""
