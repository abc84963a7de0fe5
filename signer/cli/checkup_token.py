# SPDX-License-Identifier: Apache-2.0
"""What `signer doctor` looks at in one device, in a process of its own: a vendor module may crash or hang.

    python -P -m signer.cli.checkup_token SETTINGS DEVICE      # prints a JSON array of lines

No key signs anything here: a key is used for durable decisions alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from signer.cli.checkup import Expectation, Line, run_check
from signer.custodian.device_place import DevicePlace
from signer.devices import devices_of
from signer.formats.spki import keyid
from signer.keys.devices import open_backend
from signer.keys.keyring import KeyPlace, keyring_of
from signer.settings import Settings, load_settings
from signer.wiring import open_ledger_reader


def examine_device(settings: Settings, place: DevicePlace) -> Iterator[Line]:
    """Login, and each of its keys: mechanism, kind, protection, and the pin in the ledger."""
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
            recorded = pins.get(key.name)

            def pin(key: KeyPlace = key, recorded: bytes | None = recorded) -> tuple[bool, str]:
                found = backend.public_key(key.uri, key.algorithm)
                told = f"{keyid(found.spki)}, {key.algorithm}, {found.protection}"
                if recorded is None:
                    return False, f"{told}; the ledger does not record it"
                return found.spki == recorded, told

            # One look says all of it: found once, protected, its mechanism offered, and the recorded public key.
            wanted = "recorded in the ledger" if recorded is None else f"{keyid(recorded)}, mechanism offered"
            yield run_check(
                Expectation(f"pin of key {key.name}", wanted, f"signer keys create {key.name} records a new key"), pin
            )


def main(arguments: list[str]) -> int:
    """Examine one device and print what was found."""
    settings = load_settings(Path(arguments[1]))
    place = next(place for place in devices_of(settings) if place.name == arguments[2])
    sys.stdout.write(json.dumps([asdict(line) for line in examine_device(settings, place)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
