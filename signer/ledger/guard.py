# SPDX-License-Identifier: Apache-2.0
r"""The guard: the last published checkpoint, in a file outside the database.

    0     signing-authority guard v1 00000000000000000007 00214 <sha256>\n<checkpoint text>\0…
    4096  the same with number 8: writes alternate between the two slots

The sha256 is of all that stands before it and of the text.

Everything seen outside <= guard <= database. The sequencer advances the guard after the commit and before a
checkpoint leaves; `/checkpoint` is served from here; the start-up gate refuses a database that is behind it. A torn
write damages the slot being written, and the other one still holds the checkpoint before.
"""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path

from signer.errors import Malformed, Misconfigured, Unavailable
from signer.formats.canonical import sha256_hex
from signer.tlog.checkpoint import Checkpoint, parse_checkpoint

SLOT = 4096
_MODE = 0o640
_HEADER = re.compile(rb"(signing-authority guard v1 ([0-9]{20}) ([0-9]{5})) ([0-9a-f]{64})\n")


@dataclass(frozen=True, slots=True)
class _Slot:
    number: int
    text: str
    checkpoint: Checkpoint


class Guard:
    """A guard file; one process advances it, any number of processes read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._last: _Slot | None = None

    def create(self) -> None:
        """Make an empty guard for a new ledger; raises Misconfigured when there is one already."""
        try:
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, _MODE)
        except OSError as fault:
            raise Misconfigured(
                "guard-unusable",
                f"cannot create the guard {self.path}: {fault.strerror}",
                remedy="a new ledger needs a directory that is writable and holds no guard yet",
            ) from None
        try:
            os.posix_fallocate(descriptor, 0, 2 * SLOT)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        # A crash before the directory is synced may lose the empty file; `signer init` then starts again.
        sync_directory(self.path.parent)

    def hold(self) -> None:
        """Open for advancing and lock out every other custodian; raises Misconfigured."""
        if self._descriptor is not None:
            return
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as fault:
            raise _missing(self.path, fault) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._last = _newest(descriptor, self.path)
        except BlockingIOError:
            os.close(descriptor)
            raise Misconfigured(
                "ledger-in-use",
                f"another custodian holds the guard {self.path}",
                remedy="stop the other custodian; one ledger has one writer",
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def close(self) -> None:
        """Let another custodian hold it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def text(self) -> str | None:
        """The published checkpoint, byte for byte; None before the first one. Raises Misconfigured without a file."""
        slot = self._read()
        return None if slot is None else slot.text

    def read(self) -> Checkpoint | None:
        """What the published checkpoint says; its signature is for the reader to verify."""
        slot = self._read()
        return None if slot is None else slot.checkpoint

    def advance(self, text: str) -> None:
        """Make `text` the published checkpoint, durably; `hold` comes first.

        Raises Misconfigured when it would go back, and Unavailable when the write fails: then the old or the new
        checkpoint stands, and the caller must read again.
        """
        descriptor, last = self._descriptor, self._last
        if descriptor is None:
            raise ValueError("advance a guard only while holding it")
        checkpoint, _ = parse_checkpoint(text.encode())
        if last is not None:
            if text == last.text:
                return
            old = last.checkpoint
            if (checkpoint.origin, checkpoint.size) <= (old.origin, old.size) or checkpoint.origin != old.origin:
                raise Misconfigured(
                    "ledger-rolled-back",
                    f"the guard {self.path} holds size {old.size} and does not go back to {checkpoint.size}",
                    remedy="find out who changed the guard or the database; nothing is signed until they agree",
                )
        slot = _Slot(1 if last is None else last.number + 1, text, checkpoint)
        try:
            written = os.pwrite(descriptor, _encode(slot), slot.number % 2 * SLOT)
            # A crash before the sync returns leaves this slot old, torn or new; nothing of it has left yet.
            os.fdatasync(descriptor)
        except OSError as fault:
            raise _unavailable(self.path, fault.strerror or type(fault).__name__) from fault
        if written != SLOT:
            raise _unavailable(self.path, "short write")
        self._last = slot

    def _read(self) -> _Slot | None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as fault:
            raise _missing(self.path, fault) from None
        try:
            return _newest(descriptor, self.path)
        finally:
            os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encode(slot: _Slot) -> bytes:
    data = slot.text.encode()
    title = b"signing-authority guard v1 %020d %05d" % (slot.number, len(data))
    header = title + b" " + sha256_hex(title + data).encode() + b"\n"
    if len(header) + len(data) > SLOT:
        raise ValueError(f"a checkpoint of {len(data)} bytes does not fit a slot of the guard")
    return (header + data).ljust(SLOT, b"\0")


def _newest(descriptor: int, path: Path) -> _Slot | None:
    raw = os.pread(descriptor, 2 * SLOT, 0)
    slots = [slot for at in (0, SLOT) if (slot := _decode(raw[at : at + SLOT])) is not None]
    if not slots:
        # Only a guard that never held anything is all zero.
        if len(raw) == 2 * SLOT and not raw.strip(b"\0"):
            return None
        raise Misconfigured(
            "guard-damaged",
            f"no slot of the guard {path} can be read",
            remedy="restore the guard from its copy; never make a new one for a ledger that was published",
        )
    return max(slots, key=lambda slot: slot.number)


def _decode(raw: bytes) -> _Slot | None:
    header = _HEADER.match(raw)
    if header is None:
        return None
    data = raw[header.end() : header.end() + int(header[3])]
    # The number is hashed too: a torn slot may carry the new number before the old text.
    if sha256_hex(header[1] + data).encode() != header[4]:
        return None
    try:
        checkpoint, _ = parse_checkpoint(data)
    except Malformed:
        return None
    return _Slot(int(header[2]), data.decode(), checkpoint)


def _missing(path: Path, fault: OSError) -> Misconfigured:
    return Misconfigured(
        "guard-missing",
        f"cannot open the guard {path}: {fault.strerror}",
        remedy="restore the guard from its copy, beside the database that it guards; `signer init` makes both",
    )


def _unavailable(path: Path, why: str) -> Unavailable:
    return Unavailable("ledger-unavailable", f"cannot write the guard {path}: {why}", remedy="look at its disk")
