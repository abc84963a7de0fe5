# SPDX-License-Identifier: Apache-2.0
"""Public keys as JWK and JWK Set (RFC 7517), with RFC 7638 thumbprints as `kid`.

{"keys":[{"alg":"ES256","crv":"P-256","kid":"<thumbprint>","kty":"EC","use":"sig","x":"…","y":"…"}]}
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signer.domain.algorithm import Algorithm, parse_algorithm
from signer.formats.canonical import canonical
from signer.formats.own_signature import require_key
from signer.formats.spki import load_spki

MEDIA_TYPE = "application/jwk-set+json"

JOSE: Mapping[Algorithm, str] = {
    Algorithm.ECDSA_P256: "ES256",
    Algorithm.ECDSA_P384: "ES384",
    Algorithm.ED25519: "Ed25519",
    Algorithm.RSA_PKCS1_3072: "RS256",
    Algorithm.RSA_PKCS1_4096: "RS256",
    Algorithm.RSA_PSS_3072: "PS256",
    Algorithm.RSA_PSS_4096: "PS256",
}
"""JOSE names of our algorithms (RFC 7518; RFC 9864 for Ed25519)."""


def jwk(spki_der: bytes, *, alg: str) -> dict[str, str]:
    """One public key as a JWK; `alg` is one of ours; raises Malformed when key and algorithm do not match."""
    algorithm = parse_algorithm(alg)
    require_key(algorithm, load_spki(spki_der))
    members = _members(spki_der)
    return {**members, "alg": JOSE[algorithm], "kid": _thumbprint(members), "use": "sig"}


def jwks(keys: Sequence[Mapping[str, str]]) -> bytes:
    """Canonical bytes of a JWK Set."""
    return canonical({"keys": [dict(key) for key in keys]})


def thumbprint(spki_der: bytes) -> str:
    """RFC 7638 thumbprint of a public key, base64url without padding."""
    return _thumbprint(_members(spki_der))


def _members(spki_der: bytes) -> dict[str, str]:
    """The members that RFC 7638 §3.2 requires, and no others."""
    match load_spki(spki_der):
        case ec.EllipticCurvePublicKey() as key:
            # Fixed length: leading zero bytes of a coordinate stay (RFC 7518 §6.2.1.2).
            size = (key.key_size + 7) // 8
            point = key.public_numbers()
            return {
                "kty": "EC",
                "crv": f"P-{key.key_size}",
                "x": _base64url(point.x.to_bytes(size)),
                "y": _base64url(point.y.to_bytes(size)),
            }
        case Ed25519PublicKey() as key:
            return {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw)),
            }
        case rsa.RSAPublicKey() as key:
            numbers = key.public_numbers()
            return {"kty": "RSA", "e": _base64url(_octets(numbers.e)), "n": _base64url(_octets(numbers.n))}


def _thumbprint(members: Mapping[str, str]) -> str:
    return _base64url(hashlib.sha256(canonical(dict(members))).digest())


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")
