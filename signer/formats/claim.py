# SPDX-License-Identifier: Apache-2.0
"""One person's claim about one thing, as a SCAI v0.3 statement with one attribute; closed, in one spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from signer.errors import Malformed
from signer.formats.canonical import canonical
from signer.formats.dsse import IN_TOTO, Envelope, parse_envelope
from signer.formats.review_record import PREDICATE_TYPE
from signer.formats.shape import read_shape
from signer.formats.statement import TYPE
from signer.formats.strict_json import parse_object

MAX_CLAIM: Final = 64 * 1024
"""Bytes of the envelope."""
CODE: Final = "malformed-approval"


class Closed(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Unknown members refuse the document."""


class _Subject(Closed):
    digest: dict[str, str]
    name: str = ""


class Attribute(Closed):
    """What is claimed, and under which conditions."""

    attribute: str
    conditions: dict[str, Any]


class _Producer(Closed):
    name: str
    uri: str


class _Predicate(Closed):
    attributes: list[Attribute]
    producer: _Producer


class Claim(Closed):
    """The statement as it stands on the wire."""

    type_: str = msgspec.field(name="_type")
    subject: list[_Subject]
    predicate_type: str
    predicate: _Predicate


def read_claim_envelope(data: bytes) -> Envelope:
    """The envelope of a claim; no signature is verified. Raises Malformed."""
    envelope = parse_envelope(data, limit=MAX_CLAIM)
    if envelope.payload_type != IN_TOTO:
        raise refuse("the envelope does not hold an in-toto statement")
    return envelope


def read_claim(payload: bytes) -> tuple[Claim, Attribute]:
    """Read a statement of one subject and one attribute; raises Malformed."""
    value = parse_object(payload, limit=MAX_CLAIM, what="approval")
    wire = read_shape(value, Claim, what="approval", code=CODE)
    if len(wire.subject) != 1 or len(wire.predicate.attributes) != 1:
        raise refuse("an approval has one subject and one attribute")
    return wire, wire.predicate.attributes[0]


def write_claim(
    subject: Mapping[str, Any], attribute: str, conditions: Mapping[str, Any], *, by: str, origin: str
) -> bytes:
    """The canonical bytes of a claim by a person of the access document, at the authority of that origin."""
    return canonical(
        {
            "_type": TYPE,
            "subject": [subject],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "attributes": [{"attribute": attribute, "conditions": conditions}],
                "producer": {"name": by, "uri": f"https://{origin}"},
            },
        }
    )


def refuse(fault: str) -> Malformed:
    """The one refusal of what is no such claim."""
    return Malformed(CODE, fault, remedy="signer approve and signer reject write approvals as they have to be")
