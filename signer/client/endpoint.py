# SPDX-License-Identifier: Apache-2.0
"""Where the authority is, and as whom to speak to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from signer.errors import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the authority is and as whom to speak to it."""

    url: str
    ca: Path | None
    certificate: Path | None
    key: Path | None
    timeout: float
    """Seconds that one call may take, retries included."""

    def place(self) -> tuple[str, int]:
        """Host and port; raises Misconfigured("url-invalid") for anything but https://HOST[:PORT]."""
        parts = urlsplit(self.url)
        try:
            port = parts.port or 443
        except ValueError:
            raise _invalid() from None
        if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise _invalid()
        return parts.hostname, port


def _invalid() -> Misconfigured:
    return Misconfigured("url-invalid", "the authority's address is not https://HOST[:PORT]", remedy="set SIGNER_URL")
