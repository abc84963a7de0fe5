# SPDX-License-Identifier: Apache-2.0
"""The JSON Schemas of both documents, for editors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from policy.json_schema import policy_schema
from signer.formats.waiver import DOCUMENT as WAIVER
from signer.identity.access import DOCUMENT


def access_schema() -> dict[str, Any]:
    """The schema of an access document, from the shape that reads it."""
    return _schema(DOCUMENT, "Access")


def waiver_schema() -> dict[str, Any]:
    """The schema of a waiver's statement, from the shape that reads it."""
    return _schema(WAIVER, "Waiver")


def _schema(shape: Any, title: str) -> dict[str, Any]:
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema = {**head, **msgspec.json.schema(shape), "title": title}
    # The names of shapes inside the code are no part of the document.
    text = json.dumps(schema).replace("#/$defs/_", "#/$defs/")
    found: dict[str, Any] = json.loads(text)
    found["$defs"] = {name.lstrip("_"): {**each, "title": name.lstrip("_")} for name, each in found["$defs"].items()}
    return found


def written(make: Callable[[], Mapping[str, Any]]) -> Callable[[], str]:
    """The text of a schema's file."""
    return lambda: json.dumps(make(), indent=1)


SCHEMAS: Mapping[str, Callable[[], str]] = {
    "schemas/policy.json": written(policy_schema),
    "schemas/access.json": written(access_schema),
    "schemas/waiver.json": written(waiver_schema),
}
