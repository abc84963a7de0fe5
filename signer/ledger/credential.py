# SPDX-License-Identifier: Apache-2.0
"""The ledger key: the Ed25519 credential that signs checkpoints, in a file that only the custodian's user reads."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.errors import Misconfigured
from signer.ledger.guard import sync_directory


def load_ledger_key(path: Path) -> Ed25519PrivateKey:
    """The checkpoint key from its PEM file, which only its owner may read; raises Misconfigured."""
    try:
        mode = path.stat().st_mode
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as fault:
        raise _unusable(path, f"cannot be read: {fault.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unusable(path, "is not an unencrypted PEM private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, "is not an Ed25519 key")
    if mode & 0o077:
        raise _unusable(path, f"is readable for others (mode {mode & 0o7777:04o})")
    return key


def make_ledger_key(path: Path) -> Ed25519PrivateKey:
    """A new key at `path`, or the one that an interrupted founding left there."""
    if path.exists():
        return load_ledger_key(path)
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        # A crash right here leaves an empty or torn file, which no later start takes for a key.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - private from the first byte on
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        # A ledger whose genesis names a key that the directory forgot could never be written again.
        sync_directory(path.parent)
    except OSError as fault:
        raise _unusable(path, f"cannot be written: {fault.strerror}") from None
    return key


def _unusable(path: Path, sentence: str) -> Misconfigured:
    return Misconfigured(
        "ledger-key",
        f"the ledger key {path} {sentence}",
        remedy="it is an Ed25519 key of the custodian's user, mode 0600",
    )
