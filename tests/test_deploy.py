# SPDX-License-Identifier: Apache-2.0
"""The files of deployment name only commands, settings and paths that exist, and stay hardened."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from signer.settings import Settings, load_settings
from tests.command_lines import faults

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def example() -> Settings:
    return load_settings(DEPLOY / "signer.toml.example")


@pytest.fixture(scope="module")
def services() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    return found


def directives(unit: Path) -> Mapping[str, list[str]]:
    """Directive → its values, in order; a directive may stand several times."""
    found = defaultdict(list)
    for line in unit.read_text("utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name].append(value)
    return found


def paths_of(section: object) -> Iterator[str]:
    for name in getattr(section, "__slots__", ()):
        value = getattr(section, name)
        if isinstance(value, Path):
            yield str(value)
        elif isinstance(value, str) and value.startswith("sqlite:///"):
            yield value.removeprefix("sqlite:///")


def test_the_example_settings_are_accepted(example: Settings) -> None:
    assert example.origin
    assert example.keys
    assert example.tokens


def test_the_example_shows_every_setting(example: Settings) -> None:
    text = (DEPLOY / "signer.toml.example").read_text("utf-8")
    sections = (example.ledger, example.custodian, example.web, *example.keys, *example.tokens)
    names = {name for section in sections for name in getattr(section, "__slots__", ())}
    assert {name for name in names if not re.search(rf"^(# )?{name} = ", text, re.MULTILINE)} == set()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_that_exists(unit: Path) -> None:
    (line,) = directives(unit)["ExecStart"]
    program, *words = line.split()
    assert program == "/opt/signer/bin/signer"
    assert list(faults(words)) == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
@pytest.mark.parametrize(
    ("directive", "value"),
    [
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelTunables", "yes"),
        ("ProtectProc", "invisible"),
        ("MemoryDenyWriteExecute", "yes"),
        ("RestrictNamespaces", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("LockPersonality", "yes"),
        ("SystemCallArchitectures", "native"),
        ("LimitCORE", "0"),
        ("RestartPreventExitStatus", "78"),
    ],
)
def test_a_unit_is_hardened(unit: Path, directive: str, value: str) -> None:
    assert directives(unit)[directive] == [value]


def test_the_custodian_has_no_network_and_web_has_no_secret() -> None:
    custodian, web = (directives(DEPLOY / "systemd" / f"signer-{name}.service") for name in ("custodian", "web"))
    assert custodian["PrivateNetwork"] == ["yes"]
    assert custodian["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert custodian["User"] != web["User"]
    assert "LoadCredential" not in web
    assert "/var/lib/signer-custodian" in web["InaccessiblePaths"][0]


def test_the_units_open_what_the_example_settings_name(example: Settings) -> None:
    custodian = directives(DEPLOY / "systemd" / "signer-custodian.service")
    runtime = [f"/run/{name}" for name in custodian["RuntimeDirectory"]]
    writable = [PurePosixPath(path) for path in [*custodian["ReadWritePaths"][0].split(), *runtime]]
    for path in (*paths_of(example.ledger), *paths_of(example.custodian)):
        assert any(PurePosixPath(path).is_relative_to(folder) for folder in writable), path
    (credential,) = custodian["LoadCredential"]
    assert [str(token.pin_file) for token in example.tokens] == [
        f"/run/credentials/signer-custodian.service/{credential.partition(':')[0]}"
    ]


def test_compose_starts_commands_that_exist(services: Mapping[str, Any]) -> None:
    assert {name: list(faults(service["command"])) for name, service in services.items()} == {
        "custodian": [],
        "web": [],
    }


def test_compose_gives_web_and_custodian_users_of_their_own(services: Mapping[str, Any], example: Settings) -> None:
    users = {name: service["user"].split(":") for name, service in services.items()}
    assert users["web"][0] != users["custodian"][0]
    assert "0" not in {users["web"][0], users["custodian"][0]}
    assert users["web"][1] == users["custodian"][1]
    assert int(users["web"][0]) in example.custodian.web_uids


@pytest.mark.parametrize("name", ["web", "custodian"])
def test_a_compose_service_is_hardened(services: Mapping[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_compose_gives_the_custodian_no_network_and_web_no_secret(services: Mapping[str, Any]) -> None:
    assert services["custodian"]["network_mode"] == "none"
    assert "ports" not in services["custodian"]
    assert "secrets" not in services["web"]
    mounts = dict(volume.split(":", 1) for volume in services["web"]["volumes"])
    assert mounts["ledger"].endswith(":ro")
    assert "custodian" not in mounts


def test_compose_mounts_what_the_example_settings_name(services: Mapping[str, Any], example: Settings) -> None:
    mounts = [PurePosixPath(volume.split(":")[1]) for volume in services["custodian"]["volumes"]]
    mounts += [PurePosixPath(secret["target"]) for secret in services["custodian"]["secrets"]]
    wanted = [*paths_of(example.ledger), *paths_of(example.custodian), *(str(each.pin_file) for each in example.tokens)]
    assert [path for path in wanted if not any(PurePosixPath(path).is_relative_to(folder) for folder in mounts)] == []


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["yamllint", "--strict", "deploy", ".yamllint.yaml"], id="yamllint finds nothing"),
        pytest.param(["hadolint", "--no-color", "Dockerfile"], id="hadolint finds nothing"),
    ],
)
def test_linters_of_deployment(command: list[str]) -> None:
    ended = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")
