# SPDX-License-Identifier: Apache-2.0
"""The one base64 reader: each byte string has one spelling per alphabet.

DSSE v1.0.2 (protocol.md, "To verify") makes verifiers accept the standard and the URL-safe alphabet. Refused:
both alphabets in one text, characters outside them, wrong padding, and trailing bits that are not zero
(`YWJ=` decodes like `YWI=`).
"""

from __future__ import annotations

import binascii

from signer.errors import Malformed

_URL_SAFE = str.maketrans("-_", "+/")


def decode_base64(text: str, *, what: str, code: str = "invalid-encoding") -> bytes:
    """Decode padded base64 of either alphabet; raises Malformed with `code`."""
    standard = text
    if "-" in text or "_" in text:
        if "+" in text or "/" in text:
            raise _malformed(what, code)
        standard = text.translate(_URL_SAFE)
    try:
        data = binascii.a2b_base64(standard, strict_mode=True)
    except ValueError:
        raise _malformed(what, code) from None
    # Strict mode still lets extra padding and non-zero trailing bits pass: the length shows the one, the other shows
    # when the last group is encoded again.
    last = encode_base64(data[(len(data) - 1) // 3 * 3 :])
    if len(standard) != (len(data) + 2) // 3 * 4 or not standard.endswith(last):
        raise _malformed(what, code)
    return data


def encode_base64(data: bytes) -> str:
    """Standard alphabet, padded, one line."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _malformed(what: str, code: str) -> Malformed:
    return Malformed(code, f"the {what} is not canonical base64", remedy="send padded base64 on one line")
