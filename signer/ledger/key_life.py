# SPDX-License-Identifier: Apache-2.0
"""The life of a key, folded from its events.

    next ──rotated──▶ active ──another is rotated──▶ superseded ──retired──▶ retired
      └──────────────────┴──────────────────┴──── compromised ───────┴──────▶ compromised

A policy's environment names a role. The first key of a role has the role's name and is active from the start; each
later one says at its making which role it succeeds in, and signs for it from its rotation on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias

from signer.ledger.rows import KeyRow

Status: TypeAlias = Literal["next", "active", "superseded", "retired", "compromised"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLife:
    """One key as its events leave it."""

    created: KeyRow
    status: Status
    ended: KeyRow | None = None
    """The event that retired it or reported it compromised, the last of them."""

    @property
    def name(self) -> str:
        """The key's own name."""
        return self.created.name

    @property
    def role(self) -> str:
        """The name by which environments of policies call for it."""
        return self.created.succeeds or self.created.name

    @property
    def since(self) -> datetime | None:
        """From when on somebody else may have had it; None unless compromised."""
        return None if self.ended is None else self.ended.since


def key_lives(events: Iterable[KeyRow]) -> Mapping[str, KeyLife]:
    """Every key by its name, in the order of their making, from all events in the order of their leaves."""
    lives: dict[str, KeyLife] = {}
    for event in events:
        match event.event:
            case "created":
                lives[event.name] = KeyLife(created=event, status="next" if event.succeeds else "active")
            case "rotated":
                role = lives[event.name].role
                for other in lives.values():
                    if other.role == role and other.status == "active":
                        lives[other.name] = replace(other, status="superseded")
                lives[event.name] = replace(lives[event.name], status="active")
            case "retired" | "compromised" as status:
                lives[event.name] = replace(lives[event.name], status=status, ended=event)
    return lives


def active_key(lives: Mapping[str, KeyLife], role: str) -> KeyLife | None:
    """The key that signs for `role`; None when there is none, or it was retired or compromised."""
    return next((life for life in lives.values() if life.role == role and life.status == "active"), None)


def succession(lives: Mapping[str, KeyLife], role: str) -> tuple[KeyLife, ...]:
    """Every key that was made for `role`, the oldest first."""
    return tuple(life for life in lives.values() if life.role == role)
