# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON (RFC 8785): the bytes of leaves and of the documents that leaves name by digest."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import rfc8785

MAX_INTEGER = 2**53 - 1


def canonical(value: Any) -> bytes:
    """Encode JSON values as RFC 8785 bytes; raises ValueError for what JSON cannot carry.

    Verifiers hash stored bytes and never call this again.
    """
    if _is_plain(value):
        try:
            return msgspec.json.encode(value, order="sorted")
        except UnicodeEncodeError:
            pass  # a lone surrogate: rfc8785 names the fault
    return rfc8785.dumps(value)


def sha256_hex(data: bytes) -> str:
    """The sha256 of `data` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _is_plain(root: Any) -> bool:
    """Whether msgspec writes `root` exactly as RFC 8785 does (a property test compares both).

    Floats are left to rfc8785, which prints them as ECMAScript does; so are keys outside ASCII, which it sorts by
    UTF-16 code units, and all values that are not built-in. Walked level by level: most values are of few types.
    """
    names: set[Any] = set()
    level = [root]
    while level:
        kinds = set(map(type, level))
        if not kinds <= _PLAIN:
            return False
        if int in kinds and not all(-MAX_INTEGER <= value <= MAX_INTEGER for value in level if type(value) is int):
            return False
        deeper: list[Any] = []
        if not kinds.isdisjoint(_NESTED):
            for value in level:
                if type(value) is dict:
                    names.update(value)
                    deeper.extend(value.values())
                elif type(value) is list or type(value) is tuple:
                    deeper.extend(value)
        level = deeper
    return all(type(name) is str and name.isascii() for name in names)


_NESTED = frozenset({dict, list, tuple})
_PLAIN = _NESTED | {str, bool, int, type(None)}
