# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.tlog.tiles import WIDTH, Tile, encode_entries, parse_entries, parse_tile_path, tile_width

PATHS = [
    (Tile(0, 0, 256), "tile/0/000"),
    (Tile(0, 1, 17), "tile/0/001.p/17"),
    (Tile(1, 1000, 256), "tile/1/x001/000"),
    (Tile(0, 1234067, 256), "tile/0/x001/x234/067"),
    (Tile(63, 0, 1), "tile/63/000.p/1"),
    (Tile(None, 1234067, 255), "tile/entries/x001/x234/067.p/255"),
]


@pytest.mark.parametrize(("tile", "path"), PATHS, ids=[path for _, path in PATHS])
def test_paths_are_written_and_read(tile: Tile, path: str) -> None:
    assert tile.path() == path
    assert parse_tile_path(path) == tile


@given(level=st.none() | st.integers(0, 63), n=st.integers(0, 2**55 - 1), width=st.integers(1, WIDTH))
def test_every_tile_has_one_path(level: int | None, n: int, width: int) -> None:
    tile = Tile(level, n, width)
    assert parse_tile_path(tile.path()) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/1000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/0/000/",
        "tile/0/000.p/1/",
        "/tile/0/000",
        "tile/0/../000",
        "tile/0/x001\n/000",
        "tile/0/000\n",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/" + "x999/" * 6 + "999",
        "tile/0/" + "x999/" * 7 + "999",
    ],
)
def test_other_paths_are_malformed(path: str) -> None:
    with pytest.raises(Malformed):
        parse_tile_path(path)


@pytest.mark.parametrize(
    ("size", "level", "n", "width"),
    [
        (0, 0, 0, 0),
        (256, 0, 0, 256),
        (256, 1, 0, 1),
        (70_000, 0, 272, 256),
        (70_000, 0, 273, 112),
        (70_000, 0, 274, 0),
        (70_000, 1, 0, 256),
        (70_000, 1, 1, 17),
        (70_000, 2, 0, 1),
        (70_000, 3, 0, 0),
    ],
)
def test_widths_are_those_of_the_specification(size: int, level: int, n: int, width: int) -> None:
    assert tile_width(size, level=level, n=n) == width


@given(st.lists(st.binary(max_size=40), max_size=9))
def test_entry_bundles_are_written_and_read(entries: list[bytes]) -> None:
    assert list(parse_entries(encode_entries(entries))) == entries


def test_an_entry_beyond_two_bytes_of_length_fits_no_bundle() -> None:
    assert parse_entries(encode_entries([bytes(65_535)])) == (bytes(65_535),)
    with pytest.raises(ValueError, match="does not fit"):
        encode_entries([bytes(65_536)])


@pytest.mark.parametrize(
    "data",
    [b"\0", b"\0\1", b"\0\2a", b"\0\1a\0", b"\0\0" * 257],
    ids=["half a length", "no entry", "half an entry", "half a second length", "257 entries"],
)
def test_bundles_that_are_cut_off_or_too_long_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_entries(data)
