# SPDX-License-Identifier: Apache-2.0
"""Public keys as SubjectPublicKeyInfo, and the one signature check.

The key alone fixes the algorithm; nothing in an envelope can choose it:

    EC P-256   ECDSA with SHA-256, DER or raw r‖s      EC P-384   ECDSA with SHA-384, DER or raw r‖s
    Ed25519    pure                                    RSA        PKCS#1 v1.5 with SHA-256, 2048 to 4096 bits

The key id is standard base64 of sha256 over the DER: DSSE keyid and Sigstore bundle hint alike.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from signer.errors import Malformed, Refused
from signer.formats.strict_base64 import encode_base64

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | Ed25519PublicKey | rsa.RSAPublicKey

MAX_SPKI = 4096
_PEM_HEAD = b"-----BEGIN PUBLIC KEY-----"
_P256 = ec.ECDSA(hashes.SHA256())
_P384 = ec.ECDSA(hashes.SHA384())
_RSA_BITS = range(2048, 4097)
_RSA_EXPONENT = 65537


def load_spki(der: bytes) -> PublicKey:
    """Load a DER SubjectPublicKeyInfo; raises Malformed for anything but the four kinds above."""
    if len(der) > MAX_SPKI:
        raise _malformed()
    try:
        return _accepted(load_der_public_key(der))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _malformed() from None


def load_pem(pem: str | bytes) -> PublicKey:
    """Load a PEM SubjectPublicKeyInfo (`-----BEGIN PUBLIC KEY-----`); raises Malformed."""
    try:
        data = (pem.encode("ascii") if isinstance(pem, str) else pem).strip()
        if len(data) > 2 * MAX_SPKI or not data.startswith(_PEM_HEAD) or data.count(b"-----BEGIN") != 1:
            raise _malformed()
        return _accepted(load_pem_public_key(data))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _malformed() from None


def spki_der(key: PublicKey) -> bytes:
    """The DER SubjectPublicKeyInfo of `key`."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_pem(key: PublicKey) -> str:
    """The PEM SubjectPublicKeyInfo of `key`."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def keyid(der: bytes) -> str:
    """Standard base64 of sha256 over the DER SubjectPublicKeyInfo."""
    return encode_base64(hashlib.sha256(der).digest())


def verify_signature(key: PublicKey, message: bytes, signature: bytes) -> None:
    """Verify `signature` over `message`; raises Refused("signature-invalid")."""
    try:
        match key:
            case Ed25519PublicKey():
                key.verify(signature, message)
            case rsa.RSAPublicKey():
                key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            case ec.EllipticCurvePublicKey():
                _verify_ecdsa(key, message, signature)
    except (InvalidSignature, ValueError):
        raise Refused("signature-invalid", "the signature does not verify under this key") from None


def _verify_ecdsa(key: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> None:
    algorithm, half = (_P256, 32) if key.key_size == 256 else (_P384, 48)  # noqa: PLR2004 - the two accepted curves
    try:
        key.verify(signature, message, algorithm)
    except (InvalidSignature, ValueError):
        # PKCS#11 devices and some signers emit r‖s (DSSE's own test vector does); DER may have the same length.
        if len(signature) != 2 * half:
            raise
        r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
        key.verify(encode_dss_signature(r, s), message, algorithm)


def _accepted(key: object) -> PublicKey:
    match key:
        case Ed25519PublicKey():
            return key
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
            return key
        case rsa.RSAPublicKey() if key.key_size in _RSA_BITS and key.public_numbers().e == _RSA_EXPONENT:
            return key
        case _:
            raise _malformed()


def _malformed() -> Malformed:
    return Malformed(
        "invalid-key",
        "not an accepted public key (SubjectPublicKeyInfo)",
        remedy="use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits",
    )
