# SPDX-License-Identifier: Apache-2.0
"""What PKCS #11 speaks and what the world reads: r‖s ⇄ DER, DigestInfo, public attributes → SubjectPublicKeyInfo.

CKM_ECDSA             r‖s, big-endian halves of 32 (P-256) or 48 bytes (P-384)  ⇄  ECDSA-Sig-Value
CKM_RSA_PKCS          DigestInfo of sha256: 30 31 30 0d 06 09 … 04 20 ‖ digest (RFC 8017 §9.2)
CKA_EC_PARAMS         06 08 2a 86 48 ce 3d 03 01 07 (P-256) or 06 05 2b 81 04 00 22 (P-384);
                      for Ed25519 the OID 06 03 2b 65 70 or the name 13 0c "edwards25519"
CKA_EC_POINT          04 41 04 ‖ X ‖ Y (an OCTET STRING around the point), or the bare point; Ed25519: 32 bytes
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from signer.errors import Malformed
from signer.formats.spki import spki_der

P256_OID = bytes.fromhex("06082a8648ce3d030107")
P384_OID = bytes.fromhex("06052b81040022")
ED25519_OID = bytes.fromhex("06032b6570")
ED25519_NAME = b"\x13\x0cedwards25519"
P256_HALF = 32
P384_HALF = 48
ED25519_SIZE = 32

_CURVES: Mapping[bytes, ec.EllipticCurve] = {P256_OID: ec.SECP256R1(), P384_OID: ec.SECP384R1()}
_OCTET_STRING = 0x04
_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def der_from_raw(raw: bytes, *, half: int = P256_HALF) -> bytes:
    """The DER spelling of an ECDSA signature r‖s; raises Malformed for another length or a zero half."""
    r, s = int.from_bytes(raw[:half]), int.from_bytes(raw[half:])
    if len(raw) != 2 * half or r == 0 or s == 0:
        raise Malformed("invalid-signature", f"the device answered no signature r‖s of {half} bytes each, neither zero")
    return encode_dss_signature(r, s)


def raw_from_der(der: bytes, *, half: int = P256_HALF) -> bytes:
    """The r‖s spelling of a DER ECDSA signature; raises Malformed."""
    try:
        r, s = decode_dss_signature(der)
        return r.to_bytes(half) + s.to_bytes(half)
    except (ValueError, OverflowError):
        raise Malformed("invalid-signature", "not the DER of an ECDSA signature on this curve") from None


def digest_info(digest: bytes) -> bytes:
    """The DigestInfo of a sha256 digest, which CKM_RSA_PKCS pads and signs as it is."""
    return _SHA256_INFO + digest


def spki_from_ec(params: bytes, point: bytes) -> bytes:
    """DER SubjectPublicKeyInfo from CKA_EC_PARAMS and CKA_EC_POINT; raises Malformed for another curve or no point."""
    curve = _CURVES.get(params)
    if curve is None:
        raise Malformed("invalid-key", "the key is on neither P-256 nor P-384 (named by OID)")
    try:
        return spki_der(ec.EllipticCurvePublicKey.from_encoded_point(curve, _bare(point, 2 * curve.key_size // 8 + 1)))
    except ValueError:
        raise Malformed("invalid-key", f"CKA_EC_POINT is not a point of {curve.name}") from None


def spki_from_edwards(params: bytes, point: bytes) -> bytes:
    """DER SubjectPublicKeyInfo from the attributes of a CKK_EC_EDWARDS key; raises Malformed unless Ed25519."""
    if params not in (ED25519_OID, ED25519_NAME):
        raise Malformed("invalid-key", "the key is not on edwards25519")
    try:
        return spki_der(Ed25519PublicKey.from_public_bytes(_bare(point, ED25519_SIZE)))
    except ValueError:
        raise Malformed("invalid-key", "CKA_EC_POINT is not 32 bytes of Ed25519") from None


def spki_from_rsa(modulus: bytes, exponent: bytes) -> bytes:
    """DER SubjectPublicKeyInfo from CKA_MODULUS and CKA_PUBLIC_EXPONENT, big-endian; raises Malformed."""
    try:
        return spki_der(rsa.RSAPublicNumbers(int.from_bytes(exponent), int.from_bytes(modulus)).public_key())
    except ValueError:
        raise Malformed("invalid-key", "modulus and exponent are not those of an RSA key") from None


def _bare(point: bytes, size: int) -> bytes:
    """The point without the OCTET STRING that PKCS #11 2.20 puts around it and some devices leave out."""
    if len(point) == size + 2 and point[:2] == bytes((_OCTET_STRING, size)):
        return point[2:]
    return point


def not_empty(raw: bytes) -> bytes:
    """A signature as the token gave it; raises Malformed when it gave none."""
    if not raw:
        raise Malformed("invalid-signature", "the token answered no signature")
    return raw
