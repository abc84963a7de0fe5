# SPDX-License-Identifier: Apache-2.0
"""The authorities that may name a caller: a few of one's own, and none that the public web trusts.

Whoever pastes the system's bundle here lets everybody in who can buy a certificate. Grants would still be missing for
such a caller, but the first of the doors would stand open.
"""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path

import certifi

MAX_AUTHORITIES = 32
"""More than one organisation has; a bundle of public authorities holds three times as many."""

Name = tuple[tuple[tuple[str, str], ...], ...]
"""A distinguished name as `ssl` shows it: ((("commonName", "clients"),),)."""


def load_authorities(context: ssl.SSLContext, path: Path) -> None:
    """Let the authorities of a PEM file name the callers of a fresh context.

    Raises OSError unless every certificate is that of an authority, there are few, and none is
    public: of Mozilla's list, by its name, or issued by one of that list.
    """
    context.load_verify_locations(cafile=path)
    count = context.cert_store_stats()
    if count["x509_ca"] < count["x509"]:
        raise OSError(f"{path} holds a certificate that is no authority's (basicConstraints CA)")
    if not 0 < count["x509"] <= MAX_AUTHORITIES:
        raise OSError(f"{path} holds {count['x509']} authorities, where 1 to {MAX_AUTHORITIES} may name callers")
    if public := next((name for name in _names(context) if name in public_names()), None):
        raise OSError(f"{path} trusts the public authority {_shown(public)}, which issues for anybody")


@cache
def public_names() -> frozenset[Name]:
    """The names of the authorities that browsers trust, read once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=certifi.where())
    return frozenset(_names(context))


def _names(context: ssl.SSLContext) -> list[Name]:
    """Subjects and issuers of all authorities of a context."""
    return [each[role] for each in context.get_ca_certs() for role in ("subject", "issuer")]  # type: ignore[misc]  # typeshed knows no member's type


def _shown(name: Name) -> str:
    return ", ".join(f"{kind}={value}" for part in name for kind, value in part)
