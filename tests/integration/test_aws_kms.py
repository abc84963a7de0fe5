# SPDX-License-Identifier: Apache-2.0
"""Keys in AWS KMS through a real worker and real HTTP: what each answer, and each missing one, leads to."""

from __future__ import annotations

import io
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from signer.custodian.device_place import DevicePlace
from signer.custodian.token_events import Alarm, JobEnded, KeyLocated, SigningJob, TokenEvent
from signer.custodian.token_pool import TokenPool
from signer.domain.algorithm import Algorithm, key_input
from signer.domain.purpose import Purpose
from signer.formats.own_signature import verify_own
from signer.formats.spki import load_spki, spki_der
from signer.keys.keyring import KeyPlace, PinnedKey, pin_of
from signer.keys.uri import parse_uri
from signer.telemetry.logs import open_log
from tests.contract.devices import kms_credentials, kms_device
from tests.kms_server import ACCESS_KEY, SECRET_KEY, Fault, KmsServer, kms_server

MESSAGE = b"DSSEv1 a statement"
WITHIN = 20.0

Event = TypeVar("Event", bound=TokenEvent)


class Driver:
    """Turns the pool of one region by hand, as the custodian's loop does."""

    def __init__(
        self, kms: KmsServer, environment: Mapping[str, str], *, deadline: float = 5.0, read_timeout: float = 0.7
    ) -> None:
        self.kms = kms
        self.pins: list[tuple[KeyPlace, bytes]] = []
        self.log = io.BytesIO()
        self.events: list[TokenEvent] = []
        self.ticket = 0
        device = kms_device(kms, read_timeout=read_timeout)
        self.pool = TokenPool(
            DevicePlace(
                name="aws-kms/eu-central-1",
                device=device,
                pin_file=None,
                workers=1,
                threads=device.threads,
                environment=environment,
            ),
            pins=lambda _device: self.pins,
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

    def until_more_than(self, ended: int) -> None:
        self.until(lambda: len(self.events) > ended)

    def next(self, kind: type[Event]) -> Event:
        self.until(lambda: any(isinstance(event, kind) for event in self.events))
        found = next(event for event in self.events if isinstance(event, kind))
        self.events.remove(found)
        return found

    def locate(self, arn: str, *, generate: bool = False) -> KeyLocated:
        self.ticket += 1
        self.pool.locate(self.ticket, place(arn), generate=generate)
        return self.next(KeyLocated)

    def submit(self, arn: str, message: bytes = MESSAGE) -> int:
        spki = spki_der(self.kms.keys[self.kms.aliases.get(arn, arn)].private.public_key())
        return self.submit_pinned(arn, spki, message)

    def submit_pinned(self, arn: str, spki: bytes, message: bytes = MESSAGE) -> int:
        self.ticket += 1
        algorithm = Algorithm.ECDSA_P256
        if (place(arn), spki) not in self.pins:
            self.pins.append((place(arn), spki))
        self.pool.submit(
            SigningJob(
                ticket=self.ticket,
                key=PinnedKey(
                    place=place(arn), pin=pin_of("release", purpose=Purpose.STATEMENT, algorithm=algorithm, spki=spki)
                ),
                data=key_input(algorithm, message),
                begin_by=time.monotonic_ns() + 5 * 10**9,
            )
        )
        return self.ticket

    def sign(self, arn: str) -> JobEnded:
        self.submit(arn)
        return self.next(JobEnded)

    def hindrance(self, arn: str) -> str:
        fault = self.pool.hindrance(f"awskms:///{arn}")
        return "" if fault is None else fault.code


def place(arn: str) -> KeyPlace:
    return KeyPlace(
        name="release", uri=parse_uri(f"awskms:///{arn}"), purpose=Purpose.STATEMENT, algorithm=Algorithm.ECDSA_P256
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """One server and one worker for all cases: each has its own key."""
    with kms_server() as kms:
        driver = Driver(kms, kms_credentials(tmp_path_factory.mktemp("kms")))
        yield driver
        log = driver.log.getvalue().decode()
        driver.pool.close()
        assert SECRET_KEY not in log
        assert ACCESS_KEY not in log


@pytest.fixture
def driver(shared: Driver) -> Driver:
    shared.events.clear()
    shared.kms.faults.clear()
    shared.kms.calls.clear()
    return shared


@pytest.fixture
def arn(driver: Driver) -> str:
    return driver.kms.create("ECC_NIST_P256")


def test_a_digest_is_signed_as_a_digest(driver: Driver, arn: str) -> None:
    ended = driver.sign(arn)
    assert (ended.status, ended.attempts) == ("signed", 1)
    verify_own(
        Algorithm.ECDSA_P256, load_spki(spki_der(driver.kms.keys[arn].private.public_key())), MESSAGE, ended.signature
    )
    asked = [members["MessageType"] for operation, members in driver.kms.calls if operation == "Sign"]
    assert asked == ["DIGEST"]


def test_many_calls_run_at_a_time_and_each_gets_its_own_answer(driver: Driver, arn: str) -> None:
    driver.sign(arn)
    driver.kms.delay = 0.1
    try:
        begun = time.monotonic()
        messages = {driver.submit(arn, message := bytes([number])): message for number in range(16)}
        driver.until(lambda: len(driver.events) == 16)
        elapsed = time.monotonic() - begun
    finally:
        driver.kms.delay = 0.0
    key = load_spki(spki_der(driver.kms.keys[arn].private.public_key()))
    for event in driver.events:
        assert isinstance(event, JobEnded)
        verify_own(Algorithm.ECDSA_P256, key, messages[event.ticket], event.signature)
    assert elapsed < 16 * 0.1, "sixteen calls of a tenth of a second, four at a time"


def test_a_throttled_key_pauses_and_then_signs_as_another_attempt(driver: Driver, arn: str) -> None:
    driver.sign(arn)
    driver.kms.fail("Sign", Fault("error", "ThrottlingException"))
    driver.submit(arn)
    driver.until(lambda: driver.hindrance(arn) != "")
    assert driver.hindrance(arn) == "key-throttled"
    fault = driver.pool.hindrance(f"awskms:///{arn}")
    assert fault is not None
    assert fault.retry_after >= 1
    other = driver.kms.create("ECC_NIST_P256")
    assert driver.hindrance(other) == "", "a pause is one key's"
    ended = driver.next(JobEnded)
    assert (ended.status, ended.attempts) == ("signed", 2)
    assert driver.hindrance(arn) == ""


def test_a_key_that_stays_throttled_fails_with_nothing_signed(driver: Driver, arn: str) -> None:
    driver.sign(arn)
    before = driver.kms.signed
    driver.kms.fail("Sign", *[Fault("error", "ThrottlingException")] * 2)
    ended = driver.sign(arn)
    assert (ended.status, ended.reason, ended.attempts) == ("failed", "key-throttled", 2)
    assert driver.kms.signed == before


@pytest.mark.parametrize("kind", ["silence", "cut"])
def test_an_answer_that_never_came_is_unknown_and_not_asked_again(driver: Driver, arn: str, kind: str) -> None:
    driver.sign(arn)
    before = driver.kms.count("Sign")
    driver.kms.fail("Sign", Fault(kind))
    ended = driver.sign(arn)
    assert (ended.status, ended.attempts, ended.signature) == ("unknown", 1, b"")
    assert driver.kms.count("Sign") == before + 1
    driver.until(lambda: driver.hindrance(arn) == "")
    assert driver.sign(arn).status == "signed", "it heals by itself"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        pytest.param(Fault("error", "KMSInternalException", status=500), "unknown", id="an inner fault proves nothing"),
        pytest.param(Fault("error", "DependencyTimeoutException", status=503), "unknown", id="nor does its time-out"),
        pytest.param(Fault("error", "NobodyKnowsException"), "unknown", id="nor an error that is not listed"),
        pytest.param(Fault("error", "AccessDeniedException"), "failed", id="a refusal does"),
        pytest.param(Fault("other-algorithm"), "unknown", id="an answer about another algorithm"),
        pytest.param(Fault("empty"), "failed", id="an empty signature fails the self-check and is dropped"),
    ],
)
def test_an_error_ends_the_call_once(driver: Driver, arn: str, fault: Fault, status: str) -> None:
    driver.sign(arn)
    driver.kms.calls.clear()
    driver.kms.fail("Sign", fault)
    ended = driver.sign(arn)
    assert (ended.status, ended.attempts, ended.signature) == (status, 1, b"")
    assert driver.kms.count("Sign") == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(Fault("other-key"), "self-check-failed", id="another key signs under this one's name"),
        pytest.param(Fault("other-name"), "key-pin-mismatch", id="another key answers under its own name"),
    ],
)
def test_another_key_raises_the_alarm_and_its_signature_goes_nowhere(
    driver: Driver, arn: str, fault: Fault, code: str
) -> None:
    driver.sign(arn)
    driver.kms.fail("Sign", fault)
    ended = driver.sign(arn)
    assert (ended.status, ended.reason, ended.signature) == ("failed", code, b"")
    assert driver.next(Alarm).code == code


def test_a_repointed_alias_is_refused_by_the_pin(driver: Driver, arn: str) -> None:
    alias = driver.kms.alias("release", arn)
    assert driver.sign(alias).status == "signed"
    pinned = spki_der(driver.kms.keys[arn].private.public_key())
    driver.kms.alias("release", driver.kms.create("ECC_NIST_P256"))
    driver.submit_pinned(alias, pinned)
    ended = driver.next(JobEnded)
    assert (ended.status, ended.reason, ended.signature) == ("failed", "key-pin-mismatch", b"")
    assert driver.next(Alarm).code == "key-pin-mismatch"
    driver.kms.alias("release", arn)
    driver.until(lambda: driver.hindrance(alias) == "")
    driver.submit_pinned(alias, pinned)
    assert driver.next(JobEnded).status == "signed"


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
def test_a_key_that_is_out_of_service_signs_nothing_until_it_is_back(driver: Driver, arn: str, state: str) -> None:
    driver.sign(arn)
    driver.kms.keys[arn].state = state
    ended = driver.sign(arn)
    assert (ended.status, ended.reason) == ("failed", "key-disabled")
    assert driver.hindrance(arn) == "token-unavailable"
    driver.kms.keys[arn].state = "Enabled"
    driver.until(lambda: driver.hindrance(arn) == "")
    assert driver.sign(arn).status == "signed"


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        pytest.param(lambda kms: next(iter(kms.keys))[:-4] + "0000", "key-missing", id="no such key"),
        pytest.param(lambda kms: kms.create("ECC_NIST_P384"), "key-unsuited", id="a key of another kind"),
        pytest.param(lambda kms: kms.create("ECC_NIST_P256", state="Disabled"), "key-disabled", id="a disabled key"),
        pytest.param(
            lambda kms: kms.create("ECC_NIST_P256", state="PendingImport"), "key-disabled", id="a key without material"
        ),
    ],
)
def test_no_key_is_found(driver: Driver, arn: str, prepare: Callable[[KmsServer], str], code: str) -> None:
    located = driver.locate(prepare(driver.kms), generate=True)
    assert (located.spki, located.code) == (b"", code)
    assert len(located.remedy) > 20


def test_a_worker_that_stops_is_replaced_and_what_it_had_begun_is_unknown(tmp_path: Path) -> None:
    with kms_server() as kms:
        driver = Driver(kms, kms_credentials(tmp_path), deadline=1.0)
        try:
            arn = kms.create("ECC_NIST_P256")
            assert driver.sign(arn).status == "signed"
            kms.delay = 0.3
            tickets = {driver.submit(arn, bytes([number])) for number in range(8)}
            before = kms.count("Sign")
            driver.until(lambda: kms.count("Sign") > before)
            os.kill(next(iter(driver.pool.workers())).pid, signal.SIGSTOP)
            driver.until(lambda: len(driver.events) == len(tickets))
            ends = [event for event in driver.events if isinstance(event, JobEnded)]
            assert {end.ticket for end in ends} == tickets, "each job ends exactly once"
            assert {end.status for end in ends} == {"unknown", "signed"}
            assert sum(end.status == "unknown" for end in ends) <= 4, "no more than its threads"
        finally:
            driver.pool.close()


def test_one_call_that_hangs_is_ended_at_the_deadline_although_others_go_on(tmp_path: Path) -> None:
    with kms_server() as kms:
        # The library's own time-out does not help: a look-up of a name may hang without one.
        driver = Driver(kms, kms_credentials(tmp_path), deadline=1.0, read_timeout=60.0)
        try:
            arn = kms.create("ECC_NIST_P256")
            assert driver.sign(arn).status == "signed"
            kms.fail("Sign", Fault("silence"))
            hanging, begun = driver.submit(arn), time.monotonic()
            driver.until(lambda: kms.count("Sign") == 2)
            while not any(isinstance(event, JobEnded) and event.ticket == hanging for event in driver.events):
                assert time.monotonic() - begun < 5.0, "the others' answers excuse it"
                ended = len(driver.events)
                driver.submit(arn)
                driver.until_more_than(ended)
            ends = {event.ticket: event.status for event in driver.events if isinstance(event, JobEnded)}
            assert ends.pop(hanging) == "unknown"
            assert "signed" in ends.values()
        finally:
            driver.pool.close()


def test_credentials_that_are_replaced_in_their_file_help_without_a_restart(tmp_path: Path) -> None:
    with kms_server() as kms:
        driver = Driver(kms, kms_credentials(tmp_path))
        try:
            arn = kms.create("ECC_NIST_P256")
            assert driver.sign(arn).status == "signed"
            kms.access_keys = {"AKIAREPLACED"}
            ended = driver.sign(arn)
            assert (ended.status, ended.reason) == ("failed", "key-denied")
            file = tmp_path / "credentials"
            file.write_text(file.read_text().replace(ACCESS_KEY, "AKIAREPLACED"))
            driver.until(lambda: driver.hindrance(arn) == "")
            assert driver.sign(arn).status == "signed"
        finally:
            driver.pool.close()
        assert SECRET_KEY not in driver.log.getvalue().decode()
