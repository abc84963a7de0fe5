# SPDX-License-Identifier: Apache-2.0
"""The tutorial works: every shell block is run in one shell against a development authority, every output is there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = ROOT / "docs" / "tutorial" / "first-signature.md"
HOW_TO = ROOT / "docs" / "how-to"
PAGES = (
    TUTORIAL,
    TUTORIAL.with_name("first-policy.md"),
    HOW_TO / "onboard-a-repository.md",
    HOW_TO / "climb-to-strong.md",
    HOW_TO / "write-a-policy.md",
    HOW_TO / "test-and-replay-a-policy.md",
    HOW_TO / "roll-out-a-policy.md",
    HOW_TO / "write-a-waiver.md",
    HOW_TO / "approve-a-release.md",
)
"""The pages that are executed, each from the beginning against an authority of its own."""
MARK = "::block::"


@pytest.fixture
def checkout() -> Iterator[Path]:
    """What the reader's folder looks like after `make dev`: `.venv`, and a running authority in `.demo/dev`."""
    folder = ROOT / ".demo" / f"tutorial-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    home = folder / ".demo" / "dev"
    home.mkdir(parents=True)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    with (folder / "dev.log").open("wb") as log:
        command = [sys.executable, "-m", "signer.cli", "dev", "--dir", str(home), "--port", "0"]
        authority = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not (home / "ready").exists():
            assert authority.poll() is None, (folder / "dev.log").read_text("utf-8")
            assert time.monotonic() < deadline, (folder / "dev.log").read_text("utf-8")
            time.sleep(0.05)
        yield folder
    finally:
        authority.send_signal(signal.SIGTERM)
        authority.wait(timeout=30)
        shutil.rmtree(folder)


def steps(page: Path) -> list[tuple[str, str]]:
    """(commands, expected output) in order; the output of a step may be empty."""
    blocks = re.findall(r"^```(sh|text)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    found: list[tuple[str, str]] = []
    for kind, text in blocks:
        if kind == "sh":
            found.append((text, ""))
        else:
            found[-1] = (found[-1][0], text)
    return found


def missing_lines(expected: str, output: str) -> list[str]:
    """Lines that should be there and are not; … stands for anything."""
    return [
        line
        for line in expected.splitlines()
        if not re.search(".*".join(map(re.escape, line.strip().split("…"))), output)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_step_of_the_page_does_what_it_says(checkout: Path, page: Path) -> None:
    script = "set -e\n" + "".join(f"{commands}\necho '{MARK}'\n" for commands, _ in steps(page))
    environment = {"PATH": os.environ["PATH"], "HOME": str(checkout), "LANG": "C.UTF-8"}
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=checkout,
        env=environment,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    outputs = ended.stdout.split(f"{MARK}\n")
    assert ended.returncode == 0, f"step {len(outputs)} failed:\n{outputs[-1]}"
    for number, ((_, expected), output) in enumerate(zip(steps(page), outputs, strict=False), 1):
        assert missing_lines(expected, output) == [], f"step {number} printed:\n{output}"


def test_the_tutorial_is_long_enough_to_be_one() -> None:
    assert len(steps(TUTORIAL)) >= 8
    assert sum(bool(expected) for _, expected in steps(TUTORIAL)) >= 5
