# SPDX-License-Identifier: Apache-2.0
"""What is published: the public listener's own answers, so that a folder and the listener never differ."""

from __future__ import annotations

from typing import Protocol

from signer.errors import Refused
from signer.tlog.tiles import Tile


class Site(Protocol):
    """What the public listener serves, and beside it the entries, which it serves to nobody."""

    def get(self, path: str) -> bytes | None:
        """The body of the answer to GET `path`; None where there is nothing. Raises Unavailable."""
        ...

    def entries(self, tile: Tile) -> bytes:
        """The bytes of one entry bundle."""
        ...


def required(site: Site, path: str, *, remedy: str) -> bytes:
    """What stands at `path`; raises Refused("nothing-to-publish") where nothing does."""
    found = site.get(path)
    if found is None:
        raise Refused("nothing-to-publish", f"the authority serves no {path}", remedy=remedy)
    return found
