# SPDX-License-Identifier: Apache-2.0
"""The one JSON loader (signing cycle, step 0).

Everything that comes from outside passes here once. Refused: duplicate keys (also when spelt with
escapes), NaN and infinities, numbers outside the range that every reader agrees on (I-JSON, RFC 7493
§2.2), nesting beyond the limit, byte order marks, lone surrogates, anything but UTF-8, trailing text.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import jiter

from signer.errors import Malformed

MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1


def parse_json(data: bytes, *, limit: int, what: str = "body") -> Any:
    """Parse `data` of at most `limit` bytes; raises Malformed with the position of the first fault."""
    if len(data) > limit:
        raise Malformed("too-large", f"the {what} is larger than {limit} bytes", remedy="send less, or raise the limit")
    try:
        value = jiter.from_json(data, catch_duplicate_keys=True, allow_inf_nan=False, cache_mode="keys")
    except ValueError as fault:
        code = "duplicate-key" if "duplicate key" in str(fault).lower() else "malformed-json"
        raise Malformed(
            code, f"the {what} is not strict JSON: {str(fault)[:200]}", remedy="send RFC 8259 JSON in UTF-8"
        ) from None
    _check(value, what)
    return value


def parse_object(data: bytes, *, limit: int, what: str = "body") -> dict[str, Any]:
    """Parse `data` as a JSON object; raises Malformed."""
    value = parse_json(data, limit=limit, what=what)
    if not isinstance(value, dict):
        raise Malformed("malformed-json", f"the {what} must be a JSON object", remedy="send one object")
    return value


def _check(root: Any, what: str) -> None:
    """Walk level by level: jiter allows more depth and wider numbers than we do."""
    level = [root]
    for _ in range(MAX_DEPTH):
        kinds = set(map(type, level))
        if int in kinds or float in kinds:
            _check_numbers(level, what)
        deeper: list[Any] = []
        if dict in kinds:
            deeper.extend(chain.from_iterable([value.values() for value in level if type(value) is dict]))
        if list in kinds:
            deeper.extend(chain.from_iterable([value for value in level if type(value) is list]))
        if not deeper:
            return
        level = deeper
    raise Malformed("malformed-json", f"the {what} is nested deeper than {MAX_DEPTH} levels")


def _check_numbers(values: list[Any], what: str) -> None:
    for value in values:
        if type(value) is float and not abs(value) <= MAX_INTEGER:  # so written, it refuses NaN as well
            raise Malformed("malformed-json", f"the {what} holds a number out of range")
        if type(value) is int and abs(value) > MAX_INTEGER:
            raise Malformed(
                "malformed-json", f"the {what} holds an integer beyond 2^53-1", remedy="send it as a string"
            )
