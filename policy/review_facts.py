# SPDX-License-Identifier: Apache-2.0
"""Parts of a review record (`policy.facts.ReviewRecord`): who reviewed, which refs and files are guarded.

Persons stand here as `robot:<id>`, `person:<pseudonym>` or `unmapped`; rules only compare them for equality.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What one reviewer decided about one commit, as it stands."""

    reviewer: str
    """Person or robot."""
    commit: str
    decision: Literal["approved", "changes-requested", "dismissed"]
    role: Literal["admin", "write", "read"] | None
    """What the reviewer may do in the repository; None where the evidence cannot say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedRef:
    """How the source platform guards one ref."""

    ref: str
    by_request: bool
    """Changes come in through reviewed requests only, never by a direct push."""
    force_push: bool
    """History can be rewritten."""
    deletion: bool
    includes_admins: bool
    """The protection holds for administrators too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedFiles:
    """One entry of the code owners' file."""

    paths: tuple[str, ...]
    """Files, or folders with everything below them when they end in `/`."""
    owners: tuple[str, ...]
    """Persons."""
    changed: bool
    """The change touches one of these files."""
