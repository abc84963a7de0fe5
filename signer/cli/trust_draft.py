# SPDX-License-Identifier: Apache-2.0
"""The next trust document: the one in force, brought up to what the ledger records of keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from signer.cli.operator import recorded
from signer.cli.options import write_file
from signer.cli.output import clean
from signer.errors import Refused
from signer.formats.strict_base64 import decode_base64
from signer.formats.timestamp import read_chain
from signer.formats.trust import TrustDocument, TrustKey, build_trust_document
from signer.formats.trust_authority import TimestampAuthority
from signer.ledger.leaves import Genesis, decode_leaf
from signer.tlog.merkle import leaf_hash
from signer.verify.checks import Checklist
from signer.verify.trust import verify_trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """A document that waits for the owners."""

    version: int
    added: tuple[TrustKey, ...]
    ended: tuple[TrustKey, ...]
    authorities: tuple[TimestampAuthority, ...]
    """The timestamp authorities of the new document."""
    document: Path

    def members(self) -> Mapping[str, Any]:
        """For machines."""
        return {
            "version": self.version,
            "added": [key.kid for key in self.added],
            "ended": [key.kid for key in self.ended],
            "timestamp_authorities": [each.name for each in self.authorities],
            "document": str(self.document),
        }

    def story(self) -> str:
        """For people: what it changes, and who does what next."""
        name = self.document
        return "\n".join(
            [
                f"{name} is version {self.version}: {len(self.added)} new key(s), {len(self.ended)} ended",
                *(f"  {clean(key.name)}  {key.kid}  {key.status}" for key in (*self.added, *self.ended)),
                *(f"  timestamp authority {clean(each.name)}" for each in self.authorities),
                f" next     each owner: signer owner sign --action trust --document {name} --key KEY --out SIGNATURE",
                f"          then: signer trust publish {name} --signature SIGNATURE --signature SIGNATURE",
            ]
        )


@dataclass(frozen=True, slots=True)
class NewAuthority:
    """A timestamp authority that is to be pinned: its name, the PEM file of its chain, and from when on it counts."""

    name: str
    pem: bytes
    since: datetime


def draft_trust(config: Path, *, out: Path, authority: NewAuthority | None = None) -> Drafted:
    """Write the document to `out`; raises what reading the ledger's database raises, and Malformed for a chain.

    Another chain under the name of an authority that is there already ends the older one: its timestamps count while
    they are of its time.
    """
    file, genesis, keys = recorded(config)
    current = _unpublished(genesis) if file is None else verify_trust(file, checks=Checklist(), allow_dev=True)
    by_kid = {key.kid: key for key in keys}
    kept = tuple(_ended(key, by_kid.get(key.kid)) for key in current.keys)
    known = {key.kid for key in kept}
    added = tuple(key for key in keys if key.kid not in known)
    version = current.version + 1
    stamping = _authorities(current.timestamp_authorities, authority)
    document = replace(current, version=version, keys=kept + added, timestamp_authorities=stamping)
    write_file(out, build_trust_document(document))
    ended = tuple(key for key, before in zip(kept, current.keys, strict=True) if key != before)
    return Drafted(version=version, added=added, ended=ended, authorities=stamping, document=out)


def _authorities(listed: tuple[TimestampAuthority, ...], new: NewAuthority | None) -> tuple[TimestampAuthority, ...]:
    if new is None:
        return listed
    chain = read_chain(new.pem)
    if any(each.name == new.name and each.certificates == chain for each in listed):
        return listed
    kept = tuple(_renamed(each, now=new.since) if each.name == new.name else each for each in listed)
    return (*kept, TimestampAuthority(name=new.name, certificates=chain, not_before=new.since, not_after=None))


def _renamed(authority: TimestampAuthority, *, now: datetime) -> TimestampAuthority:
    """An authority whose name goes on with other certificates: its own time ends."""
    until = f"{authority.name}-until-{now:%Y%m%d%H%M%S}"
    ends = [end for end in (authority.not_after, now) if end is not None]
    return replace(authority, name=until, not_after=min(ends))


def _ended(listed: TrustKey, record: TrustKey | None) -> TrustKey:
    """The key as the owners listed it, with an end where the ledger has one; their own window is never widened."""
    if record is None or record.status in ("active", listed.status):
        return listed
    ends = [end for end in (listed.not_after, record.not_after) if end is not None]
    return replace(listed, status=record.status, not_after=min(ends, default=None))


def _unpublished(genesis: bytes) -> TrustDocument:
    """What stands before version 1: the owners and the ledger key of leaf 0, and no key."""
    leaf = decode_leaf(genesis)
    if not isinstance(leaf, Genesis):
        raise Refused("genesis-missing", "leaf 0 is not a genesis leaf", remedy="signer doctor --config FILE")
    return TrustDocument(
        version=0,
        origin=leaf.origin,
        genesis=leaf_hash(genesis).hex(),
        dev=leaf.dev,
        verifier=f"https://{leaf.origin}",
        ledger_keys=(leaf.ledger_key,),
        threshold=leaf.threshold,
        owners=tuple(decode_base64(owner, what="owner of the genesis leaf") for owner in leaf.owners),
        keys=(),
    )
