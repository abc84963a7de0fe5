# SPDX-License-Identifier: Apache-2.0
"""What is asked of a token or a timestamp authority, and how it ends, as the rest of the custodian sees it."""

from __future__ import annotations

from dataclasses import dataclass

from signer.keys.keyring import PinnedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningJob:
    """One input for one pinned key; `ticket` is the asker's name for it."""

    ticket: int
    key: PinnedKey
    data: bytes
    """As `signer.domain.algorithm.key_input` makes it."""
    begin_by: int
    """CLOCK_MONOTONIC nanoseconds after which the key must not be called."""
    attempts: int = 0
    """How many workers have been given this job and provably did not sign."""
    probe: bool = False
    """Nobody waits for it: it comes after all others, and is not tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded:
    """How one signing job ended: `signed` with the signature, `failed`, or `unknown`."""

    ticket: int
    status: str
    signature: bytes
    reason: str
    detail: str
    attempts: int
    kid: str = ""
    """Key id of the key that was called, or would have been."""
    probe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLocated:
    """The key found or made at a place; `spki` is empty and `code` says why when there is none."""

    ticket: int
    spki: bytes
    code: str
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StampJob:
    """A signature to be timestamped under one of these pinned chains; `ticket` is the asker's name for it."""

    ticket: int
    signature: bytes
    chains: tuple[tuple[bytes, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """The verified timestamp response of one job; empty when there is none, and `detail` says why."""

    ticket: int
    response: bytes
    detail: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """A token showed or used another key than the pinned one: signing must halt until a person acts."""

    code: str
    detail: str


TokenEvent = JobEnded | Stamped | KeyLocated | Alarm
