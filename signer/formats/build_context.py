# SPDX-License-Identifier: Apache-2.0
"""What provenance tells of the build's surroundings, in this authority's own spelling, since no standard has one.

"internalParameters":{"authority_secrets":["REGISTRY_TOKEN"]}
"byproducts":[{"name":"build-log","digest":{"sha256":"77ab…"}}]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from signer.errors import Malformed
from signer.formats.shape import require_printable

SECRETS: Final = "authority_secrets"
"""Extension of `internalParameters`: the names of all secrets that the build could reach, never their values."""
BUILD_LOG: Final = "build-log"
"""Name of a byproduct that is a log of the build."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_logs(byproducts: Iterable[tuple[str | None, Mapping[str, str]]]) -> Iterator[str]:
    """The sha256 of each byproduct, name and digests, that is a log."""
    for name, digest in byproducts:
        sha256 = digest.get("sha256", "")
        if name == BUILD_LOG and _SHA256.fullmatch(sha256):
            yield sha256


def read_secrets(internal: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names among the internal parameters, sorted; None when they are not stated; raises Malformed."""
    names = internal.get(SECRETS)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Malformed("evidence-invalid", f"{SECRETS} of the provenance is no list of names")
    return tuple(sorted({require_printable(name, what="name of a secret") for name in names}))
