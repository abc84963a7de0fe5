# SPDX-License-Identifier: Apache-2.0
"""A SoftHSM token inside the development directory: real PKCS #11, no hardware."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from signer.dev.directory import write_private, write_public
from signer.errors import Misconfigured

LABEL = "signer"
MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/softhsm/libsofthsm2.so"),
    Path("/usr/local/lib/softhsm/libsofthsm2.so"),
    Path("/opt/homebrew/lib/softhsm/libsofthsm2.so"),
)


@dataclass(frozen=True, slots=True)
class SoftToken:
    """What the settings need to reach the token."""

    module: Path
    pin_file: Path
    configuration: Path


def ensure_token(folder: Path) -> SoftToken:
    """Open the token of `folder`, or initialise it there; raises Misconfigured when SoftHSM is not installed."""
    token = SoftToken(_find_module(), folder / "pin", folder / "softhsm2.conf")
    if token.pin_file.exists():
        return token
    tool = shutil.which("softhsm2-util")
    if tool is None:
        raise _not_installed("softhsm2-util")
    # Only a token that is complete has a PIN file: what an interrupted start left here is thrown away.
    objects = folder / "objects"
    shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir(mode=0o700)
    write_public(
        token.configuration,
        f"directories.tokendir = {objects}\nobjectstore.backend = file\nlog.level = ERROR\n".encode(),
    )
    pin = secrets.token_hex(8)
    # NOTE: softhsm2-util takes a PIN as argument or from a terminal only. This one guards throwaway keys.
    done = subprocess.run(  # noqa: S603 - fixed program, no shell, values made here
        [tool, "--init-token", "--free", "--label", LABEL, "--so-pin", secrets.token_hex(8), "--pin", pin],
        env={**os.environ, "SOFTHSM2_CONF": str(token.configuration)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    if done.returncode != 0:
        raise Misconfigured(
            "token-failed",
            f"softhsm2-util ended with {done.returncode}: {done.stderr.decode(errors='replace')[:200].strip()}",
            remedy=f"remove {folder} and start again",
        )
    write_private(token.pin_file, pin.encode())
    return token


def _find_module() -> Path:
    for module in MODULES:
        if module.exists():
            return module
    raise _not_installed("libsofthsm2.so")


def _not_installed(what: str) -> Misconfigured:
    return Misconfigured("softhsm-missing", f"{what} was not found", remedy="apt-get install softhsm2")
