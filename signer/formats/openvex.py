# SPDX-License-Identifier: Apache-2.0
"""OpenVEX documents as predicates: what their author says of vulnerabilities in a product. Kept, judged by no rule.

{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://acme.invalid/vex/1","author":"acme",
 "timestamp":"2026-11-23T10:00:00Z","version":1,
 "statements":[{"vulnerability":{"name":"CVE-2026-1"},"status":"not_affected",
                "justification":"vulnerable_code_not_present"}]}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from signer.errors import Malformed
from signer.formats.rfc3339 import parse_time
from signer.formats.shape import read_shape, require_printable

PREDICATE_TYPE = "https://openvex.dev/ns"

Status: TypeAlias = Literal["not_affected", "affected", "fixed", "under_investigation"]

_TYPE = re.compile(r"https://openvex\.dev/ns(?:/v0\.[0-9]{1,2}\.[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class VexStatement:
    """What is said of one vulnerability."""

    vulnerability: str
    status: Status
    justification: str | None


@dataclass(frozen=True, slots=True)
class VexDocument:
    """One document and when it was made."""

    author: str
    made: datetime
    statements: tuple[VexStatement, ...]


class _Vulnerability(msgspec.Struct):
    name: str


class _Statement(msgspec.Struct):
    vulnerability: _Vulnerability | str
    status: Status
    justification: str | None = None


class _Document(msgspec.Struct):
    context: str = msgspec.field(name="@context")
    author: str
    timestamp: str
    statements: list[_Statement]


def is_openvex(predicate_type: str) -> bool:
    """Whether the predicate type belongs to the OpenVEX family."""
    return _TYPE.fullmatch(predicate_type) is not None


def read_openvex(predicate: Mapping[str, Any]) -> VexDocument:
    """Read the predicate of a verified statement; raises Malformed."""
    wire = read_shape(dict(predicate), _Document, what="OpenVEX document")
    if _TYPE.fullmatch(wire.context) is None:
        raise Malformed("evidence-invalid", "the document's @context is not OpenVEX")
    return VexDocument(
        author=require_printable(wire.author, what="author of the OpenVEX document"),
        made=parse_time(wire.timestamp, what="timestamp of the OpenVEX document"),
        statements=tuple(_statement(statement) for statement in wire.statements),
    )


def _statement(wire: _Statement) -> VexStatement:
    name = wire.vulnerability if isinstance(wire.vulnerability, str) else wire.vulnerability.name
    return VexStatement(require_printable(name, what="name of a vulnerability"), wire.status, wire.justification)
