# SPDX-License-Identifier: Apache-2.0
"""SPIFFE IDs, compared byte for byte (SPIFFE-ID.md §2).

spiffe://dev.invalid/robot/ci
"""

from __future__ import annotations

import re

MAX_ID = 2048

_ID = re.compile(r"spiffe://[a-z0-9._-]{1,255}(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+")


def is_spiffe_id(text: str) -> bool:
    """Whether `text` names a workload or person: lower-case trust domain, plain path, nothing to decode."""
    return len(text) <= MAX_ID and _ID.fullmatch(text) is not None
