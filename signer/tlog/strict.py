# SPDX-License-Identifier: Apache-2.0
"""The atoms of C2SP texts: each value has exactly one spelling, every other one is refused.

73894                                           decimal, no sign, no leading zero, at most 2^63-1
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=    base64, standard alphabet, padded
"""

from __future__ import annotations

import base64
import binascii
import re

from signer.errors import Malformed

MAX_SIZE = 2**63 - 1
HASH_BYTES = 32

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def parse_decimal(text: str, *, what: str) -> int:
    """Read an unsigned decimal; raises Malformed."""
    if _DECIMAL.fullmatch(text) is None or int(text) > MAX_SIZE:
        raise Malformed("malformed-log-text", f"the {what} is not a decimal number below 2^63")
    return int(text)


def parse_base64(text: str, *, what: str) -> bytes:
    """Read standard padded base64 on one line; raises Malformed."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        data = b""
    # Strict mode lets non-zero trailing bits pass; encoding again shows them.
    if not data or base64.b64encode(data).decode("ascii") != text:
        raise Malformed("malformed-log-text", f"the {what} is not canonical base64")
    return data


def parse_hash(text: str, *, what: str) -> bytes:
    """Read a base64 SHA-256 value; raises Malformed."""
    data = parse_base64(text, what=what)
    if len(data) != HASH_BYTES:
        raise Malformed("malformed-log-text", f"the {what} is not {HASH_BYTES} bytes long")
    return data


def format_base64(data: bytes) -> str:
    """Standard alphabet, padded, one line."""
    return base64.b64encode(data).decode("ascii")
