# SPDX-License-Identifier: Apache-2.0
"""The revocation list: what the authority took back, signed by the ledger key, with a date by which it is replaced.

DSSE over canonical JSON, payload type `application/vnd.signing-authority.revocations+json`:

    {"entries":[{"kid":"<base64 sha256 of the SPKI>","kind":"key","leaf":41,"name":"release","reason":"laptop stolen",
                 "since":"2026-11-20T00:00:00.000000Z","time":"2026-11-23T10:00:00.000000Z"},
                {"environment":"*","kind":"release","leaf":44,"policy":"demo","reason":"backdoor found",
                 "sha256":"<hex>","time":"2026-11-24T10:00:00.000000Z"}],
     "genesis":"<hex leaf hash of leaf 0>","issued":"…","next_update":"…","origin":"…","size":42,
     "type":"signing-authority/revocations/v1"}

`size` is the size of the ledger that the list was made from. A list past `next_update` says nothing any more. The
ledger key signs checkpoints as notes and this as DSSE: no text of one form parses as the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.errors import Malformed, Refused
from signer.formats.canonical import canonical
from signer.formats.dsse import encode_envelope, pae, parse_envelope, verify_envelope
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.shape import read_shape
from signer.formats.spki import PublicKey, keyid, spki_der
from signer.formats.strict_base64 import decode_base64
from signer.formats.strict_json import parse_object

TYPE = "signing-authority/revocations/v1"
PAYLOAD_TYPE = "application/vnd.signing-authority.revocations+json"
MAX_LIST = 8 * 1024 * 1024

_CODE = "malformed-revocations"
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedKey:
    """A compromised key: nothing that it signed counts, but what the ledger proves to be older than `since`."""

    kid: str
    name: str
    since: datetime
    """From when on somebody else may have signed with it."""
    leaf: int
    """Index of the leaf that says so."""
    time: datetime
    """When that leaf was written."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedRelease:
    """A digest for which nothing counts that was signed under one policy, for one environment or `*`, whenever."""

    sha256: str
    policy: str
    environment: str
    leaf: int
    """Index of the leaf that says so."""
    time: datetime
    """When that leaf was written."""
    reason: str


Revoked: TypeAlias = RevokedKey | RevokedRelease


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """One issue of the list; its entries are in the order of their leaves."""

    origin: str
    genesis: str
    issued: datetime
    next_update: datetime
    size: int
    entries: tuple[Revoked, ...]

    def key(self, kid: str) -> RevokedKey | None:
        """What the list says of the key with this key id."""
        keys = (entry for entry in self.entries if isinstance(entry, RevokedKey))
        return next((entry for entry in keys if entry.kid == kid), None)

    def release(self, sha256: str, *, policy: str, environment: str) -> RevokedRelease | None:
        """What the list says of this digest, as signed under this policy for this environment."""
        releases = (entry for entry in self.entries if isinstance(entry, RevokedRelease))
        return next(
            (
                entry
                for entry in releases
                if (entry.sha256, entry.policy) == (sha256, policy) and entry.environment in ("*", environment)
            ),
            None,
        )


class _Key(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="key"):
    kid: str
    name: str
    since: str
    leaf: int
    time: str
    reason: str


class _Release(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="release"):
    sha256: str
    policy: str
    environment: str
    leaf: int
    time: str
    reason: str


class _List(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["signing-authority/revocations/v1"]
    origin: str
    genesis: str
    issued: str
    next_update: str
    size: int
    entries: list[_Key | _Release]


def sign_revocations(listed: RevocationList, key: Ed25519PrivateKey) -> bytes:
    """The signed list as envelope bytes; the same list gives the same bytes."""
    payload = canonical(
        {
            "type": TYPE,
            "origin": listed.origin,
            "genesis": listed.genesis,
            "issued": format_time(listed.issued),
            "next_update": format_time(listed.next_update),
            "size": listed.size,
            "entries": list(map(_object, listed.entries)),
        }
    )
    signature = key.sign(pae(PAYLOAD_TYPE, payload))
    return encode_envelope(PAYLOAD_TYPE, payload, [(keyid(spki_der(key.public_key())), signature)])


def read_revocations(data: bytes, keys: Sequence[PublicKey]) -> RevocationList:
    """The list in `data` once one of the ledger keys `keys` signed it; raises Malformed or Refused.

    Its dates are for the caller to judge.
    """
    envelope = parse_envelope(data, limit=MAX_LIST)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise Malformed(_CODE, "the envelope does not hold a revocation list")
    if not verify_envelope(envelope, {str(number): key for number, key in enumerate(keys)}):
        raise Refused("revocations-unsigned", "no ledger key of the trust file signed the revocation list")
    value = parse_object(envelope.payload, limit=MAX_LIST, what="revocation list")
    wire = read_shape(value, _List, what="revocation list", code=_CODE)
    listed = RevocationList(
        origin=wire.origin,
        genesis=wire.genesis,
        issued=parse_time(wire.issued, what="issued", code=_CODE),
        next_update=parse_time(wire.next_update, what="next_update", code=_CODE),
        size=wire.size,
        entries=tuple(_entry(entry) for entry in wire.entries),
    )
    leaves = [entry.leaf for entry in listed.entries]
    if _HASH.fullmatch(listed.genesis) is None or listed.issued >= listed.next_update:
        raise Malformed(_CODE, "the list names no ledger, or ends before it begins")
    if leaves != sorted(set(leaves)) or any(not 0 < leaf < listed.size for leaf in leaves):
        raise Malformed(_CODE, "an entry does not name its leaf of the ledger")
    return listed


def _object(entry: Revoked) -> dict[str, Any]:
    said = {"leaf": entry.leaf, "time": format_time(entry.time), "reason": entry.reason}
    match entry:
        case RevokedKey():
            return {"kind": "key", "kid": entry.kid, "name": entry.name, "since": format_time(entry.since), **said}
        case RevokedRelease():
            about = {"sha256": entry.sha256, "policy": entry.policy, "environment": entry.environment}
            return {"kind": "release", **about, **said}


def _entry(wire: _Key | _Release) -> Revoked:
    if isinstance(wire, _Release):
        if _HASH.fullmatch(wire.sha256) is None or not wire.policy or not wire.environment:
            raise Malformed(_CODE, "an entry names no release")
        return RevokedRelease(
            sha256=wire.sha256,
            policy=wire.policy,
            environment=wire.environment,
            leaf=wire.leaf,
            time=parse_time(wire.time, what="time of an entry", code=_CODE),
            reason=wire.reason,
        )
    decode_base64(wire.kid, what="key id of an entry", code=_CODE)
    return RevokedKey(
        kid=wire.kid,
        name=wire.name,
        since=parse_time(wire.since, what="since", code=_CODE),
        leaf=wire.leaf,
        time=parse_time(wire.time, what="time of an entry", code=_CODE),
        reason=wire.reason,
    )
