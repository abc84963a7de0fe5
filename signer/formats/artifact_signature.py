# SPDX-License-Identifier: Apache-2.0
"""A signature over nothing but an artifact's digest, as the statement that cosign v3 signs for an image.

{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://sigstore.dev/cosign/sign/v1",
 "subject":[{"digest":{"sha256":"9c56…"}}],"predicate":{}}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PREDICATE_TYPE: Final = "https://sigstore.dev/cosign/sign/v1"


@dataclass(frozen=True, slots=True)
class DigestSigned:
    """That the statement's subjects are signed; whatever its predicate holds says nothing more."""
