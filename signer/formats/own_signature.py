# SPDX-License-Identifier: Apache-2.0
"""Signatures by the authority's own keys: the recorded algorithm decides, and one encoding of each is accepted.

Evidence of others is verified by `signer.formats.spki`, which follows the key alone and also takes r‖s.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from signer.domain.algorithm import PSS, RSA_BITS, SHA256_SIZE, Algorithm, is_key_input, key_input
from signer.errors import Malformed, Refused
from signer.formats.spki import PublicKey

_SHA256 = Prehashed(hashes.SHA256())
_ECDSA_P256 = ec.ECDSA(_SHA256)
_ECDSA_P384 = ec.ECDSA(Prehashed(hashes.SHA384()))
_PKCS1 = padding.PKCS1v15()
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=SHA256_SIZE)


def require_key(algorithm: Algorithm, key: PublicKey) -> None:
    """Raise Malformed("invalid-key") unless `key` is of the kind and size that `algorithm` names."""
    match algorithm, key:
        case Algorithm.ECDSA_P256, ec.EllipticCurvePublicKey():
            fits = isinstance(key.curve, ec.SECP256R1)
        case Algorithm.ECDSA_P384, ec.EllipticCurvePublicKey():
            fits = isinstance(key.curve, ec.SECP384R1)
        case Algorithm.ED25519, Ed25519PublicKey():
            fits = True
        case _, rsa.RSAPublicKey():
            fits = key.key_size == RSA_BITS.get(algorithm)
        case _:
            fits = False
    if not fits:
        raise Malformed("invalid-key", f"a key of another kind or size than {algorithm} names")


def verify_input(algorithm: Algorithm, key: PublicKey, data: bytes, signature: bytes) -> None:
    """Verify a signature over a key's input (see `key_input`); raises Refused("signature-invalid")."""
    verified = False
    if is_key_input(algorithm, data):
        try:
            verified = _verify(algorithm, key, data, signature)
        except (InvalidSignature, ValueError):
            verified = False
    if not verified:
        raise Refused("signature-invalid", f"the signature does not verify under this key with {algorithm}")


def _verify(algorithm: Algorithm, key: PublicKey, data: bytes, signature: bytes) -> bool:
    """True when it verifies; raises InvalidSignature or ValueError, and is False for a key of another kind."""
    match key:
        case Ed25519PublicKey() if algorithm is Algorithm.ED25519:
            key.verify(signature, data)
        case ec.EllipticCurvePublicKey() if algorithm is Algorithm.ECDSA_P256:
            key.verify(signature, data, _ECDSA_P256)
        case ec.EllipticCurvePublicKey() if algorithm is Algorithm.ECDSA_P384:
            key.verify(signature, data, _ECDSA_P384)
        case rsa.RSAPublicKey() if algorithm in RSA_BITS:
            key.verify(signature, data, _PSS if algorithm in PSS else _PKCS1, _SHA256)
        case _:
            return False
    return True


def verify_own(algorithm: Algorithm, key: PublicKey, message: bytes, signature: bytes) -> None:
    """Verify the authority's signature over `message`; raises Refused("signature-invalid")."""
    verify_input(algorithm, key, key_input(algorithm, message), signature)
