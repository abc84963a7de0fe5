# SPDX-License-Identifier: Apache-2.0
"""Evidence as a caller offers it: exact bytes, before anything in them is believed."""

from __future__ import annotations

from dataclasses import dataclass

from signer.domain.spooled import LARGE as MAX_ITEM
from signer.formats.opaque import OpaqueDocument

__all__ = ["MAX_ITEM", "Offered", "Uploaded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """One piece of evidence: an attestation when `document` is None, else an opaque document."""

    digest: str
    """sha256 of `data` in hexadecimal."""
    data: bytes
    document: OpaqueDocument | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """One piece of evidence whose bytes the caller uploaded before: an attestation when `document` is None."""

    digest: str
    """sha256 of the bytes in hexadecimal, as the caller states it."""
    document: OpaqueDocument | None
