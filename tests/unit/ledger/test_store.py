# SPDX-License-Identifier: Apache-2.0
"""Large documents in the store: whole under their name or not there, whenever the custodian stops."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from signer.domain.spooled import spool_name
from signer.errors import Malformed, Misconfigured, Unavailable
from signer.ledger.store import STEP, Copy, DocumentStore, Intake

DATA = b"line of a build log\n" * 150_000
DIGEST = hashlib.sha256(DATA).hexdigest()
CI = "robot:ci"


class Killed(BaseException):
    """The process ends here."""


class Place:
    """A store and a spool, as they lie on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store, self.spool = folder / "store", folder / "spool"
        self.spool.mkdir()
        self.leaves: set[str] = set()
        self.start()

    def start(self) -> int:
        """Start the custodian: how many files nobody's leaf names were removed."""
        self.intake = Intake(self.store, spool=self.spool)
        return self.intake.prepare(self.leaves.__contains__)

    def upload(self, data: bytes = DATA, *, digest: str = DIGEST) -> None:
        (self.spool / spool_name(CI, digest)).write_bytes(data)

    def keep(self) -> None:
        """What the custodian does with one document."""
        copy = self.intake.begin(CI, DIGEST, len(DATA))
        while not copy.step():
            pass
        self.leaves.add(DIGEST)
        self.intake.settle(DIGEST)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.store)) for path in self.store.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_kept_document_is_read_back_byte_for_byte(place: Place) -> None:
    place.upload()
    place.keep()
    store = DocumentStore(place.store)
    assert (store.read(DIGEST), store.size(DIGEST)) == (DATA, len(DATA))
    assert place.files() == {DIGEST}
    assert (place.store / DIGEST).stat().st_mode & 0o777 == 0o640


def test_web_cannot_change_what_was_kept(place: Place) -> None:
    place.upload()
    place.keep()
    upload = place.spool / spool_name(CI, DIGEST)
    assert upload.stat().st_ino != (place.store / DIGEST).stat().st_ino
    upload.write_bytes(b"another story")
    assert DocumentStore(place.store).read(DIGEST) == DATA


def test_a_step_is_bounded_and_synced(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.upload()
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    place.keep()
    assert synced[:3] == [STEP, 2 * STEP, len(DATA)]
    assert len(synced) == 4, "and the folder, so that the name lasts"


@pytest.mark.parametrize(
    ("upload", "code"),
    [
        (Place.files, "upload-missing"),
        (lambda place: place.upload(DATA[:-1]), "digest-mismatch"),
        (lambda place: place.upload(DATA + b"!"), "digest-mismatch"),
        (lambda place: place.upload(b"!" + DATA[1:]), "digest-mismatch"),
        (lambda place: (place.spool / spool_name(CI, DIGEST)).symlink_to("/etc/passwd"), "upload-missing"),
        (lambda place: (place.spool / spool_name("robot:other", DIGEST)).write_bytes(DATA), "upload-missing"),
    ],
    ids=["nothing", "a byte less", "a byte more", "other bytes", "a link elsewhere", "another principal's upload"],
)
def test_other_bytes_are_never_stored(place: Place, upload: Callable[[Place], object], code: str) -> None:
    upload(place)
    with pytest.raises(Malformed) as refused:
        place.keep()
    assert refused.value.code == code
    assert place.files() == set()


def test_a_disk_that_fails_stores_nothing_and_the_next_attempt_does(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.upload()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as fault:
        fault.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            place.keep()
    assert place.files() == set()
    place.keep()
    assert DocumentStore(place.store).read(DIGEST) == DATA


def keep_until(place: Place, kill_at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Keep one document, but end before the change `kill_at` of the disk; whether it was done before that."""
    calls = itertools.count(1)
    copies: list[Copy] = []

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if next(calls) == kill_at:
                raise Killed
            return real(*arguments, **options)

        return call

    def note(copy: Copy) -> None:
        copies.append(copy)

    with monkeypatch.context() as fault:
        fault.setattr(os, "fsync", counted(os.fsync))
        fault.setattr(os, "link", counted(os.link))
        fault.setattr(Path, "unlink", counted(Path.unlink))
        # The end of a process runs no clean-up either.
        fault.setattr(Copy, "_give_up", note)
        try:
            place.keep()
        except Killed:
            for copy in copies:
                copy._opened.close()
            return False
    return True


def test_a_crash_anywhere_leaves_nothing_or_a_leaf_with_its_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ends before each call that changes the disk, one after the other, and starts again each time."""
    found = []
    for kill_at in itertools.count(1):
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        place = Place(folder)
        place.upload()
        if keep_until(place, kill_at, monkeypatch):
            break
        removed, kept = place.start(), DIGEST in place.leaves
        assert place.files() == ({DIGEST} if kept else set())
        assert not kept or DocumentStore(place.store).read(DIGEST) == DATA
        found.append((kept, removed))
    assert found == [(False, 0), *[(False, 1)] * 5, (True, 0)], "each step before the leaf, and the one after it"


def test_a_document_that_changed_on_the_disk_is_never_given_as_a_whole(place: Place) -> None:
    place.upload()
    place.keep()
    (place.store / DIGEST).write_bytes(DATA[:-1] + b"!")
    got: list[bytes] = []
    with pytest.raises(Unavailable, match="has changed"):
        got.extend(DocumentStore(place.store).stream(DIGEST))
    assert 0 < len(b"".join(got)) < len(DATA)


def test_a_document_that_is_gone_is_unavailable(place: Place) -> None:
    for ask in (DocumentStore(place.store).read, DocumentStore(place.store).size):
        with pytest.raises(Unavailable, match="cannot be read"):
            ask(DIGEST)


def test_a_store_that_cannot_be_written_stops_the_start(place: Place) -> None:
    place.store.rename(place.folder / "away")
    (place.folder / "store").write_bytes(b"a file")
    with pytest.raises(Misconfigured) as refused:
        place.start()
    assert refused.value.code == "documents-unusable"
