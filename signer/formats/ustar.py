# SPDX-License-Identifier: Apache-2.0
"""One form of POSIX ustar: regular files alone, in the order of their names, nothing left to choose.

    512 bytes of header, the bytes, zeros up to a multiple of 512; at the end 1024 zeros and nothing more

Mode 0644, no owner, no time, no link, no prefix, no extension. Because a header is a function of name and size, a
reader compares it with the one that it would have written: a path trick, another type, an old time or a wrong
checksum are all the same fault. Nothing is compressed and nothing is extracted.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from signer.errors import Malformed

BLOCK = 512
END = bytes(2 * BLOCK)
MAX_NAME = 100
MAX_SIZE = 8**11 - 1
MAX_MEMBERS = 100_000
CODE = "pack-invalid"

Buffer = bytes | mmap.mmap

_NAME = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_-]*/)*[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: where its bytes stand."""

    name: str
    offset: int
    size: int


def header(name: str, size: int) -> bytes:
    """The header of a file; raises ValueError for a name or a size that the form does not have."""
    if not is_name(name) or not 0 <= size <= MAX_SIZE:
        raise ValueError("a name is at most 100 plain characters, a size at most 8 GiB")
    fields = (
        name.encode().ljust(100, b"\0"),
        b"0000644\0",
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % size,
        b"00000000000\0",
        b"        ",  # the checksum counts as spaces
        b"0",
        bytes(100),
        b"ustar\x0000",
        bytes(64),
        b"0000000\0",
        b"0000000\0",
        bytes(167),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def is_name(name: str) -> bool:
    """Whether a file may be called so: plain parts, no dot at the beginning of one, at most 100 characters."""
    return len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None


def padding(size: int) -> bytes:
    """The zeros after `size` bytes."""
    return bytes(-size % BLOCK)


def write_archive(files: Iterable[tuple[str, int, Iterable[bytes]]]) -> Iterator[bytes]:
    """The archive in pieces: name, size and pieces of each file, in the order of names."""
    for name, size, pieces in files:
        yield header(name, size)
        yield from pieces
        yield padding(size)
    yield END


def read_archive(data: Buffer) -> tuple[Member, ...]:
    """The files of an archive; raises Malformed("pack-invalid") that names the place of the fault."""
    members: list[Member] = []
    at, size, last = 0, len(data), ""
    while at + BLOCK <= size:
        block = bytes(data[at : at + BLOCK])
        if not any(block):
            if at + len(END) != size or any(data[at:size]):
                raise _fault("the end of the archive is not 1024 zeros")
            return tuple(members)
        member = _member(block, at, last)
        end = member.offset + member.size
        if end + len(padding(member.size)) > size:
            raise _fault(f"the archive ends inside {member.name}")
        if any(data[end : end + len(padding(member.size))]):
            raise _fault(f"there is something behind the bytes of {member.name}")
        if len(members) == MAX_MEMBERS:
            raise _fault(f"the archive has more than {MAX_MEMBERS} files")
        members.append(member)
        at, last = end + len(padding(member.size)), member.name
    raise _fault(f"the archive is cut off after {last or 'its beginning'}")


def _member(block: bytes, at: int, last: str) -> Member:
    name = block[:100].rstrip(b"\0").decode("ascii", "replace")
    digits = block[124:135]
    where = f"the header at byte {at}" + (f", after {last}," if last else "")
    if not is_name(name) or re.fullmatch(rb"[0-7]{11}", digits) is None:
        raise _fault(f"{where} names no plain file")
    size = int(digits, 8)
    if header(name, size) != block:
        raise _fault(f"{where} of {name} is not in its one form")
    if name <= last:
        raise _fault(f"{name} does not come after {last}")
    return Member(name, at + BLOCK, size)


def _fault(what: str) -> Malformed:
    return Malformed(CODE, what, remedy="ask for the pack again: signer pack export")
