# SPDX-License-Identifier: Apache-2.0
"""Signed notes and their keys (c2sp.org/signed-note@v1.0.0), Ed25519 only (type 0x01).

    dev.invalid/signing-authority                                                   ┐
    3                                                                               │ text: what is signed
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=                                    ┘
                                                                                    the last empty line
    — dev.invalid/signing-authority Az3grlgt…                                       base64(key id || signature)

A vkey names a key in configuration: `<name>+<key id, 8 hex digits>+<base64(0x01 || public key)>`, where
key id = SHA-256(name || 0x0A || 0x01 || public key)[:4].
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from signer.errors import Malformed, Refused
from signer.tlog.strict import format_base64, parse_base64

MAX_NOTE = 1024 * 1024
MAX_SIGNATURES = 100
_KEY_ID = 4
_ED25519 = b"\x01"
_ED25519_BYTES = 32
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NAME = re.compile(r"[^\s+\x00-\x1f]+")
_DASH = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named Ed25519 public key of 32 bytes; `str()` gives the vkey."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not _is_name(self.name) or len(self.public) != _ED25519_BYTES:
            raise Malformed("malformed-vkey", "a vkey needs a name without spaces and plus, and 32 key bytes")

    @property
    def key_id(self) -> bytes:
        """Four bytes that, with the name, find this key's signature line."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{format_base64(_ED25519 + self.public)}"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line, of a known key or not."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note: `text` must not be used before `verify_note` accepted it."""

    text: str
    signatures: tuple[NoteSignature, ...]


def parse_vkey(text: str) -> VerifierKey:
    """Read a vkey; raises Malformed for other algorithms and a key id that is not its own."""
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    data = parse_base64(encoded, what="key of the vkey")
    if data[:1] != _ED25519:
        raise Malformed("malformed-vkey", "the vkey is not of an Ed25519 key")
    key = VerifierKey(name, data[1:])
    if str(key) != text:
        raise Malformed("malformed-vkey", "the vkey does not carry its own key id")
    return key


class NoteSigner:
    """Signs notes under one name with one Ed25519 key."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = VerifierKey(name, private.public_key().public_bytes_raw())
        self._key_id = self.verifier.key_id

    def sign(self, text: str) -> str:
        """The note of `text`, which ends in a newline."""
        signature = self._private.sign(text.encode())
        return f"{text}\n{_DASH}{self.verifier.name} {format_base64(self._key_id + signature)}\n"


def parse_note(data: bytes) -> Note:
    """Split a note into text and signature lines; raises Malformed."""
    if len(data) > MAX_NOTE:
        raise _malformed(f"larger than {MAX_NOTE} bytes")
    try:
        note = data.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise _malformed("not UTF-8") from None
    if _CONTROL.search(note) is not None:
        raise _malformed("a control character")
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise _malformed("no signature lines after an empty line")
    signatures = tuple(_parse_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise _malformed(f"more than {MAX_SIGNATURES} signatures")
    if len({(each.name, each.key_id) for each in signatures}) != len(signatures):
        raise _malformed("two signatures of one key")
    return Note(text + "\n", signatures)


def verify_note(note: Note, keys: Sequence[VerifierKey]) -> tuple[VerifierKey, ...]:
    """The keys that signed `note`; raises Refused when none did or when a known key's signature is wrong."""
    known = {(key.name, key.key_id): key for key in keys}
    verified = []
    for each in note.signatures:
        key = known.get((each.name, each.key_id))
        if key is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(each.signature, note.text.encode())
        except InvalidSignature:
            raise Refused("note-signature-invalid", f"the signature of {key.name} is not of this text") from None
        verified.append(key)
    if not verified:
        raise Refused("note-unsigned", "no key that is trusted signed this text")
    return tuple(verified)


def _parse_signature(line: str) -> NoteSignature:
    dash, name, encoded = line[: len(_DASH)], *line[len(_DASH) :].partition(" ")[::2]
    if dash != _DASH or not _is_name(name):
        raise _malformed("a signature line has another form")
    data = parse_base64(encoded, what="signature")
    if len(data) <= _KEY_ID:
        raise _malformed("a signature is empty")
    return NoteSignature(name, data[:_KEY_ID], data[_KEY_ID:])


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _malformed(why: str) -> Malformed:
    return Malformed("malformed-log-text", f"not a signed note: {why}")
