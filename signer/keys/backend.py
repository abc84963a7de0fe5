# SPDX-License-Identifier: Apache-2.0
"""What a token worker asks of whatever holds the keys: find, make, sign; nothing else.

    backend = Pkcs11Backend(...)
    spki = backend.public_key(uri)             # exactly one key pair, or KeyFault
    signature = backend.sign_digest(uri, digest)

One process uses one backend from one thread.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from signer.errors import Unavailable
from signer.keys.uri import KeyUri

DIGEST_SIZE = 32
"""Bytes of a sha256 digest: the only input that a key ever gets."""


class Scope(StrEnum):
    """How far a fault reaches, and so what helps."""

    CALL = "call"
    """This call was wrong; the session and the key are fine. Trying again cannot help."""
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


class KeyBackend(Protocol):
    """Holder of private keys. Every method raises KeyFault."""

    def public_key(self, uri: KeyUri) -> bytes:
        """Find exactly one key pair at `uri`, check how it is protected, return its DER SPKI."""

    def generate(self, uri: KeyUri) -> bytes:
        """Make a P-256 key pair at `uri`, where none may stand yet, and return its DER SPKI."""

    def sign_digest(self, uri: KeyUri, digest: bytes) -> bytes:
        """Sign a 32-byte sha256 digest with a key that `public_key` found; DER ECDSA-Sig-Value."""
