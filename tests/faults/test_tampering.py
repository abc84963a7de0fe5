# SPDX-License-Identifier: Apache-2.0
"""A published ledger in hostile hands: whatever is changed in it, its verifier says so, and where.

Flips: one bit of an entry, a tile or the checkpoint. Edits: leaves deleted, exchanged, inserted or cut off between two
checkpoints that the verifier holds, with the tiles left as they were, or all made anew to fit.
"""

from __future__ import annotations

import os
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pytest

from signer.errors import Refused
from signer.ledger.leaves import encode_leaf
from signer.tlog.merkle import leaf_hash
from signer.tlog.tiles import WIDTH, Tile, encode_entries, iter_entries, parse_tile_path, tile_width
from signer.verify.checks import CheckFailed, Checklist
from signer.verify.log import verify_log
from tests.unit.verify.authority import Authority, halt_leaf, tile_of

LONG = os.environ.get("SIGNER_TEST_FAULTS") == "long"
SEED = int(os.environ.get("SIGNER_TEST_SEED", "20261123"))
FLIPS, EDITS = (10_000, 1_000) if LONG else (250, 80)
LEAVES = 2 * WIDTH + 40
HELD = 200
"""Size of the older checkpoint that the verifier kept; it holds the newest too."""


class Files:
    """A ledger as the files of a folder, in memory."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def checkpoint(self) -> bytes:
        return self.files["checkpoint"]

    def tile(self, tile: Tile) -> bytes:
        try:
            return self.files[tile.path()]
        except KeyError:
            raise Refused("tile-missing", tile.path()) from None


@pytest.fixture(scope="module")
def authority() -> Authority:
    made = Authority()
    made.release()
    while len(made.bodies) < LEAVES:
        made.append(halt_leaf(len(made.bodies)))
    return made


def files_of(bodies: Sequence[bytes], hashes: Sequence[bytes], checkpoint: bytes) -> dict[str, bytes]:
    """What is served of these rows under a checkpoint of `LEAVES` leaves."""
    files = {"checkpoint": checkpoint}
    for level, n in ((0, 0), (0, 1), (0, 2), (1, 0)):
        tile = Tile(level, n, tile_width(LEAVES, level=level, n=n))
        files[tile.path()] = tile_of(hashes, tile)
        if level == 0:
            entries = Tile(None, n, tile.width)
            files[entries.path()] = encode_entries(bodies[n * WIDTH : n * WIDTH + tile.width])
    return files


def refused(authority: Authority, files: Mapping[str, bytes]) -> CheckFailed:
    held = (authority.checkpoint(HELD), authority.checkpoint(LEAVES))
    with pytest.raises(CheckFailed) as found:
        verify_log(Files(files), trust=authority.trust_document(), checks=Checklist(), earlier=held)
    return found.value


def test_every_flipped_bit_is_reported_with_its_place(authority: Authority) -> None:
    chance = random.Random(SEED)
    whole = files_of(authority.bodies, [leaf_hash(body) for body in authority.bodies], authority.checkpoint())
    verify_log(Files(whole), trust=authority.trust_document(), checks=Checklist())
    counts: Counter[str] = Counter()
    for _ in range(FLIPS):
        path = chance.choice([*whole])
        at, bit = chance.randrange(len(whole[path])), chance.randrange(8)
        data = bytearray(whole[path])
        data[at] ^= 1 << bit
        fault = refused(authority, {**whole, path: bytes(data)})
        assert told(fault, place(whole, path, at)), f"{path} byte {at} bit {bit}: {fault.detail}"
        counts[path.split("/000")[0].split("/00")[0]] += 1
    sys.stdout.write(f"flipped bits, seed {SEED}: {sum(counts.values())} reported, {dict(sorted(counts.items()))}\n")


def place(whole: Mapping[str, bytes], path: str, at: int) -> str:
    """What the report must name: the leaf, the tile or the checkpoint that the byte stands in."""
    if path == "checkpoint":
        return "checkpoint"
    tile = parse_tile_path(path)
    if tile.level == 1:
        return tile.path()
    if tile.level == 0:
        return f"leaf {tile.n * WIDTH + at // 32}"
    end = 0
    for offset, body in enumerate(iter_entries(whole[path])):
        end += 2 + len(body)
        if at < end:
            return f"leaf {tile.n * WIDTH + offset}"
    raise AssertionError("the byte stands in no entry")


def told(fault: CheckFailed, named: str) -> bool:
    if named == "checkpoint":
        return fault.number == 1
    return re.search(rf"{re.escape(named)}\b", f"{fault.expected} {fault.found}") is not None


def delete(bodies: list[bytes], chance: random.Random) -> None:
    del bodies[chance.randrange(HELD, LEAVES)]


def exchange(bodies: list[bytes], chance: random.Random) -> None:
    one, other = chance.sample(range(HELD, LEAVES), 2)
    bodies[one], bodies[other] = bodies[other], bodies[one]


def insert(bodies: list[bytes], chance: random.Random) -> None:
    bodies.insert(chance.randrange(HELD, LEAVES), encode_leaf(halt_leaf(10_000 + chance.randrange(1000))))


def truncate(bodies: list[bytes], chance: random.Random) -> None:
    del bodies[chance.randrange(HELD, LEAVES) :]


EDITS_MADE: Sequence[Callable[[list[bytes], random.Random], None]] = (delete, exchange, insert, truncate)


@pytest.mark.parametrize("edit", EDITS_MADE, ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("refit", [False, True], ids=["and tiles left as they were", "and all tiles made anew"])
def test_every_edit_between_two_held_checkpoints_is_reported_with_its_place(
    authority: Authority, edit: Callable[[list[bytes], random.Random], None], refit: bool
) -> None:
    chance = random.Random(SEED + refit)
    for _ in range(EDITS // 8):
        bodies = list(authority.bodies)
        edit(bodies, chance)
        first = next(
            (at for at, pair in enumerate(zip(bodies, authority.bodies, strict=False)) if pair[0] != pair[1]),
            len(bodies),
        )
        rows = bodies if refit else authority.bodies
        fault = refused(authority, files_of(bodies, [leaf_hash(row) for row in rows], authority.checkpoint()))
        if refit:
            # The root alone tells, or a tile that has become too short.
            bounds = re.search(r"changed is one of the leaves (\d+) to (\d+)", fault.found)
            assert bounds is not None or "in place of" in fault.found, fault.detail
            assert bounds is None or int(bounds[1]) <= first <= int(bounds[2]), fault.detail
        else:
            assert told(fault, f"leaf {first}"), fault.detail
    sys.stdout.write(f"{edit.__name__}, refit {refit}: {EDITS // 8} reported\n")


def test_a_server_that_goes_back_to_an_older_signed_state_is_reported(authority: Authority) -> None:
    chance = random.Random(SEED)
    for _ in range(EDITS // 8):
        size = chance.randrange(HELD, LEAVES)
        fault = refused(authority, {"checkpoint": authority.checkpoint(size)})
        assert (fault.code, str(LEAVES) in fault.expected) == ("log-rollback", True)
