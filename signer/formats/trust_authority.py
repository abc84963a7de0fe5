# SPDX-License-Identifier: Apache-2.0
"""A timestamp authority as the owners list it in the trust document.

    {"certificates":["<base64 DER>"],"name":"tsa","not_after":null,"not_before":"2026-11-23T10:00:00.000000Z"}

`certificates` pin a chain: the authority's own certificate where that is pinned too, then those of its CAs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.strict_base64 import decode_base64, encode_base64
from signer.formats.timestamp import check_chain

_CODE = "malformed-trust"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampAuthority:
    """An authority whose RFC 3161 timestamps count while its window holds them."""

    name: str
    certificates: tuple[bytes, ...]
    """DER, as `signer.formats.timestamp` takes a chain."""
    not_before: datetime
    not_after: datetime | None

    def covers(self, instant: datetime) -> bool:
        """Whether its timestamps of this instant count."""
        return self.not_before <= instant and (self.not_after is None or instant <= self.not_after)


class AuthorityWire(msgspec.Struct, forbid_unknown_fields=True):
    """The entry as JSON."""

    name: str
    certificates: list[str]
    not_before: str
    not_after: str | None


def authority_object(authority: TimestampAuthority) -> dict[str, Any]:
    """The JSON object of an entry."""
    return {
        "name": authority.name,
        "certificates": [encode_base64(der) for der in authority.certificates],
        "not_before": format_time(authority.not_before),
        "not_after": None if authority.not_after is None else format_time(authority.not_after),
    }


def read_authority(wire: AuthorityWire) -> TimestampAuthority:
    """Read an entry; raises Malformed."""
    certificates = tuple(decode_base64(each, what="certificate", code=_CODE) for each in wire.certificates)
    check_chain(certificates)
    return TimestampAuthority(
        name=wire.name,
        certificates=certificates,
        not_before=parse_time(wire.not_before, what="not_before", code=_CODE),
        not_after=None if wire.not_after is None else parse_time(wire.not_after, what="not_after", code=_CODE),
    )
