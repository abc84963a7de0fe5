# SPDX-License-Identifier: Apache-2.0
"""SPDX documents as predicates: https://spdx.dev/Document, …/v2.x (2.2, 2.3) and …/v3.x.

{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","packages":[{"SPDXID":"SPDXRef-a","name":"a"}]}

{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
 "@graph":[{"type":"CreationInfo","specVersion":"3.0.1"},{"type":"software_Package","name":"a"}]}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from signer.errors import Malformed
from signer.formats.shape import read_shape

PREDICATE_TYPE = "https://spdx.dev/Document"

_TYPE = re.compile(r"https://spdx\.dev/Document(?:/v([23])(?:\.[0-9]+){0,2})?")
_VERSION_2 = re.compile(r"SPDX-(2\.[0-9])")
_VERSION_3 = re.compile(r"3(?:\.[0-9]+){1,2}")


@dataclass(frozen=True, slots=True)
class SpdxDocument:
    """One inventory: the SPDX version and how many packages it lists."""

    version: str
    components: int


class _Package(msgspec.Struct):
    name: str


class _Version2(msgspec.Struct, rename={"spdx_version": "spdxVersion"}):
    spdx_version: str
    packages: list[_Package] | None = None


class _Element(msgspec.Struct, rename="camel"):
    type: str
    spec_version: str | None = None


class _Version3(msgspec.Struct):
    graph: list[_Element] = msgspec.field(name="@graph")


def is_spdx(predicate_type: str) -> bool:
    """Whether the predicate type belongs to the SPDX family."""
    return _TYPE.fullmatch(predicate_type) is not None


def read_spdx(predicate_type: str, predicate: Mapping[str, Any]) -> SpdxDocument:
    """Read the predicate of a verified statement; raises Malformed, also for another version than declared."""
    declared = _TYPE.fullmatch(predicate_type)
    if declared is None:
        raise Malformed("evidence-invalid", "the predicate type is not SPDX")
    document = _version_3(predicate) if "@graph" in predicate else _version_2(predicate)
    if declared[1] not in (None, document.version[0]):
        raise Malformed("evidence-invalid", "the SPDX version is not the one that the predicate type declares")
    return document


def _version_2(predicate: Mapping[str, Any]) -> SpdxDocument:
    wire = read_shape(dict(predicate), _Version2, what="SPDX document")
    version = _VERSION_2.fullmatch(wire.spdx_version)
    if version is None:
        raise Malformed("evidence-invalid", "spdxVersion is not SPDX-2.x")
    return SpdxDocument(version[1], len(wire.packages or ()))


def _version_3(predicate: Mapping[str, Any]) -> SpdxDocument:
    wire = read_shape(dict(predicate), _Version3, what="SPDX document")
    versions = {element.spec_version for element in wire.graph if element.type == "CreationInfo"}
    version = versions.pop() if len(versions) == 1 else None
    if version is None or _VERSION_3.fullmatch(version) is None:
        raise Malformed("evidence-invalid", "the SPDX document states no single specVersion 3.x")
    return SpdxDocument(version, sum(element.type == "software_Package" for element in wire.graph))
