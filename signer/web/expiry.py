# SPDX-License-Identifier: Apache-2.0
"""When the TLS files of the listeners end: the server certificate, the client authorities, the revocation lists.

Past the end of any of them nobody gets in, so each is a metric long before and a problem after.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

_Read = Callable[[bytes], Iterable[datetime]]

_LIST = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The files of the mutual TLS listener that end by themselves."""

    certificate: Path
    client_ca: Path | None = None
    crl: Path | None = None


@dataclass(frozen=True, slots=True)
class Ends:
    """What was found: role → first end, and what is wrong. A role without an end is absent."""

    times: Mapping[str, datetime]
    problems: tuple[str, ...]


def look_at(files: TlsFiles, *, now: datetime) -> Ends:
    """Read all files and find the first end in each; whatever cannot be read is a problem."""
    times: dict[str, datetime] = {}
    problems = []
    for role, what, path, read, remedy in (
        ("certificate", "the server certificate", files.certificate, _certificates, "renew it"),
        ("client_ca", "an authority of clients", files.client_ca, _certificates, "put its successor beside it"),
        ("crl", "a revocation list", files.crl, _lists, "fetch the next one"),
    ):
        if path is None:
            continue
        try:
            ends = list(read(path.read_bytes()))
        except (OSError, ValueError) as fault:
            problems.append(f"{role}: {what} cannot be read: {type(fault).__name__}")
            continue
        if ends:
            times[role] = min(ends)
            if min(ends) <= now:
                problems.append(f"{role}: {what} ended {min(ends).isoformat()}: {remedy}")
    return Ends(times, tuple(problems))


def _certificates(pem: bytes) -> Iterable[datetime]:
    return [certificate.not_valid_after_utc for certificate in x509.load_pem_x509_certificates(pem)]


def _lists(pem: bytes) -> Iterable[datetime]:
    lists = [x509.load_pem_x509_crl(block) for block in _LIST.findall(pem)]
    if not lists:
        raise ValueError("no revocation list")
    return [each.next_update_utc for each in lists if each.next_update_utc is not None]
