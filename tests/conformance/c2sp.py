# SPDX-License-Identifier: Apache-2.0
"""A verifier of a published log, written from the pages of C2SP and RFC 6962 alone; it imports nothing of the product.

signed-note, tlog-checkpoint, tlog-tiles and tlog-proof as of 2026; hashes by RFC 6962 §2.1. Everything is computed from
the entries in the plainest way, and each file of the folder must be exactly what follows from them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Rejected(Exception):
    """The log, a note or a proof is not what the pages demand."""


def require(holds: bool, why: str) -> None:
    if not holds:
        raise Rejected(why)


def unbase64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Rejected(f"{text!r} is no base64") from None
    require(base64.b64encode(data).decode() == text, "base64 with another spelling")
    return data


# RFC 6962 §2.1


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def pairs(hashes: list[bytes]) -> list[bytes]:
    """The hashes of the level above; a last one without a partner goes up as it is (the split at a power of two)."""
    above = [hashlib.sha256(b"\x01" + hashes[at] + hashes[at + 1]).digest() for at in range(0, len(hashes) - 1, 2)]
    return above + hashes[len(hashes) & ~1 :]


def tree_root(hashes: list[bytes]) -> bytes:
    if not hashes:
        return hashlib.sha256(b"").digest()
    while len(hashes) > 1:
        hashes = pairs(hashes)
    return hashes[0]


# signed-note and tlog-checkpoint


@dataclass(frozen=True)
class Head:
    origin: str
    size: int
    root: bytes


def read_checkpoint(data: bytes, vkey: str) -> Head:
    """The head in a signed note, by the key that a vkey names."""
    name, identity, encoded = vkey.split("+", 2)
    key = unbase64(encoded)
    require(key[:1] == b"\x01" and len(key) == 33, "the vkey is of another algorithm")
    key_id = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    require(key_id.hex() == identity, "the vkey has another id")
    note = data.decode("utf-8")
    require(all(char >= " " or char == "\n" for char in note), "a control character in a note")
    text, separator, lines = note.rpartition("\n\n")
    require(separator != "" and lines.endswith("\n"), "no signatures")
    good = 0
    for line in lines[:-1].split("\n"):
        match = re.fullmatch("\u2014 ([^ +]+) ([A-Za-z0-9+/=]+)", line)
        require(match is not None, "another line among the signatures")
        assert match is not None
        signature = unbase64(match[2])
        if match[1] == name and signature[:4] == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[4:], (text + "\n").encode())
            except InvalidSignature:
                raise Rejected("a signature of the known key does not verify") from None
            good += 1
    require(good == 1, "no signature of the known key")
    origin, size, root, *rest = text.split("\n")
    require(origin == name and not rest, "another origin, or lines that nobody knows")
    require(re.fullmatch("0|[1-9][0-9]*", size) is not None, "another spelling of the size")
    require(len(unbase64(root)) == 32, "a root that is no hash")
    return Head(origin, int(size), unbase64(root))


# tlog-tiles


def tile_path(level: str, n: int, width: int) -> str:
    digits = f"{n:d}".zfill((len(f"{n:d}") + 2) // 3 * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    named = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    return f"tile/{level}/{named}" + ("" if width == 256 else f".p/{width}")


def bundle_entries(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        require(at + 2 <= len(data), "a bundle that ends in a length")
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        require(end <= len(data), "a bundle that ends in an entry")
        yield data[at + 2 : end]
        at = end


def tiles_of(count: int) -> Iterator[tuple[int, int]]:
    """Number and width of the tiles of a level with so many hashes; no tile is empty."""
    for n in range(count // 256):
        yield n, 256
    if count % 256:
        yield count // 256, count % 256


def verify_folder(folder: Path, vkey: str) -> tuple[Head, list[bytes]]:
    """The head and the leaf hashes of a log in a folder, once every tile of it is exactly right."""
    head = read_checkpoint((folder / "checkpoint").read_bytes(), vkey)
    leaves: list[bytes] = []
    for n, width in tiles_of(head.size):
        entries = list(bundle_entries((folder / tile_path("entries", n, width)).read_bytes()))
        require(len(entries) == width, f"{len(entries)} entries in place of {width}")
        leaves += map(leaf_hash, entries)
    require(tree_root(leaves) == head.root, "the entries do not make the root")
    level, hashes = 0, leaves
    while hashes:
        for n, width in tiles_of(len(hashes)):
            wanted = b"".join(hashes[n * 256 : n * 256 + width])
            require((folder / tile_path(str(level), n, width)).read_bytes() == wanted, f"tile {level}/{n}/{width}")
        # Only complete subtrees have a hash in the level above.
        whole = len(hashes) // 256 * 256
        hashes = [tree_root(hashes[at : at + 256]) for at in range(0, whole, 256)]
        level += 1
    return head, leaves


# tlog-proof


def verify_tlog_proof(text: str, leaf: bytes, vkey: str) -> int:
    """The index at which a proof file puts a leaf (RFC 9162 §2.1.3.2)."""
    first, _, rest = text.partition("\n")
    require(first == "c2sp.org/tlog-proof@v1", "another header")
    head_lines, separator, note = rest.partition("\n\n")
    require(separator != "", "no checkpoint")
    lines = head_lines.split("\n")
    if lines[0].startswith("extra "):
        del lines[0]
    require(re.fullmatch("index (0|[1-9][0-9]*)", lines[0]) is not None, "no index")
    index = int(lines[0].removeprefix("index "))
    head = read_checkpoint(note.encode(), vkey)
    require(index < head.size, "an index outside the tree")
    here, last, computed = index, head.size - 1, leaf_hash(leaf)
    for sibling in map(unbase64, lines[1:]):
        require(last > 0 and len(sibling) == 32, "a proof that is too long")
        if here % 2 == 1 or here == last:
            computed = hashlib.sha256(b"\x01" + sibling + computed).digest()
            while here % 2 == 0 and here != 0:
                here, last = here // 2, last // 2
        else:
            computed = hashlib.sha256(b"\x01" + computed + sibling).digest()
        here, last = here // 2, last // 2
    require(last == 0 and computed == head.root, "a proof that leads elsewhere")
    return index
