# SPDX-License-Identifier: Apache-2.0
"""The ready steps for CI systems: their scripts, run as the CI system would run them, against a real authority."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.running import Running

CI = Path(__file__).resolve().parent.parent.parent / "deploy" / "ci"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a step ended: its exit code, what it printed, and what it handed on to later steps."""

    code: int
    out: str
    handed_on: str


def github() -> tuple[str, str]:
    (step,) = yaml.safe_load((CI / "github" / "action.yml").read_text("utf-8"))["runs"]["steps"]
    return "bash", step["run"]


def gitlab() -> tuple[str, str]:
    _, job = yaml.safe_load_all((CI / "gitlab" / "sign.yml").read_text("utf-8"))
    return "sh", "\n".join(job["ask-for-a-signature"]["script"])


def tekton() -> tuple[str, str]:
    (step,) = yaml.safe_load((CI / "tekton" / "sign.yaml").read_text("utf-8"))["spec"]["steps"]
    return "sh", step["script"]


def jenkins() -> tuple[str, str]:
    (script,) = re.findall(r"sh '''\n(.*?)'''", (CI / "jenkins" / "Jenkinsfile").read_text("utf-8"), re.DOTALL)
    return "sh", textwrap.dedent(script)


STEPS: Mapping[str, Callable[[], tuple[str, str]]] = {
    "github": github,
    "gitlab": gitlab,
    "tekton": tekton,
    "jenkins": jenkins,
}


def run_step(name: str, authority: Running, folder: Path, evidence: str, subject: str) -> Ended:
    shell, script = STEPS[name]()
    (folder / "bin").mkdir()
    program = folder / "bin" / "signer"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m signer.cli "$@"\n')
    program.chmod(0o700)
    (folder / "subject.txt").write_text(subject)
    separator = "\n" if name in ("github", "tekton") else " "
    handed_on = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "RESULT_FILE", "REQUEST_ID_FILE")
    environ = {
        **{key: value for key, value in authority.environ.items() if key.startswith("SIGNER_")},
        **{key: str(folder / key) for key in handed_on},
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "STEP_POLICY": "demo",
        "STEP_ENVIRONMENT": "release",
        "STEP_SUBJECT": subject,
        "STEP_EVIDENCE": separator.join(map(str, sorted(authority.directory.samples.glob(evidence)))),
        "STEP_BUNDLE": "release.sigstore.json",
        "STEP_RECEIPT": "release.receipt.json",
    }
    ended = subprocess.run(
        [shell, "-e", "-c", script],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    told = "".join(path.read_text() for key in handed_on if (path := folder / key).exists())
    return Ended(ended.returncode, ended.stdout, told)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_signs_what_the_policy_allows(authority: Running, tmp_path: Path, name: str) -> None:
    subject = authority.environ["SIGNER_DEV_SUBJECT"]
    ended = run_step(name, authority, tmp_path, "good-*.json", subject)
    assert ended.code == 0, ended.out
    assert "the bundle and the receipt verify with the trust file" in ended.out + ended.handed_on
    ran = authority.signer(
        "verify", "--allow-dev", "--trust", authority.directory.trust, "--bundle", tmp_path / "release.sigstore.json",
        "--receipt", tmp_path / "release.receipt.json", "--subject", subject.rpartition("@")[2],
    )  # fmt: skip
    assert ran.code == 0, ran.err
    if name in ("github", "tekton"):
        assert "signed" in ended.handed_on
        assert re.search("[0-9a-f]{32}", ended.handed_on)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_fails_when_the_request_is_denied(authority: Running, tmp_path: Path, name: str) -> None:
    bad = authority.sample("bad-artifact.txt")
    subject = f"bad-artifact.txt@{digest_of(bad)}"
    ended = run_step(name, authority, tmp_path, "bad-*.json", subject)
    assert ended.code == 10, ended.out
    assert "BLD-1" in ended.out
    assert not (tmp_path / "release.sigstore.json").exists()
    if name in ("github", "tekton"):
        assert "denied" in ended.handed_on
        assert "bundle=" not in ended.handed_on


@pytest.mark.parametrize("name", STEPS)
def test_no_text_of_an_input_is_run(authority: Running, tmp_path: Path, name: str) -> None:
    trap = tmp_path / "ran"
    ended = run_step(name, authority, tmp_path, "good-*.json", f"$(touch {trap})`touch {trap}`;touch {trap}\n'\"")
    assert ended.code == 2, ended.out
    assert not trap.exists()


def digest_of(path: Path) -> str:
    ran: Any = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True)
    return f"sha256:{ran.stdout.split()[0]}"
