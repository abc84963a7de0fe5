# SPDX-License-Identifier: Apache-2.0
"""A PKCS #11 module that goes wrong on demand: `p11_shim.c`, built where it is needed, in front of a real module.

    shim = Shim.build(folder)                          # the module is shim.module
    shim.arm("C_Sign", Action.REFUSE, value=0x30)      # CKR_DEVICE_ERROR until shim.clear()
    shim.calls("C_Login")                              # how often it was called, in all processes

A worker that loads it needs `shim.environment`.
"""

from __future__ import annotations

import mmap
import struct
import subprocess
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from signer.dev.token import MODULES

SOURCE = Path(__file__).with_suffix(".c")
FUNCTIONS = {
    "C_Initialize": 0,
    "C_GetSlotList": 4,
    "C_GetTokenInfo": 6,
    "C_GetMechanismList": 7,
    "C_OpenSession": 12,
    "C_Login": 18,
    "C_GetAttributeValue": 24,
    "C_FindObjectsInit": 26,
    "C_FindObjects": 27,
    "C_SignInit": 42,
    "C_Sign": 43,
}
"""The functions that the shim watches, and their places in the list of PKCS #11."""
_ENTRY = struct.Struct("<5Q")
_ENTRIES = 68
_HEAD = struct.Struct("<3Q")
_SIZE = _ENTRIES * _ENTRY.size + _HEAD.size + 64


class Action(IntEnum):
    """What a function does instead of its work."""

    PASS = 0
    REFUSE = 1
    """Answers `value`, and does nothing."""
    FAIL_AFTER = 2
    """Does it, and answers `value`."""
    HANG = 3
    """Does not return until it is cleared."""
    CRASH = 4
    """SIGSEGV."""
    WRONG = 5
    """C_Sign: another signature than the key's."""
    EMPTY = 6
    """C_Sign: CKR_OK, and no signature."""


@dataclass(frozen=True, slots=True)
class Shim:
    """One built module and the shared bytes through which it is told what to do."""

    module: Path
    control: Path
    memory: mmap.mmap

    @classmethod
    def build(cls, folder: Path, *, slots: int = 1, latency: float = 0.0) -> Shim:
        """Compile it into `folder`; as a device it signs `slots` at a time, each in `latency` seconds."""
        module, control = folder / "p11-shim.so", folder / "p11-shim.control"
        subprocess.run(
            ["cc", "-O2", "-shared", "-fPIC", "-o", str(module), str(SOURCE), "-ldl", "-lpthread"],
            check=True,
            timeout=60,
        )
        control.write_bytes(bytes(_SIZE))
        with control.open("r+b") as file:
            memory = mmap.mmap(file.fileno(), _SIZE)
        _HEAD.pack_into(memory, _ENTRIES * _ENTRY.size, slots, int(latency * 1e9), 0)
        return cls(module, control, memory)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs that loads the module."""
        real = next(path for path in MODULES if path.exists())
        return {"P11_SHIM_MODULE": str(real), "P11_SHIM_CONTROL": str(self.control)}

    def arm(self, function: str, mishap: Action, *, value: int = 0, times: int = 0) -> None:
        """From now on `function` goes wrong, `times` times or until cleared."""
        at = FUNCTIONS[function] * _ENTRY.size
        # The action last: whoever calls meanwhile sees the others whole.
        self.memory[at + 8 : at + 24] = struct.pack("<2Q", value, times)
        self.memory[at : at + 8] = struct.pack("<Q", mishap)

    def clear(self) -> None:
        """Nothing goes wrong any more; what hangs goes on."""
        for place in FUNCTIONS.values():
            self.memory[place * _ENTRY.size : place * _ENTRY.size + 8] = bytes(8)

    def armed(self, function: str) -> bool:
        """Whether `function` still goes wrong."""
        return self._entry(function)[0] != 0

    def calls(self, function: str) -> int:
        """How often `function` was called, whatever came of it."""
        return self._entry(function)[3]

    def done(self, function: str) -> int:
        """How often the module behind did it."""
        return self._entry(function)[4]

    def _entry(self, function: str) -> tuple[int, ...]:
        return _ENTRY.unpack_from(self.memory, FUNCTIONS[function] * _ENTRY.size)
