# SPDX-License-Identifier: Apache-2.0
"""Token workers on a real SoftHSM: found keys, signatures that strangers verify, and every way to lose a token."""

from __future__ import annotations

import hashlib
import io
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from signer.custodian.device_place import DevicePlace
from signer.custodian.token_events import Alarm, JobEnded, KeyLocated, SigningJob, TokenEvent
from signer.custodian.token_pool import TokenPool
from signer.custodian.tokens import Tokens
from signer.dev.token import LABEL
from signer.domain.algorithm import Algorithm
from signer.domain.purpose import Purpose
from signer.formats.own_signature import verify_own
from signer.formats.spki import load_spki, spki_pem
from signer.keys.devices import Pkcs11Device
from signer.keys.keyring import TOKEN_MESSAGE, KeyPlace, Pin, PinnedKey, pin_of
from signer.keys.uri import parse_uri
from signer.telemetry.logs import open_log
from tests.integration.softhsm import TestToken

URI = parse_uri(f"pkcs11:token={LABEL};object=release;id=%01")
PLACE = KeyPlace(name="release", uri=URI, purpose=Purpose.STATEMENT, algorithm=Algorithm.ECDSA_P256)
MESSAGE = b"DSSEv1 a statement"
DIGEST = hashlib.sha256(MESSAGE).digest()
WITHIN = 20.0

Event = TypeVar("Event", bound=TokenEvent)


class Driver:
    """Turns a pool by hand, as the custodian's loop does."""

    def __init__(self, token: TestToken, *, workers: int = 1, deadline: float = 5.0) -> None:
        self.token = token
        self.pins: list[tuple[KeyPlace, bytes]] = []
        self.log = io.BytesIO()
        self.events: list[TokenEvent] = []
        self.ticket = 0
        self.pool = TokenPool(
            DevicePlace(
                name=LABEL,
                device=Pkcs11Device(
                    label=LABEL,
                    serial="",
                    module=str(token.token.module),
                    pin_file=str(token.token.pin_file),
                    lock=str(token.folder / "lock"),
                ),
                pin_file=token.token.pin_file,
                workers=workers,
                environment=token.environment,
            ),
            pins=lambda _label: self.pins,
            deadline=deadline,
            monotonic=time.monotonic_ns,
            log=open_log(self.log, room="test"),
        )

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN
        while not done():
            assert time.monotonic() < deadline, self.log.getvalue().decode()
            watched = {worker.fileno(): worker for worker in self.pool.workers()}
            readable, _, _ = select.select(list(watched), [], [], 0.02)
            self.pool.turn([watched[descriptor] for descriptor in readable])
            self.events += self.pool.take_events()

    def ready(self) -> None:
        self.until(lambda: any(worker.ready for worker in self.pool.workers()))

    def next(self, kind: type[Event]) -> Event:
        self.until(lambda: any(isinstance(event, kind) for event in self.events))
        found = next(event for event in self.events if isinstance(event, kind))
        self.events.remove(found)
        return found

    def locate(self, *, generate: bool = False) -> KeyLocated:
        self.ticket += 1
        self.pool.locate(self.ticket, PLACE, generate=generate)
        return self.next(KeyLocated)

    def pin(self, spki: bytes) -> Pin:
        pin = pin_of("release", purpose=Purpose.STATEMENT, algorithm=PLACE.algorithm, spki=spki)
        self.pins = [(PLACE, spki)]
        return pin

    def submit(self, pin: Pin, *, digest: bytes = DIGEST, seconds: float = 5.0) -> int:
        self.ticket += 1
        self.pool.submit(
            SigningJob(
                ticket=self.ticket,
                key=PinnedKey(place=PLACE, pin=pin),
                data=digest,
                begin_by=time.monotonic_ns() + int(seconds * 1e9),
            )
        )
        return self.ticket

    def sign(self, pin: Pin, *, seconds: float = 5.0) -> JobEnded:
        self.submit(pin, seconds=seconds)
        return self.next(JobEnded)


@pytest.fixture
def token(tmp_path: Path) -> TestToken:
    return TestToken.make(tmp_path / "token")


@pytest.fixture
def new_driver(token: TestToken) -> Iterator[Callable[..., Driver]]:
    drivers: list[Driver] = []

    def new(*, workers: int = 1, deadline: float = 5.0) -> Driver:
        drivers.append(Driver(token, workers=workers, deadline=deadline))
        return drivers[-1]

    yield new
    for driver in drivers:
        driver.pool.close()


@pytest.fixture
def driver(new_driver: Callable[..., Driver]) -> Driver:
    return new_driver()


def test_a_generated_key_signs_what_strangers_verify(driver: Driver, tmp_path: Path) -> None:
    pin = driver.pin(driver.locate(generate=True).spki)
    ended = driver.sign(pin)
    assert (ended.status, ended.attempts) == ("signed", 1)
    key = load_spki(pin.spki)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(ended.signature, MESSAGE, ec.ECDSA(hashes.SHA256()))
    for name, data in (("key.pem", spki_pem(key).encode()), ("sig", ended.signature), ("message", MESSAGE)):
        (tmp_path / name).write_bytes(data)
    said = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "message"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "Verified OK"


def test_a_generated_key_cannot_leave_its_token(driver: Driver, token: TestToken) -> None:
    driver.locate(generate=True)
    shown = token.run(
        "key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label='release')\n"
        "print(key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE], key[Attribute.NEVER_EXTRACTABLE])\n"
        "try: key[Attribute.VALUE]\n"
        "except Exception as fault: print(type(fault).__name__)\n"
    )
    assert shown.decode().split() == ["True", "False", "True", "AttributeSensitive"]


def test_looking_twice_finds_the_same_key_and_makes_none(driver: Driver, token: TestToken) -> None:
    first = driver.locate(generate=True)
    assert driver.locate(generate=True).spki == first.spki
    assert token.run("print(len(list(session.get_objects({Attribute.LABEL: 'release'}))))").split() == [b"2"]


def test_many_workers_share_one_queue_and_start_one_by_one(new_driver: Callable[..., Driver]) -> None:
    driver = new_driver(workers=4)
    pin = driver.pin(driver.locate(generate=True).spki)
    tickets = {driver.submit(pin, digest=hashlib.sha256(bytes([number])).digest()) for number in range(200)}
    driver.until(lambda: len(driver.events) == 200)
    assert {event.ticket for event in driver.events if isinstance(event, JobEnded)} == tickets
    assert {event.status for event in driver.events if isinstance(event, JobEnded)} == {"signed"}
    driver.until(lambda: sum(worker.ready for worker in driver.pool.workers()) == 4)


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        pytest.param(lambda _: None, "key-missing", id="no such key"),
        pytest.param(lambda token: [token.make_key(), token.make_key()], "key-ambiguous", id="two keys of one name"),
        pytest.param(lambda token: token.make_key(ident=2), "key-missing", id="the label with another id"),
        pytest.param(lambda token: token.make_key("other"), "key-missing", id="the id with another label"),
        pytest.param(lambda token: token.make_key(EXTRACTABLE=True), "key-exposed", id="a key that can be wrapped out"),
        pytest.param(lambda token: token.make_key(SENSITIVE=False), "key-exposed", id="a key that can be read out"),
        pytest.param(
            lambda token: token.run("make('release', b'\\1', curve='secp384r1')"),
            "key-unsuited",
            id="a key on another curve",
        ),
    ],
)
def test_no_key_is_found(prepare: Callable[[TestToken], object], code: str, token: TestToken, driver: Driver) -> None:
    prepare(token)
    located = driver.locate()
    assert (located.spki, located.code) == (b"", code)


def test_a_half_that_is_left_over_is_never_completed(driver: Driver, token: TestToken) -> None:
    token.make_key()
    token.run("session.get_key(object_class=ObjectClass.PRIVATE_KEY, label='release').destroy()")
    assert driver.locate(generate=True).code == "key-exists"


def test_another_key_than_the_pin_raises_the_alarm_and_signs_nothing(driver: Driver, token: TestToken) -> None:
    token.make_key()
    pin = driver.pin(token.make_key("elsewhere", 9))
    assert driver.next(Alarm).code == "key-pin-mismatch"
    assert driver.pool.hindrance(str(URI)) is not None
    ended = driver.sign(pin)
    assert (ended.status, ended.reason, ended.signature) == ("failed", "key-pin-mismatch", b"")


def test_a_digest_of_another_length_is_not_signed(driver: Driver) -> None:
    pin = driver.pin(driver.locate(generate=True).spki)
    driver.submit(pin, digest=b"\0" * 48)
    assert driver.next(JobEnded).status == "failed"
    assert driver.sign(pin).status == "signed"


def test_a_wrong_pin_is_tried_once_until_the_file_changes(driver: Driver, token: TestToken) -> None:
    right = token.token.pin_file.read_text()
    token.token.pin_file.write_text("wrong")
    driver.until(lambda: driver.pool.hindrance(str(URI)) is not None)
    started = time.monotonic()
    driver.until(lambda: time.monotonic() - started > 2.5)
    assert driver.log.getvalue().decode().count("PinIncorrect") == 2, "one fault and one loss"
    assert "wrong" not in driver.log.getvalue().decode()
    token.token.pin_file.write_text(right)
    driver.ready()
    assert driver.pool.hindrance(str(URI)) is None


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff", b"1" * 300], ids=["empty", "blank", "not text", "too long"])
def test_a_pin_file_without_a_pin_is_no_attempt(content: bytes, driver: Driver, token: TestToken) -> None:
    token.token.pin_file.write_bytes(content)
    driver.until(lambda: driver.pool.hindrance(str(URI)) is not None)
    assert "PinIncorrect" not in driver.log.getvalue().decode()


def test_a_token_that_is_gone_stops_signing_until_it_returns(driver: Driver, token: TestToken) -> None:
    pin = driver.pin(driver.locate(generate=True).spki)
    assert driver.sign(pin).status == "signed"
    token.vanish()
    token_gone = driver.sign(pin)
    assert (token_gone.status, token_gone.signature) == ("failed", b"")
    driver.until(lambda: driver.pool.hindrance(str(URI)) is not None)
    token.return_()
    driver.until(lambda: driver.pool.hindrance(str(URI)) is None and any(w.ready for w in driver.pool.workers()))
    assert driver.sign(pin).status == "signed"


def test_a_killed_worker_is_replaced_and_loses_only_what_it_had_begun(driver: Driver) -> None:
    pin = driver.pin(driver.locate(generate=True).spki)
    tickets = {driver.submit(pin, digest=hashlib.sha256(bytes([number])).digest()) for number in range(50)}
    driver.until(lambda: any(worker.busy for worker in driver.pool.workers() if worker.ready))
    os.kill(next(iter(driver.pool.workers())).pid, signal.SIGKILL)
    driver.until(lambda: len(driver.events) == len(tickets))
    ends = [event for event in driver.events if isinstance(event, JobEnded)]
    assert {end.ticket for end in ends} == tickets, "each job ends exactly once"
    assert {end.status for end in ends} <= {"signed", "unknown"}
    # What was signed and not yet told counts too: an ask is about two milliseconds of work.
    assert sum(end.status == "unknown" for end in ends) < len(tickets) / 2


def test_a_hanging_worker_is_killed_at_the_deadline(new_driver: Callable[..., Driver]) -> None:
    # Long enough that making the key is no hang on a busy machine.
    driver = new_driver(deadline=1.0)
    pin = driver.pin(driver.locate(generate=True).spki)
    os.kill(next(iter(driver.pool.workers())).pid, signal.SIGSTOP)
    started = time.monotonic()
    assert driver.sign(pin).status == "signed", "it had not begun, so the next worker did it"
    assert 1.0 < time.monotonic() - started < 6


def test_a_job_that_is_too_late_uses_no_key(driver: Driver) -> None:
    pin = driver.pin(driver.locate(generate=True).spki)
    ended = driver.sign(pin, seconds=-1)
    assert (ended.status, ended.reason, ended.attempts) == ("failed", "stale", 0)


def test_a_stop_ends_what_is_queued_and_reaches_workers_without_a_message(driver: Driver) -> None:
    pin = driver.pin(driver.locate(generate=True).spki)
    driver.submit(pin)
    driver.pool.set_stop(stopped=True)
    assert driver.next(JobEnded).reason == "halted"
    driver.pool.set_stop(stopped=False)
    assert driver.sign(pin).status == "signed"


def test_workers_end_with_the_custodian(driver: Driver) -> None:
    driver.ready()
    worker = next(iter(driver.pool.workers()))
    driver.pool.close()
    assert worker.gone


def test_long_messages_of_ed25519_pass_through_a_small_socket_buffer(driver: Driver) -> None:
    place = KeyPlace(
        name="long",
        uri=parse_uri(f"pkcs11:token={LABEL};object=long;id=%05"),
        purpose=Purpose.STATEMENT,
        algorithm=Algorithm.ED25519,
    )
    driver.pool.locate(1, place, generate=True)
    spki = driver.next(KeyLocated).spki
    pin = pin_of("long", purpose=Purpose.STATEMENT, algorithm=place.algorithm, spki=spki)
    messages = {ticket: bytes([ticket]) * TOKEN_MESSAGE for ticket in range(10, 16)}
    for ticket, message in messages.items():
        driver.pool.submit(
            SigningJob(
                ticket=ticket,
                key=PinnedKey(place=place, pin=pin),
                data=message,
                begin_by=time.monotonic_ns() + 5 * 10**9,
            )
        )
    events: list[TokenEvent] = []
    with selectors.DefaultSelector() as selector:
        tokens = Tokens({LABEL: driver.pool}, selector=selector)
        tokens.turn(())
        deadline = time.monotonic() + WITHIN
        while len(events) < len(messages):
            # As the custodian's loop: nothing wakes it but a worker that speaks, or that has room again.
            ready = selector.select(5.0)
            assert ready, "nobody woke the loop"
            assert time.monotonic() < deadline
            tokens.turn([key.data for key, _ in ready])
            events += tokens.take_events()
    for event in events:
        assert isinstance(event, JobEnded)
        assert event.status == "signed", event
        verify_own(Algorithm.ED25519, load_spki(spki), messages[event.ticket], event.signature)
