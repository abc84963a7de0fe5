# SPDX-License-Identifier: Apache-2.0
"""The log on its way out: consistent with what stands outside already, and each tile proved before it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from signer.errors import Refused
from signer.formats.trust import TrustDocument
from signer.publisher.directory import Directory
from signer.publisher.site import Site, required
from signer.tlog.checkpoint import verify_checkpoint
from signer.tlog.merkle import leaf_hash, verify_consistency
from signer.tlog.tiles import HEIGHT, WIDTH, Tile, parse_entries, tile_width
from signer.verify.checks import Checklist
from signer.verify.tile_tree import TileTree
from signer.verify.trust import ledger_keys

CHECKPOINT = "checkpoint"


class OutgoingLog:
    """One published state of the log: its signed head, and the tiles that lead to it."""

    def __init__(self, site: Site, *, trust: TrustDocument, held: Directory, checks: Checklist) -> None:
        """Raises CheckFailed unless the head is signed and extends the one that `held` has."""
        self._site, self._held = site, held
        with checks.check("checkpoint is signed by the ledger key", code="checkpoint-invalid") as check:
            self.note = required(site, f"/{CHECKPOINT}", remedy="")
            self.head = verify_checkpoint(self.note, origin=trust.origin, keys=ledger_keys(trust))
            check.found = f"{self.head.size} leaves"
        self._tree = TileTree(self.head.size, read=self._hashes)
        with checks.check("tiles make the root of the checkpoint", code="tile-invalid"):
            self._tree.require_whole(self.head.root)
        self._before = self._check_extends(trust, checks)

    def _check_extends(self, trust: TrustDocument, checks: Checklist) -> int:
        """Size of what stands outside already; 0 where nothing does."""
        with checks.check("log extends what was published before", code="log-forked") as check:
            data = self._held.read(CHECKPOINT)
            if data is None:
                check.found = "nothing was published"
                return 0
            old = verify_checkpoint(data, origin=trust.origin, keys=ledger_keys(trust))
            check.require(
                old.size <= self.head.size,
                code="log-rollback",
                expected=f"at least the {old.size} leaves that {self._held.root} holds",
                found=f"{self.head.size}",
                remedy="an older ledger answers: stop signing, and restore the newest one",
            )
            proof = self._tree.prover().consistency(old.size) if old.size else ()
            if old.size:
                verify_consistency(old.size, self.head.size, proof, old.root, self.head.root)
            check.found = f"{old.size} leaves before"
        return old.size

    def tiles(self, *, entries: bool) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """Every file that is not outside yet, with what gives its proven bytes; from the top of the tree downward."""
        for level in reversed(range(self._tree.levels)):
            for n in range(_count(self.head.size, level)):
                if self._is_new(tile := self._tile(level, n)):
                    yield tile.path(), partial(self._proven, tile)
        if entries:
            for n in range(_count(self.head.size, 0)):
                if self._is_new(tile := Tile(None, n, self._tile(0, n).width)):
                    yield tile.path(), partial(self._proven_entries, tile)

    def _tile(self, level: int, n: int) -> Tile:
        return Tile(level, n, tile_width(self.head.size, level=level, n=n))

    def _is_new(self, tile: Tile) -> bool:
        """A full tile below the published size was proved when it was written, and never changes."""
        full = tile.width == WIDTH and (tile.n + 1) * WIDTH <= self._before >> HEIGHT * (tile.level or 0)
        return not (full and self._held.has(tile.path()))

    def _proven(self, tile: Tile) -> bytes:
        level = tile.level or 0
        # Tiles that are not full have been hashed into the root.
        if tile.width == WIDTH:
            self._tree.require_full(level, tile.n)
        return b"".join(self._tree.tile(level, tile.n))

    def _proven_entries(self, tile: Tile) -> bytes:
        data = self._site.entries(tile)
        if tuple(map(leaf_hash, parse_entries(data))) != self._tree.tile(0, tile.n):
            raise Refused("leaf-altered", f"the entries of {tile.path()} are not those of its hash tile")
        return data

    def _hashes(self, tile: Tile) -> bytes:
        return required(self._site, f"/{tile.path()}", remedy="")


def _count(size: int, level: int) -> int:
    """How many tiles a level has, the one that is not full among them."""
    return ((size >> HEIGHT * level) + WIDTH - 1) // WIDTH
