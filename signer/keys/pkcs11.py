# SPDX-License-Identifier: Apache-2.0
"""PKCS #11 tokens. The only module that imports `pkcs11`, and only a token worker imports this one.

python-pkcs11 initialises a module as single-threaded and releases the GIL inside calls, so one process holds one
session and uses it from one thread. The session that logged in stays open for the life of the process: closing
it logs out the whole token. Nothing here forks.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, exceptions

from signer.errors import Malformed
from signer.keys.backend import DIGEST_SIZE, KeyFault, Scope
from signer.keys.encodings import P256_OID, der_from_raw, spki_from_ec
from signer.keys.uri import KeyUri

CLASSES: Mapping[type[exceptions.PKCS11Error], tuple[Scope, bool]] = {
    # The device refused the call before it used a key; the session goes on.
    exceptions.ArgumentsBad: (Scope.CALL, False),
    exceptions.AttributeReadOnly: (Scope.CALL, False),
    exceptions.AttributeSensitive: (Scope.CALL, False),
    exceptions.AttributeTypeInvalid: (Scope.CALL, False),
    exceptions.AttributeValueInvalid: (Scope.CALL, False),
    exceptions.DataInvalid: (Scope.CALL, False),
    exceptions.DataLenRange: (Scope.CALL, False),
    exceptions.DomainParamsInvalid: (Scope.CALL, False),
    exceptions.FunctionNotSupported: (Scope.CALL, False),
    exceptions.MechanismInvalid: (Scope.CALL, False),
    exceptions.MechanismParamInvalid: (Scope.CALL, False),
    exceptions.SessionReadOnly: (Scope.CALL, False),
    exceptions.TemplateIncomplete: (Scope.CALL, False),
    exceptions.TemplateInconsistent: (Scope.CALL, False),
    exceptions.TokenWriteProtected: (Scope.CALL, False),
    # This key is unusable, whatever the session does.
    exceptions.KeySizeRange: (Scope.KEY, False),
    exceptions.KeyTypeInconsistent: (Scope.KEY, False),
    exceptions.MultipleObjectsReturned: (Scope.KEY, False),
    exceptions.NoSuchKey: (Scope.KEY, False),
    # Handles, session or login are gone: nothing was signed, everything must be found again.
    exceptions.KeyHandleInvalid: (Scope.SESSION, False),
    exceptions.ObjectHandleInvalid: (Scope.SESSION, False),
    exceptions.OperationActive: (Scope.SESSION, False),
    exceptions.OperationNotInitialized: (Scope.SESSION, False),
    exceptions.SessionClosed: (Scope.SESSION, False),
    exceptions.SessionCount: (Scope.SESSION, False),
    exceptions.SessionHandleInvalid: (Scope.SESSION, False),
    exceptions.TokenNotPresent: (Scope.SESSION, False),
    exceptions.UserAlreadyLoggedIn: (Scope.SESSION, False),
    exceptions.UserNotLoggedIn: (Scope.SESSION, False),
    # No token by that name: start again later. SoftHSM answers UserPinNotInitialized in its start-up race.
    exceptions.MultipleTokensReturned: (Scope.MODULE, False),
    exceptions.NoSuchToken: (Scope.MODULE, False),
    exceptions.SlotIDInvalid: (Scope.MODULE, False),
    exceptions.TokenNotRecognised: (Scope.MODULE, False),
    exceptions.UserPinNotInitialized: (Scope.MODULE, False),
    # The device failed in the middle: a signature may have been made.
    exceptions.DeviceError: (Scope.MODULE, True),
    exceptions.DeviceMemory: (Scope.MODULE, True),
    exceptions.DeviceRemoved: (Scope.MODULE, True),
    exceptions.FunctionCancelled: (Scope.MODULE, True),
    exceptions.FunctionFailed: (Scope.MODULE, True),
    exceptions.FunctionRejected: (Scope.MODULE, True),
    exceptions.GeneralError: (Scope.MODULE, True),
    exceptions.HostMemory: (Scope.MODULE, True),
    # Another attempt counts towards a lock.
    exceptions.AnotherUserAlreadyLoggedIn: (Scope.NEVER, False),
    exceptions.PinExpired: (Scope.NEVER, False),
    exceptions.PinIncorrect: (Scope.NEVER, False),
    exceptions.PinInvalid: (Scope.NEVER, False),
    exceptions.PinLenRange: (Scope.NEVER, False),
    exceptions.PinLocked: (Scope.NEVER, False),
    exceptions.PinTooWeak: (Scope.NEVER, False),
}
"""What each error means: how far it reaches, and whether the key may have been used. An error that is not
listed is the worst of both."""

_REMEDIES: Mapping[Scope, str] = {
    Scope.CALL: "this is a defect of the signer or a limit of the token: see its vendor's mechanism list",
    Scope.KEY: "look at the token's objects: exactly one key pair with this label and id is needed",
    Scope.SESSION: "none needed: the worker starts again and finds its keys anew",
    Scope.MODULE: "check the token, its vendor module and its configuration",
    Scope.NEVER: "put the right PIN into the token's PIN file; the old one is not tried again",
}


@dataclass(frozen=True, slots=True)
class _Pair:
    private: Any
    spki: bytes


class Pkcs11Backend:
    """One logged-in session on the token `label` of the vendor `module`; raises KeyFault from every method.

    `lock` is a file that serialises initialisation and login between processes: SoftHSM's start-up is racy.
    """

    def __init__(self, module: Path, *, label: str, pin: str, lock: Path) -> None:
        with _locked(lock), _classified(f"login to token {label}"):
            token = pkcs11.lib(str(module)).get_token(token_label=label)
            self._session = token.open(user_pin=pin)
        self._token = token
        self._label = label
        self._pairs: dict[KeyUri, _Pair] = {}

    def public_key(self, uri: KeyUri) -> bytes:
        """Find exactly one key pair by label and id, check its protection, keep its handle; DER SPKI."""
        with _classified(f"look-up of {uri}"):
            pair = self._find(uri)
        self._pairs[uri] = pair
        return pair.spki

    def generate(self, uri: KeyUri) -> bytes:
        """Make a P-256 pair that cannot leave the token; refuses where an object of that label and id stands."""
        with _classified(f"generation of {uri}"):
            if self._objects(uri, ObjectClass.PRIVATE_KEY) or self._objects(uri, ObjectClass.PUBLIC_KEY):
                raise KeyFault("key-exists", f"{uri} stands already", scope=Scope.KEY, remedy="choose another id")
            # No PIN: the process is logged in, and a session with one would log out the token when it closes.
            with self._token.open(rw=True) as session:
                domain = session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: P256_OID}, local=True)
                domain.generate_keypair(
                    store=True,
                    label=uri.object,
                    id=uri.id,
                    capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
                    private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
                )
        return self.public_key(uri)

    def mechanisms(self) -> frozenset[str]:
        """Names of what the token says it can do, for a diagnosis."""
        with _classified(f"mechanisms of token {self._label}"):
            return frozenset(Mechanism(entry).name for entry in self._token.slot.get_mechanisms())

    def sign_digest(self, uri: KeyUri, digest: bytes) -> bytes:
        """Sign a 32-byte digest; DER. Tokens do not check the length (SoftHSM signs 48 bytes), so this does."""
        if len(digest) != DIGEST_SIZE:
            raise KeyFault("token-unavailable", f"a digest is {DIGEST_SIZE} bytes, not {len(digest)}", scope=Scope.CALL)
        pair = self._pairs.get(uri)
        if pair is None:
            raise KeyFault("token-unavailable", f"{uri} was not found before", scope=Scope.KEY)
        with _classified(f"signature by {uri}"):
            raw = pair.private.sign(digest, mechanism=Mechanism.ECDSA)
        try:
            return der_from_raw(raw)
        except Malformed as fault:
            # A token that answers rubbish is not asked again.
            raise KeyFault("token-unavailable", fault.detail, scope=Scope.MODULE, touched=True) from None

    def _find(self, uri: KeyUri) -> _Pair:
        private = self._only(uri, ObjectClass.PRIVATE_KEY)
        public = self._only(uri, ObjectClass.PUBLIC_KEY)
        if not private[Attribute.SENSITIVE] or private[Attribute.EXTRACTABLE]:
            raise KeyFault(
                "key-exposed",
                f"the private key at {uri} can leave its token",
                scope=Scope.KEY,
                remedy="make a key inside the token, sensitive and not extractable",
            )
        try:
            spki = spki_from_ec(public[Attribute.EC_PARAMS], public[Attribute.EC_POINT])
        except Malformed as fault:
            raise KeyFault("token-unavailable", f"{uri}: {fault.detail}", scope=Scope.KEY) from None
        return _Pair(private, spki)

    def _only(self, uri: KeyUri, kind: ObjectClass) -> Any:
        found = self._objects(uri, kind)
        if len(found) != 1:
            what = "no" if not found else f"{len(found)} objects instead of one"
            raise KeyFault(
                "key-missing" if not found else "key-ambiguous",
                f"{uri}: {what} {kind.name.lower().replace('_', ' ')}",
                scope=Scope.KEY,
                remedy=_REMEDIES[Scope.KEY],
            )
        return found[0]

    def _objects(self, uri: KeyUri, kind: ObjectClass) -> list[Any]:
        # list(): an iterator that is not exhausted keeps the session's lock and the token's search open.
        return list(
            self._session.get_objects(
                {
                    Attribute.CLASS: kind,
                    Attribute.KEY_TYPE: KeyType.EC,
                    Attribute.LABEL: uri.object,
                    Attribute.ID: uri.id,
                }
            )
        )


def classify(fault: exceptions.PKCS11Error) -> tuple[Scope, bool]:
    """Scope of an error, and whether the key may have been used; unknown errors are taken as the worst."""
    return CLASSES.get(type(fault), (Scope.MODULE, True))


@contextmanager
def _classified(deed: str) -> Iterator[None]:
    try:
        yield
    except exceptions.PKCS11Error as fault:
        scope, touched = classify(fault)
        # str(fault) is usually empty, and NoSuchKey's text prints attributes: the type's name says it all.
        raise KeyFault(
            "token-unavailable",
            f"{deed}: {type(fault).__name__}",
            scope=scope,
            touched=touched,
            remedy=_REMEDIES[scope],
        ) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
