# SPDX-License-Identifier: Apache-2.0
"""Uploads: large documents are streamed into one folder, hashed on the way, until the custodian has copied them.

Whatever a body claims of itself, no more than `limit` bytes of it are taken, no more than `quota` lie here for one
principal and no more than `total` for all; memory holds one piece. Workers share the folder and nothing else: what lies
there is counted whenever room is needed, so concurrent uploads may exceed a quota by one step each.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from signer.domain.principal import Principal
from signer.domain.spooled import owner_of_spool, spool_name
from signer.errors import Malformed, Unavailable

AT_ONCE = 2
"""Uploads that one worker receives at a time; each holds a thread that judges nothing meanwhile."""
KEEP_SECONDS = 3600.0
"""How long an upload waits to be named by its principal."""
STEP = 4 * 1024 * 1024
"""After so many bytes the room is looked at again."""
_CHUNK = 256 * 1024
_MODE = 0o640
"""The custodian reads it through its group, whatever the umask."""


class Source(Protocol):
    """A request's body."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """What was received: the sha256 of its bytes in hexadecimal, and how many."""

    digest: str
    size: int


class Spool:
    """One worker's use of the folder."""

    def __init__(self, folder: Path, *, limit: int, quota: int, total: int) -> None:
        self._folder = folder
        self.limit = limit
        self._quota = quota
        self._total = total
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def receive(
        self, principal: Principal, source: Source, *, length: int | None, moved: Callable[[int], None]
    ) -> Upload:
        """Take a whole body of `length` bytes (None: in chunks); `moved` hears of each piece.

        Raises Malformed beyond the limit and for a body that ends early, Unavailable when there is no room. Then
        nothing of it stays.
        """
        if length is not None and length > self.limit:
            raise self._too_large()
        if not self._slots.acquire(blocking=False):
            raise Unavailable("overloaded", "too many documents arrive at once", remedy="send it again after a moment")
        try:
            with self._part(principal) as (path, descriptor):
                upload = self._fill(principal, descriptor, source, length=length, moved=moved)
                # A crash before this leaves a part, after it an upload that nobody named: both are swept.
                path.replace(self._folder / spool_name(principal.id, upload.digest))
                return upload
        finally:
            self._slots.release()

    def size(self, principal: Principal, digest: str) -> int:
        """How many bytes an upload of this principal has; raises Malformed when there is none."""
        try:
            return (self._folder / spool_name(principal.id, digest)).lstat().st_size
        except OSError:
            raise _missing(digest) from None

    def read(self, principal: Principal, digest: str) -> bytes:
        """All bytes of an upload, hashed again; raises Malformed when there is none."""
        try:
            data = (self._folder / spool_name(principal.id, digest)).read_bytes()
        except OSError:
            raise _missing(digest) from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise _missing(digest)
        return data

    def remove(self, principal: Principal, digest: str) -> None:
        """The ledger holds it now."""
        (self._folder / spool_name(principal.id, digest)).unlink(missing_ok=True)

    def _fill(
        self,
        principal: Principal,
        descriptor: int,
        source: Source,
        *,
        length: int | None,
        moved: Callable[[int], None],
    ) -> Upload:
        hasher, size, looked = hashlib.sha256(), 0, 0
        self._require_room(principal, length or 0)
        while piece := source.read(_CHUNK):
            size += len(piece)
            if size > self.limit:
                raise self._too_large()
            if size - looked >= STEP:
                looked = size
                self._require_room(principal, 0)
            hasher.update(piece)
            _write_all(descriptor, piece)
            moved(len(piece))
        if length is not None and size != length:
            raise Malformed("malformed-request", f"the body ended after {size} of {length} bytes", remedy="send it all")
        if size == 0:
            raise Malformed("malformed-request", "the document is empty", remedy="send its bytes as the body")
        return Upload(hasher.hexdigest(), size)

    def _require_room(self, principal: Principal, more: int) -> None:
        """Sweep what nobody named in time; raises Unavailable unless `more` bytes find room."""
        mine = everything = 0
        owner, oldest = owner_of_spool(principal.id), time.time() - KEEP_SECONDS
        for entry in os.scandir(self._folder):
            try:
                status = entry.stat(follow_symlinks=False)
                if status.st_mtime < oldest:
                    Path(entry.path).unlink()
                    continue
            except FileNotFoundError:
                # Another worker was here.
                continue
            everything += status.st_size
            mine += status.st_size if entry.name.startswith(owner) else 0
        if mine + more > self._quota:
            raise Unavailable(
                "over-quota",
                f"the uploads of {principal.id} that wait to be named take up its whole quota",
                remedy="name them in POST /v1/evidence first, or wait until they are swept",
                retry_after=60,
            )
        if everything + more > self._total:
            raise self._full()

    @contextmanager
    def _part(self, principal: Principal) -> Iterator[tuple[Path, int]]:
        """A new file for one body, open for writing; gone again after any fault."""
        path = self._folder / f"{owner_of_spool(principal.id)}-{secrets.token_hex(16)}.part"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        except OSError as fault:
            raise Unavailable(
                "spool-unusable", f"the spool cannot be written: {fault.strerror}", remedy="ask the operator"
            ) from None
        try:
            os.fchmod(descriptor, _MODE)
            yield path, descriptor
        except OSError as fault:
            path.unlink(missing_ok=True)
            raise self._full() from fault
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def _too_large(self) -> Malformed:
        return Malformed(
            "too-large", f"a document is at most {self.limit} bytes here", remedy="send a smaller one, or an extract"
        )

    def _full(self) -> Unavailable:
        return Unavailable("spool-full", "there is no room for more uploads", remedy="try again later", retry_after=60)


def _write_all(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


def _missing(digest: str) -> Malformed:
    return Malformed(
        "upload-missing",
        f"there is no upload with sha256 {digest} of this caller",
        remedy="send the bytes to POST /v1/uploads, then name them within the hour",
    )
