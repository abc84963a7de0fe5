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
    UTF-16 code units, and all values that are not built-in.
    """
    pending = [root]
    while pending:
        value = pending.pop()
        kind = type(value)
        if kind is dict:
            for key in value:
                if type(key) is not str or not key.isascii():
                    return False
            pending.extend(value.values())
        elif kind is list or kind is tuple:
            pending.extend(value)
        elif kind is int:
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                return False
        elif kind is not str and kind is not bool and value is not None:
            return False
    return True
