# SPDX-License-Identifier: Apache-2.0
"""`signer verify`: one object for pass and fail, exit code 3, and never a socket or a server library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Kept, Signer, keep
from tests.unit.verify.authority import SUBJECT, Authority

ROOT = Path(__file__).resolve().parents[3]

SERVER = ("flask", "flask_smorest", "gunicorn", "sqlalchemy", "alembic", "boto3", "pkcs11", "structlog", "marshmallow")
NETWORK = ("urllib3", "http.client", "requests")


def arguments(kept: Kept, *more: object) -> list[object]:
    return [
        "verify",
        *("--trust", kept.path("trust.json")),
        *("--bundle", kept.path("bundle.json")),
        *("--subject-file", kept.path("shop.tar.gz")),
        *more,
    ]


def test_a_good_release_verifies(signer: Signer, kept: Kept) -> None:
    ended = signer(*arguments(kept, "--environment", "release", "--receipt", kept.path("receipt.json")))
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("VERIFIED  demo -> release, signed 2026-01-23T10:00:00.000001Z")
    assert "decision leaf stands in the ledger" in ended.err


def test_a_good_release_is_one_object(signer: Signer, kept: Kept) -> None:
    document = signer(*arguments(kept, "--receipt", kept.path("receipt.json"), "-o", "json")).document
    assert (document["result"], document["exit"], document["environment"]) == ("verified", 0, "release")
    assert document["receipt"] == {"decision_leaf": 1, "outcome_leaf": 2, "tree_size": 3}
    assert [check["ok"] for check in document["checks"]] == [True] * len(document["checks"])


def test_without_a_receipt_it_says_what_was_not_checked(signer: Signer, kept: Kept) -> None:
    assert "add --receipt" in signer(*arguments(kept)).err


@pytest.mark.parametrize("part", ["trust.json", "bundle.json", "receipt.json", "shop.tar.gz"])
def test_one_altered_byte_anywhere_ends_with_3(signer: Signer, kept: Kept, part: str) -> None:
    path = kept.path(part)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    ended = signer(*arguments(kept, "--receipt", kept.path("receipt.json"), "-o", "json"))
    assert (ended.code, ended.document["exit"], ended.document["result"]) == (3, 3, "verification-failed")
    assert ended.document["checks"][-1]["ok"] is False
    assert {"expected", "found", "code"} <= ended.document["checks"][-1].keys()


@pytest.mark.parametrize(
    ("more", "code"),
    [
        pytest.param(("--environment", "production"), "environment-mismatch", id="another environment"),
        pytest.param(("--policy", "strict"), "policy-mismatch", id="another policy"),
        pytest.param(("--level", "SLSA_BUILD_LEVEL_3"), "levels-missing", id="a higher level"),
        pytest.param(("--max-age", "1s"), "too-old", id="a younger judgement"),
        pytest.param(("--subject", "x@sha256:" + "00" * 32), "subject-mismatch", id="one more artifact"),
    ],
)
def test_another_expectation_ends_with_3(signer: Signer, kept: Kept, more: tuple[str, ...], code: str) -> None:
    ended = signer(*arguments(kept, *more, "-o", "json"))
    assert (ended.code, ended.document["error"]["code"]) == (3, code)


def test_a_development_authority_needs_consent(signer: Signer, tmp_path: Path) -> None:
    kept = keep(tmp_path, Authority(dev=True).release())
    refused, allowed = signer(*arguments(kept)), signer(*arguments(kept, "--allow-dev"))
    assert (refused.code, allowed.code) == (3, 0)
    assert "dev-untrusted" in refused.err
    assert "protects nothing" in allowed.err


def test_the_trust_file_comes_from_the_settings(signer: Signer, kept: Kept) -> None:
    words = [
        *("verify", "--bundle", kept.path("bundle.json")),
        *("--subject", f"shop@sha256:{SUBJECT.sha256}"),
    ]
    assert signer(*words, SIGNER_TRUST=str(kept.path("trust.json"))).code == 0


PROGRAM = """
import os, socket, sys
def refuse(*_, **__):
    os._exit(99)
for name in ("socket", "create_connection", "socketpair", "getaddrinfo", "create_server"):
    setattr(socket, name, refuse)
def audit(event, _):
    if event.startswith("socket."):
        os._exit(98)
sys.addaudithook(audit)
from signer.cli import run
code = run(sys.argv[2:], environ={})
print(*(name for name in sys.argv[1].split(",") if name in sys.modules))
sys.exit(code)
"""


def test_it_opens_no_socket_and_loads_no_server_library(kept: Kept) -> None:
    words = list(map(str, arguments(kept, "--receipt", kept.path("receipt.json"), "-o", "json")))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, ",".join((*SERVER, *NETWORK)), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    report, loaded, end = done.stdout.split("\n")
    assert (done.returncode, loaded, end) == (0, "", ""), done.stderr
    assert json.loads(report)["result"] == "verified"
