# SPDX-License-Identifier: Apache-2.0
"""From settings to the devices that hold keys, and to the timestamp authority."""

from __future__ import annotations

import os
from pathlib import Path

from signer.custodian.device_place import DevicePlace
from signer.custodian.timestamp_place import TimestampPlace
from signer.errors import Misconfigured
from signer.formats.canonical import sha256_hex
from signer.key_settings import AwsKmsSettings, TokenSettings
from signer.keys.devices import KmsDevice, Pkcs11Device
from signer.keys.uri import kms_device
from signer.settings import Settings

AWS_CHAIN = (
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "HOME",
)
"""The custodian's variables by which AWS's chain finds credentials: places, and no secret among them."""


def devices_of(settings: Settings) -> tuple[DevicePlace, ...]:
    """Every device of the settings; raises Misconfigured for a credential that systemd did not hand over."""
    return (
        *(_token_place(settings, token) for token in settings.tokens),
        *(_kms_place(kms) for kms in settings.aws_kms),
    )


def timestamp_of(settings: Settings) -> TimestampPlace | None:
    """The timestamp authority of the settings."""
    stamping = settings.timestamp
    if stamping is None:
        return None
    return TimestampPlace(
        url=stamping.url,
        ca="" if stamping.ca is None else str(stamping.ca),
        timeout=stamping.timeout,
        threads=stamping.threads,
    )


def _token_place(settings: Settings, token: TokenSettings) -> DevicePlace:
    pin_file = pin_file_of(token)
    return DevicePlace(
        name=token.label,
        device=Pkcs11Device(
            label=token.label,
            serial=token.serial,
            module=str(token.module),
            pin_file=str(pin_file),
            lock=str(_token_lock(settings, token.label)),
        ),
        pin_file=pin_file,
        workers=token.processes,
        environment=token.environment,
    )


def _kms_place(kms: AwsKmsSettings) -> DevicePlace:
    chain = {name: os.environ[name] for name in AWS_CHAIN if name in os.environ}
    file = {} if kms.credentials_file is None else {"AWS_SHARED_CREDENTIALS_FILE": str(kms.credentials_file)}
    return DevicePlace(
        name=kms_device(kms.region),
        device=KmsDevice(
            region=kms.region,
            endpoint=kms.endpoint,
            profile=kms.profile,
            connect_timeout=kms.connect_timeout,
            read_timeout=kms.read_timeout,
            threads=kms.threads,
        ),
        pin_file=None,
        workers=1,
        threads=kms.threads,
        environment={**chain, **kms.environment, **file},
    )


def pin_file_of(token: TokenSettings) -> Path:
    """Where the PIN of a token lies; raises Misconfigured for a credential that systemd did not hand over."""
    if token.pin_file is not None:
        return token.pin_file
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder or token.pin_credential is None:
        raise Misconfigured(
            "settings-invalid",
            f"token {token.label}: pin_credential needs a unit that systemd gives credentials to",
            remedy=f"write LoadCredentialEncrypted={token.pin_credential}:… into the unit, or use pin_file",
        )
    return Path(folder) / token.pin_credential


def _token_lock(settings: Settings, label: str) -> Path:
    """Beside the record, where the custodian's user may write and nobody else does."""
    return settings.ledger.guard.with_name(f"token-{sha256_hex(label.encode())[:12]}.lock")
