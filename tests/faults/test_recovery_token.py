# SPDX-License-Identifier: Apache-2.0
"""The contract of recovery on a PKCS #11 token: every error code at every call, and what no code tells of.

`make test` runs a sample that meets each meaning; SIGNER_TEST_FAULTS=long runs every cell.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from signer.custodian.commands import Failed, Signed, StatusReport
from signer.keys import recovery
from signer.keys.faults import PKCS11
from signer.keys.recovery import TOKEN_CALLS, Answer, Call, cell
from tests.authority import LABEL, LiveAuthority
from tests.faults.ckr import CODES, meaning_of, name_of
from tests.faults.trial import BACK, Trial
from tests.integration.softhsm import TestToken
from tests.p11_shim import Action, Shim

LONG = os.environ.get("SIGNER_TEST_FAULTS") == "long"
DEADLINE = 1.0
FUNCTION: Mapping[Call, str] = {
    Call.OPEN: "C_OpenSession",
    Call.LOGIN: "C_Login",
    Call.FIND: "C_FindObjectsInit",
    Call.READ: "C_GetAttributeValue",
    Call.SIGN: "C_Sign",
    Call.PROBE: "C_Sign",
}
"""The function of each call that meets every code."""
OTHERS = (
    (Call.OPEN, "C_Initialize"),
    (Call.OPEN, "C_GetSlotList"),
    (Call.OPEN, "C_GetTokenInfo"),
    (Call.FIND, "C_GetMechanismList"),
    (Call.FIND, "C_FindObjects"),
    (Call.SIGN, "C_SignInit"),
)
"""Further functions, which meet one code of each meaning."""
ONE_OF_EACH = (
    "CKR_DATA_LEN_RANGE",
    "CKR_MECHANISM_INVALID",
    "CKR_SESSION_HANDLE_INVALID",
    "CKR_TOKEN_NOT_RECOGNIZED",
    "CKR_DEVICE_ERROR",
    "CKR_PIN_LOCKED",
)
SAMPLE = {
    *((code, Call.SIGN) for code in ONE_OF_EACH),
    ("CKR_SESSION_COUNT", Call.OPEN),
    ("CKR_DEVICE_ERROR", Call.LOGIN),
    ("CKR_PIN_LOCKED", Call.LOGIN),
    ("CKR_MECHANISM_INVALID", Call.FIND),
    ("CKR_SESSION_HANDLE_INVALID", Call.FIND),
    ("CKR_DEVICE_ERROR", Call.READ),
    ("CKR_DEVICE_ERROR", Call.PROBE),
    ("CKR_MECHANISM_INVALID", Call.PROBE),
}
CELLS = [
    *((code, call, FUNCTION[call]) for code in CODES for call in TOKEN_CALLS if LONG or (code, call) in SAMPLE),
    *((code, call, function) for code in ONE_OF_EACH for call, function in OTHERS if LONG),
]


@dataclass
class TokenTrial(Trial):
    """A custodian whose token is SoftHSM behind the shim."""

    shim: Shim = field(kw_only=True)
    token: TestToken = field(kw_only=True)

    def touch_pin(self) -> None:
        self.token.token.pin_file.touch()


@dataclass
class Counter:
    """The shim's counts as a device."""

    shim: Shim

    def signed(self) -> int:
        return self.shim.done("C_Sign")

    def probed(self) -> int:
        return self.shim.calls("C_Sign")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenTrial]:
    folder = tmp_path_factory.mktemp("recovery")
    shim = Shim.build(folder)
    authority = LiveAuthority.found(
        folder / "authority",
        level="minimum",
        token_deadline=DEADLINE,
        probe_interval=1,
        module=shim.module,
        environment=shim.environment,
    )
    with authority.running():
        token = TestToken(authority.directory / "token", authority.token)
        trial = TokenTrial(authority, Counter(shim), DEADLINE, shim=shim, token=token)
        yield trial
        trial.finish()


@pytest.fixture
def trial(running: TokenTrial) -> TokenTrial:
    """The custodian in health, whatever the cell before left behind."""
    running.shim.clear()
    if running.authority.status().halted:
        running.resume()
    running.touch_pin()
    running.until_signed(since=time.monotonic(), within=20)
    return running


@pytest.mark.parametrize(("code", "call", "function"), CELLS, ids=[f"{c} at {f} ({o})" for c, o, f in CELLS])
def test_an_error_code(code: str, call: Call, function: str, trial: TokenTrial) -> None:
    trial.run(
        cell(meaning_of(code), call),
        call=call,
        arm=lambda: trial.shim.arm(function, Action.REFUSE, value=CODES[code], times=1 if call is Call.PROBE else 0),
        clear=trial.shim.clear,
        person=trial.touch_pin,
    )


@pytest.mark.parametrize("code", [code for code in ONE_OF_EACH if LONG or code == "CKR_SESSION_HANDLE_INVALID"])
def test_what_was_provably_not_signed_is_tried_once_more(code: str, trial: TokenTrial) -> None:
    trial.shim.arm("C_Sign", Action.REFUSE, value=CODES[code], times=1)
    reply = trial.ask()
    repeated = cell(meaning_of(code), Call.SIGN).answer is Answer.REPEATED
    assert isinstance(reply, Signed) is repeated, reply


def test_an_error_after_the_signature_was_made_releases_nothing(trial: TokenTrial) -> None:
    before = trial.shim.done("C_Sign")
    trial.run(
        cell(meaning_of("CKR_DEVICE_ERROR"), Call.SIGN),
        call=Call.SIGN,
        arm=lambda: trial.shim.arm("C_Sign", Action.FAIL_AFTER, value=CODES["CKR_DEVICE_ERROR"], times=1),
        clear=trial.shim.clear,
    )
    assert trial.shim.done("C_Sign") > before


MISHAPS = [
    (mishap, action, call)
    for mishap, action in (
        (recovery.HANGS, Action.HANG),
        (recovery.CRASHES, Action.CRASH),
        (recovery.WRONG, Action.WRONG),
        (recovery.EMPTY, Action.EMPTY),
    )
    for call in mishap.cells
    if call in TOKEN_CALLS and (LONG or call is Call.SIGN or (mishap is recovery.CRASHES and call is Call.OPEN))
]


@pytest.mark.parametrize(
    ("mishap", "action", "call"), MISHAPS, ids=[f"{action.name.lower()} at {call}" for _, action, call in MISHAPS]
)
def test_a_mishap(mishap: recovery.Mishap, action: Action, call: Call, trial: TokenTrial) -> None:
    once = call is Call.PROBE and action is not Action.HANG

    def clear() -> None:
        if call is Call.PROBE:
            # A hanging probe ends with its worker.
            time.sleep(DEADLINE + 0.5)
        trial.shim.clear()

    trial.run(
        mishap.cells[call],
        call=call,
        arm=lambda: trial.shim.arm(FUNCTION[call], action, times=1 if once else 0),
        clear=clear,
        person=trial.resume,
    )


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def _initialise(token: TestToken) -> None:
    """Another token of the same label and PIN, where the old one was."""
    token.vanish()
    pin = token.token.pin_file.read_text()
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--so-pin", "87654321", "--pin", pin],
        env={**os.environ, **token.environment},
        check=True,
        capture_output=True,
        timeout=30,
    )


def _restore(token: TestToken) -> None:
    shutil.rmtree(token.folder / "objects")
    shutil.move(token.folder / "away", token.folder / "objects")


def _replace_key(token: TestToken) -> None:
    _initialise(token)
    token.make_key()


def _delete_key(token: TestToken) -> None:
    _copy(token.folder / "objects", token.folder / "kept")
    token.run("remove('release')")


def _restore_key(token: TestToken) -> None:
    shutil.rmtree(token.folder / "objects")
    shutil.move(token.folder / "kept", token.folder / "objects")


EVENTS: Mapping[str, tuple[recovery.Mishap, Callable[[TestToken], object], Callable[[TestToken], object]]] = {
    "removed": (recovery.REMOVED, TestToken.vanish, TestToken.return_),
    "initialised": (recovery.INITIALISED, _initialise, _restore),
    "another key": (recovery.ANOTHER_KEY, _replace_key, _restore),
    "deleted": (recovery.DELETED, _delete_key, _restore_key),
}


@pytest.mark.parametrize("event", EVENTS)
def test_the_token_itself_changes(event: str, trial: TokenTrial) -> None:
    mishap, arm, clear = EVENTS[event]
    trial.run(
        mishap.cells[Call.SIGN],
        call=Call.SIGN,
        arm=lambda: arm(trial.token),
        clear=lambda: clear(trial.token),
        person=trial.resume,
    )


def test_another_pin_is_shown_to_the_token_once(trial: TokenTrial) -> None:
    right = trial.token.token.pin_file.read_text()
    logins = trial.shim.calls("C_Login")

    def write_the_right_one() -> None:
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            assert isinstance(trial.ask(), Failed)
            time.sleep(0.05)
        assert trial.shim.calls("C_Login") == logins + 1, "an attempt counts towards a lock"
        trial.token.token.pin_file.write_text(right)

    trial.run(
        recovery.WRONG_PIN.cells[Call.LOGIN],
        call=Call.LOGIN,
        arm=lambda: trial.token.token.pin_file.write_text("not-the-pin"),
        clear=lambda: None,
        person=write_the_right_one,
    )


def test_readiness_follows_the_token_and_tells_when_the_key_was_proved_last(trial: TokenTrial) -> None:
    (before,) = wait_for_readiness(trial, wanted=True).proofs
    trial.token.vanish()
    try:
        gone = wait_for_readiness(trial, wanted=False)
    finally:
        trial.token.return_()
    assert gone.problems[0].startswith("key release: ")
    (after,) = wait_for_readiness(trial, wanted=True).proofs
    assert after.proved > before.proved
    assert after.probes > before.probes, "nobody asked for anything: probes alone told"


def wait_for_readiness(trial: TokenTrial, *, wanted: bool) -> StatusReport:
    until = time.monotonic() + 4 * BACK
    while (report := trial.authority.status()).ready is not wanted:
        assert time.monotonic() < until, report
        time.sleep(0.1)
    return report


@pytest.mark.skipif(not LONG, reason="a long outage belongs to the long form")
def test_after_a_long_outage_the_key_is_back_as_soon(trial: TokenTrial) -> None:
    trial.shim.arm("C_OpenSession", Action.REFUSE, value=CODES["CKR_DEVICE_REMOVED"])
    trial.authority.kill_token_worker()
    until = time.monotonic() + 15
    while time.monotonic() < until:
        assert isinstance(trial.ask(), Failed)
        time.sleep(0.1)
    trial.shim.clear()
    trial.until_signed(since=time.monotonic(), within=BACK)


def test_every_error_of_the_table_is_met() -> None:
    of_the_binding_alone = {"MultipleObjectsReturned", "MultipleTokensReturned", "NoSuchKey", "NoSuchToken"}
    met = {name_of(code) for code in CODES}
    assert set(PKCS11) - of_the_binding_alone <= met
