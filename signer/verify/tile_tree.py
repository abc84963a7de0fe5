# SPDX-License-Identifier: Apache-2.0
"""A tree as its tiles show it: nodes and proofs from what a stranger serves (c2sp.org/tlog-tiles).

Nothing that is read here is believed by itself: a proof made from tiles is verified against a signed root like any
other, and `require_whole` says whether the tiles at the right end make that root.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from signer.errors import Refused
from signer.tlog.merkle import Prover, parents
from signer.tlog.strict import HASH_BYTES
from signer.tlog.tiles import HEIGHT, WIDTH, Tile, tile_width

KEPT = 512
"""Tiles kept at a time, 16 KiB each with the nodes above them."""


class TileTree:
    """The tree of `size` leaves; `read` gives the bytes of a hash tile. Raises Refused("tile-invalid")."""

    def __init__(self, size: int, *, read: Callable[[Tile], bytes]) -> None:
        self.size = size
        self._read = read
        self._nodes = lru_cache(KEPT)(self._fetch)

    @property
    def levels(self) -> int:
        """How many levels of tiles there are."""
        return (self.size.bit_length() + HEIGHT - 1) // HEIGHT

    def tile(self, level: int, n: int) -> tuple[bytes, ...]:
        """The hashes of one tile, as many as a tree of this size has of it."""
        return self._nodes(level, n)[0]

    def node(self, level: int, n: int) -> bytes:
        """The hash of the complete node (level, n)."""
        tile_level, height = divmod(level, HEIGHT)
        tile, offset = divmod(n << height, WIDTH)
        return self._nodes(tile_level, tile)[height][offset >> height]

    def prover(self, size: int | None = None) -> Prover:
        """What makes proofs in this tree, or in that of its first `size` leaves, and knows its root."""
        return Prover(self.size if size is None else size, node=self.node)

    def require_full(self, level: int, n: int) -> None:
        """Compare a full tile with the hash that stands for it in the tile above."""
        if self.node(HEIGHT * (level + 1), n) != parents(self._nodes(level, n)[HEIGHT - 1])[0]:
            covered = WIDTH ** (level + 1)
            raise _invalid(
                f"{Tile(level, n, WIDTH).path()}, over leaves {n * covered} to {(n + 1) * covered - 1}, does not lead "
                f"to its hash in {self._at(level + 1, n // WIDTH).path()}"
            )

    def require_whole(self, root: bytes) -> None:
        """Compare the tiles at the right end, which are hashed together, with the root of the tree."""
        if self.prover().root != root:
            raise _invalid(f"the tiles at the right end do not make the root of the {self.size} leaves")

    def _at(self, level: int, n: int) -> Tile:
        return Tile(level, n, tile_width(self.size, level=level, n=n))

    def _fetch(self, level: int, n: int) -> tuple[tuple[bytes, ...], ...]:
        tile = self._at(level, n)
        data = self._read(tile)
        if tile.width == 0 or len(data) != tile.width * HASH_BYTES:
            raise _invalid(f"{tile.path()} has {len(data)} bytes in place of {tile.width * HASH_BYTES}")
        levels = [tuple(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))]
        while len(levels) < HEIGHT:
            levels.append(tuple(parents(levels[-1])))
        return tuple(levels)


def _invalid(why: str) -> Refused:
    return Refused("tile-invalid", why, remedy="read the log from another copy, and keep this one for the inquiry")
