# SPDX-License-Identifier: Apache-2.0
"""Large evidence: files beside the database, each named by the sha256 of its bytes.

    <store>/9c56cc51b374…             what a leaf names; never written again
    <store>/incoming/9c56cc51b374…    a copy that is being made, or whose leaf is not known to be durable

Evidence of more than 1 MiB is a file here and no row of the leaf's transaction. A file is whole, synced and under its
own name before its leaf is appended; `incoming` tells a start after a crash which names no leaf may speak of.
The custodian copies and never takes over web's file: whoever may write that one could change it later.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

from signer.domain.spooled import spool_name
from signer.errors import Malformed, Misconfigured, Unavailable

STEP = 1024 * 1024
"""Bytes that are copied, hashed and synced at a time: signing waits for no more than one."""
_CHUNK = 256 * 1024
_MODE = 0o640


class DocumentStore:
    """Reads what the custodian stored; safe in any number of threads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def read(self, digest: str) -> bytes:
        """All bytes of one document; raises Unavailable as `stream` does."""
        return b"".join(self.stream(digest))

    def size(self, digest: str) -> int:
        """How many bytes a document has; raises Unavailable when it is not there."""
        try:
            return (self.directory / digest).stat().st_size
        except OSError as fault:
            raise _missing(digest, fault) from None

    def stream(self, digest: str) -> Iterator[bytes]:
        """The bytes of one document in pieces; raises Unavailable when it is missing or is not the one it should be.

        Bytes with another digest are noticed before the last piece is given, so that nobody takes them for whole.
        """
        hasher = hashlib.sha256()
        try:
            with (self.directory / digest).open("rb") as file:
                held = file.read(_CHUNK)
                while held:
                    hasher.update(held)
                    piece, held = held, file.read(_CHUNK)
                    if not held and hasher.hexdigest() != digest:
                        raise Unavailable("ledger-unavailable", f"the stored document {digest} has changed")
                    yield piece
        except OSError as fault:
            raise _missing(digest, fault) from None


class Intake:
    """Copies uploads from web's spool into the store; the custodian's one thread uses it."""

    def __init__(self, store: Path, *, spool: Path) -> None:
        self._store = store
        self._incoming = store / "incoming"
        self._spool = spool

    def prepare(self, is_kept: Callable[[str], bool]) -> int:
        """Make the folders and remove what a crash left that no leaf names; how many files. Raises Misconfigured."""
        removed = 0
        try:
            self._store.mkdir(mode=0o750, exist_ok=True)
            self._incoming.mkdir(mode=0o700, exist_ok=True)
            for marker in self._incoming.iterdir():
                if not is_kept(marker.name):
                    (self._store / marker.name).unlink(missing_ok=True)
                    removed += 1
                marker.unlink()
            _sync_folder(self._store)
        except OSError as fault:
            raise Misconfigured(
                "documents-unusable",
                f"cannot keep documents in {fault.filename or self._store}: {fault.strerror}",
                remedy="let the custodian's user write in the folder of `store` under [documents]",
            ) from None
        return removed

    def begin(self, principal: str, digest: str, size: int) -> Copy:
        """Begin to copy what a principal uploaded; nothing is opened yet."""
        return Copy(
            self._spool / spool_name(principal, digest),
            self._incoming / digest,
            self._store / digest,
            digest=digest,
            size=size,
        )

    def settle(self, digest: str) -> None:
        """The leaf of this document is durable: forget that it came in."""
        # A crash before this leaves the mark; the next start sees the leaf and removes the mark alone.
        with suppress(OSError):
            (self._incoming / digest).unlink(missing_ok=True)


class Copy:
    """One document on its way into the store, a step at a time."""

    def __init__(self, source: Path, incoming: Path, place: Path, *, digest: str, size: int) -> None:
        self._source = source
        self._incoming = incoming
        self._place = place
        self._digest = digest
        self._size = size
        self._hasher = hashlib.sha256()
        self._done = 0
        self._opened = ExitStack()
        self._files: tuple[BinaryIO, BinaryIO] | None = None

    def step(self) -> bool:
        """Copy one step, synced; True once the document stands in the store under its name.

        Raises Malformed when the upload is not there or is of other bytes, Unavailable when the disk fails.
        """
        try:
            return self._step()
        except BaseException as fault:
            self._give_up()
            if isinstance(fault, OSError):
                raise Unavailable(
                    "ledger-unavailable",
                    f"the document cannot be stored: {fault.strerror}",
                    remedy="try again; the operator looks at the disk",
                ) from None
            raise

    def _step(self) -> bool:
        source, target = self._files = self._files or self._open()
        piece = source.read(STEP)
        self._done += len(piece)
        self._hasher.update(piece)
        _write_all(target, piece)
        os.fsync(target.fileno())
        if self._done < self._size and piece:
            return False
        if (self._done, self._hasher.hexdigest()) != (self._size, self._digest) or source.read(1):
            raise Malformed("digest-mismatch", f"the upload is not the document with sha256 {self._digest}")
        self._opened.close()
        # A crash right here leaves a whole copy without a name: the next start removes it.
        with suppress(FileExistsError):
            os.link(self._incoming, self._place)
        _sync_folder(self._place.parent)
        # A crash right here leaves a name that no leaf speaks of: the next start removes that, too.
        return True

    def _open(self) -> tuple[BinaryIO, BinaryIO]:
        # A copy of an earlier attempt is begun anew: its bytes were never believed.
        self._incoming.unlink(missing_ok=True)
        try:
            source = self._opened.enter_context(_open(self._source, os.O_RDONLY | os.O_NOFOLLOW))
        except OSError:
            raise Malformed(
                "upload-missing",
                f"there is no upload with sha256 {self._digest} of this principal",
                remedy="upload the document, then name it again",
            ) from None
        target = self._opened.enter_context(_open(self._incoming, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        return source, target

    def _give_up(self) -> None:
        with suppress(OSError):
            self._opened.close()
        with suppress(OSError):
            self._incoming.unlink(missing_ok=True)


def _open(path: Path, flags: int) -> BinaryIO:
    """Never through a link; with its mode from the first byte on, and no byte held back from the disk."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, _MODE)
    return os.fdopen(descriptor, "rb" if flags & os.O_ACCMODE == os.O_RDONLY else "wb", buffering=0)


def _write_all(target: BinaryIO, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[target.write(view) :]


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing(digest: str, fault: OSError) -> Unavailable:
    return Unavailable(
        "ledger-unavailable",
        f"the stored document {digest} cannot be read: {fault.strerror}",
        remedy="the operator restores the store of documents beside the database",
    )
