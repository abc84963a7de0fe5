# SPDX-License-Identifier: Apache-2.0
"""CycloneDX documents as predicates: https://cyclonedx.org/bom, also with a version: …/v1.4, …/v1.6.

{"bomFormat":"CycloneDX","specVersion":"1.6",
 "components":[{"type":"library","name":"a","hashes":[{"alg":"SHA-256","content":"9c56…"}],
                "licenses":[{"license":{"id":"MIT"}}],
                "components":[{"type":"library","name":"inside-a","licenses":[{"expression":"MIT OR Apache-2.0"}]}]}]}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from policy.artifact_facts import Licence
from signer.errors import Malformed
from signer.formats.bare_names import bare_names
from signer.formats.licences import count_licences
from signer.formats.shape import read_shape

PREDICATE_TYPE = "https://cyclonedx.org/bom"

_TYPE = re.compile(r"https://cyclonedx\.org/bom(?:/v([12]\.[0-9]{1,2}))?")
_VERSION = re.compile(r"[12]\.[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class CycloneDxDocument:
    """One inventory: the CycloneDX version and how many components it lists, nested ones included."""

    version: str
    components: int
    undigested: int
    """How many of them carry no hash."""
    licences: tuple[Licence, ...]
    bare: tuple[str, ...]
    """Their names, as `bare_names` tells them."""


class _License(msgspec.Struct):
    id: str = ""
    name: str = ""


class _LicenseChoice(msgspec.Struct):
    license: _License | None = None
    expression: str = ""


class _Component(msgspec.Struct):
    name: str
    hashes: list[dict[str, Any]] | None = None
    licenses: list[_LicenseChoice] | None = None
    components: list[_Component] | None = None


class _Bom(msgspec.Struct, rename="camel"):
    bom_format: str
    spec_version: str
    components: list[_Component] | None = None


def is_cyclonedx(predicate_type: str) -> bool:
    """Whether the predicate type belongs to the CycloneDX family."""
    return _TYPE.fullmatch(predicate_type) is not None


def read_cyclonedx(predicate_type: str, predicate: Mapping[str, Any]) -> CycloneDxDocument:
    """Read the predicate of a verified statement; raises Malformed, also for another version than declared."""
    declared = _TYPE.fullmatch(predicate_type)
    if declared is None:
        raise Malformed("evidence-invalid", "the predicate type is not CycloneDX")
    wire = read_shape(dict(predicate), _Bom, what="CycloneDX document")
    if wire.bom_format != "CycloneDX" or _VERSION.fullmatch(wire.spec_version) is None:
        raise Malformed("evidence-invalid", "the document is not CycloneDX of a version 1.x or 2.x")
    if declared[1] not in (None, wire.spec_version):
        raise Malformed("evidence-invalid", "the CycloneDX version is not the one that the predicate type declares")
    components = tuple(_every(wire.components or ()))
    return CycloneDxDocument(
        wire.spec_version,
        len(components),
        sum(not component.hashes for component in components),
        count_licences((component.name, _licences(component)) for component in components),
        bare_names(component.name for component in components if not component.hashes),
    )


def _every(components: Sequence[_Component]) -> Iterator[_Component]:
    # The loader has bounded the depth.
    for component in components:
        yield component
        yield from _every(component.components or ())


def _licences(component: _Component) -> Iterator[str]:
    for choice in component.licenses or ():
        yield choice.expression or ("" if choice.license is None else choice.license.id or choice.license.name)
