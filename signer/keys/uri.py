# SPDX-License-Identifier: Apache-2.0
"""PKCS #11 URIs (RFC 7512), the part that names one key in one token:

    pkcs11:token=signer;object=release;id=%01

`token`, `object` and `id` are all mandatory, each once: a key is found by label and id together. `type`, where it
stands, is `private`. Query attributes are refused, so no PIN and no module path can hide in a key's name.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from signer.errors import Malformed

MAX_URI = 1024
MAX_ID = 64

_ATTRIBUTE = re.compile(r"([a-z-]+)=((?:[A-Za-z0-9._~:\[\]@!$'()*+,&=-]|%[0-9A-Fa-f]{2})+)")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_NEEDED = ("token", "object", "id")
_PLAIN = frozenset(string.ascii_letters.encode() + string.digits.encode() + b"-._~")


@dataclass(frozen=True, slots=True)
class KeyUri:
    """Label of the token, label and id of the key pair in it."""

    token: str
    object: str
    id: bytes

    def __str__(self) -> str:
        ident = "".join(f"%{byte:02X}" for byte in self.id)
        return f"pkcs11:token={_escaped(self.token)};object={_escaped(self.object)};id={ident}"


def parse_uri(text: str) -> KeyUri:
    """Read a PKCS #11 URI; raises Malformed("invalid-key-uri") for whatever this module does not describe."""
    if len(text) > MAX_URI or not text.startswith("pkcs11:"):
        raise _malformed("starts with pkcs11: and is at most 1024 characters long")
    if "?" in text:
        raise _malformed("has no query part; the module and the PIN file stand with the token's settings")
    found: dict[str, bytes] = {}
    for part in text.removeprefix("pkcs11:").split(";"):
        match = _ATTRIBUTE.fullmatch(part)
        if match is None:
            raise _malformed("is NAME=VALUE parts joined by ;, percent-encoded")
        name, value = match[1], match[2]
        if name not in (*_NEEDED, "type"):
            raise _malformed(f"takes token, object, id and type, not {name[:32]}")
        if name in found:
            raise _malformed(f"names {name} twice")
        found[name] = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), value).encode("latin-1")
    if found.get("type", b"private") != b"private":
        raise _malformed("is about a private key: type=private, or no type")
    missing = [name for name in _NEEDED if name not in found]
    if missing:
        raise _malformed(f"lacks {', '.join(missing)}")
    if len(found["id"]) > MAX_ID:
        raise _malformed(f"has an id of at most {MAX_ID} bytes")
    return KeyUri(_label(found["token"]), _label(found["object"]), found["id"])


def _label(value: bytes) -> str:
    try:
        label = value.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("has labels in UTF-8") from None
    if not label.isprintable():
        raise _malformed("has printable labels")
    return label


def _escaped(label: str) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in label.encode())


def _malformed(rule: str) -> Malformed:
    return Malformed(
        "invalid-key-uri",
        f"the URI of a key {rule}",
        remedy="write it like pkcs11:token=signer;object=release;id=%01",
    )
