# SPDX-License-Identifier: Apache-2.0
"""The devices that hold keys, as a token worker is told of them; never a secret, only where secrets lie."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import msgspec

from signer.keys.backend import KeyBackend
from signer.keys.pin import PinFile


class Pkcs11Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="pkcs11"):
    """One token behind a vendor's module."""

    label: str
    serial: str
    """Empty where the label alone is enough."""
    module: str
    pin_file: str
    lock: str
    """File that serialises initialisation and login between processes."""


class KmsDevice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="aws-kms"):
    """AWS KMS in one region."""

    region: str
    endpoint: str
    """Empty for the region's own."""
    profile: str
    """Name of a profile in the credentials file; empty for the standard chain."""
    connect_timeout: float
    """Seconds."""
    read_timeout: float
    """Seconds."""
    threads: int
    """Calls at a time."""


Device: TypeAlias = Pkcs11Device | KmsDevice


def open_backend(device: Device) -> KeyBackend:
    """Log in, or make a client; raises KeyFault. Only a process that uses keys loads a vendor's library."""
    match device:
        case Pkcs11Device():
            from signer.keys.pkcs11 import Pkcs11Backend  # noqa: PLC0415 - loaded on use, so that others never load it

            lock = Path(device.lock)
            return Pkcs11Backend(
                Path(device.module),
                label=device.label,
                serial=device.serial,
                pin=PinFile(Path(device.pin_file), lock.with_name(f"{lock.name}.refused")),
                lock=lock,
            )
        case KmsDevice():
            from signer.keys.aws_kms import KmsBackend  # noqa: PLC0415 - loaded on use, so that others never load it

            return KmsBackend(device)
