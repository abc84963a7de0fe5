# SPDX-License-Identifier: Apache-2.0
"""The HTTP client against a real TLS server: what it sends, when it repeats, what its errors say."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from signer.client.endpoint import Endpoint
from signer.client.http import Client
from signer.client.problem import Answered
from signer.client.tls import client_context
from signer.client.transport import ATTEMPTS
from signer.errors import Malformed, Misconfigured, Refused, SignerError, Unavailable
from tests.unit.client.server import Pki, Reply, Scripted, problem, serving

BODY = b'{"policy":"demo"}'


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.identity("expired", made.ca, not_before=ago(2), not_after=ago(1))
    made.identity("stranger", trustme.CA())
    other = trustme.CA()
    other.cert_pem.write_to_path(made.folder / "other-ca.pem")
    return made


def ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


@pytest.fixture
def server(pki: Pki) -> Iterator[Scripted]:
    with serving(pki) as running:
        yield running


@pytest.fixture
def naps() -> list[float]:
    return []


@pytest.fixture
def client(pki: Pki, server: Scripted, naps: list[float]) -> Client:
    return Client(pki.endpoint(server.url), sleep=naps.append)


def test_a_request_carries_its_key_and_exact_bytes(client: Client, server: Scripted) -> None:
    server.script([Reply(body=b'{"a": 1 }')])
    assert client.sign(BODY, idempotency_key="k1") == b'{"a": 1 }'
    [seen] = server.seen
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/signatures", BODY)
    assert seen.headers["idempotency-key"] == "k1"
    assert seen.headers["content-type"] == "application/json"


def test_one_connection_serves_many_requests(client: Client, server: Scripted) -> None:
    for _ in range(3):
        client.check(BODY)
    assert len(server.seen) == 3


def test_an_id_cannot_leave_its_path(client: Client, server: Scripted) -> None:
    client.decision("../../v1/halt?x=1#")
    assert server.seen[0].path == "/v1/decisions/..%2F..%2Fv1%2Fhalt%3Fx%3D1%23"


def test_a_busy_authority_is_asked_again_with_the_same_key(client: Client, server: Scripted, naps: list[float]) -> None:
    server.script([problem(503, "ledger-unavailable"), problem(429, "over-quota"), Reply(body=b"{}")])
    client.sign(BODY, idempotency_key="k1")
    assert [(seen.headers["idempotency-key"], seen.body) for seen in server.seen] == [("k1", BODY)] * 3
    assert len(naps) == 2


def test_the_pause_is_the_one_that_the_authority_asks_for(client: Client, server: Scripted, naps: list[float]) -> None:
    busy = problem(503, "ledger-unavailable")
    server.script([Reply(503, busy.body, {**busy.headers, "Retry-After": "3"})])
    client.check(BODY)
    assert naps == [3.0]


def test_a_connection_that_breaks_is_tried_again(client: Client, server: Scripted, naps: list[float]) -> None:
    server.script([Reply(0), Reply(body=b'{"ok":true}')])
    assert client.check(BODY) == {"ok": True}
    assert len(naps) == 1


def test_it_gives_up_and_says_what_the_authority_said(client: Client, server: Scripted, naps: list[float]) -> None:
    server.script([problem(503, "ledger-unavailable")] * 20)
    with pytest.raises(Answered) as answered:
        client.check(BODY)
    assert answered.value.code == "ledger-unavailable"
    assert len(server.seen) == ATTEMPTS
    assert len(naps) == ATTEMPTS - 1


def test_it_never_waits_beyond_its_time(pki: Pki, server: Scripted, naps: list[float]) -> None:
    busy = problem(503, "ledger-unavailable")
    server.script([Reply(503, busy.body, {**busy.headers, "Retry-After": "86400"})] * 3)
    with pytest.raises(Answered):
        Client(pki.endpoint(server.url), sleep=naps.append).check(BODY)
    assert (naps, len(server.seen)) == ([], 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 423, 500])
def test_a_lasting_answer_is_not_repeated(client: Client, server: Scripted, status: int) -> None:
    server.script([problem(status, "some-code", request_id="r1")])
    with pytest.raises(Answered) as answered:
        client.sign(BODY, idempotency_key="k1")
    assert len(server.seen) == 1
    assert (answered.value.problem.status, answered.value.code) == (status, "some-code")
    assert answered.value.problem.request_id == "r1"


def test_a_redirect_is_not_followed(client: Client, server: Scripted) -> None:
    server.script([Reply(302, b"", {"Location": "https://evil.example/"})])
    with pytest.raises(Answered) as answered:
        client.check(BODY)
    assert answered.value.code == "http-302"
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        pytest.param(Reply(502, b"<html>", {"Content-Type": "text/html"}), "http-502", id="a page of a proxy"),
        pytest.param(Reply(403, b"{", {"Content-Type": "application/problem+json"}), "http-403", id="a broken problem"),
        pytest.param(
            Reply(403, b'{"type":7,"decision":[]}', {"Content-Type": "application/problem+json"}),
            "http-403",
            id="a problem with wrong types",
        ),
    ],
)
def test_a_strange_answer_is_named(client: Client, server: Scripted, reply: Reply, code: str) -> None:
    server.script([reply])
    with pytest.raises(Answered) as answered:
        client.check(BODY)
    assert answered.value.code == code
    assert answered.value.problem.decision is None


@pytest.mark.parametrize("body", [b"", b"[]", b'{"a":1,"a":2}', b"<html>"], ids=repr)
def test_a_success_that_does_not_parse_is_no_fault_of_the_caller(client: Client, server: Scripted, body: bytes) -> None:
    server.script([Reply(body=body)])
    with pytest.raises(Unavailable) as unavailable:
        client.check(BODY)
    assert unavailable.value.code == "answer-malformed"


TLS: dict[str, tuple[Callable[[Pki, Scripted], Endpoint], type[SignerError], str]] = {
    "no client certificate": (
        lambda pki, server: pki.endpoint(server.url, client=None),
        Refused,
        "client-identity-required",
    ),
    "an expired client certificate": (
        lambda pki, server: pki.endpoint(server.url, client="expired"),
        Refused,
        "client-certificate-expired",
    ),
    "a client certificate of an unknown CA": (
        lambda pki, server: pki.endpoint(server.url, client="stranger"),
        Refused,
        "client-certificate-unknown-ca",
    ),
    "a server of an unknown CA": (
        lambda pki, server: pki.endpoint(server.url, ca="other-ca"),
        Misconfigured,
        "server-unknown-ca",
    ),
    "a server of another name": (
        lambda pki, server: pki.endpoint(server.url.replace("localhost", "127.0.0.1")),
        Misconfigured,
        "server-other-host",
    ),
}


@pytest.mark.parametrize(("make", "kind", "code"), TLS.values(), ids=TLS)
def test_a_handshake_that_fails_says_why(
    pki: Pki,
    server: Scripted,
    *,
    naps: list[float],
    make: Callable[[Pki, Scripted], Endpoint],
    kind: type[SignerError],
    code: str,
) -> None:
    with pytest.raises(kind) as fault:
        Client(make(pki, server), sleep=naps.append).check(BODY)
    assert fault.value.code == code
    assert fault.value.remedy
    assert naps == []


def test_a_server_without_tls_is_named(pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            channel, _ = plain.accept()
            with channel:
                channel.recv(1024)
                channel.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Misconfigured) as fault:
            Client(pki.endpoint(f"https://localhost:{plain.getsockname()[1]}"), sleep=lambda _: None).check(BODY)
        thread.join()
    assert fault.value.code == "server-not-tls"


def test_nobody_there_is_unavailable(pki: Pki, naps: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unavailable) as unavailable:
        Client(pki.endpoint(f"https://localhost:{port}"), sleep=naps.append).check(BODY)
    assert unavailable.value.code == "authority-unreachable"
    assert len(naps) == ATTEMPTS - 1


def test_silence_ends_in_time(pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = pki.endpoint(f"https://localhost:{silent.getsockname()[1]}", timeout=0.3)
        with pytest.raises(Unavailable) as unavailable:
            Client(endpoint).check(BODY)
    assert unavailable.value.code == "authority-unreachable"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "localhost:8443",
        "https://",
        "https://user@host",
        "https://host/?a=b",
        "https://host:x",
        "file:///etc/passwd",
    ],
)
def test_only_an_https_address_is_accepted(pki: Pki, url: str) -> None:
    with pytest.raises(Misconfigured) as fault:
        Client(pki.endpoint(url))
    assert fault.value.code == "url-invalid"


def test_files_that_do_not_load_are_named(pki: Pki, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(Misconfigured) as fault:
        Client(Endpoint(url="https://localhost", ca=broken, certificate=None, key=None, timeout=1))
    assert fault.value.code == "ca-unreadable"
    with pytest.raises(Misconfigured) as fault:
        Client(Endpoint(url="https://localhost", ca=None, certificate=broken, key=broken, timeout=1))
    assert fault.value.code == "client-certificate-unreadable"
    with pytest.raises(Misconfigured) as fault:
        Client(Endpoint(url="https://localhost", ca=None, certificate=None, key=broken, timeout=1))
    assert fault.value.code == "client-certificate-unreadable"


def test_the_context_verifies_the_server(pki: Pki) -> None:
    context = client_context(ca=pki.folder / "ca.pem", certificate=None, key=None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_no_address_stands_in_an_error_that_is_not_the_configured_one(pki: Pki, naps: list[float]) -> None:
    with pytest.raises(Unavailable) as unavailable:
        Client(pki.endpoint("https://localhost:9"), sleep=naps.append).check(BODY)
    assert re.findall(r"https://\S+", unavailable.value.detail) == ["https://localhost:9:"]


# Large documents


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "build.log"
    path.write_bytes(b"0123456789abcdef" * 50_000)
    return path


LIMIT = Reply(body=b'{"limit":1000000}')


def test_a_file_is_uploaded_as_it_is_and_its_progress_told(client: Client, server: Scripted, document: Path) -> None:
    told: list[int] = []
    server.script([LIMIT, Reply(201, b'{"digest":"cd","size":800000}')])
    assert client.upload(document, moved=told.append) == {"digest": "cd", "size": 800_000}
    assert server.seen[1].body == document.read_bytes()
    assert server.seen[1].headers["content-length"] == "800000"
    assert server.seen[1].headers["content-type"] == "application/octet-stream"
    assert sum(told) == 800_000
    assert len(told) > 3, "in pieces"


def test_an_upload_that_breaks_is_sent_again_from_its_beginning(
    client: Client, server: Scripted, document: Path, naps: list[float]
) -> None:
    server.script([LIMIT, problem(503, "overloaded"), Reply(0), Reply(201, b'{"digest":"cd","size":800000}')])
    client.upload(document)
    assert [seen.body for seen in server.seen[1:]] == [document.read_bytes()] * 3
    assert len(naps) == 2


def test_a_file_beyond_the_limit_is_not_sent(client: Client, server: Scripted, document: Path) -> None:
    server.script([Reply(body=b'{"limit":799999}')])
    with pytest.raises(Malformed) as refused:
        client.upload(document)
    assert (refused.value.code, len(server.seen)) == ("too-large", 1)


def test_evidence_is_fetched_piece_by_piece(client: Client, server: Scripted) -> None:
    data = b"0123456789abcdef" * 50_000
    pieces: list[bytes] = []
    server.script([Reply(body=data, headers={"Content-Type": "text/plain"})])
    headers = client.fetch_evidence("ab" * 32, pieces.append)
    assert (b"".join(pieces), headers["content-type"]) == (data, "text/plain")
    assert len(pieces) > 3


def test_evidence_that_may_not_be_fetched_is_a_problem_and_no_bytes(client: Client, server: Scripted) -> None:
    pieces: list[bytes] = []
    server.script([problem(404, "not-found")])
    with pytest.raises(Answered) as answered:
        client.fetch_evidence("ab" * 32, pieces.append)
    assert (answered.value.code, pieces) == ("not-found", [])


def test_evidence_that_ends_early_is_not_taken_for_whole(client: Client, server: Scripted) -> None:
    server.script([Reply(body=b"half", headers={"X": "y\r\nContent-Length: 8"})])
    with pytest.raises(Unavailable):
        client.fetch_evidence("ab" * 32, lambda _piece: None)
