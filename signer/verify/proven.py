# SPDX-License-Identifier: Apache-2.0
"""A log read from somebody who is not believed: every leaf proven under a signed head before anybody sees it.

tile/entries/N ──▶ leaf hashes = tile/0/N ──▶ its hash in tile/1/… ──▶ … ──▶ root of the checkpoint
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from signer.errors import Malformed, Refused
from signer.tlog.checkpoint import Checkpoint
from signer.tlog.merkle import leaf_hash
from signer.tlog.tiles import WIDTH, Tile, iter_entries, tile_width
from signer.verify.checks import OneCheck
from signer.verify.tile_tree import TileTree


class LogSource(Protocol):
    """Where a ledger is read from: a directory of tiles, a server or a database. Nothing it gives is believed."""

    def checkpoint(self) -> bytes:
        """The newest checkpoint."""
        ...

    def tile(self, tile: Tile) -> bytes:
        """The bytes of one tile or entry bundle; raises Refused where there is none."""
        ...


class TileDirectory:
    """A ledger as files: `checkpoint` and `tile/…` below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def checkpoint(self) -> bytes:
        """The file `checkpoint`."""
        return self._read("checkpoint")

    def tile(self, tile: Tile) -> bytes:
        """The file of the tile; its path is made here and never read from the log."""
        return self._read(tile.path())

    def _read(self, path: str) -> bytes:
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            raise Refused("tile-missing", f"{self._root} has no {path}", remedy="publish it again") from None


class ProvenLog:
    """The leaves under one signed head. Raises Refused (CheckFailed) for what does not lead to it."""

    def __init__(self, source: LogSource, head: Checkpoint) -> None:
        self.head = head
        self._source = source
        self._tree = TileTree(head.size, read=source.tile)
        self._proven: set[tuple[int, int]] = set()

    def leaves(self, start: int, stop: int, *, check: OneCheck) -> Iterator[tuple[int, bytes]]:
        """Index and bytes of the leaves from `start` to before `stop`; the first that is not the log's is named.

        What stands in tiles at the right end is proven once `require_whole` has passed.
        """
        for n in range(start // WIDTH, (stop + WIDTH - 1) // WIDTH):
            bodies = self._bundle(n, check)
            self._require_above(0, n)
            for index, body in enumerate(bodies, n * WIDTH):
                if start <= index < stop:
                    yield index, body

    def require_whole(self) -> None:
        """Compare the tiles at the right end with the root of the head."""
        self._tree.require_whole(self.head.root)

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves."""
        return self._tree.prover(size).root

    def hash(self, index: int) -> bytes:
        """The hash of a leaf as its tile has it; for the caller to prove."""
        return self._tree.node(0, index)

    def inclusion(self, index: int, *, size: int | None = None) -> tuple[bytes, ...]:
        """The inclusion proof of a leaf in the first `size` leaves, or under the head; for the caller to verify."""
        return self._tree.prover(size).inclusion(index)

    def consistency(self, old: int, *, size: int | None = None) -> tuple[bytes, ...]:
        """The proof that the first `size` leaves, or the head, extend the first `old`; for the caller to verify."""
        return self._tree.prover(size).consistency(old) if old else ()

    def _bundle(self, n: int, check: OneCheck) -> list[bytes]:
        width = tile_width(self.head.size, level=0, n=n)
        data = self._source.tile(Tile(None, n, width))
        hashes = self._tree.tile(0, n)
        bodies: list[bytes] = []
        try:
            for index, body in enumerate(iter_entries(data), n * WIDTH):
                check.require(
                    len(bodies) < width,
                    expected=f"{width} entries from leaf {n * WIDTH}",
                    found=f"another one at {index}",
                )
                hashed = leaf_hash(body)
                if hashed != hashes[len(bodies)]:
                    raise check.failure(
                        expected=f"leaf {index} with hash {hashes[len(bodies)].hex()}",
                        found=f"{hashed.hex()}: {self._blame(n)}",
                    )
                bodies.append(body)
        except Malformed:
            index = n * WIDTH + len(bodies)
            raise check.failure(expected=f"leaf {index} whole", found="a bundle that is cut off there") from None
        check.require(
            len(bodies) == width,
            expected=f"{width} entries from leaf {n * WIDTH}",
            found=f"{len(bodies)}: leaf {n * WIDTH + len(bodies)} is missing",
        )
        return bodies

    def _blame(self, n: int) -> str:
        """Which of the two was altered, an entry or its hash, where the tile above can tell."""
        if tile_width(self.head.size, level=0, n=n) < WIDTH:
            return "the entry or its hash was altered"
        try:
            self._tree.require_full(0, n)
        except Refused:
            return "its hash tile was altered"
        return "the entry was altered"

    def _require_above(self, level: int, n: int) -> None:
        """Follow a full tile upward as far as nobody has before."""
        while tile_width(self.head.size, level=level, n=n) == WIDTH and (level, n) not in self._proven:
            self._tree.require_full(level, n)
            self._proven.add((level, n))
            level, n = level + 1, n // WIDTH
