# SPDX-License-Identifier: Apache-2.0
"""The files of a pack, found by their paths and by the sha256 of what is in them; and what release.json says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from signer.errors import Malformed
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import parse_envelope
from signer.formats.strict_json import parse_object
from signer.formats.ustar import CODE, Buffer, Member
from signer.pack.layout import INDEX, RELEASE, ROOT, TYPE
from signer.releases.contents import PackedEvidence
from signer.releases.reading import MAX_ENVELOPE

MAX_FILE = 64 * 1024 * 1024
"""Of what is read as a whole; larger files are only hashed."""


class PackFiles:
    """The files of an archive by their paths below the root, and their bytes by sha256."""

    def __init__(self, data: Buffer, members: tuple[Member, ...]) -> None:
        self._data = data
        self.members = {member.name.removeprefix(ROOT): member for member in members}
        self.digests: dict[str, str] = {}
        self._pieces: dict[str, Callable[[], bytes]] = {}

    def bytes_of(self, path: str) -> bytes:
        """All bytes of one file; raises Malformed when it is not there or too large to be read as a whole."""
        member = self.members.get(path)
        if member is None:
            raise Malformed(CODE, f"{path} is not in the pack")
        if member.size > MAX_FILE:
            raise Malformed(CODE, f"{path} is larger than {MAX_FILE} bytes")
        return bytes(self._data[member.offset : member.offset + member.size])

    def hash_all(self, moved: Callable[[int], None]) -> None:
        """Digest every file; large ones in pieces."""
        view = memoryview(self._data)
        try:
            for path, member in self.members.items():
                with view[member.offset : member.offset + member.size] as piece:
                    self.digests[path] = hashlib.sha256(piece).hexdigest()
                self.add(self.digests[path], partial(self.bytes_of, path))
                moved(member.size)
        finally:
            view.release()

    def add(self, digest: str, give: Callable[[], bytes]) -> None:
        """Bytes that are found by their digest."""
        self._pieces.setdefault(digest, give)

    def read(self, digest: str) -> bytes:
        """The bytes with this digest; raises Malformed("document-missing")."""
        give = self._pieces.get(digest)
        if give is None:
            raise Malformed("document-missing", f"no bytes in the pack have the sha256 {digest}")
        return give()

    def split(self) -> None:
        """Find what stands inside files by its digest as well: envelopes on lines, statements in waivers."""
        for path in list(self.members):
            if path.endswith(".jsonl"):
                for line in self.bytes_of(path).split(b"\n"):
                    self.add(sha256_hex(line), partial(bytes, line))
            elif path.startswith((f"{INDEX}waivers/", f"{INDEX}approvals/")):
                data = self.bytes_of(path)
                if "payload" in parse_object(data, limit=MAX_ENVELOPE, what=path):
                    payload = parse_envelope(data, limit=MAX_ENVELOPE).payload
                    self.add(sha256_hex(payload), partial(bytes, payload))


@dataclass(frozen=True, slots=True)
class PackedRelease:
    """What release.json says."""

    sha256: str
    size: int
    decisions: tuple[int, ...]
    evidence: tuple[PackedEvidence, ...]

    @classmethod
    def read(cls, data: bytes) -> PackedRelease:
        """Raises Malformed."""
        value = parse_object(data, limit=MAX_FILE, what=RELEASE)
        try:
            if value["type"] != TYPE:
                raise Malformed(CODE, f"{RELEASE} is of another type")
            return cls(
                str(value["subject"]).removeprefix("sha256:"),
                int(value["size"]),
                tuple(int(each) for each in value["decisions"]),
                tuple(_packed(each) for each in value["evidence"]),
            )
        except (KeyError, TypeError, ValueError):
            raise Malformed(CODE, f"{RELEASE} has another form") from None


def _packed(value: Mapping[str, Any]) -> PackedEvidence:
    return PackedEvidence(
        digest=str(value["digest"]),
        kind=str(value["kind"]),
        media_type=str(value["media_type"]),
        size=int(value["size"]),
        leaf=int(value["leaf"]),
        subjects=tuple(str(each) for each in value["subjects"]),
    )
