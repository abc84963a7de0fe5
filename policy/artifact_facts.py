# SPDX-License-Identifier: Apache-2.0
"""Parts of the facts about an artifact: licences of its inventory, and what VEX says of single vulnerabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class VexStatement:
    """What an author says of one vulnerability in the artifact."""

    ids: tuple[str, ...]
    """Its name and its aliases."""
    status: Literal["not_affected", "affected", "fixed", "under_investigation"]
    justification: str | None
    packages: tuple[str, ...] = ()
    """Only what was found in these packages is meant; empty: in whatever of the artifact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """One licence of an inventory, and how many of its components have it."""

    expression: str | None
    """SPDX expression in its canonical spelling; None when none is stated, or when it is not written in SPDX ids."""
    components: int
    example: str
    """Name of one of them."""
