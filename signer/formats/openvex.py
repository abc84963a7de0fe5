# SPDX-License-Identifier: Apache-2.0
"""OpenVEX documents as predicates: what their author says of vulnerabilities in a product.

{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://acme.invalid/vex/1","author":"acme",
 "timestamp":"2026-11-23T10:00:00Z","version":1,
 "statements":[{"vulnerability":{"name":"CVE-2026-1","aliases":["GHSA-…"]},"status":"not_affected",
                "products":[{"hashes":{"sha-256":"9c56…"},"subcomponents":[{"@id":"pkg:pypi/a@1.0"}]}],
                "justification":"vulnerable_code_not_present"}]}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from policy import artifact_facts as facts
from signer.errors import Malformed
from signer.formats.rfc3339 import parse_time
from signer.formats.shape import read_shape, require_printable

PREDICATE_TYPE = "https://openvex.dev/ns"

Status: TypeAlias = Literal["not_affected", "affected", "fixed", "under_investigation"]

_IN_IDENTIFIER = re.compile(r"[@:/]sha256(?::|%3[Aa])([0-9a-f]{64})(?![0-9a-f])")
_TYPE = re.compile(r"https://openvex\.dev/ns(?:/v0\.[0-9]{1,2}\.[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class VexProduct:
    """One product of a statement, and the parts of it that are meant; without any, the whole."""

    sha256: str | None
    """From its hashes, or from an identifier such as `pkg:oci/shop@sha256:…`; None when it names no digest."""
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VexStatement:
    """What is said of one vulnerability."""

    ids: tuple[str, ...]
    """Its name, then its aliases."""
    status: Status
    justification: str | None
    products: tuple[VexProduct, ...] = ()
    """Empty: whatever the document is about."""


@dataclass(frozen=True, slots=True)
class VexDocument:
    """One document and when it was made."""

    author: str
    made: datetime
    statements: tuple[VexStatement, ...]


class _Vulnerability(msgspec.Struct):
    name: str
    aliases: list[str] = []


class _Component(msgspec.Struct):
    id: str = msgspec.field(default="", name="@id")
    identifiers: dict[str, str] = {}
    hashes: dict[str, str] = {}
    subcomponents: list[_Component] = []


class _Statement(msgspec.Struct):
    vulnerability: _Vulnerability | str
    status: Status
    justification: str | None = None
    products: list[_Component | str] | None = None


class _Document(msgspec.Struct):
    context: str = msgspec.field(name="@context")
    author: str
    timestamp: str
    statements: list[_Statement]


def statements_about(document: VexDocument, sha256: str) -> Iterator[facts.VexStatement]:
    """What the document says of the artifact with this digest, which is a subject of its statement.

    A product that names a digest is that artifact alone; one that names none is what the statement is about.
    """
    for statement in document.statements:
        meant = [product for product in statement.products if product.sha256 in (None, sha256)]
        if statement.products and not meant:
            continue
        whole = not meant or any(not product.packages for product in meant)
        packages = () if whole else tuple(dict.fromkeys(part for product in meant for part in product.packages))
        yield facts.VexStatement(
            ids=statement.ids, status=statement.status, justification=statement.justification, packages=packages
        )


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
    names = (
        [wire.vulnerability]
        if isinstance(wire.vulnerability, str)
        else [wire.vulnerability.name, *wire.vulnerability.aliases]
    )
    products = (_Component(id=each) if isinstance(each, str) else each for each in wire.products or ())
    return VexStatement(
        tuple(dict.fromkeys(require_printable(name, what="name of a vulnerability") for name in names)),
        wire.status,
        wire.justification,
        tuple(map(_product, products)),
    )


def _product(wire: _Component) -> VexProduct:
    stated = wire.hashes.get("sha-256") or wire.hashes.get("sha256")
    named = (_IN_IDENTIFIER.search(text) for text in (wire.id, *wire.identifiers.values()))
    found = stated or next((match[1] for match in named if match is not None), None)
    packages = (part.identifiers.get("purl") or part.id for part in wire.subcomponents)
    return VexProduct(
        found, tuple(require_printable(package, what="subcomponent of a product", limit=1024) for package in packages)
    )
