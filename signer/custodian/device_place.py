# SPDX-License-Identifier: Apache-2.0
"""One device that holds keys, and what its workers need to start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from signer.keys.devices import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlace:
    """One device that holds keys, and what its workers need to start."""

    name: str
    """As key URIs name it: the label of a token, or AWS KMS in a region."""
    device: Device
    pin_file: Path | None
    """Whatever a refused login waits for."""
    workers: int
    """Processes."""
    threads: int = 1
    """Calls at a time in each."""
    environment: Mapping[str, str]
