# SPDX-License-Identifier: Apache-2.0
"""The set-up that `make` does: what it says where it may not install, and how little it does when all is there."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PREPARE = ROOT / "requirements" / "prepare.py"


def prepare(program: Path, *, path: str) -> subprocess.CompletedProcess[str]:
    """Run with the Python below the environment, as make does."""
    python = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}")
    return subprocess.run(
        [python, str(program)],
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_without_apt_or_sudo_the_exact_line_is_printed_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    copy = Path(shutil.copy(PREPARE, tmp_path / "requirements"))
    ended = prepare(copy, path=str(tmp_path))
    assert ended.returncode == 1
    line = re.search(r"^prepare: {3}(.*)$", ended.stderr, re.MULTILINE)
    assert line is not None
    assert line[1] == "sudo apt-get update && sudo apt-get install -y --no-install-recommends openssl softhsm2"
    assert not (tmp_path / ".venv").exists()


APT = """#!/bin/sh
echo "$@" >> "$0.log"
case "$*" in *install*opencryptoki*) echo "E: Unable to locate package opencryptoki"; exit 100;; esac
"""


def test_modules_that_apt_does_not_know_end_nothing(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("prepared", PREPARE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    apt = tmp_path / "apt-get"
    apt.write_text(APT)
    apt.chmod(0o755)
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        patch.setattr(module, "privilege", list)
        patch.setattr(module, "say", said.append)
        module.install_modules(["p11-kit-modules", "opencryptoki"])
    installed = (tmp_path / "apt-get.log").read_text().splitlines()
    assert [line.split()[-1] for line in installed] == ["update", "p11-kit-modules", "opencryptoki"]
    assert said[-1] == "the contract suite skips opencryptoki: apt does not install it here"


def test_a_made_environment_is_left_alone() -> None:
    note = ROOT / ".venv" / "made-from"
    if not note.exists():
        pytest.skip("this environment was not made by make")
    before = note.stat().st_mtime_ns
    ended = prepare(PREPARE, path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert note.stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["dev.txt", "server.txt"])
def test_a_lock_pins_every_package_by_hash_and_names_no_index(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]
    assert len(entries) > 10
    assert [entry for entry in entries if not re.match(r"[a-z0-9][a-z0-9._-]*==\S+ ", entry)] == []
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
