# SPDX-License-Identifier: Apache-2.0
"""Evidence as a caller offers it: exact bytes, before anything in them is believed."""

from __future__ import annotations

from dataclasses import dataclass

from signer.formats.opaque import OpaqueDocument

MAX_ITEM = 1024 * 1024
"""Bytes of one piece of evidence that travels inside a command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """One piece of evidence: an attestation when `document` is None, else an opaque document."""

    digest: str
    """sha256 of `data` in hexadecimal."""
    data: bytes
    document: OpaqueDocument | None
