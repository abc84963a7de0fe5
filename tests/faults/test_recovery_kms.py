# SPDX-License-Identifier: Apache-2.0
"""The contract of recovery on AWS KMS over HTTP: every error code at every call, and what no code tells of.

`make test` runs a sample that meets each meaning; SIGNER_TEST_FAULTS=long runs every cell. Exceptions of botocore that
come before a request leaves are classified in tests/unit/keys/test_faults.py; here are those that the wire can cause.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from signer.custodian.commands import Signed
from signer.keys import recovery
from signer.keys.faults import AWS_KMS, KMS_UNKNOWN
from signer.keys.recovery import KMS_CALLS, Answer, Call, cell
from tests.authority import KEY, LiveAuthority
from tests.contract.devices import kms_credentials
from tests.faults.trial import Trial
from tests.kms_server import REGION, Fault, KmsServer, kms_server

LONG = os.environ.get("SIGNER_TEST_FAULTS") == "long"
DEADLINE = 2.0
OPERATION: Mapping[Call, str] = {
    Call.FIND: "DescribeKey",
    Call.READ: "GetPublicKey",
    Call.SIGN: "Sign",
    Call.PROBE: "Sign",
}
UNLISTED = "NobodyKnowsException"
SAMPLE = {
    ("ValidationException", Call.SIGN),
    ("DisabledException", Call.SIGN),
    ("ThrottlingException", Call.SIGN),
    ("KMSInternalException", Call.SIGN),
    ("AccessDeniedException", Call.FIND),
    ("KMSInternalException", Call.PROBE),
}
CELLS = [(code, call) for code in (*AWS_KMS, UNLISTED) for call in KMS_CALLS if LONG or (code, call) in SAMPLE]


@dataclass
class Counter:
    """The server's counts as a device."""

    kms: KmsServer

    def signed(self) -> int:
        return self.kms.signed

    def probed(self) -> int:
        return self.kms.count("Sign")


@dataclass
class KmsTrial(Trial):
    """A custodian whose key is in KMS."""

    kms: KmsServer = field(kw_only=True)

    def arm(self, call: Call, fault: Fault) -> None:
        """From now on; a probe meets it once."""
        if call is Call.PROBE:
            self.kms.fail(OPERATION[call], fault)
        else:
            self.kms.lasting[OPERATION[call]] = fault

    def clear(self) -> None:
        self.kms.lasting.clear()
        self.kms.faults.clear()

    def nobody(self) -> None:
        raise AssertionError("no cell of AWS KMS waits for a person, but those that halt")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KmsTrial]:
    folder = tmp_path_factory.mktemp("recovery-kms")
    with kms_server() as kms:
        file = kms_credentials(folder)["AWS_SHARED_CREDENTIALS_FILE"]
        devices = f"""\
[[keys]]
name = "{KEY}"
uri = "awskms:///{kms.create("ECC_NIST_P256")}"
purpose = "statement"
algorithm = "ecdsa-p256-sha256"
[[aws_kms]]
region = "{REGION}"
endpoint = "{kms.endpoint}"
credentials_file = "{file}"
connect_timeout = 0.5
read_timeout = 0.7
environment = {{AWS_EC2_METADATA_DISABLED = "true"}}
"""
        authority = LiveAuthority.found(
            folder / "authority", level="minimum", token_deadline=DEADLINE, probe_interval=1, devices=devices
        )
        with authority.running():
            trial = KmsTrial(authority, Counter(kms), DEADLINE, kms=kms)
            yield trial
            trial.finish()


@pytest.fixture
def trial(running: KmsTrial) -> KmsTrial:
    """The custodian in health, whatever the cell before left behind."""
    running.clear()
    if running.authority.status().halted:
        running.resume()
    running.until_signed(since=time.monotonic(), within=20)
    return running


@pytest.mark.parametrize(("code", "call"), CELLS, ids=[f"{code} at {call}" for code, call in CELLS])
def test_an_error_code(code: str, call: Call, trial: KmsTrial) -> None:
    trial.run(
        cell(AWS_KMS.get(code, KMS_UNKNOWN), call),
        call=call,
        arm=lambda: trial.arm(call, Fault("error", code)),
        clear=trial.clear,
        person=trial.nobody,
    )


@pytest.mark.parametrize(
    "code",
    [code for code in (*AWS_KMS, UNLISTED) if LONG or code in {"ThrottlingException", "KMSInternalException"}],
)
def test_what_was_provably_not_signed_is_tried_once_more(code: str, trial: KmsTrial) -> None:
    trial.kms.fail("Sign", Fault("error", code))
    reply = trial.ask()
    repeated = cell(AWS_KMS.get(code, KMS_UNKNOWN), Call.SIGN).answer is Answer.REPEATED
    assert isinstance(reply, Signed) is repeated, reply


MISHAPS = [
    (mishap, kind, call)
    for mishap, kind in (
        (recovery.KMS_SILENT, "silence"),
        (recovery.KMS_SILENT, "cut"),
        (recovery.KMS_ANOTHER_KEY, "other-key"),
        (recovery.KMS_ANOTHER_KEY, "other-name"),
        (recovery.KMS_ANOTHER_ALGORITHM, "other-algorithm"),
        (recovery.KMS_EMPTY, "empty"),
    )
    for call in mishap.cells
    if call in KMS_CALLS and (LONG or (call is Call.SIGN and kind in {"silence", "other-key"}))
]


@pytest.mark.parametrize(("mishap", "kind", "call"), MISHAPS, ids=[f"{kind} at {call}" for _, kind, call in MISHAPS])
def test_a_mishap(mishap: recovery.Mishap, kind: str, call: Call, trial: KmsTrial) -> None:
    trial.run(
        mishap.cells[call],
        call=call,
        arm=lambda: trial.arm(call, Fault(kind)),
        clear=trial.clear,
        person=trial.resume,
    )
