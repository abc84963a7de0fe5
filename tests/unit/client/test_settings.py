# SPDX-License-Identifier: Apache-2.0
"""The client's settings: which origin wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from signer.client.settings import KEYS, ClientSettings, load_client_settings, settings_file
from signer.errors import Misconfigured


def load(home: Path, *, file: str | None = None, **origins: dict[str, str | None]) -> ClientSettings:
    path = home / ".config" / "signer" / "client.toml"
    if file is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    environ = {name: value for name, value in origins.get("environ", {}).items() if value is not None}
    return load_client_settings(flags=origins.get("flags", {}), environ=environ, home=home)


def test_a_flag_wins_over_a_variable_over_the_file_over_what_is_built_in(tmp_path: Path) -> None:
    file = 'url = "https://file"\nca = "/file"\nclient_cert = "/file"\ntimeout = 7\n'
    settings = load(
        tmp_path,
        file=file,
        environ={"SIGNER_URL": "https://variable", "SIGNER_CA": "/variable"},
        flags={"url": "https://flag", "ca": None},
    )
    assert {name: settings.values[name].value for name in ("url", "ca", "client_cert", "timeout", "output")} == {
        "url": "https://flag",
        "ca": "/variable",
        "client_cert": "/file",
        "timeout": "7",
        "output": "text",
    }
    assert [settings.values[name].origin for name in ("url", "ca", "client_cert", "output", "trust")] == [
        "flag",
        "SIGNER_CA",
        str(settings.file),
        "built-in",
        "unset",
    ]


def test_an_empty_variable_is_unset(tmp_path: Path) -> None:
    assert load(tmp_path, environ={"SIGNER_URL": ""}).get("url") is None


def test_every_setting_has_a_variable_and_a_meaning(tmp_path: Path) -> None:
    settings = load(tmp_path, environ={f"SIGNER_{name.upper()}": "x" for name in KEYS})
    assert {setting.value for setting in settings.values.values()} == {"x"}
    assert all(KEYS.values())


BAD_FILES = {
    "an unknown key": 'uri = "https://host"',
    "a table": "[url]\nhost = 1",
    "a number where text stands": "url = 1",
    "a truth value as timeout": "timeout = true",
    "no TOML": "url",
    "too large": "# " + "x" * 70_000,
}


@pytest.mark.parametrize("file", BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused(tmp_path: Path, file: str) -> None:
    with pytest.raises(Misconfigured) as fault:
        load(tmp_path, file=file)
    assert fault.value.code == "settings-invalid"
    assert "client.toml" in fault.value.detail


@pytest.mark.parametrize("base", ["", "relative", "./here"])
def test_the_file_never_stands_in_the_working_directory(base: str, tmp_path: Path) -> None:
    assert settings_file({"XDG_CONFIG_HOME": base}, home=tmp_path) == tmp_path / ".config/signer/client.toml"


def test_the_base_directory_is_respected(tmp_path: Path) -> None:
    assert settings_file({"XDG_CONFIG_HOME": "/etc/xdg"}, home=tmp_path) == Path("/etc/xdg/signer/client.toml")


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "soon", "3601"])
def test_a_timeout_is_a_bounded_number(tmp_path: Path, timeout: str) -> None:
    with pytest.raises(Misconfigured):
        load(tmp_path, environ={"SIGNER_TIMEOUT": timeout}).timeout()


def test_a_missing_setting_says_how_to_set_it(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as fault:
        load(tmp_path).require("client_cert")
    assert "SIGNER_CLIENT_CERT" in fault.value.remedy
    assert "--client-cert" in fault.value.remedy


def test_the_output_is_text_or_json(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        load(tmp_path, environ={"SIGNER_OUTPUT": "yaml"}).output()
