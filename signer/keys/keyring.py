# SPDX-License-Identifier: Apache-2.0
"""The keyring: from a key's name to its only purpose, its place and its pin (invariants I4 and I11).

Settings say where a key is and what it is for; the ledger's key leaf says which public key it had when it was
recorded. A key is usable when both agree, and for its own purpose alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from signer.domain.algorithm import Algorithm, parse_algorithm
from signer.domain.purpose import Purpose, parse_purpose
from signer.errors import Malformed, Misconfigured, Refused, Unavailable
from signer.formats.own_signature import require_key, verify_input
from signer.formats.spki import keyid, load_spki
from signer.keys.backend import KeyFault, Scope
from signer.keys.uri import KeyUri, KmsUri, parse_uri

KMS_MESSAGE = 4096
"""Bytes of a message that AWS KMS signs with Ed25519 (its API reference, `Sign`, `Message`)."""
TOKEN_MESSAGE = 512 * 1024
"""Bytes of a message that goes to a token for Ed25519: half a frame to its worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """What settings say of one key: its name, where it is and the one purpose it serves."""

    name: str
    uri: KeyUri
    purpose: Purpose
    algorithm: Algorithm

    @property
    def message_limit(self) -> int | None:
        """Bytes of the longest message that the key signs; None where it signs a digest."""
        if self.algorithm is not Algorithm.ED25519:
            return None
        return KMS_MESSAGE if isinstance(self.uri, KmsUri) else TOKEN_MESSAGE


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
        try:
            place = KeyPlace(
                name=name,
                uri=parse_uri(uri),
                purpose=parse_purpose(purpose),
                algorithm=parse_algorithm(algorithm),
            )
        except Malformed as fault:
            raise Misconfigured("settings-invalid", f"key {name}: {fault.detail}", remedy=fault.remedy) from None
        places.append(place)
    return Keyring(places)


def pin_of(name: str, *, purpose: str, algorithm: str, spki: bytes) -> Pin:
    """The pin of a public key; raises Malformed when `spki` is no key of `algorithm`."""
    known = parse_algorithm(algorithm)
    require_key(known, load_spki(spki))
    return Pin(name=name, kid=keyid(spki), purpose=purpose, algorithm=known.value, spki=spki)


class PinCheck:
    """One pin, loaded once: what a device shows and what it signs must both agree with it."""

    def __init__(self, spki: bytes, *, uri: KeyUri, algorithm: Algorithm) -> None:
        self._key = load_spki(spki)
        require_key(algorithm, self._key)
        self.spki = spki
        self.uri = uri
        self.algorithm = algorithm

    def check_found(self, found: bytes) -> None:
        """Compare the public key that a device shows with the pin; raises KeyFault("key-pin-mismatch")."""
        if found != self.spki:
            raise KeyFault(
                "key-pin-mismatch",
                f"the key at {self.uri} is not the one that the ledger recorded",
                scope=Scope.KEY,
                remedy="restore the recorded key, or record a new one under a new name",
            )

    def verify_own(self, data: bytes, signature: bytes) -> None:
        """Verify a fresh signature over `data` (a key's input) before it goes anywhere (invariant I11).

        Raises KeyFault("self-check-failed").
        """
        try:
            verify_input(self.algorithm, self._key, data, signature)
        except Refused:
            raise KeyFault(
                "self-check-failed",
                f"the signature that {self.uri} made does not verify under the pinned key",
                scope=Scope.KEY,
                touched=True,
                remedy="stop using the device until its vendor has explained this",
            ) from None
