# SPDX-License-Identifier: Apache-2.0
"""Keeps the published revocation list true and current: a file that web serves and never writes.

A list is written when what it says changed, and again each hour, good for a day: where the custodian is down, or the
file cannot be written, verifiers that use lists stop accepting releases instead of trusting an old one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.custodian.standing import Standing
from signer.formats.revocations import RevocationList, Revoked, RevokedKey, RevokedRelease, sign_revocations
from signer.telemetry.logs import Log, failure

VALID = timedelta(hours=24)
RENEW = timedelta(hours=1)


class Revocations:
    """What was published last, and when it is due again."""

    def __init__(self, *, key: Ed25519PrivateKey, write: Callable[[bytes], None], log: Log) -> None:
        """`write` replaces the file as a whole, durably; it may raise OSError."""
        self._key = key
        self._write = write
        self._log = log
        self._published: tuple[Revoked, ...] | None = None
        self._due: datetime | None = None

    def turn(self, standing: Standing, *, size: Callable[[], int], now: datetime) -> None:
        """Publish when there is something to say; a failure is logged and tried again at the next turn."""
        entries = revoked(standing)
        if entries == self._published and self._due is not None and now < self._due:
            return
        listed = RevocationList(
            origin=standing.genesis.origin,
            genesis=standing.genesis_hash,
            issued=now,
            next_update=now + VALID,
            size=size(),
            entries=entries,
        )
        try:
            # A crash before this returns leaves the older list, which the next start replaces.
            self._write(sign_revocations(listed, self._key))
        except OSError as fault:
            self._log.error("revocation list cannot be written", **failure(fault))
            return
        self._published, self._due = entries, now + RENEW


def revoked(standing: Standing) -> tuple[Revoked, ...]:
    """All that was taken back, in the order of the leaves that say so."""
    releases = (
        RevokedRelease(
            sha256=row.sha256,
            policy=row.policy,
            environment=row.environment,
            leaf=row.leaf,
            time=row.time,
            reason=row.reason,
        )
        for row in standing.revoked
    )
    return tuple(sorted((*revoked_keys(standing), *releases), key=lambda entry: entry.leaf))


def revoked_keys(standing: Standing) -> tuple[RevokedKey, ...]:
    """The compromised keys, in the order of the leaves that say so."""
    found = [
        RevokedKey(
            kid=life.created.kid,
            name=life.name,
            since=life.ended.since,
            leaf=life.ended.leaf,
            time=life.ended.time,
            reason=life.ended.reason,
        )
        for life in standing.lives.values()
        if life.status == "compromised" and life.ended is not None and life.ended.since is not None
    ]
    return tuple(sorted(found, key=lambda entry: entry.leaf))
