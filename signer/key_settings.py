# SPDX-License-Identifier: Apache-2.0
"""The sections of `signer.toml` about keys: which there are, and the devices that hold them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from signer.domain.algorithm import SHA256_SIGNED, Algorithm
from signer.domain.purpose import Purpose
from signer.settings_checks import check_absolute, check_name

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")
_AWS_SECRETS = frozenset(
    {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """One key by name: where it is, the only purpose it serves, its algorithm."""

    name: str
    """The name by which environments of a policy choose the key."""
    uri: str
    """Where the key is: `pkcs11:token=…;object=…;id=…` (RFC 7512), or `awskms:///` and an ARN; never a PIN."""
    purpose: Purpose
    """The only use that the key may have, for all its life."""
    algorithm: Algorithm
    """Kind of key, hash and encoding of its signatures."""
    limit: int | None = None
    """How often the key may be called in its life; without it, as often as the policy allows."""

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if not self.uri.startswith(("pkcs11:", "awskms:///")):
            raise ValueError("uri starts with pkcs11: or awskms:///")
        if "pin-value" in self.uri or "pin-source" in self.uri:
            raise ValueError("uri names no PIN; the token's pin_file does")
        if self.limit is not None and self.limit < 1:
            raise ValueError("limit is at least 1")
        if self.purpose is Purpose.ARTIFACT and self.algorithm not in SHA256_SIGNED:
            raise ValueError(
                f"a key for artifacts signs the sha256 that a request names; its algorithm is one of "
                f"{', '.join(sorted(SHA256_SIGNED))}"
            )


MAX_WORKERS = 16
"""Of one token: each is a process and a session of the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """One PKCS #11 token: its vendor module, where its PIN is, its workers. The PIN is a file or a credential."""

    label: str
    """Label of the token, as key URIs name it."""
    module: Path
    """The vendor's PKCS #11 module."""
    pin_file: Path | None = None
    """File with the PIN, read by the token workers."""
    pin_credential: str | None = None
    """Name of the systemd credential with the PIN: the file of this name in `$CREDENTIALS_DIRECTORY`."""
    serial: str = ""
    """Serial number of the token, where several bear the label."""
    slots: int | None = None
    """Signatures that the device makes at a time: it gets twice as many processes, at most 16, so that none idles."""
    workers: int | None = None
    """Processes that use the token, one session each, where `slots` does not say; one is right for a local token."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that the vendor module reads; given to the token worker alone."""

    def __post_init__(self) -> None:
        for name in ("slots", "workers"):
            count = getattr(self, name)
            if count is not None and not 1 <= count <= MAX_WORKERS:
                raise ValueError(f"{name} is between 1 and {MAX_WORKERS}")
        if self.slots is not None and self.workers is not None:
            raise ValueError("a token has slots or workers, one of the two")
        if (self.pin_file is None) == (self.pin_credential is None):
            raise ValueError("a token has a pin_file or a pin_credential, one of the two")
        if self.pin_credential is not None:
            check_name("pin_credential", self.pin_credential)
        if self.label.startswith("aws-kms/"):
            raise ValueError("no label of a token begins with aws-kms/")
        check_absolute(self)

    @property
    def processes(self) -> int:
        """How many processes use the token."""
        return min(MAX_WORKERS, 2 * self.slots) if self.slots is not None else self.workers or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsKmsSettings:
    """AWS KMS in one region. Credentials come by the standard chain of AWS: roles, or a file; never from here."""

    region: str
    """Region, as the ARNs of the keys name it."""
    endpoint: str = ""
    """URL of the endpoint (a VPC endpoint, FIPS); the region's own when empty. Plain http on loopback alone."""
    credentials_file: Path | None = None
    """Shared credentials file of AWS; the chain looks at its usual places when absent."""
    profile: str = ""
    """Profile in that file, or in AWS's configuration."""
    connect_timeout: float = 1.0
    """Seconds for the connection."""
    read_timeout: float = 3.0
    """Seconds for the answer; a signature that is not there by then has an unknown outcome."""
    threads: int = 8
    """Calls at a time, in one process."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further variables of AWS's chain, such as HTTPS_PROXY; given to the worker alone. No secrets."""

    def __post_init__(self) -> None:
        if _REGION.fullmatch(self.region) is None:
            raise ValueError("region is written like eu-central-1")
        if self.endpoint:
            parts = urlsplit(self.endpoint)
            local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
            if parts.scheme != "https" and not local:
                raise ValueError("endpoint is an https URL")
            if parts.username is not None or parts.query or parts.fragment:
                raise ValueError("endpoint holds a user, a query or a fragment")
        if not (self.connect_timeout > 0 and self.read_timeout > 0):
            raise ValueError("connect_timeout and read_timeout are more than 0 seconds")
        if not 1 <= self.threads <= 64:  # noqa: PLR2004 - connections that one process holds at most
            raise ValueError("threads is between 1 and 64")
        secrets = sorted(_AWS_SECRETS & self.environment.keys())
        if secrets:
            raise ValueError(f"environment holds a secret ({', '.join(secrets)}); name a credentials_file")
        check_absolute(self)
