# SPDX-License-Identifier: Apache-2.0
"""The devices on which the contract of a key backend runs: real ones, each in a process of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from signer.dev.token import LABEL
from signer.domain.algorithm import Algorithm
from signer.keys.aws_kms import SPECS
from signer.keys.backend import FoundKey, KeyBackend
from signer.keys.devices import KmsDevice, Pkcs11Device
from signer.keys.uri import KeyUri, Pkcs11Uri, parse_uri
from tests.contract.device_process import DeviceProcess
from tests.integration.softhsm import TestToken
from tests.kms_server import ACCESS_KEY, REGION, SECRET_KEY, KmsServer, kms_server

RSA = frozenset({each for each in Algorithm if each.startswith("rsa")})
LIBRARIES = (
    Path("/usr/lib/x86_64-linux-gnu"),
    Path("/usr/lib/aarch64-linux-gnu"),
    Path("/usr/lib64"),
    Path("/usr/lib"),
)
OPENCRYPTOKI_LABEL = "signer-test"
"""A soft token of opencryptoki is the machine's own: one with any other label is left alone."""


@dataclass
class ContractDevice:
    """A backend, what it offers, and its keys, each made once."""

    backend: KeyBackend
    offers: frozenset[Algorithm]
    places: dict[Algorithm, KeyUri] = field(default_factory=dict)
    kms: KmsServer | None = None
    label: str = LABEL

    def place(self, algorithm: Algorithm) -> KeyUri:
        """Where the device has a key of `algorithm`, made when it is first asked for."""
        if algorithm not in self.places:
            self.places[algorithm] = self._make(algorithm)
        return self.places[algorithm]

    def absent(self) -> KeyUri:
        """A place where no key stands."""
        if self.kms is not None:
            return parse_uri("awskms:///" + self.kms.alias("absent", "nowhere"))
        return Pkcs11Uri(self.label, "absent", b"\xff")

    def found(self, algorithm: Algorithm) -> FoundKey:
        return self.backend.public_key(self.place(algorithm), algorithm)

    def _make(self, algorithm: Algorithm) -> KeyUri:
        if self.kms is not None:
            return parse_uri("awskms:///" + self.kms.create(SPECS[algorithm].key))
        uri = Pkcs11Uri(self.label, algorithm, secrets.token_bytes(8))
        self.backend.generate(uri, algorithm)
        return uri


@contextmanager
def softhsm(folder: Path) -> Iterator[ContractDevice]:
    token = TestToken.make(folder / "token")
    yield from _pkcs11(token.token.module, token.token.pin_file, folder, environment=token.environment)


@contextmanager
def p11_kit(folder: Path) -> Iterator[ContractDevice]:
    """SoftHSM behind p11-kit's proxy: other slots, other handles, a module that others use too."""
    module = library("p11-kit-proxy.so")
    if module is None:
        pytest.skip("p11-kit's proxy is not on this machine: apt-get install p11-kit-modules")
    token = TestToken.make(folder / "token")
    yield from _pkcs11(module, token.token.pin_file, folder, environment=token.environment)


@contextmanager
def opencryptoki(folder: Path) -> Iterator[ContractDevice]:
    """The soft token of opencryptoki, a second implementation; Debian's signs with RSA alone."""
    module = library("pkcs11/libopencryptoki.so")
    if module is None or shutil.which("pkcsslotd") is None or os.geteuid() != 0:
        pytest.skip("opencryptoki is not on this machine, or its daemon needs root: apt-get install opencryptoki")
    running = subprocess.run(["pgrep", "-x", "pkcsslotd"], capture_output=True, check=False).returncode == 0
    daemon = (
        None if running else subprocess.Popen(["pkcsslotd", "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    )
    try:
        (folder / "pin").write_text(_soft_token())
        yield from _pkcs11(module, folder / "pin", folder, environment={}, label=OPENCRYPTOKI_LABEL, offers=RSA)
    finally:
        if daemon is not None:
            daemon.terminate()
            daemon.wait(timeout=10)


@contextmanager
def aws_kms(folder: Path) -> Iterator[ContractDevice]:
    with kms_server() as kms:
        backend = DeviceProcess(kms_device(kms), environment=kms_credentials(folder))
        yield ContractDevice(backend=backend, offers=frozenset(Algorithm), kms=kms)
        backend.close()


DEVICES = {"softhsm": softhsm, "p11-kit": p11_kit, "opencryptoki": opencryptoki, "aws-kms": aws_kms}


def kms_device(kms: KmsServer, *, read_timeout: float = 3.0, threads: int = 4) -> KmsDevice:
    return KmsDevice(
        region=REGION,
        endpoint=kms.endpoint,
        profile="",
        connect_timeout=1.0,
        read_timeout=read_timeout,
        threads=threads,
    )


def kms_credentials(folder: Path) -> Mapping[str, str]:
    """A credentials file, as an operator without roles would keep one."""
    file = folder / "credentials"
    file.write_text(f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
    return {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_EC2_METADATA_DISABLED": "true"}


def library(name: str) -> Path | None:
    return next((folder / name for folder in LIBRARIES if (folder / name).exists()), None)


def _pkcs11(
    module: Path,
    pin_file: Path,
    folder: Path,
    *,
    environment: Mapping[str, str],
    label: str = LABEL,
    offers: frozenset[Algorithm] = frozenset(Algorithm),
) -> Iterator[ContractDevice]:
    device = Pkcs11Device(label=label, serial="", module=str(module), pin_file=str(pin_file), lock=str(folder / "lock"))
    backend = DeviceProcess(device, environment=environment)
    yield ContractDevice(backend=backend, offers=offers, label=label)
    backend.close()


def _soft_token() -> str:
    """The PIN of the machine's soft token, which is initialised when it is new and left alone when it is not ours."""
    so_pin, pin = "87654320", "4321"
    deadline = time.monotonic() + 10
    while not (slots := _soft_slots()) and time.monotonic() < deadline:
        time.sleep(0.2)
    if not slots:
        pytest.skip("opencryptoki shows no soft token")
    slot, label = slots[0]
    if label == "IBM OS PKCS#11":
        _pkcsconf("-c", slot, "-I", "-S", "87654321", said=f"{OPENCRYPTOKI_LABEL}\n")
        _pkcsconf("-c", slot, "-P", "-S", "87654321", "-n", so_pin)
        _pkcsconf("-c", slot, "-u", "-S", so_pin, "-n", "1234")
        _pkcsconf("-c", slot, "-p", "-U", "1234", "-n", pin)
    elif label != OPENCRYPTOKI_LABEL:
        pytest.skip(f"the soft token of opencryptoki is in use (label {label!r}): it is left alone")
    return pin


def _soft_slots() -> list[tuple[str, str]]:
    said = subprocess.run(["pkcsconf", "-t"], capture_output=True, text=True, check=False).stdout
    found = []
    for part in said.split("Token #")[1:]:
        fields = dict(line.strip().split(":", 1) for line in part.splitlines()[1:] if ":" in line)
        if "SoftTok" in fields.get("Model", ""):
            found.append((part.split(" ", 1)[0], fields.get("Label", "").strip()))
    return found


def _pkcsconf(*arguments: str, said: str = "") -> None:
    done = subprocess.run(["pkcsconf", *arguments], input=said, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        pytest.skip(f"opencryptoki's soft token cannot be initialised: {done.stdout.strip()} {done.stderr.strip()}")
