# SPDX-License-Identifier: Apache-2.0
"""The image's install steps, run as they stand in a folder instead of a container: they install what `signer` needs.

The parser below reads the few instructions that the build stage uses and refuses any other, so that the steps in
the file and the steps in this test cannot part.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile"
MODULES = "signer.cli signer.web signer.custodian signer.verify signer.client policy pkcs11 flask gunicorn boto3"


def instructions(stage: str) -> Iterator[tuple[str, str]]:
    """(instruction, arguments) of one stage, continuation lines joined."""
    text = DOCKERFILE.read_text("utf-8").replace("\\\n", " ")
    current = ""
    for line in filter(None, (line.strip() for line in text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            current = rest.rpartition(" ")[2]
        elif current == stage and not line.startswith("#"):
            yield word, rest


def run_build_stage(image: Path) -> None:
    """Carry out the stage below `image` instead of below `/`."""
    here = image
    for word, rest in instructions("build"):
        match word:
            case "ENV":
                continue  # settings of pip; this machine's own are used
            case "WORKDIR":
                here = image / rest.lstrip("/")
                here.mkdir(parents=True)
            case "COPY":
                *sources, target = rest.split()
                for source in sources:
                    copy(ROOT / source, here / target)
            case "RUN":
                command = [part.replace("/opt/", f"{image}/opt/") for part in json.loads(rest)]
                command[0] = sys.executable if command[0] == "python3" else command[0]
                ended = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
                assert ended.returncode == 0, f"{rest}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"
            case _:
                raise AssertionError(f"the test does not know the instruction {word}")


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target = target / source.name if target.name in ("requirements", ".") or not target.suffix else target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    run_build_stage(folder)
    return folder


@pytest.mark.timeout(300)  # downloads every package on a machine that has none of them yet
def test_the_installed_modules_import_without_the_checkout(image: Path) -> None:
    program = (
        f"import importlib, signer\nfor name in {MODULES.split()!r}: importlib.import_module(name)\n"
        "print(signer.__file__)"
    )
    python = image / "opt" / "signer" / "bin" / "python"
    ended = subprocess.run([python, "-I", "-c", program], cwd="/", capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(str(image))


def test_the_installed_command_answers(image: Path) -> None:
    signer = image / "opt" / "signer" / "bin" / "signer"
    ended = subprocess.run([signer, "version"], cwd="/", capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_final_environment_holds_no_installer(image: Path) -> None:
    packages = {path.name for path in (image / "opt" / "signer").glob("lib/python3.*/site-packages/*")}
    assert {"pip", "setuptools", "pytest", "wheel"} & packages == set()
    assert "cryptography" in packages


def test_documents_and_migrations_are_part_of_the_package(image: Path) -> None:
    installed = next((image / "opt" / "signer").glob("lib/python3.*/site-packages"))
    data = {".yaml", ".json", ".typed", ".mako", ".sql"}
    shipped = {
        str(path.relative_to(ROOT))
        for room in ("signer", "policy")
        for path in (ROOT / room).rglob("*")
        if path.suffix in data
    }
    assert {name for name in shipped if not (installed / name).exists()} == set()
