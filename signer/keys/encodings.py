# SPDX-License-Identifier: Apache-2.0
"""What PKCS #11 speaks and what the world reads: r‖s ⇄ DER, EC attributes → SubjectPublicKeyInfo.

CKM_ECDSA on P-256    r‖s, 64 bytes, big-endian halves     ⇄  ECDSA-Sig-Value (SEQUENCE of two INTEGERs)
CKA_EC_PARAMS         06 08 2a 86 48 ce 3d 03 01 07 (OID of P-256)
CKA_EC_POINT          04 41 04 ‖ X ‖ Y (an OCTET STRING around the point), or the bare point
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signer.errors import Malformed

P256_OID = bytes.fromhex("06082a8648ce3d030107")
RAW_SIZE = 64
_HALF = RAW_SIZE // 2
_POINT_SIZE = 65
_OCTET_STRING = bytes((0x04, _POINT_SIZE))


def der_from_raw(raw: bytes) -> bytes:
    """The DER spelling of a P-256 signature r‖s; raises Malformed for another length or a zero half."""
    r, s = int.from_bytes(raw[:_HALF]), int.from_bytes(raw[_HALF:])
    if len(raw) != RAW_SIZE or r == 0 or s == 0:
        raise Malformed("invalid-signature", f"a P-256 signature is r and s of {_HALF} bytes each, neither zero")
    return encode_dss_signature(r, s)


def raw_from_der(der: bytes) -> bytes:
    """The r‖s spelling of a DER P-256 signature; raises Malformed."""
    try:
        r, s = decode_dss_signature(der)
        return r.to_bytes(_HALF) + s.to_bytes(_HALF)
    except (ValueError, OverflowError):
        raise Malformed("invalid-signature", "not the DER of a P-256 signature") from None


def spki_from_ec(params: bytes, point: bytes) -> bytes:
    """DER SubjectPublicKeyInfo from CKA_EC_PARAMS and CKA_EC_POINT; raises Malformed unless it is a P-256 point."""
    if params != P256_OID:
        raise Malformed("invalid-key", "the key is not on curve P-256 (named by its OID)")
    if len(point) == _POINT_SIZE + 2 and point.startswith(_OCTET_STRING):
        point = point[2:]
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise Malformed("invalid-key", "CKA_EC_POINT is not a point of P-256") from None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
