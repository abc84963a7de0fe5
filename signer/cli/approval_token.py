# SPDX-License-Identifier: Apache-2.0
"""An approval key in a PKCS #11 token: found by its URI, used once, never seen.

`pkcs11` is loaded when such a key is named, and only then.
"""

from __future__ import annotations

from pathlib import Path

from signer.domain.algorithm import Algorithm, key_input
from signer.errors import Malformed
from signer.formats.dsse import encode_envelope, pae
from signer.formats.own_signature import verify_own
from signer.formats.spki import keyid, load_spki
from signer.keys.pin import PinFile
from signer.keys.uri import Pkcs11Uri, parse_uri


def sign_with_token(payload_type: str, payload: bytes, *, key: str, module: Path, pin_file: Path) -> bytes:
    """The envelope around a payload, signed with ECDSA P-256 in the token that the URI names.

    Raises KeyFault, or Malformed for a URI of another kind. The signature is verified before it is returned (I11).
    """
    from signer.keys.pkcs11 import Pkcs11Backend  # noqa: PLC0415 - see above

    uri = parse_uri(key)
    if not isinstance(uri, Pkcs11Uri):
        raise Malformed("invalid-key-uri", "an approval key in a token has a pkcs11: URI", remedy="see --token-key")
    # Beside the PIN stands whether the token refused it, so that nobody locks their token by trying again.
    pin = PinFile(pin_file, pin_file.with_name(f"{pin_file.name}.refused"))
    backend = Pkcs11Backend(module, label=uri.token, pin=pin, lock=pin_file.with_name(f"{pin_file.name}.lock"))
    found = backend.public_key(uri, Algorithm.ECDSA_P256)
    message = pae(payload_type, payload)
    signature = backend.sign(uri, Algorithm.ECDSA_P256, key_input(Algorithm.ECDSA_P256, message))
    verify_own(Algorithm.ECDSA_P256, load_spki(found.spki), message, signature)
    return encode_envelope(payload_type, payload, [(keyid(found.spki), signature)])
