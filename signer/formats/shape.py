# SPDX-License-Identifier: Apache-2.0
"""From loaded JSON values to typed shapes, without coercion."""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

from signer.errors import Malformed

MAX_TEXT = 512

Shape = TypeVar("Shape")

# NOTE: msgspec builds what it knows of a shape at its first use; two threads that do so at once crash the process.
_one_at_a_time = threading.Lock()


def read_shape(value: Any, shape: type[Shape], *, what: str, code: str = "evidence-invalid", remedy: str = "") -> Shape:
    """Read `value` as `shape`; raises Malformed that names the first field that does not fit.

    `value` comes from `strict_json`, so its depth and numbers are already bounded. Text is never read as a
    number, nor a number as a truth value.
    """
    try:
        with _one_at_a_time:
            return msgspec.convert(value, shape)
    except (msgspec.ValidationError, RecursionError) as fault:
        raise Malformed(code, f"the {what} has a wrong shape: {str(fault)[:200]}", remedy=remedy) from None


def require_visible(text: str, *, what: str, limit: int = MAX_TEXT) -> str:
    """`text`, when it is 1 to `limit` visible ASCII characters; raises Malformed.

    Identities are compared byte for byte and shown to people: no look-alikes, no control characters.
    """
    if not 0 < len(text) <= limit or not text.isascii() or not text.isprintable() or " " in text:
        raise Malformed("evidence-invalid", f"the {what} is not 1 to {limit} visible ASCII characters")
    return text


def require_printable(text: str, *, what: str, limit: int = MAX_TEXT) -> str:
    """`text`, when it is 1 to `limit` printable characters; raises Malformed for control and bidi characters."""
    if not 0 < len(text) <= limit or not text.isprintable():
        raise Malformed("evidence-invalid", f"the {what} is not 1 to {limit} printable characters")
    return text


def one_line(text: str) -> str:
    """`text` as one line without control characters, safe for a terminal: each is shown as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
