# SPDX-License-Identifier: Apache-2.0
"""The ledger as Sigstore's clients know a log: `trusted_root.json` (sigstore/protobuf-specs, `TrustedRoot`).

    {"certificateAuthorities":[],"ctlogs":[],"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1",
     "timestampAuthorities":[],
     "tlogs":[{"baseUrl":"sign.example.com/authority","hashAlgorithm":"SHA2_256","logId":{"keyId":"N6yCtw=="},
               "publicKey":{"keyDetails":"PKIX_ED25519","rawBytes":"<base64 DER SPKI>"}}]}

The format has no place for managed keys: a client takes those beside it (PEM, JWK Set), and their windows stand in the
trust file. `logId` is the key id of the signed note, by which clients find the log of a checkpoint. A ledger key has no
end in the trust file while the owners list it, and none here. Version 0.1 is the one that every client reads.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signer.formats.canonical import canonical
from signer.formats.spki import spki_der
from signer.formats.strict_base64 import encode_base64
from signer.formats.trust import TrustDocument
from signer.tlog.note import VerifierKey, parse_vkey

MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


def build_trusted_root(trust: TrustDocument) -> bytes:
    """Canonical bytes of the trusted root of an authority, from what its owners signed; raises Malformed."""
    return canonical(
        {
            "mediaType": MEDIA_TYPE,
            "tlogs": [_log(parse_vkey(text)) for text in trust.ledger_keys],
            "certificateAuthorities": [],
            "ctlogs": [],
            "timestampAuthorities": [],
        }
    )


def _log(key: VerifierKey) -> dict[str, object]:
    return {
        # The proto asks for the checkpoint's origin; it is no address to read from.
        "baseUrl": key.name,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": encode_base64(spki_der(Ed25519PublicKey.from_public_bytes(key.public))),
            "keyDetails": "PKIX_ED25519",
        },
        "logId": {"keyId": encode_base64(key.key_id)},
    }
