# SPDX-License-Identifier: Apache-2.0
"""The single way out: every error has its code, and nothing but a whole success is zero."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from signer.cli.exits import NAMES, exit_code
from signer.errors import Malformed, Misconfigured, Refused, Unavailable
from signer.verify.checks import CheckFailed, Checklist
from tests.unit.cli.conftest import Kept, Signer

ROOT = Path(__file__).resolve().parents[3]


def failed_check() -> CheckFailed:
    with pytest.raises(CheckFailed) as refused, Checklist().check("x", code="y") as one:
        one.require(condition=False, expected="a", found="b")
    return refused.value


ERRORS: dict[str, tuple[BaseException, int]] = {
    "a check that failed": (failed_check(), 3),
    "a malformed input": (Malformed("x", "y"), 2),
    "a refusal": (Refused("x", "y"), 4),
    "nothing answers": (Unavailable("x", "y"), 20),
    "a bad configuration": (Misconfigured("x", "y"), 78),
    "a wrong use": (click.UsageError("x"), 2),
    "a missing file": (FileNotFoundError(errno.ENOENT, "x", "/none"), 2),
    "a file that may not be read": (PermissionError(errno.EACCES, "x", "/none"), 2),
    "a full disk": (OSError(errno.ENOSPC, "x", "/out"), 1),
    "a stream that is gone": (BrokenPipeError(errno.EPIPE, "x"), 1),
    "a crash": (RuntimeError("x"), 1),
    "an interruption": (KeyboardInterrupt(), 1),
    "an exit of its own": (SystemExit(78), 78),
    "an exit without a code": (SystemExit(None), 0),
    "an exit with a text": (SystemExit("x"), 1),
}


@pytest.mark.parametrize(("fault", "code"), ERRORS.values(), ids=ERRORS)
def test_an_error_has_its_code(fault: BaseException, code: int) -> None:
    assert exit_code(fault) == code


def test_every_code_has_a_name() -> None:
    assert set(NAMES) == {1, 2, 3, 4, 10, 11, 12, 13, 20, 78}


def test_a_crash_tells_its_type_and_no_secret(signer: Signer, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("PIN 1234")

    monkeypatch.setattr("signer.cli.verify.verify_release", crash)
    words = ("verify", "--trust", kept.path("trust.json"), "--bundle", kept.path("bundle.json"))
    ended = signer(*words, "--subject-file", kept.path("shop.tar.gz"), "-o", "json")
    assert (ended.code, ended.document["result"]) == (1, "error")
    assert "RuntimeError" in ended.err
    assert "1234" not in ended.err + ended.out


def spawn(words: list[str], *, stdout: int | None = None, close: str = "") -> subprocess.CompletedProcess[str]:
    """A process of its own, since these endings are about its streams."""
    line = [sys.executable, "-m", "signer.cli", *words]
    if close:
        line = ["sh", "-c", f'exec "$@" {close}', "sh", *line]
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        line, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT, env=environ, timeout=60
    )


def verify_words(kept: Kept) -> list[str]:
    return [
        *("verify", "--trust", str(kept.path("trust.json"))),
        *("--bundle", str(kept.path("bundle.json")), "--subject-file", str(kept.path("shop.tar.gz"))),
    ]


@pytest.mark.parametrize("close", [">&-", "2>&-", ">&- 2>&-"], ids=["stdout", "stderr", "both"])
@pytest.mark.parametrize("mode", ["text", "json"])
def test_a_closed_stream_is_no_success(kept: Kept, close: str, mode: str) -> None:
    assert spawn([*verify_words(kept), "-o", mode], close=close).returncode == 1


def test_a_reader_that_left_is_no_success(kept: Kept) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = spawn([*verify_words(kept), "-o", "json"], stdout=writing)
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_full_disk_is_no_success(kept: Kept) -> None:
    with Path("/dev/full").open("w") as full:
        done = spawn([*verify_words(kept), "-o", "json"], stdout=full.fileno())
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_failed_verification_keeps_its_code_when_nobody_listens(kept: Kept) -> None:
    kept.path("shop.tar.gz").write_bytes(b"another")
    assert spawn([*verify_words(kept), "-o", "json"], close=">&-").returncode == 3


def test_a_good_verification_succeeds_in_a_process(kept: Kept) -> None:
    done = spawn([*verify_words(kept), "-o", "json"], stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1


def test_a_crash_while_loading_a_command_is_no_success(kept: Kept) -> None:
    program = (
        "import sys, os, signer.verify.bundle as b\n"
        "del b.Expectation\n"
        "from signer.cli import run\n"
        "sys.exit(run(sys.argv[1:], environ=os.environ))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *verify_words(kept)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


def test_no_network_is_undecided(kept: Kept) -> None:
    words = ["sign", "--url", "https://localhost:1", "--timeout", "1", "--policy", "p", "--environment", "e"]
    done = spawn([*words, "--subject-file", str(kept.path("shop.tar.gz"))])
    assert done.returncode == 20
    assert "authority-unreachable" in done.stderr


def test_colour_is_for_terminals_that_want_it(kept: Kept) -> None:
    assert "\x1b" not in spawn(verify_words(kept)).stderr
