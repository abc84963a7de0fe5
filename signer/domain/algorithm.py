# SPDX-License-Identifier: Apache-2.0
"""The algorithms of our keys: a closed list, because every verifier of ours must know each of them.

name                      key             signed over        signature
ecdsa-p256-sha256         EC P-256        sha256, 32 bytes   DER ECDSA-Sig-Value
ecdsa-p384-sha384         EC P-384        sha384, 48 bytes   DER ECDSA-Sig-Value
ed25519                   Ed25519         the whole message  64 bytes (RFC 8032, pure)
rsa-pkcs1-3072-sha256     RSA 3072 bits   sha256, 32 bytes   RSASSA-PKCS1-v1_5
rsa-pkcs1-4096-sha256     RSA 4096 bits   sha256, 32 bytes   RSASSA-PKCS1-v1_5
rsa-pss-3072-sha256       RSA 3072 bits   sha256, 32 bytes   RSASSA-PSS, MGF1 with SHA-256, salt of 32 bytes
rsa-pss-4096-sha256       RSA 4096 bits   sha256, 32 bytes   RSASSA-PSS, MGF1 with SHA-256, salt of 32 bytes
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum

from signer.errors import Malformed


class Algorithm(StrEnum):
    """Key, hash and encoding of a signature, by the name that settings, leaves and trust documents carry."""

    ECDSA_P256 = "ecdsa-p256-sha256"
    ECDSA_P384 = "ecdsa-p384-sha384"
    ED25519 = "ed25519"
    RSA_PKCS1_3072 = "rsa-pkcs1-3072-sha256"
    RSA_PKCS1_4096 = "rsa-pkcs1-4096-sha256"
    RSA_PSS_3072 = "rsa-pss-3072-sha256"
    RSA_PSS_4096 = "rsa-pss-4096-sha256"


RSA_BITS: Mapping[Algorithm, int] = {
    Algorithm.RSA_PKCS1_3072: 3072,
    Algorithm.RSA_PKCS1_4096: 4096,
    Algorithm.RSA_PSS_3072: 3072,
    Algorithm.RSA_PSS_4096: 4096,
}
"""Bits of the modulus."""

PSS = frozenset({Algorithm.RSA_PSS_3072, Algorithm.RSA_PSS_4096})
SHA256_SIGNED = frozenset({Algorithm.ECDSA_P256, *RSA_BITS})
"""Algorithms whose key is given the sha256 of a message."""
SHA256_SIZE = 32
SHA384_SIZE = 48


def parse_algorithm(name: str) -> Algorithm:
    """The algorithm of this name; raises Malformed("algorithm-unknown")."""
    try:
        return Algorithm(name)
    except ValueError:
        raise Malformed(
            "algorithm-unknown",
            f"{name[:32]!r} is no signature algorithm that this version knows",
            remedy=f"one of {', '.join(Algorithm)}; a newer version may know more",
        ) from None


def key_input(algorithm: Algorithm, message: bytes) -> bytes:
    """What a key of `algorithm` is given to sign `message`: the fixed digest of it, or for Ed25519 the message."""
    match algorithm:
        case Algorithm.ED25519:
            return message
        case Algorithm.ECDSA_P384:
            return hashlib.sha384(message).digest()
        case _:
            return hashlib.sha256(message).digest()


def is_key_input(algorithm: Algorithm, data: bytes) -> bool:
    """Whether `data` can be a key's input; devices do not check the length of a digest (SoftHSM signs any)."""
    match algorithm:
        case Algorithm.ED25519:
            return bool(data)
        case Algorithm.ECDSA_P384:
            return len(data) == SHA384_SIZE
        case _:
            return len(data) == SHA256_SIZE
