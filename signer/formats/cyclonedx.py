# SPDX-License-Identifier: Apache-2.0
"""CycloneDX documents as predicates: https://cyclonedx.org/bom, also with a version: …/v1.4, …/v1.6.

{"bomFormat":"CycloneDX","specVersion":"1.6",
 "components":[{"type":"library","name":"a","components":[{"type":"library","name":"inside-a"}]}]}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from signer.errors import Malformed
from signer.formats.shape import read_shape

PREDICATE_TYPE = "https://cyclonedx.org/bom"

_TYPE = re.compile(r"https://cyclonedx\.org/bom(?:/v([12]\.[0-9]{1,2}))?")
_VERSION = re.compile(r"[12]\.[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class CycloneDxDocument:
    """One inventory: the CycloneDX version and how many components it lists, nested ones included."""

    version: str
    components: int


class _Component(msgspec.Struct):
    name: str
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
    return CycloneDxDocument(wire.spec_version, _count(wire.components or ()))


def _count(components: Sequence[_Component]) -> int:
    # The loader has bounded the depth.
    return sum(1 + _count(component.components or ()) for component in components)
