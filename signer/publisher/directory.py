# SPDX-License-Identifier: Apache-2.0
"""A folder that a static web server or a copy job serves: each file stands whole or not at all.

checkpoint   tile/0/000   tile/entries/000   v1/trust   v1/revocations   v1/keys/index.json   v1/keys/<kid>.pem
v1/trusted_root.json   .well-known/jwks.json   openapi.json
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signer.errors import Misconfigured

LOCK = ".publishing"
_MODE = 0o644


class Directory:
    """One folder; raises OSError where it cannot be read or written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against a second publisher, for the length of a block; raises Misconfigured."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / LOCK).open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Misconfigured(
                    "publishing-already",
                    f"another run publishes to {self.root}",
                    remedy="let it end; two runs at once would race for the checkpoint",
                ) from None
            yield

    def has(self, path: str) -> bool:
        """Whether the file stands."""
        return (self.root / path).is_file()

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where it is not."""
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes) -> None:
        """Put a file in its place, durably; a crash leaves the old one, or a draft that the next run overwrites."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f".{place.name}.new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE), "wb") as file:  # noqa: PTH123 - its mode is set before the first byte
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(place)

    def settle(self) -> None:
        """Make durable that the files stand in their folders: what refers to them may be written after this."""
        for folder, _, _ in os.walk(self.root):
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(held)
            finally:
                os.close(held)
