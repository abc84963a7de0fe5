# SPDX-License-Identifier: Apache-2.0
"""What all leaves have in common."""

from __future__ import annotations

import msgspec


class BaseLeaf(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", omit_defaults=False
):
    """Base of all leaves: the instant it speaks of, RFC 3339 in UTC with microseconds."""

    time: str
    v: int = 1
