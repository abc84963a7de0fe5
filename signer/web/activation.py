# SPDX-License-Identifier: Apache-2.0
"""The shapes of activations: a document and the owners who agree to exactly these bytes."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from signer.web.schemas import NAME, Content, Signatures, Strict

MAX_NAMES = 32


class Flag(ma.fields.Field[bool]):
    """Exactly true or false."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metadata={"type": "boolean"}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> bool:  # noqa: ARG002 - the library's signature
        if type(value) is not bool:
            raise ma.ValidationError("must be true or false")
        return value


class Names(ma.fields.Field[tuple[str, ...]]):
    """Names of rules."""

    def __init__(self, **options: Any) -> None:
        item = {"type": "string", "pattern": f"^{NAME.pattern}$"}
        super().__init__(metadata={"type": "array", "maxItems": MAX_NAMES, "items": item}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> tuple[str, ...]:  # noqa: ARG002 - the library's signature
        if not isinstance(value, list) or len(value) > MAX_NAMES:
            raise ma.ValidationError(f"must be a list of at most {MAX_NAMES} names")
        if not all(isinstance(name, str) and NAME.fullmatch(name) for name in value):
            raise ma.ValidationError("must be names of rules")
        return tuple(value)


class ActivationRequest(Strict):
    """A document to put in force, and the owners who agree to exactly these bytes."""

    document = Content(required=True)
    signatures = Signatures(required=True)


class PolicyActivationRequest(ActivationRequest):
    """A policy to put in force or in shadow, and the rules whose flips in shadow are meant."""

    shadow = Flag(load_default=False)
    acknowledge = Names(load_default=())
