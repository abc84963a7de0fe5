# SPDX-License-Identifier: Apache-2.0
"""Who asks: the authenticated caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that mutual TLS authenticated and the access document knows.

    `id` is `robot:<id>` or `person:<id>` with the id that the access document gives.
    """

    kind: Literal["robot", "person"]
    name: str

    @property
    def id(self) -> str:
        """The one spelling that stands in grants and facts."""
        return f"{self.kind}:{self.name}"
