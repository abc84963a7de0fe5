# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON (RFC 8785): the bytes of leaves and of the documents that leaves name by digest."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical(value: Any) -> bytes:
    """Encode JSON values as RFC 8785 bytes. Verifiers hash stored bytes and never call this again."""
    return rfc8785.dumps(value)


def sha256_hex(data: bytes) -> str:
    """The sha256 of `data` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()
