# SPDX-License-Identifier: Apache-2.0
"""Which key may have signed: one of the trust file, of the purpose that is needed, valid at the instant it signed."""

from __future__ import annotations

from datetime import datetime

from signer.domain.purpose import Purpose
from signer.formats.rfc3339 import format_time
from signer.formats.trust import TrustDocument, TrustKey
from signer.verify.checks import OneCheck


def trusted_key(check: OneCheck, trust: TrustDocument, kid: str, *, purpose: Purpose) -> TrustKey:
    """The key with this id, when the owners list it for `purpose`; raises CheckFailed.

    A key id only selects: what is trusted is the key that the owners' document gives for it.
    """
    key = trust.key(kid)
    if key is None or key.purpose is not purpose:
        raise check.failure(
            expected=f"a key of the trust file with the purpose {purpose}",
            found=f"key id {kid[:64]!r}" + ("" if key is None else f" with the purpose {key.purpose}"),
            remedy="fetch the newest trust file: signer trust update",
        )
    return key


def require_valid(check: OneCheck, key: TrustKey, *, at: datetime) -> None:
    """The key was valid at the instant `at`, and has not been taken back; raises CheckFailed("key-not-valid")."""
    code = "key-not-valid"
    check.require(
        key.status in ("active", "retired"),
        code=code,
        expected="an active or retired key",
        found=f"{key.name} is {key.status}",
        remedy="do not use what this key signed; ask the security team",
    )
    end = "open" if key.not_after is None else format_time(key.not_after)
    check.require(
        key.not_before <= at and (key.not_after is None or at <= key.not_after),
        code=code,
        expected=f"a time between {format_time(key.not_before)} and {end}",
        found=format_time(at),
    )
    check.require(
        key.status == "active" or key.not_after is not None,
        code=code,
        expected="an end of validity for a key that is not active",
        found="none",
    )
