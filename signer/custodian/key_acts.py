# SPDX-License-Identifier: Apache-2.0
"""Events in a key's life: each becomes one leaf, or is refused. Nothing here writes.

A key signs for a role only after the owners listed it and it was rotated in. Ending one needs no owner: stopping is
always allowed, and no event makes an ended key sign again.
"""

from __future__ import annotations

from datetime import datetime

from signer.custodian.administration import MAX_REASON
from signer.custodian.commands import KeyEvent
from signer.custodian.standing import Standing
from signer.errors import Malformed, Refused
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.strict_base64 import encode_base64
from signer.keys.keyring import KeyPlace, pin_of
from signer.ledger.key_life import KeyLife, active_key, succession
from signer.ledger.leaves import Key
from signer.ledger.sequencer import Entry


def created(
    place: KeyPlace, spki: bytes, *, succeeds: str, standing: Standing, principal: str, time: datetime
) -> Entry:
    """The leaf that pins a key for its purpose; raises Refused where the same key serves another name."""
    pin = pin_of(place.name, purpose=place.purpose, algorithm=place.algorithm, spki=spki)
    for other in standing.pins.values():
        if other.kid == pin.kid:
            raise Refused(
                "key-shared",
                f"this public key is recorded as {other.name} already",
                remedy="make another key: purposes never share one",
            )
    leaf = Key(
        time=format_time(time),
        event="created",
        name=pin.name,
        kid=pin.kid,
        purpose=pin.purpose,
        algorithm=pin.algorithm,
        spki=encode_base64(spki),
        principal=principal,
        succeeds=succeeds,
    )
    return Entry(leaf)


def require_role(place: KeyPlace, succeeds: str, *, standing: Standing) -> None:
    """A key may succeed in a role of its own purpose; raises Refused."""
    if not succeeds:
        return
    made = succession(standing.lives, succeeds)
    if not made:
        raise Refused(
            "key-unknown",
            f"no recorded key has the role {succeeds[:64]}",
            remedy="name the role that policies name: signer keys list",
        )
    if made[0].created.purpose != place.purpose:
        raise Refused(
            "key-purpose",
            f"key {place.name} is for the purpose {place.purpose}, the role {succeeds} for {made[0].created.purpose}",
            remedy="purposes never mix: configure a key of that purpose",
        )


def event(command: KeyEvent, *, standing: Standing, principal: str, now: datetime) -> Entry | int:
    """The leaf of a later event, or the index of the leaf that says so already; raises Malformed or Refused."""
    life = standing.lives.get(command.name)
    if life is None:
        raise Refused(
            "key-unknown", f"no key {command.name[:64]} is recorded", remedy="see the names: signer keys list"
        )
    match command.event:
        case "rotated":
            if life.status == "active":
                return life.created.leaf
            _require_rotatable(life, standing=standing, now=now)
            return _leaf(life, command.event, principal=principal, now=now)
        case "retired":
            if life.status == "retired" and life.ended is not None:
                return life.ended.leaf
            _require_retirable(life, standing=standing)
            return _leaf(life, command.event, principal=principal, now=now, reason=_reason(command))
        case "compromised":
            since = parse_time(command.since, what="since", code="invalid-since")
            if since > now:
                raise Malformed("invalid-since", "the key was compromised in the past, not in the future")
            known = life.since
            if known is not None and known <= since and life.ended is not None:
                # A later date would bring back what was taken back.
                return life.ended.leaf
            return _leaf(life, command.event, principal=principal, now=now, reason=_reason(command), since=since)
        case _:
            raise Malformed("malformed-frame", "an event is rotated, retired or compromised")


def _require_rotatable(life: KeyLife, *, standing: Standing, now: datetime) -> None:
    if life.status not in ("next", "superseded"):
        raise Refused(
            "key-ended",
            f"key {life.name} is {life.status} and signs no more",
            remedy=f"make a new key for the role: signer keys create NAME --succeeds {life.role}",
        )
    listed = standing.trust.key(life.created.kid) if standing.trust is not None else None
    if (
        listed is None
        or listed.status != "active"
        or not listed.not_before <= now
        or (listed.not_after is not None and now >= listed.not_after)
    ):
        raise Refused(
            "key-not-trusted",
            f"the trust document in force does not list key {life.name} as active now",
            remedy="the owners sign a document with this key first: signer trust draft, signer owner sign, "
            "signer trust publish",
        )


def _require_retirable(life: KeyLife, *, standing: Standing) -> None:
    if life.status == "compromised":
        raise Refused("key-ended", f"key {life.name} is compromised, which is more than retired")
    if life.role in standing.roles and active_key(standing.lives, life.role) == life:
        raise Refused(
            "key-in-use",
            f"key {life.name} signs for the role {life.role}, which a policy in force names",
            remedy=f"let its successor sign first: signer keys create NAME --succeeds {life.role}, signer keys rotate",
        )


def _reason(command: KeyEvent) -> str:
    if not 1 <= len(command.reason) <= MAX_REASON or not command.reason.isprintable():
        raise Malformed("invalid-reason", f"a reason is 1 to {MAX_REASON} printable characters")
    return command.reason


def _leaf(
    life: KeyLife, event: str, *, principal: str, now: datetime, reason: str = "", since: datetime | None = None
) -> Entry:
    row = life.created
    leaf = Key(
        time=format_time(now),
        event=event,
        name=row.name,
        kid=row.kid,
        purpose=row.purpose,
        algorithm=row.algorithm,
        spki=encode_base64(row.spki),
        principal=principal,
        since="" if since is None else format_time(since),
        reason=reason,
    )
    return Entry(leaf)
