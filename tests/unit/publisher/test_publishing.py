# SPDX-License-Identifier: Apache-2.0
"""A folder of public files: equal to what the listener answers, proved before it is written, never going back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from signer.errors import Misconfigured, Refused, Unavailable
from signer.formats.revocations import RevokedKey
from signer.publisher.directory import LOCK, Directory
from signer.publisher.publishing import Published, publish
from signer.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from signer.tlog.merkle import leaf_hash
from signer.tlog.note import NoteSigner
from signer.tlog.tiles import WIDTH, Tile, parse_entries
from signer.verify.checks import CheckFailed, Checklist
from signer.verify.log import verify_log
from signer.verify.proven import TileDirectory
from signer.web.in_process import PublicListener
from signer.web.public import create_public_app
from tests.unit.web.trusted import grow, publish_revocations, publish_trust
from tests.unit.web.world import NOW, Keys, World, build_world


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys.make()


@pytest.fixture
def world(tmp_path: Path, keys: Keys) -> World:
    folder = tmp_path / "authority"
    folder.mkdir()
    return started(build_world(folder, keys=keys))


@dataclass(frozen=True)
class Grown:
    """An authority whose ledger has grown since it was published to a folder, for tests that only read it."""

    world: World
    published: Path


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Grown:
    folder = tmp_path_factory.mktemp("grown")
    (folder / "authority").mkdir()
    made = started(build_world(folder / "authority", keys=keys))
    run(Site(made), folder / "published", entries=True)
    grow(made, WIDTH + 9)
    return Grown(made, folder / "published")


def started(world: World) -> World:
    publish_trust(world)
    publish_revocations(world)
    return world


class Site(PublicListener):
    """The public listener, with some answers replaced."""

    def __init__(self, world: World, replaced: Mapping[str, Callable[[bytes], bytes | None]] | None = None) -> None:
        super().__init__(world.application)
        self.replaced = replaced or {}
        self.asked: list[str] = []

    def get(self, path: str) -> bytes | None:
        self.asked.append(path)
        found = super().get(path)
        change = self.replaced.get(path)
        return found if change is None or found is None else change(found)

    def entries(self, tile: Tile) -> bytes:
        found = super().entries(tile)
        change = self.replaced.get(f"/{tile.path()}")
        return found if change is None else change(found) or b""


def run(site: Site, folder: Path, *, now: datetime = NOW, entries: bool = False) -> Published:
    return publish(site, to=Directory(folder), now=now, entries=entries, progress=lambda _done, _count: None)


def files(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found.pop(LOCK, None)
    return found


def test_every_file_is_what_the_listener_answers_and_every_route_is_a_file(world: World, tmp_path: Path) -> None:
    grow(world, 2 * WIDTH + 3)
    folder = tmp_path / "out"
    published = run(Site(world), folder)
    assert (published.size, published.tiles, published.documents) == (2 * WIDTH + 3, 4, 7)
    client = create_public_app(world.application).test_client()
    written = files(folder)
    for path, data in written.items():
        assert client.get("/" + path.replace("v1/keys/index.json", "v1/keys")).data == data, path
    routes = {
        rule.rule.replace("<string:", "<").replace("<path:", "<")
        for rule in create_public_app(world.application).url_map.iter_rules()
    }
    shapes = {shape(path) for path in written}
    assert {route.lstrip("/") for route in routes} == shapes, "a new route of the public listener is published as well"


def shape(path: str) -> str:
    if path.startswith("tile/"):
        return "tile/<level>/<number>"
    if path.endswith(".pem"):
        return "v1/keys/<kid>.pem"
    return path.removesuffix("/index.json")


@pytest.mark.parametrize("size", [WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH])
def test_the_whole_ledger_is_verified_from_the_folder(world: World, tmp_path: Path, size: int) -> None:
    trust = publish_trust(world, version=2)
    publish_revocations(world)
    grow(world, size)
    run(Site(world), tmp_path / "out", entries=True)
    verified = verify_log(TileDirectory(tmp_path / "out"), trust=trust, checks=Checklist())
    assert verified.checkpoint.size == size


def test_without_being_asked_no_entry_leaves(world: World, tmp_path: Path) -> None:
    run(Site(world), tmp_path / "out")
    assert not [path for path in files(tmp_path / "out") if path.startswith("tile/entries")]
    run(Site(world), tmp_path / "out", entries=True)
    data = (tmp_path / "out" / "tile/entries/000.p/5").read_bytes()
    assert parse_entries(data) == world.application.reader.leaves(0, 5)


def test_a_second_run_fetches_and_writes_what_is_new(world: World, tmp_path: Path) -> None:
    grow(world, WIDTH + 9)
    run(Site(world), tmp_path / "out")
    grow(world, 2 * WIDTH + 1)
    site = Site(world)
    assert run(site, tmp_path / "out").tiles == 3, "one that became full, the next one, and their parent"
    assert "/tile/0/000" not in site.asked
    assert run(Site(world), tmp_path / "out").tiles == 2, "those that are not full are written again"


def test_a_run_that_was_cut_off_leaves_the_state_before_it(world: World, tmp_path: Path) -> None:
    run(Site(world), tmp_path / "out")
    before = files(tmp_path / "out")
    grow(world, WIDTH + 9)
    folder = Directory(tmp_path / "out")

    class Full(Directory):
        def write(self, path: str, data: bytes) -> None:
            if path == "checkpoint":
                raise OSError(28, "No space left on device")
            super().write(path, data)

    with pytest.raises(OSError, match="No space"):
        publish(Site(world), to=Full(folder.root), now=NOW, entries=False, progress=lambda _done, _count: None)
    after = files(folder.root)
    assert after["checkpoint"] == before["checkpoint"]
    assert set(before) <= set(after), "every tile that the old checkpoint needs is still there"
    assert run(Site(world), folder.root).size == WIDTH + 9


def test_the_checkpoint_is_written_after_everything_else(world: World, tmp_path: Path) -> None:
    order: list[str] = []

    class Watched(Directory):
        def write(self, path: str, data: bytes) -> None:
            order.append(path)
            super().write(path, data)

    publish(Site(world), to=Watched(tmp_path / "out"), now=NOW, entries=True, progress=lambda _done, _count: None)
    assert order[-1] == "checkpoint"
    last_tile = max(at for at, path in enumerate(order) if path.startswith("tile/"))
    assert order.index("v1/trust") > last_tile


def flipped(data: bytes) -> bytes:
    at = len(data) - 19
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("path", "change", "code"),
    [
        pytest.param("/v1/trust", flipped, "", id="a trust file with a flipped bit"),
        pytest.param("/v1/revocations", flipped, "", id="a revocation list with a flipped bit"),
        pytest.param("/checkpoint", flipped, "", id="a checkpoint with a flipped bit"),
        pytest.param("/tile/0/000", flipped, "", id="a full tile with a flipped bit"),
        pytest.param("/tile/0/001.p/9", flipped, "tile-invalid", id="a partial tile with a flipped bit"),
        pytest.param("/tile/1/000.p/1", flipped, "tile-invalid", id="an upper tile with a flipped bit"),
        pytest.param("/tile/0/001.p/9", lambda data: data[:-1], "tile-invalid", id="a tile that is cut off"),
        pytest.param("/tile/entries/000", lambda data: data[:-1] + b"!", "leaf-altered", id="an altered leaf"),
        pytest.param("/tile/entries/000", lambda data: data[:-1], "malformed-log-text", id="a bundle that is cut off"),
        pytest.param("/v1/trusted_root.json", flipped, "trusted-root-differs", id="another trusted root"),
        pytest.param("/.well-known/jwks.json", lambda _data: b'{"keys":[]}', "keys-differ", id="an empty key set"),
        pytest.param("/v1/trust", lambda _data: None, "nothing-to-publish", id="no trust file"),
        pytest.param("/v1/revocations", lambda _data: None, "nothing-to-publish", id="no revocation list"),
        pytest.param("/checkpoint", lambda _data: None, "nothing-to-publish", id="no checkpoint"),
        pytest.param("/tile/0/000", lambda _data: None, "nothing-to-publish", id="a tile that is missing"),
    ],
)
def test_what_does_not_verify_never_leaves(
    grown: Grown, tmp_path: Path, path: str, change: Callable[[bytes], bytes | None], code: str
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(grown.published, folder)
    before = files(folder)["checkpoint"]
    spoilt: list[bytes | None] = []

    def spoil(data: bytes) -> bytes | None:
        spoilt.append(change(data))
        return spoilt[-1]

    with pytest.raises(Refused) as refused:
        run(Site(grown.world, {path: spoil}), folder, entries=True)
    assert spoilt
    assert code in ("", refused.value.code)
    assert (folder / "checkpoint").read_bytes() == before
    asked = [answer for answer in spoilt if answer is not None]
    assert [path for path, data in files(folder).items() if data in asked] == []


def test_another_pem_under_a_keys_name_never_leaves(world: World, tmp_path: Path) -> None:
    [key] = json.loads(Site(world).get("/v1/keys") or b"")["keys"]
    other = (world.folder / "other.pem").resolve()
    other.write_text("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA" + "A" * 43 + "=\n-----END PUBLIC KEY-----\n")
    with pytest.raises(CheckFailed) as refused:
        run(Site(world, {key["pem"]: lambda _data: other.read_bytes()}), tmp_path / "out")
    assert refused.value.code == "keys-differ"


def test_a_folder_ahead_of_the_ledger_is_not_taken_back(world: World, tmp_path: Path, keys: Keys) -> None:
    older = tmp_path / "older"
    shutil.copytree(world.folder, older)
    grow(world, 20)
    run(Site(world), tmp_path / "out")
    before = files(tmp_path / "out")
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm", "guard"):
        (world.folder / name).unlink(missing_ok=True)
        if (older / name).exists():
            shutil.copy(older / name, world.folder / name)
    world.application.reader._engine.dispose()
    with pytest.raises(CheckFailed) as refused:
        run(Site(world), tmp_path / "out")
    assert refused.value.code == "log-rollback"
    assert files(tmp_path / "out") == before


def test_a_folder_of_another_history_is_refused(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run(Site(world), folder)
    grow(world, 9)
    # The head of another history, signed by the ledger key: what a stolen key or a restored copy makes.
    held, _ = parse_checkpoint((folder / "checkpoint").read_bytes())
    signer = NoteSigner(held.origin, world.ledger_key)
    (folder / "checkpoint").write_text(
        sign_checkpoint(Checkpoint(held.origin, held.size, leaf_hash(b"other")), signer=signer)
    )
    with pytest.raises(CheckFailed) as refused:
        run(Site(world), folder)
    assert refused.value.code == "proof-invalid"


def test_a_folder_of_another_authority_is_refused(world: World, tmp_path: Path, keys: Keys) -> None:
    run(Site(world), tmp_path / "out")
    (tmp_path / "second").mkdir()
    other = started(build_world(tmp_path / "second", keys=keys))
    with pytest.raises(CheckFailed) as refused:
        run(Site(other), tmp_path / "out")
    assert refused.value.code == "trust-foreign"


def test_an_older_trust_file_or_revocation_list_does_not_replace_a_newer_one(world: World, tmp_path: Path) -> None:
    older_trust = Site(world).get("/v1/trust")
    older_list = world.application.revocations.read_bytes()
    publish_trust(world, version=2)
    publish_revocations(world, issued=NOW + timedelta(hours=1))
    run(Site(world), tmp_path / "out", now=NOW + timedelta(hours=1))
    for path, data, code in (
        ("/v1/trust", older_trust, "trust-rollback"),
        ("/v1/revocations", older_list, "revocations-rollback"),
    ):
        with pytest.raises(CheckFailed) as refused:
            run(Site(world, {path: lambda _data, data=data: data}), tmp_path / "out", now=NOW + timedelta(hours=1))  # type: ignore[misc]  # bound at once
        assert refused.value.code == code


def test_a_revocation_list_past_its_end_is_not_published(world: World, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed) as refused:
        run(Site(world), tmp_path / "out", now=NOW + timedelta(hours=24))
    assert refused.value.code == "revocations-stale"
    # What stands in the folder may be that old: the next list replaces it.
    run(Site(world), tmp_path / "out")
    publish_revocations(world, issued=NOW + timedelta(days=3))
    assert run(Site(world), tmp_path / "out", now=NOW + timedelta(days=3)).documents == 7


def test_a_retired_key_stays_in_the_key_set_with_its_window(world: World, tmp_path: Path) -> None:
    publish_trust(world, version=2, status="retired", not_after=NOW)
    run(Site(world), tmp_path / "out")
    written = files(tmp_path / "out")
    assert len(json.loads(written[".well-known/jwks.json"])["keys"]) == 1
    [key] = json.loads(written["v1/keys/index.json"])["keys"]
    assert (key["trust"], key["not_after"]) == ("retired", "2026-11-23T10:00:00.000000Z")


def test_a_key_that_the_list_revokes_may_not_stand_in_the_key_set(world: World, tmp_path: Path) -> None:
    trust = publish_trust(world, version=2)
    entry = RevokedKey(kid=trust.keys[0].kid, name="release", since=NOW, leaf=2, time=NOW, reason="stolen")
    publish_revocations(world, entry)
    with pytest.raises(CheckFailed) as refused:
        run(Site(world), tmp_path / "out")
    assert refused.value.code == "keys-differ"


def test_two_runs_at_once_do_not_race(world: World, tmp_path: Path) -> None:
    with Directory(tmp_path / "out").locked(), pytest.raises(Misconfigured) as refused:
        run(Site(world), tmp_path / "out")
    assert refused.value.code == "publishing-already"


def test_an_authority_that_cannot_answer_publishes_nothing(world: World, tmp_path: Path) -> None:
    world.application.guard.path.unlink()
    with pytest.raises(Unavailable, match=r"/checkpoint is answered with 503: the published checkpoint cannot be read"):
        run(Site(world), tmp_path / "out")
    assert files(tmp_path / "out") == {}
