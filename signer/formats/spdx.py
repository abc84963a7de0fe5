# SPDX-License-Identifier: Apache-2.0
"""SPDX documents as predicates: https://spdx.dev/Document, …/v2.x (2.2, 2.3) and …/v3.x.

{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","packages":[{"SPDXID":"SPDXRef-a","name":"a",
 "checksums":[{"algorithm":"SHA256","checksumValue":"9c56…"}],"licenseConcluded":"NOASSERTION","licenseDeclared":"MIT"}]}

{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
 "@graph":[{"type":"CreationInfo","specVersion":"3.0.1"},
           {"type":"software_Package","spdxId":"urn:a","name":"a","verifiedUsing":[{"type":"Hash","hashValue":"9c56…"}]},
           {"type":"simplelicensing_LicenseExpression","spdxId":"urn:mit","simplelicensing_licenseExpression":"MIT"},
           {"type":"Relationship","relationshipType":"hasDeclaredLicense","from":"urn:a","to":["urn:mit"]}]}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from policy.artifact_facts import Licence
from signer.errors import Malformed
from signer.formats.bare_names import bare_names
from signer.formats.licences import count_licences
from signer.formats.shape import read_shape

PREDICATE_TYPE = "https://spdx.dev/Document"

_TYPE = re.compile(r"https://spdx\.dev/Document(?:/v([23])(?:\.[0-9]+){0,2})?")
_UNSTATED = ("", "NOASSERTION")
_VERSION_2 = re.compile(r"SPDX-(2\.[0-9])")
_VERSION_3 = re.compile(r"3(?:\.[0-9]+){1,2}")


@dataclass(frozen=True, slots=True)
class SpdxDocument:
    """One inventory: the SPDX version and how many packages it lists."""

    version: str
    components: int
    undigested: int
    """How many of them carry no checksum."""
    licences: tuple[Licence, ...]
    bare: tuple[str, ...]
    """Their names, as `bare_names` tells them."""


class _Package(msgspec.Struct, rename="camel"):
    name: str
    checksums: list[dict[str, Any]] | None = None
    license_concluded: str = ""
    license_declared: str = ""


class _Version2(msgspec.Struct, rename={"spdx_version": "spdxVersion"}):
    spdx_version: str
    packages: list[_Package] | None = None


class _Element(msgspec.Struct, rename="camel"):
    type: str
    spec_version: str | None = None
    spdx_id: str = ""
    name: str = ""
    verified_using: list[Any] | None = None
    relationship_type: str = ""
    source: str = msgspec.field(default="", name="from")
    to: list[str] | None = None
    expression: str = msgspec.field(default="", name="simplelicensing_licenseExpression")


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
    packages = wire.packages or []
    return SpdxDocument(
        version[1],
        len(packages),
        sum(not package.checksums for package in packages),
        count_licences((package.name, _preferred(package)) for package in packages),
        bare_names(package.name for package in packages if not package.checksums),
    )


def _preferred(package: _Package) -> Iterator[str]:
    """The concluded licence, or else the declared one."""
    stated = [text for text in (package.license_concluded, package.license_declared) if text not in _UNSTATED]
    yield from stated[:1]


def _version_3(predicate: Mapping[str, Any]) -> SpdxDocument:
    wire = read_shape(dict(predicate), _Version3, what="SPDX document")
    versions = {element.spec_version for element in wire.graph if element.type == "CreationInfo"}
    version = versions.pop() if len(versions) == 1 else None
    if version is None or _VERSION_3.fullmatch(version) is None:
        raise Malformed("evidence-invalid", "the SPDX document states no single specVersion 3.x")
    packages = [element for element in wire.graph if element.type == "software_Package"]
    expressions = {element.spdx_id: element.expression for element in wire.graph if element.expression}
    stated: dict[str, dict[str, list[str]]] = {"hasConcludedLicense": {}, "hasDeclaredLicense": {}}
    for element in wire.graph:
        if element.relationship_type in stated:
            # An expression that is not in the document, or one of another form, stays unknown.
            named = [expressions.get(each, each) for each in element.to or ()]
            known = [text for text in named if text not in _UNSTATED]
            stated[element.relationship_type].setdefault(element.source, []).extend(known)
    return SpdxDocument(
        version,
        len(packages),
        sum(not package.verified_using for package in packages),
        count_licences(
            (package.name, next((found for by in stated.values() if (found := by.get(package.spdx_id))), ()))
            for package in packages
        ),
        bare_names(package.name for package in packages if not package.verified_using),
    )
