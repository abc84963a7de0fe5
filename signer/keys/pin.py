# SPDX-License-Identifier: Apache-2.0
"""The PIN of a token: one file, and never a second attempt with a PIN that the token refused.

A refusal is written beside the lock of the token (`<lock>.refused`), so that no restart, no other worker and no
`signer doctor` tries the same file again: three wrong PINs lock many a device. The file counts as another one once
it is written anew or touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from signer.keys.backend import KeyFault, Scope

MAX_PIN = 256


@dataclass(frozen=True, slots=True)
class PinFile:
    """Where the PIN is, and where its refusal is remembered."""

    path: Path
    refusal: Path

    def read(self) -> str:
        """The PIN; raises KeyFault when there is none, or when the token refused it before."""
        try:
            with self.path.open("rb") as file:
                pin = file.read(MAX_PIN + 1).strip().decode("utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            raise self._unreadable(f"cannot be read: {type(fault).__name__}") from None
        if not 0 < len(pin) <= MAX_PIN:
            raise self._unreadable("holds no PIN")
        if self._known_refusal() == self._state():
            raise KeyFault(
                "pin-refused",
                f"the token refused the PIN in {self.path} before, and the file is still the same",
                scope=Scope.NEVER,
                remedy=f"write the right PIN into {self.path}; if it is right by now, touch the file",
            )
        return pin

    def remember_refusal(self) -> None:
        """Never try this file again as it is."""
        self.refusal.write_text(self._state(), "ascii")

    def forget_refusal(self) -> None:
        """The token took the PIN."""
        self.refusal.unlink(missing_ok=True)

    def _known_refusal(self) -> str | None:
        try:
            return self.refusal.read_text("ascii")
        except FileNotFoundError:
            return None

    def _state(self) -> str:
        return ":".join(map(str, file_state(self.path)))

    def _unreadable(self, what: str) -> KeyFault:
        return KeyFault(
            "pin-unreadable",
            f"the PIN file {self.path} {what}",
            scope=Scope.NEVER,
            remedy="write the PIN into the file, readable for the custodian's user alone",
        )


def file_state(path: Path) -> tuple[int, ...]:
    """What changes when a file is written anew or touched; empty when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_ino, status.st_mtime_ns, status.st_size)
