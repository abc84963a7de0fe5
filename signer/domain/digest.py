# SPDX-License-Identifier: Apache-2.0
"""Digests: the only identity of an artifact.

    sha256:9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab

One spelling each: lower-case hexadecimal of the algorithm's exact length.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from signer.errors import Malformed

LENGTHS: Mapping[str, int] = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Accepted algorithms and the length of their value in hexadecimal digits."""

_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """An algorithm and its value in lower-case hexadecimal."""

    algorithm: str
    value: str

    def __post_init__(self) -> None:
        length = LENGTHS.get(self.algorithm)
        if length is None:
            raise Malformed(
                "invalid-digest",
                f"digest algorithm {self.algorithm[:32]!r} is not accepted",
                remedy=f"use one of {', '.join(LENGTHS)}",
            )
        if len(self.value) != length or _HEX.fullmatch(self.value) is None:
            raise Malformed(
                "invalid-digest",
                f"a {self.algorithm} digest is {length} lower-case hexadecimal digits",
                remedy="send the digest as `sha256sum` prints it, without a prefix or spaces",
            )

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:<hex>`; raises Malformed for any other spelling."""
        algorithm, separator, value = text.partition(":")
        if not separator:
            raise Malformed("invalid-digest", "a digest is written ALGORITHM:HEX", remedy="for example sha256:9c56…")
        return cls(algorithm, value)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The sha256 digest of `data`."""
        return cls("sha256", hashlib.sha256(data).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"
