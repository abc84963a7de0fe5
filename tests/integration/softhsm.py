# SPDX-License-Identifier: Apache-2.0
"""A SoftHSM token in a temporary directory, changed from outside as an administrator would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from signer.dev.token import LABEL, SoftToken, ensure_token

_OPEN = """\
import sys, pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
session = pkcs11.lib(sys.argv[1]).get_token(token_label=sys.argv[2]).open(rw=True, user_pin=sys.argv[3])
def make(label, id, curve="secp256r1", **private):
    domain = session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True
    )
    return domain.generate_keypair(store=True, label=label, id=id, capabilities=MechanismFlag.SIGN,
        private_template={getattr(Attribute, name): value for name, value in private.items()})
def remove(label):
    for found in list(session.get_objects({Attribute.LABEL: label})):
        found.destroy()
"""


@dataclass(frozen=True, slots=True)
class TestToken:
    """One token and what an administrator can do to it."""

    __test__ = False

    folder: Path
    token: SoftToken

    @classmethod
    def make(cls, folder: Path) -> TestToken:
        folder.mkdir()
        return cls(folder, ensure_token(folder))

    @property
    def environment(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": str(self.token.configuration)}

    def run(self, program: str) -> bytes:
        """Run a few lines of Python in another process, logged in; what they print."""
        done = subprocess.run(
            [sys.executable, "-c", _OPEN + program, str(self.token.module), LABEL, self.token.pin_file.read_text()],
            env={**os.environ, **self.environment},
            capture_output=True,
            check=True,
            timeout=30,
        )
        return done.stdout

    def make_key(self, label: str = "release", ident: int = 1, **private: bool) -> bytes:
        """A key pair made by somebody else; its SPKI."""
        shown = "sys.stdout.buffer.write(encode_ec_public_key(public))"
        return self.run(f"public, _ = make({label!r}, bytes([{ident}]), **{private!r})\n{shown}\n")

    def vanish(self) -> None:
        """Take the token away, as if the device was unplugged."""
        shutil.move(self.folder / "objects", self.folder / "away")
        (self.folder / "objects").mkdir()

    def return_(self) -> None:
        """Plug it in again."""
        (self.folder / "objects").rmdir()
        shutil.move(self.folder / "away", self.folder / "objects")
