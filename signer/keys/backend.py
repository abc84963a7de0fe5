# SPDX-License-Identifier: Apache-2.0
"""What a token worker asks of whatever holds the keys: find, make, sign; nothing else.

    backend = open_backend(device)
    found = backend.public_key(uri, algorithm)               # exactly one key pair, or KeyFault
    signature = backend.sign(uri, algorithm, data)           # data as signer.domain.algorithm.key_input makes it

A PKCS #11 backend is used from one thread; one of AWS KMS from as many as its settings say.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from signer.domain.algorithm import Algorithm
from signer.errors import Unavailable
from signer.keys.uri import KeyUri


class Scope(StrEnum):
    """How far a fault reaches, and so what helps."""

    CALL = "call"
    """This call was wrong; the session and the key are fine. Trying again cannot help."""
    BUSY = "busy"
    """The key is throttled and provably signed nothing: after a pause it works again."""
    KEY = "key"
    """This key is missing, ambiguous, badly protected or not the pinned one; other keys are fine."""
    SESSION = "session"
    """Handles or the login are lost: start the worker again and find every key anew."""
    MODULE = "module"
    """The vendor module or the device is in an unknown state: end the process."""
    NEVER = "never"
    """Trying again does harm, as a wrong PIN counts towards a lock: wait for a person."""


class KeyFault(Unavailable):
    """A key could not be used; `touched` says that the device may have made a signature all the same."""

    def __init__(self, code: str, detail: str, *, scope: Scope, touched: bool = False, remedy: str = "") -> None:
        super().__init__(code, detail, remedy=remedy)
        self.scope = scope
        self.touched = touched


CONFIGURATION = frozenset(
    {
        "key-ambiguous",
        "key-denied",
        "key-disabled",
        "key-exposed",
        "key-missing",
        "key-pin-mismatch",
        "key-unsuited",
        "module-unusable",
        "pin-refused",
        "pin-unreadable",
        "token-ambiguous",
    }
)
"""Codes that only a person can end. A custodian that meets one at its start ends with exit code 78; one that runs
keeps its other keys in service and looks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """A key pair as its device shows it."""

    spki: bytes
    """DER SubjectPublicKeyInfo."""
    protection: str
    """How the private key is kept, in words for a person."""


class KeyBackend(Protocol):
    """Holder of private keys. Every method raises KeyFault."""

    def public_key(self, uri: KeyUri, algorithm: Algorithm) -> FoundKey:
        """Find exactly one key pair at `uri` that can sign with `algorithm`; check how it is protected."""

    def generate(self, uri: KeyUri, algorithm: Algorithm) -> FoundKey:
        """Make a key pair at `uri`, where none may stand yet."""

    def sign(self, uri: KeyUri, algorithm: Algorithm, data: bytes) -> bytes:
        """Sign a key's input with a key that `public_key` found; ECDSA as DER, RSA and Ed25519 as they are."""
