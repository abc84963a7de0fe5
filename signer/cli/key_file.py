# SPDX-License-Identifier: Apache-2.0
"""Private keys that a person or a pipeline holds in a file: of an owner, or one that signs evidence."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from signer.cli.options import read_file
from signer.errors import Misconfigured
from signer.formats.dsse import PrivateKey

MAX_KEY = 64 * 1024


def load_key(path: Path, passphrase_file: Path | None) -> PrivateKey:
    """Load a PEM private key, P-256 or Ed25519; raises Misconfigured("key-unreadable")."""
    passphrase = None if passphrase_file is None else read_file(passphrase_file, limit=MAX_KEY).rstrip(b"\r\n")
    try:
        key = load_pem_private_key(read_file(path, limit=MAX_KEY), password=passphrase)
    except (ValueError, TypeError):
        raise _unreadable(path) from None
    match key:
        case Ed25519PrivateKey():
            return key
        case ec.EllipticCurvePrivateKey() if isinstance(key.curve, ec.SECP256R1):
            return key
        case _:
            raise _unreadable(path)


def _unreadable(path: Path) -> Misconfigured:
    return Misconfigured(
        "key-unreadable",
        f"{path} is not a private key that can be used, or its passphrase is missing or wrong",
        remedy="give a PEM file with a P-256 or Ed25519 key, and --passphrase-file when it is encrypted",
    )
