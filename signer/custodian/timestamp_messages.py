# SPDX-License-Identifier: Apache-2.0
"""What the custodian and the timestamp worker say to each other, over a socket pair, in frames.

custodian → worker   start, then stamp …
worker → custodian   stamped …, as the answers come
"""

from __future__ import annotations

import msgspec

MAX_FRAME = 1024 * 1024


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all messages: immutable, keyword-only, closed."""


class StampStart(_Message, frozen=True, kw_only=True, tag="start"):
    """First message: the one address that the worker may ever speak to."""

    url: str
    ca: str
    """File of CAs for https; empty for those of the system."""
    timeout: float
    """Seconds for one answer."""
    threads: int


class Stamp(_Message, frozen=True, kw_only=True, tag="stamp"):
    """A signature to be timestamped, and the chains of which one must have issued the answer."""

    number: int
    signature: bytes
    chains: tuple[tuple[bytes, ...], ...]
    """DER certificates, as the trust document in force pins them."""


class StampEnded(_Message, frozen=True, kw_only=True, tag="stamped"):
    """How one question ended."""

    number: int
    response: bytes
    """The verified TimeStampResp, DER; empty when there is none."""
    detail: str
    """Why there is none."""


ToStamper = StampStart | Stamp
FromStamper = StampEnded
