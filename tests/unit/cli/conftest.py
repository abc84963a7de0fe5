# SPDX-License-Identifier: Apache-2.0
"""A terminal in which `signer` runs, and an authority that answers from a script."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from signer.cli import run
from signer.client.endpoint import Endpoint
from signer.client.problem import PREFIX, Answered, parse_problem
from signer.client.transport import Answer
from tests.unit.verify.authority import ARTIFACT, Authority, Release


@dataclass(frozen=True, slots=True)
class Run:
    """How one command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one object on stdout."""
        value: dict[str, Any] = json.loads(self.out)
        return value


Signer = Callable[..., Run]


@pytest.fixture
def signer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Run]:
    """Run a command with nothing of this machine's settings."""
    for name in list(os.environ):
        if name.startswith("SIGNER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def call(*arguments: object, **environ: str) -> Run:
        with monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            capsys.readouterr()
            code = run([str(argument) for argument in arguments], environ=os.environ)
            shown = capsys.readouterr()
        return Run(code, shown.out, shown.err)

    return call


@dataclass(slots=True)
class FakeAuthority:
    """Stands where the HTTP client would: answers what the test laid ready, remembers what was asked."""

    answers: list[object] = field(default_factory=list)
    asked: list[tuple[str, tuple[object, ...], Mapping[str, object]]] = field(default_factory=list)
    endpoint: Endpoint | None = None
    warnings: tuple[str, ...] = ()

    def __call__(self, endpoint: Endpoint) -> FakeAuthority:
        self.endpoint = endpoint
        return self

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def answer(*arguments: object, **named: object) -> object:
            self.asked.append((name, arguments, named))
            found = self.answers.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        return answer

    def fetch_evidence(self, digest: str, sink: Callable[[bytes], None]) -> Mapping[str, str]:
        self.asked.append(("fetch_evidence", (digest,), {}))
        found = self.answers.pop(0)
        assert isinstance(found, Answer)
        for start in range(0, len(found.body), 5):
            sink(found.body[start : start + 5])
        return found.headers

    def body(self, place: int = -1) -> dict[str, Any]:
        """The JSON body of one request."""
        data = self.asked[place][1][0]
        assert isinstance(data, bytes)
        value: dict[str, Any] = json.loads(data)
        return value


@pytest.fixture
def authority(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> FakeAuthority:
    fake = FakeAuthority()
    monkeypatch.setattr("signer.client.http.Client", fake)
    monkeypatch.setenv("SIGNER_URL", "https://sign.example")
    return fake


@dataclass(frozen=True, slots=True)
class Kept:
    """A signed release as files."""

    folder: Path
    release: Release

    def path(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return keep(tmp_path, Authority().release())


def keep(folder: Path, release: Release) -> Kept:
    (folder / "trust.json").write_bytes(release.trust)
    (folder / "bundle.json").write_bytes(release.bundle)
    (folder / "receipt.json").write_bytes(release.receipt)
    (folder / "shop.tar.gz").write_bytes(ARTIFACT)
    (folder / "evidence-1.json").write_bytes(b'{"payload":"1"}')
    (folder / "evidence-2.json").write_bytes(b'{"payload":"2"}')
    return Kept(folder, release)


def answered(status: int, code: str, *, decision: Mapping[str, Any] | None = None, **members: Any) -> Answered:
    """What the client raises for a problem."""
    document: dict[str, Any] = {
        "type": PREFIX + code,
        "title": code,
        "status": status,
        "detail": f"because of {code}",
        "request_id": "5d41402abc4b2a76b9719d911017c592",
        "retryable": False,
        "violations": [],
        **members,
    }
    if decision is not None:
        document["decision"] = decision
    return Answered(parse_problem(status, json.dumps(document).encode(), media_type="application/problem+json"))


def bytes_answer(body: bytes, media_type: str = "application/json") -> Answer:
    return Answer(200, {"content-type": media_type}, body)


def finding(rule: str, outcome: str, /, **members: Any) -> dict[str, Any]:
    return {
        "rule": rule,
        "type": "vulns.threshold",
        "control": "artifact",
        "level": "better",
        "outcome": outcome,
        "title": f"title of {rule}",
        "required": f"required by {rule}",
        "found": f"found by {rule}",
        "evidence": ["ab" * 32],
        "bound": "subject",
        "remedy": f"remedy of {rule}",
        "subjects": [0],
        **members,
    }


def decision(verdict: str, findings: Sequence[Mapping[str, Any]], /, **members: Any) -> dict[str, Any]:
    return {
        "type": "signing-authority/decision/v1",
        "request_id": "5d41402abc4b2a76b9719d911017c592",
        "time": "2026-11-23T10:00:00.000001Z",
        "verdict": verdict,
        "policy": {"name": "demo", "version": 3, "digest": "cd" * 32},
        "access": "ef" * 32,
        "environment": "release",
        "principal": "robot:ci",
        "subjects": [{"name": "shop.tar.gz", "digest": {"sha256": "12" * 32}}],
        "findings": list(findings),
        "matrix": {"artifact": "better", "build": None},
        "leaf": 7,
        **members,
    }
