# SPDX-License-Identifier: Apache-2.0
"""Settings of the client: flags > SIGNER_* > $XDG_CONFIG_HOME/signer/client.toml > built-in.

    url = "https://sign.example.com"
    ca = "/etc/signer/ca.pem"
    client_cert = "/run/ci/cert.pem"
    client_key = "/run/ci/key.pem"
    trust = "/etc/signer/trust.json"
    timeout = 60

Nothing is read from the working directory; unknown keys of the file are refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signer.errors import Misconfigured

KEYS: Mapping[str, str] = {
    "url": "address of the authority, https://HOST[:PORT]",
    "ca": "PEM file with the CA of the authority's certificate; the system's CAs when unset",
    "client_cert": "PEM file with the client certificate and its chain",
    "client_key": "PEM file with the client's private key",
    "trust": "the trust file with which answers are verified",
    "timeout": "seconds that one command may take, retries included",
    "output": "text or json",
    "config": "the server's signer.toml, for commands of the operator on the machine itself",
}
"""Every setting and what it means; the variable of KEY is SIGNER_<KEY in upper case>."""

BUILT_IN: Mapping[str, str] = {"timeout": "60", "output": "text"}
MAX_FILE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Setting:
    """One value and where it comes from: flag, environment, file, built-in or unset."""

    value: str | None
    origin: str


class ClientSettings:
    """All settings of one run, each with its origin."""

    def __init__(self, values: Mapping[str, Setting], *, file: Path) -> None:
        self.values = values
        self.file = file

    def get(self, name: str) -> str | None:
        """The value of a setting, None when unset."""
        return self.values[name].value

    def require(self, name: str) -> str:
        """The value of a setting; raises Misconfigured when unset."""
        value = self.get(name)
        if value is None:
            raise Misconfigured(
                "setting-missing",
                f"the setting {name!r} is not set: {KEYS[name]}",
                remedy=f"set {variable(name)}, pass --{name.replace('_', '-')}, or write it in {self.file}",
            )
        return value

    def output(self) -> str:
        """`text` or `json`; raises Misconfigured."""
        mode = self.require("output")
        if mode not in ("text", "json"):
            raise Misconfigured("settings-invalid", f"output {mode!r} is neither text nor json")
        return mode

    def timeout(self) -> float:
        """Seconds that the command may take; raises Misconfigured."""
        text = self.require("timeout")
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds <= 3600:  # noqa: PLR2004 - one hour is the bound itself
            raise Misconfigured("settings-invalid", f"timeout {text!r} is not a number of seconds from 0 to 3600")
        return seconds


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"SIGNER_{name.upper()}"


def load_client_settings(*, flags: Mapping[str, str | None], environ: Mapping[str, str], home: Path) -> ClientSettings:
    """Merge the four origins; raises Misconfigured for a file that does not parse or names an unknown key."""
    path = settings_file(environ, home=home)
    file = _read(path)
    values: dict[str, Setting] = {}
    for name in KEYS:
        candidates = (
            Setting(flags.get(name), "flag"),
            Setting(environ.get(variable(name)) or None, variable(name)),
            Setting(file.get(name), str(path)),
            Setting(BUILT_IN.get(name), "built-in"),
        )
        values[name] = next((found for found in candidates if found.value is not None), Setting(None, "unset"))
    return ClientSettings(values, file=path)


def settings_file(environ: Mapping[str, str], *, home: Path) -> Path:
    """Where the file stands; a relative XDG_CONFIG_HOME is ignored (XDG Base Directory Specification)."""
    base = environ.get("XDG_CONFIG_HOME", "")
    root = Path(base) if base.startswith("/") else home / ".config"
    return root / "signer" / "client.toml"


def _read(path: Path) -> dict[str, str]:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as fault:
        raise _invalid(path, f"cannot be read: {fault.strerror}") from None
    if len(data) > MAX_FILE:
        raise _invalid(path, f"is larger than {MAX_FILE} bytes")
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise _invalid(path, f"is not TOML: {fault}") from None
    unknown = sorted(table.keys() - KEYS.keys())
    if unknown:
        raise _invalid(path, f"has unknown keys: {', '.join(unknown)}")
    return {name: _value(path, name, value) for name, value in table.items()}


def _value(path: Path, name: str, value: Any) -> str:
    if name == "timeout" and type(value) in (int, float):
        return str(value)
    if not isinstance(value, str):
        raise _invalid(path, f"{name} is not text")
    return value


def _invalid(path: Path, sentence: str) -> Misconfigured:
    return Misconfigured("settings-invalid", f"{path} {sentence}", remedy="correct or remove the file")
