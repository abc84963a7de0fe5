# SPDX-License-Identifier: Apache-2.0
"""The keyring: from a key's name to its only purpose, its place and its pin (invariants I4 and I11).

Settings say where a key is and what it is for; the ledger's key leaf says which public key it had when it was
recorded. A key is usable when both agree, and for its own purpose alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from signer.errors import Malformed, Misconfigured, Unavailable
from signer.formats.spki import keyid, load_spki
from signer.keys.backend import KeyFault, Scope
from signer.keys.uri import KeyUri, parse_uri

ALGORITHM = "ecdsa-p256-sha256"
_PREHASHED = ec.ECDSA(Prehashed(hashes.SHA256()))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """What settings say of one key: its name, where it is and the one purpose it serves."""

    name: str
    uri: KeyUri
    purpose: str
    algorithm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What the ledger says of one key: the public key that every signature must verify under."""

    name: str
    kid: str
    purpose: str
    algorithm: str
    spki: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedKey:
    """A key that settings and ledger agree on."""

    place: KeyPlace
    pin: Pin


class Keyring:
    """All configured keys by name; raises Misconfigured where two entries share a name or a place."""

    def __init__(self, places: Iterable[KeyPlace]) -> None:
        self._places: dict[str, KeyPlace] = {}
        for place in places:
            if place.name in self._places:
                raise Misconfigured("settings-invalid", f"two keys are named {place.name}")
            if any(place.uri == other.uri for other in self._places.values()):
                raise Misconfigured(
                    "settings-invalid",
                    f"key {place.name} stands at the URI of another key",
                    remedy="give every key its own object: purposes never share a key",
                )
            self._places[place.name] = place

    @property
    def places(self) -> Mapping[str, KeyPlace]:
        """Where each configured key is."""
        return self._places

    def place(self, name: str) -> KeyPlace:
        """The configured place of key `name`; raises Unavailable("key-not-configured")."""
        place = self._places.get(name)
        if place is None:
            raise Unavailable(
                "key-not-configured",
                f"no key named {name[:64]} stands in the custodian's settings",
                remedy="add a [[keys]] entry and restart the custodian",
            )
        return place

    def resolve(self, name: str, *, purpose: str, pins: Mapping[str, Pin]) -> PinnedKey:
        """The pinned key `name` for `purpose`; raises Unavailable for a key that is missing or meant for another."""
        place = self.place(name)
        pin = pins.get(name)
        if pin is None:
            raise Unavailable(
                "key-not-recorded",
                f"the ledger holds no key event for {name}",
                remedy="run `signer keys create` on the custodian's machine",
            )
        if purpose != place.purpose or purpose != pin.purpose or place.algorithm != pin.algorithm:
            raise Unavailable(
                "key-purpose",
                f"key {name} does not serve the purpose {purpose}",
                remedy="name a key of that purpose in the policy's environment",
            )
        return PinnedKey(place=place, pin=pin)


def keyring_of(keys: Iterable[tuple[str, str, str, str]]) -> Keyring:
    """Build a keyring from (name, uri, purpose, algorithm) rows; raises Misconfigured."""
    places = []
    for name, uri, purpose, algorithm in keys:
        if algorithm != ALGORITHM:
            raise Misconfigured("settings-invalid", f"key {name}: {algorithm} is not supported")
        try:
            places.append(KeyPlace(name=name, uri=parse_uri(uri), purpose=purpose, algorithm=algorithm))
        except Malformed as fault:
            raise Misconfigured("settings-invalid", f"key {name}: {fault.detail}", remedy=fault.remedy) from None
    return Keyring(places)


def pin_of(name: str, *, purpose: str, algorithm: str, spki: bytes) -> Pin:
    """The pin of a public key; raises Malformed when `spki` is no P-256 key."""
    _p256(spki)
    return Pin(name=name, kid=keyid(spki), purpose=purpose, algorithm=algorithm, spki=spki)


class PinCheck:
    """One pin, loaded once: what a token shows and what it signs must both agree with it."""

    def __init__(self, spki: bytes, *, uri: KeyUri) -> None:
        self._key = _p256(spki)
        self.spki = spki
        self.uri = uri

    def check_found(self, found: bytes) -> None:
        """Compare the public key that a token shows with the pin; raises KeyFault("key-pin-mismatch")."""
        if found != self.spki:
            raise KeyFault(
                "key-pin-mismatch",
                f"the key at {self.uri} is not the one that the ledger recorded",
                scope=Scope.KEY,
                remedy="restore the recorded key, or record a new one under a new name",
            )

    def verify_own(self, digest: bytes, signature: bytes) -> None:
        """Verify a fresh signature before it goes anywhere (invariant I11); raises KeyFault("self-check-failed")."""
        try:
            self._key.verify(signature, digest, _PREHASHED)
        except (InvalidSignature, ValueError):
            raise KeyFault(
                "self-check-failed",
                f"the signature that {self.uri} made does not verify under the pinned key",
                scope=Scope.KEY,
                touched=True,
                remedy="stop using the token until its vendor has explained this",
            ) from None


def _p256(spki: bytes) -> ec.EllipticCurvePublicKey:
    key = load_spki(spki)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Malformed("invalid-key", "the pinned key is not a P-256 key")
    return key
