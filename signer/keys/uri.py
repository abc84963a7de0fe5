# SPDX-License-Identifier: Apache-2.0
"""Where a key is: the only form in which settings name one.

    pkcs11:token=signer;object=release;id=%01                          RFC 7512, one key pair in one token
    awskms:///arn:aws:kms:eu-central-1:111122223333:key/<key id>       AWS KMS; or …:alias/<name>

PKCS #11: `token`, `object` and `id` are all mandatory, each once: a key is found by label and id together. `type`,
where it stands, is `private`. Query attributes (`pin-value`, `pin-source`, `module-path`, …) are refused, so no PIN
and no module hides in a key's name: both stand with the token. AWS KMS: a whole ARN, so that region and account are
fixed; no host, whose place is the settings of the region.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TypeAlias

from signer.errors import Malformed

MAX_URI = 1024
MAX_ID = 64
KMS_DEVICE = "aws-kms/"

_ATTRIBUTE = re.compile(r"([a-z-]+)=((?:[A-Za-z0-9._~:\[\]@!$'()*+,&=-]|%[0-9A-Fa-f]{2})+)")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_NEEDED = ("token", "object", "id")
_PLAIN = frozenset(string.ascii_letters.encode() + string.digits.encode() + b"-._~")
_KMS = "awskms:///"
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ARN = re.compile(
    rf"arn:aws(?:-[a-z]+)*:kms:(?P<region>[a-z]{{2,4}}(?:-[a-z]+)+-[0-9]{{1,2}}):[0-9]{{12}}:"
    rf"(?:key/(?:{_UUID}|mrk-[0-9a-f]{{32}})|(?P<alias>alias/(?!aws/)[A-Za-z0-9/_-]{{1,250}}))"
)


@dataclass(frozen=True, slots=True)
class Pkcs11Uri:
    """Label of the token, label and id of the key pair in it."""

    token: str
    object: str
    id: bytes

    @property
    def device(self) -> str:
        """Name of the device that holds the key: the token's label."""
        return self.token

    def __str__(self) -> str:
        ident = "".join(f"%{byte:02X}" for byte in self.id)
        return f"pkcs11:token={_escaped(self.token)};object={_escaped(self.object)};id={ident}"


@dataclass(frozen=True, slots=True)
class KmsUri:
    """The ARN of a key, or of an alias, which is refused when it points to another key than the recorded one."""

    arn: str
    region: str

    @property
    def device(self) -> str:
        """Name of the device that holds the key: AWS KMS in one region."""
        return kms_device(self.region)

    @property
    def is_alias(self) -> bool:
        """Whether the key is named by an alias, which its owner can repoint."""
        return ":alias/" in self.arn

    def __str__(self) -> str:
        return f"{_KMS}{self.arn}"


KeyUri: TypeAlias = Pkcs11Uri | KmsUri


def kms_device(region: str) -> str:
    """How AWS KMS in one region is named among the devices; settings refuse a token with such a label."""
    return f"{KMS_DEVICE}{region}"


def parse_uri(text: str) -> KeyUri:
    """Read the URI of a key; raises Malformed("invalid-key-uri") for whatever this module does not describe."""
    if len(text) > MAX_URI:
        raise _malformed(f"is at most {MAX_URI} characters long")
    if text.startswith("awskms:"):
        return _kms(text)
    if not text.startswith("pkcs11:"):
        raise _malformed("starts with pkcs11: or awskms:///")
    return _pkcs11(text.removeprefix("pkcs11:"))


def _kms(text: str) -> KmsUri:
    arn = text.removeprefix(_KMS)
    match = _ARN.fullmatch(arn)
    if arn == text or match is None:
        raise Malformed(
            "invalid-key-uri",
            "the URI of a key in AWS KMS is awskms:/// and the whole ARN of a key or of an alias of yours",
            remedy="write it like awskms:///arn:aws:kms:eu-central-1:111122223333:key/"
            "1234abcd-12ab-34cd-56ef-1234567890ab (`aws kms describe-key` prints the ARN)",
        )
    return KmsUri(arn, match["region"])


def _pkcs11(text: str) -> Pkcs11Uri:
    if "?" in text:
        raise _malformed("has no query part; the module and the PIN file stand with the token's settings")
    found: dict[str, bytes] = {}
    for part in text.split(";"):
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
    return Pkcs11Uri(_label(found["token"]), _label(found["object"]), found["id"])


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
