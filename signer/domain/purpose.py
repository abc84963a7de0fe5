# SPDX-License-Identifier: Apache-2.0
"""The purposes of our keys: a closed list. A key has one for all its life, and signs and verifies nothing else.

statement    what was decided about subjects: the bytes are built by the custodian
image        cosign's simple signing document about an image: built by the custodian
artifact     the digest that the caller named: nothing of it is ours, so such a key is trusted for no statement
break-glass  what was decided in an emergency: built by the custodian, and accepted only where it is asked for
"""

from __future__ import annotations

from enum import StrEnum

from signer.errors import Malformed


class Purpose(StrEnum):
    """What a key is for, by the name that settings, leaves and trust documents carry."""

    STATEMENT = "statement"
    IMAGE = "image"
    ARTIFACT = "artifact"
    BREAK_GLASS = "break-glass"


def parse_purpose(name: str) -> Purpose:
    """The purpose of this name; raises Malformed("purpose-unknown")."""
    try:
        return Purpose(name)
    except ValueError:
        raise Malformed(
            "purpose-unknown",
            f"{name[:32]!r} is no purpose of a key that this version knows",
            remedy=f"one of {', '.join(Purpose)}; a newer version may know more",
        ) from None
