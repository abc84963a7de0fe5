# SPDX-License-Identifier: Apache-2.0
"""PKCS #11 tokens. The only module that imports `pkcs11`, and only a token worker imports this one.

python-pkcs11 initialises a module as single-threaded and releases the GIL inside calls, so one process holds one
session and uses it from one thread. The session that logged in stays open for the life of the process: closing
it logs out the whole token. Nothing here forks.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import MGF, Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, exceptions

from signer.domain.algorithm import RSA_BITS, SHA256_SIZE, Algorithm, is_key_input
from signer.errors import Malformed
from signer.formats.own_signature import require_key
from signer.formats.spki import load_spki
from signer.keys.backend import FoundKey, KeyFault, Scope
from signer.keys.encodings import (
    ED25519_OID,
    P256_HALF,
    P256_OID,
    P384_HALF,
    P384_OID,
    der_from_raw,
    digest_info,
    not_empty,
    spki_from_ec,
    spki_from_edwards,
    spki_from_rsa,
)
from signer.keys.faults import PKCS11, UNKNOWN, Meaning
from signer.keys.pin import PinFile
from signer.keys.uri import KeyUri, Pkcs11Uri


def _as_it_is(data: bytes) -> bytes:
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a token signs with one algorithm: mechanism and parameter are always said, never left to a default."""

    key_type: KeyType
    mechanism: Mechanism
    parameter: tuple[Mechanism, MGF, int] | None = None
    prepare: Callable[[bytes], bytes] = _as_it_is
    """From a key's input to what the mechanism takes."""
    finish: Callable[[bytes], bytes] = not_empty
    """From the mechanism's answer to the signature that the world reads; raises Malformed."""


_PKCS1 = Recipe(key_type=KeyType.RSA, mechanism=Mechanism.RSA_PKCS, prepare=digest_info)
_PSS = Recipe(
    key_type=KeyType.RSA,
    mechanism=Mechanism.RSA_PKCS_PSS,
    parameter=(Mechanism.SHA256, MGF.SHA256, SHA256_SIZE),
)
RECIPES: Mapping[Algorithm, Recipe] = {
    Algorithm.ECDSA_P256: Recipe(
        key_type=KeyType.EC, mechanism=Mechanism.ECDSA, finish=lambda raw: der_from_raw(raw, half=P256_HALF)
    ),
    Algorithm.ECDSA_P384: Recipe(
        key_type=KeyType.EC, mechanism=Mechanism.ECDSA, finish=lambda raw: der_from_raw(raw, half=P384_HALF)
    ),
    Algorithm.ED25519: Recipe(key_type=KeyType.EC_EDWARDS, mechanism=Mechanism.EDDSA),
    Algorithm.RSA_PKCS1_3072: _PKCS1,
    Algorithm.RSA_PKCS1_4096: _PKCS1,
    Algorithm.RSA_PSS_3072: _PSS,
    Algorithm.RSA_PSS_4096: _PSS,
}
_CURVES: Mapping[Algorithm, bytes] = {
    Algorithm.ECDSA_P256: P256_OID,
    Algorithm.ECDSA_P384: P384_OID,
    Algorithm.ED25519: ED25519_OID,
}


class Pkcs11Backend:
    """One logged-in session on the token `label` of the vendor `module`; raises KeyFault from every method.

    `lock` is a file that serialises initialisation and login between processes: SoftHSM's start-up is racy, and a
    wrong PIN is tried by one of them alone.
    """

    def __init__(self, module: Path, *, label: str, pin: PinFile, lock: Path, serial: str = "") -> None:
        with _locked(lock):
            user_pin = pin.read()
            library = _load(module)
            with _classified(f"token {label}"):
                asked = {"token_label": label} | ({"token_serial": serial.encode()} if serial else {})
                self._token = library.get_token(**asked)
            try:
                with _classified(f"login to token {label}"):
                    self._session = self._token.open(user_pin=user_pin)
            except KeyFault as fault:
                if fault.scope is Scope.NEVER:
                    pin.remember_refusal()
                raise
            pin.forget_refusal()
        self._label = label
        self._handles: dict[tuple[Pkcs11Uri, Algorithm], Any] = {}
        self._offered: dict[Mechanism, bool] = {}

    def public_key(self, uri: KeyUri, algorithm: Algorithm) -> FoundKey:
        """Find exactly one key pair by label and id, check mechanism, kind and protection, keep its handle."""
        place = self._mine(uri)
        with _classified(f"look-up of {uri}"):
            self._require_mechanism(place, algorithm)
            private = self._only(place, ObjectClass.PRIVATE_KEY)
            public = self._only(place, ObjectClass.PUBLIC_KEY)
            protection = _protection(private, place)
            spki = _spki(public, place, algorithm)
        self._handles[place, algorithm] = private
        return FoundKey(spki=spki, protection=protection)

    def generate(self, uri: KeyUri, algorithm: Algorithm) -> FoundKey:
        """Make a pair that cannot leave the token; refuses where an object of that label and id stands."""
        place = self._mine(uri)
        with _classified(f"generation of {uri}"):
            self._require_mechanism(place, algorithm)
            if self._objects(place, ObjectClass.PRIVATE_KEY) or self._objects(place, ObjectClass.PUBLIC_KEY):
                raise KeyFault("key-exists", f"{uri} stands already", scope=Scope.KEY, remedy="choose another id")
            template = {
                "store": True,
                "label": place.object,
                "id": place.id,
                "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
                "private_template": {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            }
            # No PIN: the process is logged in, and a session with one would log out the token when it closes.
            with self._token.open(rw=True) as session:
                if algorithm in RSA_BITS:
                    session.generate_keypair(KeyType.RSA, RSA_BITS[algorithm], **template)
                else:
                    curve = {Attribute.EC_PARAMS: _CURVES[algorithm]}
                    domain = session.create_domain_parameters(RECIPES[algorithm].key_type, curve, local=True)
                    edwards = algorithm is Algorithm.ED25519
                    maker = Mechanism.EC_EDWARDS_KEY_PAIR_GEN if edwards else Mechanism.EC_KEY_PAIR_GEN
                    domain.generate_keypair(mechanism=maker, **template)
        return self.public_key(uri, algorithm)

    def sign(self, uri: KeyUri, algorithm: Algorithm, data: bytes) -> bytes:
        """Sign a key's input. Tokens do not check the length of a digest (SoftHSM signs any), so this does."""
        if not is_key_input(algorithm, data):
            raise KeyFault("token-unavailable", f"{len(data)} bytes are no input of {algorithm}", scope=Scope.CALL)
        private = self._handles.get((self._mine(uri), algorithm))
        if private is None:
            raise KeyFault("token-unavailable", f"{uri} was not found before", scope=Scope.KEY)
        recipe = RECIPES[algorithm]
        with _classified(f"signature by {uri}", signing=True):
            raw = private.sign(recipe.prepare(data), mechanism=recipe.mechanism, mechanism_param=recipe.parameter)
        try:
            return recipe.finish(raw)
        except Malformed as fault:
            # A token that answers rubbish is not asked again.
            raise KeyFault("token-unavailable", fault.detail, scope=Scope.MODULE, touched=True) from None

    def _mine(self, uri: KeyUri) -> Pkcs11Uri:
        if not isinstance(uri, Pkcs11Uri) or uri.token != self._label:
            raise KeyFault("token-unavailable", f"{uri} is no key of token {self._label}", scope=Scope.CALL)
        return uri

    def _require_mechanism(self, uri: Pkcs11Uri, algorithm: Algorithm) -> None:
        mechanism = RECIPES[algorithm].mechanism
        if mechanism not in self._offered:
            slot = self._token.slot
            self._offered[mechanism] = mechanism in slot.get_mechanisms() and bool(
                slot.get_mechanism_info(mechanism).flags & MechanismFlag.SIGN
            )
        if not self._offered[mechanism]:
            raise KeyFault(
                "key-unsuited",
                f"{uri}: token {self._label} does not sign with CKM_{mechanism.name}, which {algorithm} needs",
                scope=Scope.KEY,
                remedy="choose an algorithm that the token offers (pkcs11-tool --list-mechanisms), or allow it there",
            )

    def _only(self, uri: Pkcs11Uri, kind: ObjectClass) -> Any:
        found = self._objects(uri, kind)
        if len(found) != 1:
            what = "no" if not found else f"{len(found)} objects instead of one"
            raise KeyFault(
                "key-missing" if not found else "key-ambiguous",
                f"{uri}: {what} {kind.name.lower().replace('_', ' ')}",
                scope=Scope.KEY,
                remedy=PKCS11["NoSuchKey"].remedy,
            )
        return found[0]

    def _objects(self, uri: Pkcs11Uri, kind: ObjectClass) -> list[Any]:
        # list(): an iterator that is not exhausted keeps the session's lock and the token's search open.
        return list(
            self._session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: uri.object, Attribute.ID: uri.id})
        )


def _protection(private: Any, uri: Pkcs11Uri) -> str:
    """How the private key is kept; raises KeyFault for one that can leave its token or cannot sign unattended."""
    if not _is_set(private, Attribute.SENSITIVE) or _is_set(private, Attribute.EXTRACTABLE) is not False:
        raise KeyFault(
            "key-exposed",
            f"the private key at {uri} can leave its token",
            scope=Scope.KEY,
            remedy="make a key inside the token, sensitive and not extractable",
        )
    if _is_set(private, Attribute.SIGN) is False or _is_set(private, Attribute.ALWAYS_AUTHENTICATE):
        raise KeyFault(
            "key-unsuited",
            f"the private key at {uri} does not sign, or asks for the PIN before each signature",
            scope=Scope.KEY,
            remedy="make a key with CKA_SIGN and without CKA_ALWAYS_AUTHENTICATE",
        )
    never = "never extractable" if _is_set(private, Attribute.NEVER_EXTRACTABLE) else "was extractable once"
    local = "made in the token" if _is_set(private, Attribute.LOCAL) else "imported"
    return f"sensitive, {never}, {local}"


def _is_set(private: Any, attribute: Attribute) -> bool | None:
    """A flag of a key; None where the token does not know it."""
    try:
        return bool(private[attribute])
    except exceptions.AttributeTypeInvalid:
        return None


def _spki(public: Any, uri: Pkcs11Uri, algorithm: Algorithm) -> bytes:
    try:
        spki = _public_bytes(public)
        require_key(algorithm, load_spki(spki))
    except Malformed as fault:
        raise KeyFault(
            "key-unsuited", f"{uri}: {fault.detail}", scope=Scope.KEY, remedy=PKCS11["KeyTypeInconsistent"].remedy
        ) from None
    return spki


def _public_bytes(public: Any) -> bytes:
    match public.key_type:
        case KeyType.RSA:
            return spki_from_rsa(public[Attribute.MODULUS], public[Attribute.PUBLIC_EXPONENT])
        case KeyType.EC:
            return spki_from_ec(public[Attribute.EC_PARAMS], public[Attribute.EC_POINT])
        case KeyType.EC_EDWARDS:
            return spki_from_edwards(public[Attribute.EC_PARAMS], public[Attribute.EC_POINT])
        case other:
            raise Malformed("invalid-key", f"a key of type {other!r}")


def classify(fault: exceptions.PKCS11Error) -> Meaning:
    """What an error means; unknown errors are taken as the worst."""
    return PKCS11.get(type(fault).__name__, UNKNOWN)


def _load(module: Path) -> Any:
    try:
        return pkcs11.lib(str(module))
    except exceptions.PKCS11Error as fault:
        if type(fault) is not exceptions.PKCS11Error:
            meaning = classify(fault)
            raise KeyFault(
                meaning.code, f"{module}: {type(fault).__name__}", scope=meaning.scope, remedy=meaning.remedy
            ) from None
        raise KeyFault(
            "module-unusable",
            f"{module} cannot be loaded as a PKCS #11 module: {fault}",
            scope=Scope.MODULE,
            remedy="install the vendor's module, or correct `module` in [[tokens]]",
        ) from None


@contextmanager
def _classified(deed: str, *, signing: bool = False) -> Iterator[None]:
    try:
        yield
    except exceptions.PKCS11Error as fault:
        meaning = classify(fault)
        # str(fault) is usually empty, and NoSuchKey's text prints attributes: the type's name says it all.
        raise KeyFault(
            meaning.code,
            f"{deed}: {type(fault).__name__}",
            scope=meaning.scope,
            touched=meaning.touched and signing,
            remedy=meaning.remedy,
        ) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
