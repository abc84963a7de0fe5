# SPDX-License-Identifier: Apache-2.0
"""What `signer doctor` looks at in one device, in a process of its own: a vendor module may crash or hang.

    python -P -m signer.cli.checkup_token SETTINGS DEVICE      # prints a JSON array of lines

No key signs anything here: a key is used for durable decisions alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from signer.cli.checkup import Expectation, Line, run_check
from signer.custodian.device_place import DevicePlace
from signer.devices import devices_of
from signer.domain.algorithm import Algorithm
from signer.formats.spki import keyid
from signer.keys.backend import KeyBackend, KeyFault
from signer.keys.devices import open_backend
from signer.keys.keyring import KeyPlace, keyring_of
from signer.keys.uri import KeyUri
from signer.settings import Settings, load_settings
from signer.wiring import open_ledger_reader


@runtime_checkable
class Permitted(Protocol):
    """A backend whose keys may be seen by somebody who may not use them."""

    def may_sign(self, uri: KeyUri, algorithm: Algorithm) -> None:
        """Raise KeyFault unless a signature would be made; none is made."""
        ...


def examine_device(settings: Settings, place: DevicePlace) -> Iterator[Line]:
    """Login, and each of its keys: place and protection, mechanism, the pin in the ledger, permission."""
    login = Expectation(
        f"device {place.name}", "reached, and the login is right", "check [[tokens]] or [[aws_kms]], and the PIN"
    )
    opened = []

    def look() -> tuple[bool, str]:
        opened.append(open_backend(place.device))
        return True, "logged in" if place.pin_file is not None else "a client stands ready"

    yield run_check(login, look)
    if not opened:
        return
    backend = opened[0]
    with open_ledger_reader(settings) as reader:
        pins = {row.name: row.spki for row in reader.keys()}  # noqa: SIM118 - the reader is no mapping
    keyring = keyring_of((key.name, key.uri, key.purpose, key.algorithm) for key in settings.keys)
    for key in keyring.places.values():
        if key.uri.device == place.name:
            yield from _key_lines(backend, key, recorded=pins.get(key.name))


def _key_lines(backend: KeyBackend, key: KeyPlace, *, recorded: bytes | None) -> Iterator[Line]:
    """One key: found once, its mechanism, its pin, and in KMS whether it may be used."""
    once = Expectation(f"key {key.name}", f"exactly one at {key.uri}", "look at the device's objects")
    offered = Expectation(
        f"mechanism of key {key.name}", str(key.algorithm), "give the key an algorithm of its kind in [[keys]]"
    )
    try:
        found = backend.public_key(key.uri, key.algorithm)
    except KeyFault as fault:
        unsuited = fault.code == "key-unsuited"
        failed = replace(offered if unsuited else once, remedy=fault.remedy or once.remedy)
        yield failed.line(fault.detail, ok=False)
        return
    yield once.line(found.protection, ok=True)
    yield offered.line("offered", ok=True)
    kid = keyid(found.spki)
    pin = Expectation(
        f"pin of key {key.name}",
        "recorded in the ledger" if recorded is None else keyid(recorded),
        f"signer keys create {key.name} records a new key",
    )
    yield pin.line(kid if recorded else f"{kid}; the ledger does not record it", ok=found.spki == recorded)
    if isinstance(backend, Permitted):
        device = backend

        def permission() -> tuple[bool, str]:
            device.may_sign(key.uri, key.algorithm)
            return True, "allowed, by a dry run"

        yield run_check(
            Expectation(
                f"permission of key {key.name}",
                "kms:DescribeKey, kms:GetPublicKey and kms:Sign",
                "allow the three on this key to the custodian's role (see the how-to)",
            ),
            permission,
        )


def main(arguments: list[str]) -> int:
    """Examine one device and print what was found."""
    settings = load_settings(Path(arguments[1]))
    place = next(place for place in devices_of(settings) if place.name == arguments[2])
    sys.stdout.write(json.dumps([asdict(line) for line in examine_device(settings, place)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
