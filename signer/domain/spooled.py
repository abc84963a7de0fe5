# SPDX-License-Identifier: Apache-2.0
"""Documents on their way in: where web puts what a principal uploaded, and where the custodian looks for it.

    <spool>/1f0c2f…-9c56cc51b374…    16 hexadecimal digits of sha256(principal), then the sha256 of the bytes

No part of the name is a caller's text. A principal reaches its own uploads alone.
"""

from __future__ import annotations

import hashlib

LARGE = 1024 * 1024
"""Bytes up to which evidence travels inside a command and is a row of the ledger; larger evidence is a file."""


def owner_of_spool(principal: str) -> str:
    """What the names of a principal's uploads begin with; `principal` is `robot:<id>` or `person:<id>`."""
    return hashlib.sha256(principal.encode()).hexdigest()[:16]


def spool_name(principal: str, digest: str) -> str:
    """The file of one upload; `digest` is the sha256 of its bytes in lower-case hexadecimal."""
    return f"{owner_of_spool(principal)}-{digest}"
