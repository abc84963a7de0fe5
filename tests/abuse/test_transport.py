# SPDX-License-Identifier: Apache-2.0
"""Abuse cases T: who is let in, and where a request ends."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import certifi
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.abuse.stack import Stack
from tests.integration.web_pki import Authority, Identity

GET = b"GET /v1/decisions HTTP/1.1\r\nHost: a\r\n"
END = b"Connection: close\r\n\r\n"


def requests_logged(stack: Stack) -> int:
    """Requests that reached a handler of the API, health left out."""
    return sum(1 for line in stack.log_lines() if line["event"] == "request" and "readyz" not in line["route"])


def refused_at_the_door(stack: Stack, identity: Identity | None) -> None:
    before = requests_logged(stack)
    assert stack.is_let_in(identity) is None
    assert requests_logged(stack) == before, "a handler ran"


def test_T01_without_a_client_certificate_no_handler_runs(stack: Stack) -> None:
    refused_at_the_door(stack, None)
    # The public listener asks for none, and has nothing but what is public.
    assert stack.request("GET", "/v1/keys", port=stack.public_port).status == 200
    for path in ("/v1/decisions", "/v1/policies", "/v1/access", "/tile/entries/000", "/metrics", "/readyz"):
        assert stack.request("GET", path, port=stack.public_port).said == (404, "not-found")
    for path in ("/v1/signatures", "/v1/halt", "/v1/evidence"):
        assert stack.post(path, {}, port=stack.public_port).status in (404, 405)
    # The operations listener stands on loopback alone; no resource of the API answers there.
    for path in ("/v1/keys", "/v1/decisions", "/openapi.json", "/"):
        assert stack.request("GET", path, port=stack.metrics_port).said == (404, "not-found")
    assert stack.post("/metrics", {}, port=stack.metrics_port).said == (405, "method-not-allowed")


def serve(stack: Stack, tmp_path: Path, change: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start the listeners under changed settings; they must end by themselves."""
    settings = tmp_path / "signer.toml"
    text = stack.settings.read_text()
    for name, value in change.items():
        line = f"{name} = {value}\n"
        text, known = re.subn(rf"(?m)^{name} = .*\n", line, text) if name in text else (text, 0)
        text = text if known else text.replace("[web]\n", f"[web]\n{line}", 1)
    settings.write_text(text)
    return subprocess.run(
        [sys.executable, "-P", "-m", "signer.cli", "serve", "--config", str(settings), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_T02_client_certificates_cannot_be_made_optional(stack: Stack, tmp_path: Path) -> None:
    # The whole stack runs with GUNICORN_CMD_ARGS="--cert-reqs 0": see HOSTILE_ENVIRONMENT.
    refused_at_the_door(stack, None)
    for name, value in (("cert_reqs", "0"), ("cert_reqs", "1"), ("verify_client", "false")):
        ended = serve(stack, tmp_path, {name: value})
        assert ended.returncode == 78, ended.stderr
        assert f"unknown keys: web.{name}" in ended.stderr
    assert serve(stack, tmp_path, {}, "--cert-reqs", "0").returncode == 2
    without = tmp_path / "without.toml"
    without.write_text(re.sub(r"(?m)^client_ca = .*\n", "", stack.settings.read_text()))
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "signer.cli", "serve", "--config", str(without)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 78, ended.stderr


PUBLIC = Path(certifi.where()).read_bytes()
AUTHORITIES: dict[str, tuple[Callable[[Stack], bytes] | None, str]] = {
    "missing": (None, "cannot read"),
    "empty": (lambda _: b"", "no certificate"),
    "torn": (lambda _: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "do not fit together"),
    "every public authority": (lambda _: PUBLIC, "1 to 32 may name callers"),
    "one public authority": (lambda stack: stack.pki.pem.read_bytes() + first(PUBLIC), "issues for anybody"),
    "a leaf": (lambda stack: stack.identities["ci"].certificate.read_bytes(), "is no authority"),
}


def first(pem: bytes) -> bytes:
    """The first certificate of a file of many."""
    end = b"-----END CERTIFICATE-----\n"
    return pem[pem.index(b"-----BEGIN") :].partition(end)[0] + end


@pytest.mark.parametrize(("make", "told"), AUTHORITIES.values(), ids=AUTHORITIES.keys())
def test_T03_an_unusable_or_public_file_of_authorities_ends_the_start(
    stack: Stack, tmp_path: Path, make: Callable[[Stack], bytes] | None, told: str
) -> None:
    authorities = tmp_path / "clients.pem"
    if make is not None:
        authorities.write_bytes(make(stack))
    ended = serve(stack, tmp_path, {"client_ca": f'"{authorities}"'})
    assert ended.returncode == 78, ended.stderr
    assert told in ended.stderr.replace("\n", " ")


def test_T03_public_authorities_put_in_place_while_it_runs_let_nobody_in(stack: Stack) -> None:
    own = stack.pki.pem.read_bytes()
    try:
        stack.pki.pem.write_bytes(own + first(PUBLIC))
        refused_at_the_door(stack, stack.identities["ci"])
    finally:
        stack.pki.pem.write_bytes(own)
        stack.forget_connections()
    assert stack.is_let_in(stack.identities["ci"]) == 200


def test_T04_the_right_names_from_another_authority_are_nobody(stack: Stack) -> None:
    refused_at_the_door(stack, stack.strangers.client("ci"))


CI = "spiffe://dev.invalid/robot/ci"


@pytest.mark.parametrize(
    ("odd", "status"),
    [
        # TLS itself knows purposes: no HTTP at all.
        pytest.param({"usage": ExtendedKeyUsageOID.SERVER_AUTH}, None, id="the purpose of a server"),
        pytest.param({"usage": None}, 401, id="no purpose"),
        pytest.param({"is_ca": True}, 401, id="a CA as leaf"),
        pytest.param({"uris": [CI, "spiffe://dev.invalid/robot/other"]}, 401, id="two names"),
        pytest.param({"uris": ["spiffe://dev.invalid/robot/*"]}, 401, id="a wildcard"),
        pytest.param({"uris": ["spiffe://dev.invalid/robot/CI/../ci"]}, 401, id="dot segments"),
        pytest.param({"uris": ["spiffe://DEV.invalid/robot/ci"]}, 401, id="upper case in the trust domain"),
        pytest.param({"uris": []}, 401, id="a common name alone"),
    ],
)
def test_T05_an_ambiguous_certificate_names_nobody(stack: Stack, odd: dict[str, Any], status: int | None) -> None:
    assert stack.is_let_in(stack.pki.client("odd", **{"uris": [CI], **odd})) == status


def test_T06_a_certificate_outside_its_time_is_refused(stack: Stack) -> None:
    uris = ["spiffe://dev.invalid/robot/ci"]
    day = timedelta(days=1)
    refused_at_the_door(stack, stack.pki.client("late", uris=uris, begins=-2 * day, ends=-day))
    refused_at_the_door(stack, stack.pki.client("early", uris=uris, begins=day, ends=2 * day))


def test_T06_a_revoked_certificate_is_refused_and_so_is_everybody_without_a_list(stack: Stack, tmp_path: Path) -> None:
    stolen = stack.pki.client("stolen", uris=["spiffe://dev.invalid/robot/ci"])
    assert stack.is_let_in(stolen) == 200
    try:
        stack.pki.revoke(stack.crl, stolen.serial)
        refused_at_the_door(stack, stolen)
        assert stack.is_let_in(stack.identities["ci"]) == 200
        # A list that is gone, torn or out of date never means that nobody is revoked.
        good = stack.crl.read_bytes()
        for fault in (None, good[:100], b""):
            stack.crl.unlink()
            if fault is not None:
                stack.crl.write_bytes(fault)
            refused_at_the_door(stack, stolen)
            refused_at_the_door(stack, stack.identities["ci"])
            stack.crl.write_bytes(good)
        stack.pki.revoke(stack.crl, ends=timedelta(days=-1))
        refused_at_the_door(stack, stack.identities["ci"])
        # Nor does a list of another authority, nor one that claims this authority's name.
        for name in ("theirs", "ours"):
            folder = tmp_path / name
            folder.mkdir()
            Authority(folder, name).revoke(stack.crl)
            refused_at_the_door(stack, stolen)
            refused_at_the_door(stack, stack.identities["ci"])
    finally:
        stack.pki.revoke(stack.crl)
        stack.forget_connections()


FORGED = "By=spiffe://dev.invalid;URI=spiffe://dev.invalid/robot/auditor"


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-Client-Cert", "X-SSL-Client-Verify", "X-SSL-Client-S-DN", "X-Client-Cert", "SSL-Client-Cert",
     "X-Amzn-Mtls-Clientcert", "X-Spiffe-Id", "X-Forwarded-User", "Forwarded", "X-Forwarded-For"],
)  # fmt: skip
def test_T07_an_identity_in_a_header_is_refused(stack: Stack, header: str) -> None:
    with stack.unrecorded():
        answer = stack.request("GET", "/v1/access", headers={header: FORGED})
    assert answer.said == (400, "untrusted-header")
    assert stack.post("/v1/halt", {"reason": "x"}, headers={header: FORGED}).said == (400, "untrusted-header")


@pytest.mark.parametrize(
    "lines",
    [
        "X_Forwarded_Client_Cert: %s",
        "x-FORWARDED-client-CERT: %s",
        "X-Forwarded_Client-Cert: %s",
        "X-Forwarded-Client-Cert: %s\r\nX-Forwarded-Client-Cert: %s",
        "X-Forwarded-Client-Cert: %s\r\nx_forwarded_client_cert: %s",
        "X-Forwarded-Client-Cert:",
    ],
)
def test_T08_another_spelling_of_the_identity_header_is_refused(stack: Stack, lines: str) -> None:
    header = lines.replace("%s", FORGED).encode()
    answer = stack.raw(b"GET /v1/access HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n" + END)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"problem:untrusted-header" in answer


def test_T09_a_connection_header_removes_no_identity(stack: Stack) -> None:
    # No header ever was the identity, so none that is dropped can leave a default.
    request = GET + b"Connection: X-Forwarded-Client-Cert\r\n\r\n"
    assert stack.first(request).startswith(b"HTTP/1.1 200 ")
    nobody = stack.first(request, by=stack.pki.client("nameless", uris=[]))
    assert nobody.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("path", ["/v1/keys", "/livez", "/public/v1/access"])
@pytest.mark.parametrize(
    "header", ["SCRIPT_NAME: /public", "PATH_INFO: /v1/access", "Script-Name: /v1", "X-Original-URL: /v1/access"]
)
def test_T10_the_path_comes_from_the_request_line(stack: Stack, path: str, header: str) -> None:
    answer = stack.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\n{header}\r\n".encode() + END)
    assert answer.startswith(b"HTTP/1.1 400 ")


SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
BOUNDARIES = {
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 38\r\n\r\n",
    "a list of lengths": b"Content-Length: 0, 38\r\n\r\n",
    "an underscore in the length": b"Content-Length: 1_0\r\n\r\n",
    "codings in a list": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a next-line": b"Transfer-Encoding: chunked\x85\r\n\r\n0\r\n\r\n",
    "a chunk that is longer than it says": b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "two hosts": b"Host: b\r\nContent-Length: 0\r\n\r\n",
    "two content types": b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("head", BOUNDARIES.values(), ids=BOUNDARIES.keys())
def test_T11_a_request_has_one_end(stack: Stack, head: bytes) -> None:
    with stack.unrecorded():
        answer = stack.raw(b"POST /v1/halt HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + head + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert len(re.findall(rb"HTTP/1\.1 [0-9]", answer)) == 1, "the second request was answered"


def test_T12_slow_peers_cost_themselves_alone(stack: Stack) -> None:
    head = b"POST /v1/checks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    begun_requests = (
        b"GET /livez HTTP/1.1\r\nX: ",
        head + b"Content-Length: 1000\r\n\r\n{",
        # What follows belongs to the chunk, whatever it looks like.
        head + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
        b"GET",
    )
    with contextlib.ExitStack() as held:
        half = [held.enter_context(socket.create_connection(("127.0.0.1", stack.port), 5)) for _ in range(40)]
        for number, connection in enumerate(half):
            connection.sendall(b"\x16\x03\x01"[: number % 4])
        # Fewer than the threads there are: the rest must serve; none may be held for longer than a stall.
        slow = [held.enter_context(stack.connect(stack.context(stack.identities["ci"]))) for _ in range(4)]
        for request, connection in zip(begun_requests, slow, strict=True):
            connection.sendall(request)
        begun = time.monotonic()
        assert stack.request("GET", "/readyz").status == 200
        assert stack.sign_good().status == 200
        assert time.monotonic() - begun < 3
        end = begun + 9
        for connection in (*half, *slow):
            connection.settimeout(max(0.1, end - time.monotonic()))
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                while part := connection.recv(4096):
                    assert b" 404 " not in part, "the second request was answered"
        assert time.monotonic() < end, "a peer was kept"


def test_T13_nothing_that_one_certificate_was_given_serves_another(stack: Stack) -> None:
    # No session resumes, so each connection proves its certificate again.
    context = stack.context(stack.identities["ci"])
    with stack.connect(context) as first:
        first.sendall(GET + b"\r\n")
        first.recv(1000)
        assert first.session is None or not first.session.has_ticket
    # No cookie is given or read, no bearer is read.
    answer = stack.request(
        "GET", "/v1/access", headers={"Authorization": "Bearer auditor", "Cookie": "session=auditor"}
    )
    assert answer.said == (403, "not-authorised")
    assert "Set-Cookie" not in answer.headers
    # An idempotency key is its principal's: another who shows it does not get the answer.
    mine = stack.release()
    signed = stack.ask(mine, mine.evidence(), key="T13")
    assert signed.status == 200
    theirs = stack.ask(mine, mine.evidence(), key="T13", by="other", policy="other")
    assert theirs.status == 200
    assert theirs.json["request_id"] != signed.json["request_id"]
    assert stack.ask(mine, mine.evidence(), key="T13", by="other").said == (404, "not-found")


@pytest.mark.parametrize("name", ["LOCALHOST", "localhost", "unknown.invalid", "xn--a", None])
def test_T14_every_name_meets_the_same_rule(stack: Stack, name: str | None) -> None:
    def ask(identity: Identity | None) -> bytes:
        context = stack.context(identity)
        context.check_hostname = False
        context.set_alpn_protocols(["h2", "http/1.1"])
        with stack.connect(context, name=name) as connection:
            assert connection.selected_alpn_protocol() != "h2"
            connection.sendall(GET + END)
            return connection.recv(1000)

    assert ask(stack.identities["ci"]).startswith(b"HTTP/1.1 200 ")
    with contextlib.suppress(OSError):
        assert ask(None) == b""


def test_T14_the_preface_of_http_2_is_no_request(stack: Stack) -> None:
    answer = stack.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    # An offer to change the protocol is passed over.
    answer = stack.first(GET + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def token(head: dict[str, Any], claims: dict[str, Any]) -> str:
    """An unsigned or wrongly signed token."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, claims)]
    return ".".join([*parts, "c2lnbmF0dXJl" if head["alg"] != "none" else ""])


AUDITOR = {"iss": "https://token.actions.githubusercontent.com", "aud": "signer", "exp": 2**40,
           "sub": "spiffe://dev.invalid/robot/auditor"}  # fmt: skip
FORGED_TOKENS = {
    "alg none": token({"alg": "none"}, AUDITOR),
    "a public key as a shared secret": token({"alg": "HS256", "kid": "release"}, AUDITOR),
    "an unknown crit": token({"alg": "ES256", "crit": ["b64"], "b64": False}, AUDITOR),
    "a key of its own": token({"alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}, AUDITOR),
    "a key id that is a path": token({"alg": "ES256", "kid": "../../../dev/null"}, AUDITOR),
    "an address for keys": token({"alg": "ES256", "jku": "https://evil.invalid/jwks"}, AUDITOR),
}


@pytest.mark.parametrize("forged", FORGED_TOKENS.values(), ids=FORGED_TOKENS.keys())
def test_T15_no_token_is_an_identity(stack: Stack, forged: str) -> None:
    # There is no mode that reads tokens: whoever shows one is whom the certificate names, or nobody.
    headers = {"Authorization": f"Bearer {forged}"}
    assert stack.request("GET", "/v1/access", by="auditor").status == 200
    assert stack.request("GET", "/v1/access", headers=headers).said == (403, "not-authorised")
    nameless = stack.pki.client("nameless-token", uris=[])
    request = b"GET /v1/access HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + forged.encode() + b"\r\n" + END
    assert stack.first(request, by=nameless).startswith(b"HTTP/1.1 401 ")
    refused_at_the_door(stack, None)
