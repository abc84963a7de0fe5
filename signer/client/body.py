# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests: bytes, or a file that is never held as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeAlias

PIECE = 256 * 1024
"""Bytes that are read, sent or received at a time."""


class FileBody:
    """A file on its way out, read piece by piece; `moved` hears of each."""

    def __init__(self, path: Path, moved: Callable[[int], None]) -> None:
        self._file = path.open("rb")
        self._moved = moved

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._file.close()

    def read(self, _size: int = -1) -> bytes:
        """The next piece, larger than the library asks for: each costs a TLS record or more."""
        piece = self._file.read(PIECE)
        self._moved(len(piece))
        return piece


Body: TypeAlias = bytes | tuple[Path, Callable[[int], None]] | None
"""Bytes, or a file that is opened anew for each attempt."""
