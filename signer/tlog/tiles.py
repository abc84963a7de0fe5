# SPDX-License-Identifier: Apache-2.0
"""Tiles: how a log is read over HTTP (c2sp.org/tlog-tiles).

    tile/0/x001/x234/067          256 hashes of level 0: tile number 1234067
    tile/1/273.p/17               the first 17 hashes of a tile that is not full yet
    tile/entries/x001/x234/067    256 entries, each a 2-byte big-endian length and its bytes

Hash i of tile n at tile level L is the root of the leaves (n*256+i)*256^L … (n*256+i+1)*256^L - 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from signer.errors import Malformed
from signer.tlog.strict import MAX_SIZE

HEIGHT = 8
WIDTH = 1 << HEIGHT
MAX_LEVEL = 63
MAX_ENTRY = 0xFFFF

_LEVEL = re.compile(r"entries|0|[1-9][0-9]?")
_NUMBER = re.compile(r"(?:x[0-9]{3}/){0,6}[0-9]{3}")
_PARTIAL = re.compile(r"[1-9][0-9]{0,2}")


@dataclass(frozen=True, slots=True)
class Tile:
    """A hash tile, or an entry bundle when `level` is None; `width` counts its hashes or entries."""

    level: int | None
    n: int
    width: int

    def path(self) -> str:
        """The path below the log's prefix."""
        level = "entries" if self.level is None else str(self.level)
        groups = [f"{self.n % 1000:03d}"]
        rest = self.n // 1000
        while rest:
            groups.append(f"x{rest % 1000:03d}")
            rest //= 1000
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def parse_tile_path(path: str) -> Tile:
    """Read a path as `Tile.path` writes it; raises Malformed for any other spelling."""
    prefix, _, rest = path.partition("/")
    level_text, _, rest = rest.partition("/")
    number, partial, width_text = rest.partition(".p/")
    if (
        prefix != "tile"
        or _LEVEL.fullmatch(level_text) is None
        or _NUMBER.fullmatch(number) is None
        or (partial and _PARTIAL.fullmatch(width_text) is None)
    ):
        raise _malformed()
    tile = Tile(
        None if level_text == "entries" else int(level_text),
        int(number.replace("x", "").replace("/", "")),
        int(width_text) if partial else WIDTH,
    )
    # Writing it again refuses leading zero groups and a full tile spelt as a partial one.
    if (tile.level or 0) > MAX_LEVEL or tile.n > MAX_SIZE >> HEIGHT or tile.width > WIDTH or tile.path() != path:
        raise _malformed()
    return tile


def tile_width(size: int, *, level: int, n: int) -> int:
    """How many hashes tile (level, n) has in a tree of `size` leaves: 0 when there is no such tile."""
    return max(0, min(WIDTH, (size >> HEIGHT * level) - n * WIDTH))


def encode_entries(entries: Iterable[bytes]) -> bytes:
    """An entry bundle; raises ValueError for an entry beyond 65,535 bytes."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise ValueError(f"an entry of {len(entry)} bytes does not fit a bundle")
        parts += len(entry).to_bytes(2, "big"), entry
    return b"".join(parts)


def iter_entries(data: bytes) -> Iterator[bytes]:
    """The entries of a bundle one by one; raises Malformed where a bundle is cut off or goes on too long."""
    at = count = 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data) or count == WIDTH:
            raise Malformed("malformed-log-text", "the entry bundle is cut off or too long")
        yield data[start:at]
        count += 1


def parse_entries(data: bytes) -> tuple[bytes, ...]:
    """Read an entry bundle; raises Malformed for trailing or missing bytes."""
    return tuple(iter_entries(data))


def _malformed() -> Malformed:
    return Malformed("malformed-log-text", "not the path of a tile")
