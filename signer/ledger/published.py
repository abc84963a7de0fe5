# SPDX-License-Identifier: Apache-2.0
"""Files that the custodian replaces as a whole and web reads: a reader sees the old one or the new one."""

from __future__ import annotations

import os
from pathlib import Path

from signer.ledger.guard import sync_directory

_MODE = 0o640


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of `path`, durably; raises OSError, and then the old file stands."""
    # One name for the draft, so that a crash leaves at most one, which the next write overwrites.
    draft = path.with_name(f".{path.name}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE), "wb") as file:  # noqa: PTH123 - its mode is set before the first byte
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path.parent)
