# SPDX-License-Identifier: Apache-2.0
"""Abuse cases L and M: what is written down, who reads it, and what a verifier makes of it."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from signer.tlog.checkpoint import Checkpoint, sign_checkpoint
from signer.tlog.merkle import leaf_hash
from signer.tlog.note import NoteSigner
from tests.abuse.stack import Answer, Release, Stack, question
from tests.authority import ORIGIN
from tests.unit.web.label_values import strange_labels

SIGNER = (sys.executable, "-P", "-m", "signer.cli")


def signer(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The command line, without any settings of this machine."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SIGNER_")}
    given = {"env": environ, "stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 60, **options}
    return subprocess.run([*SIGNER, *map(str, arguments)], check=False, **given)


# L01

BREAKERS = {
    "a line break": 'a\r\n{"event":"forged","level":"critical"}',
    "escape codes": "a\x1b[2J\x1b]0;owned\x07",
    "the end of an object": 'a","event":"forged',
    "line ends of Unicode": "a\u2028b\u0085c",
    "text turned around": "a\u202eb",
    "a megabyte": "a" * 1_000_000,
}


@pytest.mark.parametrize("text", BREAKERS.values(), ids=BREAKERS.keys())
def test_L01_no_text_of_a_caller_breaks_a_line(stack: Stack, text: str) -> None:
    release = stack.release()
    quoted = "".join(f"%{byte:02x}" for byte in text.encode()[:1200])
    body = question([release.subject], [], "demo", "release")
    asked = [
        stack.post("/v1/signatures", {**body, "policy": text}),
        stack.post("/v1/signatures", {**body, text: 1}),
        stack.post("/v1/signatures", {**body, "subjects": [{"name": text, "digest": {"sha256": "0" * 64}}]}),
        stack.post("/v1/signatures", {**body, "subjects": [{"name": "a", "digest": {text: "0" * 64}}]}),
        stack.post("/v1/signatures", {**body, "evidence": [{"content": text}]}),
        stack.post("/v1/halt", {"reason": text}),
        stack.ask(release, [release.tests(suites=(text[:500],))]),
        stack.ask(release, [release.provenance(parameters={text[:500]: 1})]),
        stack.request("GET", f"/v1/decisions/{quoted}"),
        stack.request("GET", f"/v1/decisions?principal={quoted}"),
        stack.request("GET", f"/{quoted}"),
    ]
    assert all(400 <= answer.status < 500 for answer in asked)
    for answer in asked:
        assert len(answer.body) < 50_000
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", answer.body), "control characters in an answer"
    for method in (b"FORGED\x1b[2J", b"A" * 3000):
        stack.raw(method + b" / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check_logs(stack)


def check_logs(stack: Stack) -> None:
    """Every line is one object of printable ASCII and of bounded length, and none is forged."""
    for text in (stack.web_log.read_bytes(), stack.authority.log().encode()):
        for line in text.splitlines():
            assert re.fullmatch(rb"[\x20-\x7e]*", line), line[:200]
            assert len(line) < 8192
            assert json.loads(line)["event"] != "forged"


def test_L01_a_halt_reason_is_one_line_of_print(stack: Stack) -> None:
    for text in ("a\nb", "a\x1b[2J", "a\u2028b", "\u202e", "", "a" * 1025):
        with stack.unrecorded():
            assert stack.post("/v1/halt", {"reason": text}, by="alice").said == (400, "malformed-request")


# L02


def secrets_of(stack: Stack) -> dict[str, bytes]:
    """Everything that must never be told: what the processes hold, and canaries that this caller sends."""
    state = stack.authority.directory / "state"

    def middle(pem: bytes) -> bytes:
        """The part of a PEM block that is the key itself."""
        lines = [line for line in pem.splitlines() if not line.startswith(b"-")]
        return max(lines, key=len)[-40:]

    return {
        "the PIN": stack.authority.token.pin_file.read_bytes(),
        "the ledger key": middle((state / "ledger.key").read_bytes()),
        "the server's key": middle((stack.pki.folder / "server.key").read_bytes()),
        "the client's key": middle(stack.identities["ci"].key.read_bytes()),
        "the bearer": b"canary-bearer-" + secrets.token_hex(8).encode(),
        "the cookie": b"canary-cookie-" + secrets.token_hex(8).encode(),
        "the query": b"canary-query-" + secrets.token_hex(8).encode(),
        "the path": b"canary-path-" + secrets.token_hex(8).encode(),
        "the body": b"canary-body-" + secrets.token_hex(8).encode(),
        "the evidence": b"canary-evidence-" + secrets.token_hex(8).encode(),
        "the idempotency key": b"canary-key-" + secrets.token_hex(8).encode(),
    }


def every_path(stack: Stack, hidden: Mapping[str, bytes]) -> list[Answer]:
    """Each route, good and bad, with canaries wherever a caller may put bytes."""
    text = {name: value.decode() for name, value in hidden.items()}
    headers = {
        "Authorization": f"Bearer {text['the bearer']}",
        "Cookie": f"session={text['the cookie']}",
        "Idempotency-Key": text["the idempotency key"],
        "User-Agent": text["the bearer"],
        "Traceparent": text["the bearer"],
    }
    release = stack.release()
    good = question([release.subject], release.evidence(), "demo", "release")
    opaque = {
        "content": base64.b64encode(hidden["the evidence"]).decode(),
        "kind": "build-log",
        "media_type": "text/plain",
        "subjects": [f"sha256:{release.subject.sha256}"],
    }
    bodies: list[Any] = [
        good,
        {**good, "evidence": [*good["evidence"], opaque]},
        {**good, text["the body"]: 1},
        {**good, "policy": text["the body"]},
        {**good, "environment": text["the body"]},
        {**good, "subjects": [{"name": text["the body"], "digest": {"sha256": text["the body"]}}]},
        {**good, "evidence": [{"content": text["the body"]}]},
        {**good, "evidence": [{**opaque, "kind": text["the body"]}]},
        {"policy": "demo", "evidence": [opaque]},
        {"reason": text["the body"] + "\n"},
        {"halt_index": 0, "signatures": [base64.b64encode(hidden["the body"]).decode()]},
        [text["the body"]],
    ]
    answers = []
    paths = ("/v1/signatures", "/v1/checks", "/v1/evidence", "/v1/halt", "/v1/resume")
    for path in paths:
        for body in bodies:
            answers += [stack.post(path, body, by=by, headers=headers) for by in ("ci", "alice", "nobody")]
        broken = json.dumps(good).encode()[:-20] + hidden["the body"]
        answers.append(stack.request("POST", path, broken, headers=headers))
        answers.append(stack.request("POST", path, broken, headers={**headers, "Content-Type": text["the bearer"]}))
        answers.append(stack.request("POST", path, broken, headers={**headers, "Content-Encoding": text["the bearer"]}))
    for path in (
        "/v1/decisions", "/v1/policies", "/v1/access", "/v1/keys", "/v1/trust", "/checkpoint", "/readyz", "/livez",
        "/openapi.json", "/.well-known/jwks.json", "/tile/0/000", "/tile/entries/000", f"/v1/evidence/{'0' * 64}",
        f"/{text['the path']}", f"/v1/decisions/{text['the path']}", f"/v1/keys/{text['the path']}.pem",
        f"/tile/{text['the path']}/0", f"/v1/evidence/{text['the path']}",
    ):  # fmt: skip
        for by in ("ci", "auditor", "nobody"):
            answers.append(stack.request("GET", f"{path}?q={text['the query']}", by=by, headers=headers, may_fail=True))
            answers.append(stack.request("DELETE", path, by=by, headers=headers))
        answers.append(stack.request("GET", path, port=stack.public_port, headers=headers))
    raw = hidden["the body"]
    for request in (
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX_Bad: " + raw + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\n" + raw + b"\r\n\r\n",
        raw + b" / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /" + raw * 400 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/checks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + raw + b"\r\n\r\n",
        b"POST /v1/checks HTTP/1.1\r\nHost: a\r\nContent-Length: " + raw + b"\r\n\r\n",
    ):
        body = stack.raw(request)
        answers.append(Answer(int(body.split()[1]), {}, body))
    return answers


def test_L02_no_secret_is_told_by_any_path(stack: Stack) -> None:
    hidden = secrets_of(stack)
    answers = every_path(stack, hidden)
    kept = {"the PIN", "the ledger key", "the server's key", "the client's key", "the bearer", "the cookie"}
    told = b"\n".join([*(answer.body for answer in answers), *(repr(a.headers).encode() for a in answers)])
    assert len(answers) > 250
    logs = stack.web_log.read_bytes() + stack.authority.log().encode()
    metrics = stack.metrics().encode()
    assert [name for name, value in hidden.items() if value in logs] == [], "in a log"
    assert [name for name, value in hidden.items() if value in metrics] == [], "in a metric"
    assert [name for name in kept if hidden[name] in told] == [], "in an answer"
    # What the network-facing processes could tell if they were taken over: their environment and arguments.
    for process in stack.processes():
        shown = " ".join([*process.cmdline(), *process.environ().values()]).encode()
        assert [name for name, value in hidden.items() if value in shown] == [], process.cmdline()


def test_L02_web_never_opens_what_it_must_not_know(stack: Stack) -> None:
    assert stack.web is not None
    opened = {
        str(Path(f"/proc/{process.pid}/fd/{number}").readlink())
        for process in stack.processes()
        if "serve" in process.cmdline()
        for number in os.listdir(f"/proc/{process.pid}/fd")  # noqa: PTH208 - links, not files
        if os.path.lexists(f"/proc/{process.pid}/fd/{number}")
    }
    state = str(stack.authority.directory / "state")
    assert f"{state}/ledger.db" in opened
    assert not {path for path in opened if path.endswith(("ledger.key", "persons.db", "/pin"))}


# L03, L04


@pytest.fixture(scope="module")
def record(running_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the ledger, its trust file, and a checkpoint and receipt that an outsider kept."""
    stack, folder = running_stack, tmp_path_factory.mktemp("record")
    releases = [stack.release() for _ in range(3)]
    answers = [stack.ask(release, release.evidence()) for release in releases]
    signed = answers[-1]
    assert {answer.status for answer in answers} == {200}
    (folder / "receipt.json").write_bytes(signed.body)
    (folder / "checkpoint").write_bytes(stack.request("GET", "/checkpoint").body)
    trust = stack.authority.reader().trust()
    assert trust is not None
    (folder / "trust.json").write_bytes(trust.file)
    with sqlite3.connect(stack.authority.directory / "state" / "ledger.db") as source:
        copy = sqlite3.connect(folder / "ledger.db")
        source.backup(copy)
        copy.close()
    source.close()
    return folder


def log_verify(folder: Path, database: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return signer("log", "verify", "--trust", folder / "trust.json", "--database", database, *arguments)


def leaf_count(database: sqlite3.Connection) -> int:
    (size,) = database.execute("SELECT count(*) FROM leaf").fetchone()
    return int(size)


def forget_the_last(database: sqlite3.Connection) -> None:
    size = leaf_count(database)
    database.execute("DELETE FROM leaf WHERE idx >= ?", (size - 2,))


def edit_a_leaf(database: sqlite3.Connection) -> int:
    """Change one letter in a decision; its index."""
    ((place, body),) = database.execute(
        "SELECT idx, body FROM leaf WHERE instr(body, 'release') > 0 ORDER BY idx DESC LIMIT 1 OFFSET 1"
    ).fetchall()
    database.execute("UPDATE leaf SET body = ? WHERE idx = ?", (body.replace(b"release", b"reIease"), place))
    return int(place)


def swap_two(database: sqlite3.Connection) -> None:
    size = leaf_count(database)
    database.execute("UPDATE leaf SET idx = -1 WHERE idx = ?", (size - 1,))
    database.execute("UPDATE leaf SET idx = ? WHERE idx = ?", (size - 1, size - 2))
    database.execute("UPDATE leaf SET idx = ? WHERE idx = -1", (size - 2,))


def test_L03_the_untouched_record_verifies(record: Path) -> None:
    ran = log_verify(record, record / "ledger.db", "--checkpoint", record / "checkpoint")
    assert ran.returncode == 0, ran.stderr


def edit_and_hash_again(database: sqlite3.Connection) -> None:
    place = edit_a_leaf(database)
    (body,) = database.execute("SELECT body FROM leaf WHERE idx = ?", (place,)).fetchone()
    database.execute("UPDATE leaf SET hash = ? WHERE idx = ?", (leaf_hash(body), place))


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (forget_the_last, r"holds \d+ of \d+ entries from leaf \d+"),
        (edit_a_leaf, r"leaf \d+ are not those that were hashed"),
        (edit_and_hash_again, r"root-mismatch(.|\n)*changed is one of the leaves 0 to \d+"),
        (swap_two, r"outcome at leaf \d+"),
    ],
)
def test_L03_a_record_that_was_changed_does_not_verify(
    record: Path, tmp_path: Path, tamper: Callable[[sqlite3.Connection], object], told: str
) -> None:
    database = tmp_path / "ledger.db"
    shutil.copy(record / "ledger.db", database)
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    tamper(connection)
    connection.close()
    ran = log_verify(record, database, "--checkpoint", record / "checkpoint")
    assert ran.returncode == 3, ran.stderr
    assert re.search(told.encode(), ran.stderr), ran.stderr


def test_L03_an_older_backup_is_behind_what_outsiders_hold(stack: Stack, record: Path, tmp_path: Path) -> None:
    release = stack.release()
    signed = stack.ask(release, release.evidence())
    assert signed.status == 200
    later = tmp_path / "checkpoint"
    later.write_bytes(stack.request("GET", "/checkpoint").body)
    ran = log_verify(record, record / "ledger.db", "--checkpoint", later)
    assert ran.returncode == 3
    assert b"leaves are gone" in ran.stderr
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(signed.body)
    assert log_verify(record, record / "ledger.db", "--receipt", receipt).returncode == 3


def test_L04_two_histories_cannot_both_be_true(stack: Stack, record: Path, tmp_path: Path) -> None:
    # The operator holds the ledger's key and signs another head of the same size, and of an earlier one.
    key = load_pem_private_key((stack.authority.directory / "state" / "ledger.key").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    size = int((record / "checkpoint").read_text().splitlines()[1])
    for forked_size in (size, size - 2):
        forked = tmp_path / "forked"
        forked.write_text(head_of(forked_size, key))
        ran = log_verify(record, record / "ledger.db", "--checkpoint", forked)
        assert ran.returncode == 3, ran.stderr
        assert b"root" in ran.stderr
    # And one that another key signed is nobody's.
    stranger = tmp_path / "stranger"
    stranger.write_text(head_of(size, Ed25519PrivateKey.generate()))
    assert log_verify(record, record / "ledger.db", "--checkpoint", stranger).returncode == 3


def head_of(size: int, key: Ed25519PrivateKey) -> str:
    """A signed head of a tree that nobody else has."""
    return sign_checkpoint(Checkpoint(ORIGIN, size, os.urandom(32)), signer=NoteSigner(ORIGIN, key))


# L07


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("text/html", b"<script>fetch('/v1/halt',{method:'POST'})</script>"),
        ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("text/markdown", b"[a](javascript:alert(1)) <img src=x onerror=alert(1)>"),
        ("application/xhtml+xml", b"<html xmlns='http://www.w3.org/1999/xhtml'><script>1</script></html>"),
        ("text/javascript", b"alert(1)"),
    ],
)
def test_L07_markup_comes_back_inert(stack: Stack, media_type: str, content: bytes) -> None:
    release = stack.release("<script>alert(1)</script>")
    content += secrets.token_hex(8).encode()
    item = {
        "content": base64.b64encode(content).decode(),
        "kind": "pull-request-summary",
        "media_type": media_type,
        "subjects": [f"sha256:{release.subject.sha256}"],
    }
    kept = stack.post("/v1/evidence", {"policy": "demo", "evidence": [item]})
    assert kept.status == 201
    answer = stack.request("GET", f"/v1/evidence/{kept.json['evidence'][0]['digest']}")
    assert answer.body == content
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    denied = stack.ask(
        release, [release.provenance(repository="github.com/acme/javascript", ref="refs/heads/javascript")]
    )
    assert denied.headers["Content-Type"] == "application/problem+json"
    assert denied.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "media_type",
    ["text/html\r\nX: y", "text/html; charset=x", "TEXT/HTML", "text", "text/", "a/b/c", "\u0442ext/html", ""],
)
def test_L07_a_media_type_is_one_token_pair(stack: Stack, media_type: str) -> None:
    item = {"content": "AAAA", "kind": "build-log", "media_type": media_type, "subjects": [f"sha256:{'0' * 64}"]}
    with stack.unrecorded():
        answer = stack.post("/v1/evidence", {"policy": "demo", "evidence": [item]})
    assert answer.said == (422, "evidence-invalid")


# L09


def series(stack: Stack) -> set[str]:
    """Every metric with its labels, without its value."""
    return {line.rpartition(" ")[0] for line in stack.metrics().splitlines() if not line.startswith("#")}


def test_L09_random_values_make_no_series(stack: Stack) -> None:
    def round_of(number: int) -> None:
        token = secrets.token_hex(12)
        release = stack.release(token)
        stack.post("/v1/signatures", question([release.subject], [], token, token))
        stack.post("/v1/signatures", {token: 1})
        stack.post(f"/v1/{token}", {})
        stack.request("GET", f"/{token}?{token}={token}", headers={token: token, "User-Agent": token})
        stack.request("GET", f"/v1/decisions/{secrets.token_hex(16)}")
        stack.request(f"M{token}".upper()[:20], "/livez")
        stack.ask(
            release, [release.provenance(builder_id=f"https://{token}.invalid", repository=f"github.com/a/{token}")]
        )
        stack.ask(release, [release.tests(suites=(token,))])
        stack.is_let_in(stack.strangers.client(f"stranger{number % 2}"))

    round_of(0)
    round_of(1)
    series(stack)  # the first look at the metrics is counted in the next one
    before = series(stack)
    for number in range(2, 40):
        round_of(number)
    assert series(stack) - before == set()
    assert len(before) < 1000
    assert list(strange_labels(stack.metrics())) == []


# L10


@pytest.fixture(scope="module")
def released(running_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Release, tuple[str | Path, ...]]:
    """A signed release, and the command that verifies it."""
    stack, folder = running_stack, tmp_path_factory.mktemp("released")
    release = stack.release()
    answer = stack.ask(release, release.evidence())
    trust = stack.authority.reader().trust()
    assert trust is not None
    (folder / "trust.json").write_bytes(trust.file)
    (folder / "bundle.json").write_bytes(base64.b64decode(answer.json["bundles"][0]["bundle"]))
    (folder / "receipt.json").write_bytes(answer.body)
    command = (
        "verify", "--trust", folder / "trust.json", "--bundle", folder / "bundle.json",
        "--receipt", folder / "receipt.json", "--subject", f"shop.tar@sha256:{release.subject.sha256}",
    )  # fmt: skip
    return release, command


def test_L10_zero_means_verified(released: tuple[Release, tuple[str | Path, ...]], tmp_path: Path) -> None:
    _, command = released
    assert signer(*command).returncode == 0
    # Another digest, a missing file, a file that is none, each of the three torn.
    other = [*command[:-1], f"shop.tar@sha256:{'0' * 64}"]
    assert signer(*other).returncode == 3
    for place in (2, 4, 6):
        path = Path(command[place])
        for content in (
            None,
            b"",
            b"{}",
            path.read_bytes()[:-100],
            b"\xff" * 100,
            path.read_bytes() * 2,
            b"[" * 100_000,
        ):
            broken = tmp_path / "broken.json"
            broken.unlink(missing_ok=True)
            if content is not None:
                broken.write_bytes(content)
            code = run_here([*command[:place], broken, *command[place + 1 :]])
            assert code != 0, (command[place - 1], content if content is None else content[:50])


def run_here(command: list[str | Path]) -> int:
    """The same command line without a new process: its exit code."""
    from signer.cli import run  # noqa: PLC0415 - the console script's function

    return run([str(word) for word in command], environ={})


def test_L10_an_answer_that_cannot_be_written_is_not_zero(released: tuple[Release, tuple[str | Path, ...]]) -> None:
    _, command = released
    # stdout is closed, full, or a pipe that nobody reads.
    closed = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *SIGNER, *map(str, command), "-o", "json"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert closed.returncode != 0
    with Path("/dev/full").open("wb") as full:
        assert (
            signer(*command, "-o", "json", capture_output=False, stdout=full, stderr=subprocess.DEVNULL).returncode != 0
        )
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = signer(*command, "-o", "json", capture_output=False, stdout=writing, stderr=subprocess.DEVNULL)
    finally:
        os.close(writing)
    assert ran.returncode != 0


def test_L10_a_server_that_is_not_there_is_not_zero(stack: Stack) -> None:
    identity = stack.identities["ci"]
    ran = signer(
        "log", "checkpoint", "--url", "https://127.0.0.1:9", "--ca", stack.pki.pem,
        "--client-cert", identity.certificate, "--client-key", identity.key,
    )  # fmt: skip
    assert ran.returncode == 20, ran.stderr


# M


def test_M01_another_teams_record_is_not_there(stack: Stack) -> None:
    release = stack.release()
    signed = stack.ask(release, release.evidence())
    sbom = json.loads(stack.request("GET", f"/v1/decisions/{signed.json['request_id']}").body)
    digest = next(evidence for finding in sbom["findings"] for evidence in finding["evidence"])
    identifier = signed.json["request_id"]
    for path, unknown in (
        (f"/v1/decisions/{identifier}", f"/v1/decisions/{secrets.token_hex(16)}"),
        (f"/v1/evidence/{digest}", f"/v1/evidence/{secrets.token_hex(32)}"),
    ):
        assert stack.request("GET", path).status == 200
        theirs, absent = (stack.request("GET", each, by="other") for each in (path, unknown))
        assert theirs.said == absent.said == (404, "not-found")
        assert without_id(theirs) == without_id(absent)
        for verb in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            assert stack.request(verb, path, by="other").status in (400, 404, 405, 501)
        assert stack.request("HEAD", path, by="other").status == 404
        for odd in (path + "/", "/" + path, path.upper(), path.replace("/v1/", "/v1//"), f"/x/..{path}"):
            assert stack.request("GET", odd, by="other").status == 404
    listed = stack.request("GET", f"/v1/decisions?digest={release.subject.sha256}", by="other").json
    assert listed["decisions"] == []
    for path in ("/v1/access", "/tile/entries/000"):
        assert stack.request("GET", path, by="other").status in (403, 404)
    # Nor does evidence of the one team count or show for the other by being named again.
    answer = stack.ask(release, [], by="other", policy="other")
    assert answer.status in (200, 403, 409)
    assert stack.request("GET", f"/v1/evidence/{digest}", by="other").said == (404, "not-found")


def without_id(answer: Answer) -> dict[str, Any]:
    return {name: value for name, value in answer.json.items() if name != "request_id"}


@pytest.mark.parametrize(
    "member",
    ["tenant_id", "decided_by", "status", "verdict", "request_id", "principal", "submitter", "time", "leaf",
     "policy_digest", "access_digest", "facts", "received", "approved", "force", "dry_run", "dev", "__proto__"],
)  # fmt: skip
def test_M02_a_caller_sets_no_field_of_ours(stack: Stack, member: str) -> None:
    body = question([stack.release().subject], [], "demo", "release")
    with stack.unrecorded():
        for path in ("/v1/signatures", "/v1/checks"):
            assert stack.post(path, {**body, member: "x"}).said == (400, "malformed-request")
        subject = {**body["subjects"][0], member: "x"}
        assert stack.post("/v1/signatures", {**body, "subjects": [subject]}).said == (400, "malformed-request")
        kept = {"policy": "demo", "evidence": [{"content": "AAAA", member: "x"}]}
        assert stack.post("/v1/evidence", kept).said == (400, "malformed-request")
        assert stack.post("/v1/halt", {"reason": "x", member: "x"}, by="alice").said == (400, "malformed-request")
