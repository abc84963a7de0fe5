# SPDX-License-Identifier: Apache-2.0
"""Small readers of documents that leaves name."""

from __future__ import annotations

from typing import Any

import msgspec

from signer.errors import Malformed
from signer.formats.dsse import Envelope, parse_envelope, read_envelope
from signer.formats.strict_json import parse_object

MAX_ENVELOPE = 32 * 1024 * 1024


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: dict[str, str]


class _Subjects(msgspec.Struct, frozen=True):
    subjects: tuple[_Subject, ...]


class _ApprovalRecord(msgspec.Struct, frozen=True):
    reference: str
    environment: str
    approver: str
    at: str
    source: str
    digest: str | None = None


_subjects = msgspec.json.Decoder(_Subjects)
_record = msgspec.json.Decoder(_ApprovalRecord)


def read_subject_names(data: bytes) -> tuple[tuple[str, str], ...]:
    """(name, sha256) of each subject of a subjects document; raises Malformed."""
    try:
        return tuple((each.name, each.digest.get("sha256", "")) for each in _subjects.decode(data).subjects)
    except msgspec.MsgspecError:
        raise Malformed("malformed-document", "a document of subjects has another form") from None


def read_approval_record(data: bytes) -> tuple[str, str, str] | None:
    """(reference, digest, environment) of an approval given elsewhere, digest empty for none; None for another form.

    Nobody vouches for its form when it comes in: what cannot be read says nothing.
    """
    try:
        found = _record.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found.reference, (found.digest or "").removeprefix("sha256:"), found.environment


def envelope_of(data: bytes) -> Envelope:
    """The envelope in an attestation: the bytes themselves, or inside a Sigstore bundle; raises Malformed."""
    value = parse_object(data, limit=MAX_ENVELOPE, what="evidence")
    inner = value.get("dsseEnvelope")
    return read_envelope(inner) if isinstance(inner, dict) else parse_envelope(data, limit=MAX_ENVELOPE)


def statement_of(data: bytes) -> dict[str, Any]:
    """The statement in an attestation as plain values; its signature is for the verifier to judge. Raises Malformed."""
    return parse_object(envelope_of(data).payload, limit=MAX_ENVELOPE, what="statement")
