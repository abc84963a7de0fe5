# SPDX-License-Identifier: Apache-2.0
"""Owner acts: what owners sign offline to put a document in force or to end a halt.

DSSE over canonical JSON, payload type `application/vnd.signing-authority.owner-act+json`:

    {"action":"policy","number":2,"origin":"sign.example/authority","sha256":"<of the document>"}

`number` is the document's version, or the index of the halt leaf; so a signature fits one version or one halt.
For `resume`, `sha256` is that of the halt leaf's bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from signer.errors import Malformed, Refused
from signer.formats.canonical import canonical
from signer.formats.dsse import (
    Envelope,
    PrivateKey,
    encode_envelope,
    pae,
    parse_envelope,
    sign_envelope,
    verify_envelope,
)
from signer.formats.shape import read_shape
from signer.formats.spki import PublicKey, keyid, load_spki, spki_der
from signer.formats.strict_json import parse_object

PAYLOAD_TYPE = "application/vnd.signing-authority.owner-act+json"
MAX_ACT = 64 * 1024

Action: TypeAlias = Literal["policy", "shadow", "access", "trust", "resume"]
OwnerKey: TypeAlias = PrivateKey

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class OwnerAct:
    """One act of the owners over one document version or one halt."""

    action: Action
    number: int
    origin: str
    sha256: str

    def payload(self) -> bytes:
        """The canonical bytes that stand in the envelope."""
        return canonical({"action": self.action, "number": self.number, "origin": self.origin, "sha256": self.sha256})

    def to_be_signed(self) -> bytes:
        """The bytes that an owner's device signs: PAE over the payload."""
        return pae(PAYLOAD_TYPE, self.payload())


class _Act(msgspec.Struct, forbid_unknown_fields=True):
    action: Action
    number: int
    origin: str
    sha256: str


def sign_owner_act(act: OwnerAct, private_key: OwnerKey) -> bytes:
    """Sign `act` with a key held in memory and return the envelope; P-256 or Ed25519."""
    return sign_envelope(PAYLOAD_TYPE, act.payload(), private_key)


def owner_act_envelope(act: OwnerAct, *, key: PublicKey, signature: bytes) -> bytes:
    """The envelope around a signature that a device made over `act.to_be_signed()`."""
    return encode_envelope(PAYLOAD_TYPE, act.payload(), [(keyid(spki_der(key)), signature)])


def parse_owner_act(envelope: bytes) -> OwnerAct:
    """What an envelope claims to act on, for showing it to a person; nothing is verified. Raises Malformed."""
    parsed = parse_envelope(envelope, limit=MAX_ACT)
    if parsed.payload_type != PAYLOAD_TYPE:
        raise Malformed("malformed-owner-act", "the envelope does not hold an owner act")
    value: Any = parse_object(parsed.payload, limit=MAX_ACT, what="owner act")
    wire = read_shape(value, _Act, what="owner act", code="malformed-owner-act")
    if _SHA256.fullmatch(wire.sha256) is None or wire.number < 0:
        raise Malformed("malformed-owner-act", "the owner act names no sha256 digest or a negative number")
    return OwnerAct(wire.action, wire.number, wire.origin, wire.sha256)


def verify_owner_acts(
    envelopes: Sequence[bytes], *, act: OwnerAct, owners: Sequence[bytes], threshold: int
) -> tuple[str, ...]:
    """Key ids of the distinct owners who signed exactly `act`, sorted.

    `owners` are DER SubjectPublicKeyInfo. An envelope over another act, or by a key that is no owner, counts for
    nothing. Raises Refused("owner-threshold") below the threshold, Malformed for an envelope that does not parse.
    """
    return count_owners(
        [parse_envelope(envelope, limit=MAX_ACT) for envelope in envelopes],
        act=act,
        owners=owners,
        threshold=threshold,
    )


def count_owners(
    envelopes: Sequence[Envelope], *, act: OwnerAct, owners: Sequence[bytes], threshold: int
) -> tuple[str, ...]:
    """The same for envelopes that are already parsed."""
    # Named by key id, so an owner listed twice or signing twice counts once.
    keys = {keyid(der): load_spki(der) for der in owners}
    if not 1 <= threshold <= len(keys):
        raise Refused("owner-threshold", f"a threshold of {threshold} cannot be met by {len(keys)} owners")
    expected = act.payload()
    signed: set[str] = set()
    for envelope in envelopes:
        if envelope.payload_type == PAYLOAD_TYPE and envelope.payload == expected:
            signed |= verify_envelope(envelope, keys, hints={name: name for name in keys})
    if len(signed) < threshold:
        raise Refused(
            "owner-threshold",
            f"{len(signed)} of the {threshold} needed owners signed {act.action} {act.number}",
            remedy=f"each owner runs: signer owner sign, for {act.action} {act.number} with sha256 {act.sha256}",
        )
    return tuple(sorted(signed))
