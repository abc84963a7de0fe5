# SPDX-License-Identifier: Apache-2.0
"""The base of everything that is said over the custodian's socket."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all messages: immutable, keyword-only, closed."""
