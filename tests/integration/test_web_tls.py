# SPDX-License-Identifier: Apache-2.0
"""The real server process on loopback: who gets in, what stops it, and what does not."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.integration.web_pki import Authority, Identity
from tests.unit.web.world import Keys, build_world

READY = 20.0


@dataclass(slots=True)
class Server:
    """A running server and everything a client needs to speak to it."""

    folder: Path
    authority: Authority
    stranger: Authority
    ci: Identity
    port: int
    settings: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None
    held: list[socket.socket] = field(default_factory=list)

    def start(self, *, ready: bool = True) -> None:
        path = self.folder / "settings.json"
        path.write_text(json.dumps(self.settings))
        # The descriptor is the child's; ours closes at once.
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.web_server", str(path)],
                stderr=log,
                stdout=log,
                cwd=Path(__file__).resolve().parents[2],
            )
        end = time.monotonic() + READY
        while ready:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.get("/livez")[0] == 200:
                    return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def context(self, identity: Identity | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.pem))
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context

    def connect(self, identity: Identity | None, *, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        try:
            return (context or self.context(identity)).wrap_socket(plain, server_hostname="127.0.0.1")
        except BaseException:
            plain.close()
            raise

    def get(
        self, path: str, *, identity: Identity | None = None, headers: Mapping[str, str] | None = None, port: int = 0
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port or self.port, timeout=10, context=self.context(identity or self.ci)
        )
        with contextlib.closing(connection):
            connection.request("GET", path, headers=dict(headers or {}))
            answer = connection.getresponse()
            body = answer.read()
            document = json.loads(body) if answer.headers["Content-Type"].endswith("json") else {}
            return answer.status, document

    def raw(self, request: bytes, *, context: ssl.SSLContext | None = None) -> bytes:
        """Send bytes and read until the server closes the connection; an end without any answer is raised."""
        with self.connect(self.ci, context=context) as connection:
            connection.sendall(request)
            received = b""
            try:
                while part := connection.recv(65536):
                    received += part
            except OSError:
                if not received:
                    raise
            if not received:
                raise ConnectionResetError
            return received

    def asked(self) -> str:
        record = self.folder / "asked"
        return record.read_text() if record.exists() else ""

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines() if line.startswith("{")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def prepare(folder: Path, **changes: Any) -> Server:
    world = build_world(folder, keys=Keys.make())
    world.application.reader._engine.dispose()
    (folder / "theirs").mkdir()
    authority, stranger = Authority(folder, "ours"), Authority(folder / "theirs", "theirs")
    authority.server()
    port = free_port()
    settings = {"folder": str(folder), "bind": f"127.0.0.1:{port}", "client_ca": str(authority.pem), **changes}
    return Server(folder, authority, stranger, authority.client("ci"), port, settings)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = prepare(tmp_path_factory.mktemp("web"))
    made.start()
    yield made
    assert made.stop() == 0


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Server]:
    """A server that the test starts, changes and may kill."""
    made = prepare(tmp_path)
    yield made
    if made.process is not None:
        made.stop()


def test_a_good_certificate_is_served(server: Server) -> None:
    assert server.get("/v1/decisions") == (200, {"decisions": [], "next": None})


# Refused by TLS: no handler runs.


def no_certificate(server: Server) -> Identity | None:
    return None


def wrong_authority(server: Server) -> Identity | None:
    return server.stranger.client("ci")


def expired(server: Server) -> Identity | None:
    return server.authority.client("expired", begins=timedelta(days=-2), ends=timedelta(days=-1))


def not_yet_valid(server: Server) -> Identity | None:
    return server.authority.client("early", begins=timedelta(days=1), ends=timedelta(days=2))


def server_usage(server: Server) -> Identity | None:
    return server.authority.client("usage", usage=ExtendedKeyUsageOID.SERVER_AUTH)


REFUSED = {
    no_certificate: "no-certificate",
    wrong_authority: "certificate-refused",
    expired: "certificate-refused",
    not_yet_valid: "certificate-refused",
    server_usage: "certificate-refused",
}


@pytest.mark.parametrize(("make", "reason"), REFUSED.items(), ids=[each.__name__ for each in REFUSED])
def test_the_handshake_refuses(server: Server, make: Any, reason: str) -> None:
    before = len([line for line in server.log_lines() if line["event"] == "request"])
    failed = failures(server)
    identity = make(server)
    # With TLS 1.3 the client learns of it only when it reads.
    with pytest.raises((ssl.SSLError, ConnectionError)):
        server.raw(b"GET /v1/decisions HTTP/1.1\r\nHost: a\r\n\r\n", context=server.context(identity))
    assert len([line for line in server.log_lines() if line["event"] == "request"]) == before
    assert next_failure(server, failed) == reason
    assert server.get("/livez")[0] == 200


def failures(server: Server) -> list[str]:
    return [str(line["reason"]) for line in server.log_lines() if line["event"] == "handshake failed"]


def next_failure(server: Server, before: list[str]) -> str:
    """The reason of the first failed handshake after `before`; the peer hears of it before the log does."""
    deadline = time.monotonic() + 5
    while len(found := failures(server)) <= len(before):
        assert time.monotonic() < deadline, "no failed handshake was logged"
        time.sleep(0.01)
    return found[len(before)]


def test_tls_1_2_is_refused(server: Server) -> None:
    context = server.context(server.ci)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    failed = failures(server)
    with pytest.raises(ssl.SSLError):
        server.connect(None, context=context)
    assert next_failure(server, failed) == "old-protocol"


def test_plain_http_is_no_answer_and_stops_nobody(server: Server) -> None:
    failed = failures(server)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := plain.recv(1000):
                received += part
    assert b"HTTP/1.1" not in received
    assert next_failure(server, failed) == "plain-http"
    assert server.get("/livez")[0] == 200


def test_no_session_is_resumed(server: Server) -> None:
    context = server.context(server.ci)
    with server.connect(None, context=context) as first:
        first.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        first.recv(1000)
        assert first.session is None or not first.session.has_ticket


# Let in by TLS, and still nobody.


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        pytest.param(
            {"uris": ["spiffe://dev.invalid/robot/ci", "spiffe://dev.invalid/robot/auditor"]},
            401,
            "client-identity-required",
            id="two URI names",
        ),
        pytest.param({"uris": []}, 401, "client-identity-required", id="a common name alone"),
        pytest.param({"uris": ["https://dev.invalid/robot/ci"]}, 401, "client-identity-required", id="no SPIFFE ID"),
        pytest.param({"uris": ["spiffe://dev.invalid/robot/*"]}, 401, "client-identity-required", id="a wildcard"),
        pytest.param({"uris": ["spiffe://dev.invalid/robot/nobody"]}, 403, "not-authorised", id="an unknown name"),
    ],
)
def test_an_odd_certificate_names_nobody(server: Server, options: dict[str, Any], status: int, code: str) -> None:
    odd = server.authority.client("odd", **options)
    answered, document = server.get("/v1/decisions", identity=odd)
    assert (answered, document["type"].rpartition(":")[2]) == (status, code)


def test_a_ca_certificate_is_no_leaf(server: Server) -> None:
    authority = server.authority.client("intermediate", uris=["spiffe://dev.invalid/robot/ci"], is_ca=True)
    try:
        status, _ = server.get("/v1/decisions", identity=authority)
    except (ssl.SSLError, ConnectionError, http.client.HTTPException):
        return
    assert status == 401


# Headers and message boundaries.


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-Client-Cert: By=spiffe://dev.invalid/robot/auditor",
        "x-forwarded-client-cert: a\r\nX-Forwarded-Client-Cert: b",
        "X_Forwarded_Client_Cert: By=spiffe://dev.invalid/robot/auditor",
        "X-SSL-Client-S-DN: CN=auditor",
        "Ssl-Client-Verify: SUCCESS",
        "SCRIPT_NAME: /v1",
        "Script-Name: /v1",
        "PATH_INFO: /v1/access",
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Proto: http",
    ],
)
def test_a_header_that_claims_something_is_400(server: Server, header: str) -> None:
    answer = server.raw(f"GET /v1/keys HTTP/1.1\r\nHost: a\r\n{header}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    assert b"urn:signing-authority:problem:untrusted-header" in answer


def test_a_script_name_does_not_lead_past_the_route(server: Server) -> None:
    answer = server.raw(b"GET /public/livez HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /public\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = (
    b"POST /v1/checks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
)
BOUNDARIES = {
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 38\r\n\r\n",
    "a list of lengths": b"Content-Length: 0, 38\r\n\r\n",
    "a signed length": b"Content-Length: +0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a coding with a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a coding with a next-line": b"Transfer-Encoding: chunked\x85\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk size in another base": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "a bare line feed in a chunk": b"Transfer-Encoding: chunked\r\n\r\n0\n\r\n",
}


def smuggled(server: Server) -> int:
    return len([line for line in server.log_lines() if line.get("status") == 404 and line.get("route") == "none"])


@pytest.mark.parametrize("head", BOUNDARIES.values(), ids=BOUNDARIES.keys())
def test_a_request_has_one_end(server: Server, head: bytes) -> None:
    before = smuggled(server)
    answer = server.raw(b"POST /v1/halt HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + head + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert len(re.findall(rb"HTTP/1\.1 [0-9]", answer)) == 1, "the second request is not answered"
    assert smuggled(server) == before


LIMITS = {
    "a long request line": (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
    "a long header": (b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", b"431"),
    "many headers": (b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 100 + b"\r\n", b"431"),
    "an unknown version": (b"GET /livez HTTP/9.9\r\nHost: a\r\n\r\n", b"400"),
    "no request at all": (b"\x00\x01\x02\r\n\r\n", b"400"),
}


@pytest.mark.parametrize(("request_bytes", "status"), LIMITS.values(), ids=LIMITS.keys())
def test_a_head_beyond_the_limits_is_a_problem(server: Server, request_bytes: bytes, status: bytes) -> None:
    answer = server.raw(request_bytes)
    assert answer.startswith(b"HTTP/1.1 " + status), answer[:200]
    assert b"application/problem+json" in answer


def test_a_chunked_body_beyond_the_cap_is_413(server: Server) -> None:
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with server.connect(server.ci) as connection:
        connection.sendall(CHUNKED)
        # The server may answer before all of it is sent.
        with contextlib.suppress(OSError):
            for _ in range(40):
                connection.sendall(chunk)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
    assert server.asked() == ""


def test_a_body_cut_off_at_the_cap_is_not_read_as_the_whole(server: Server) -> None:
    # Good JSON up to the cap, and more after it: the part alone would parse.
    body = json.dumps({"policy": "demo", "environment": "release", "subjects": [], "evidence": []}).encode()
    whole = body + b" " * (1024 * 1024 - len(body)) + b"{"
    answer = server.raw(CHUNKED + b"%x\r\n" % len(whole) + whole + b"\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_that_claims_too_much_is_413_unread(server: Server) -> None:
    answer = server.raw(
        b"POST /v1/checks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


# Slow peers.


def test_half_handshakes_and_silent_connections_stop_nobody(server: Server) -> None:
    held = []
    try:
        for number in range(40):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            held.append(connection)
            # Three bytes of a ClientHello, no TLS at all, or silence; and none of them hangs up.
            connection.sendall((b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"")[number % 3])
        slowest = 0.0
        for _ in range(5):
            begun = time.monotonic()
            assert server.get("/livez")[0] == 200
            slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 1.5, "a thread was held"
        # And they are not kept: two seconds after accept each of them is gone.
        end = time.monotonic() + 8
        for connection in held:
            connection.settimeout(max(0.1, end - time.monotonic()))
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""
    finally:
        for connection in held:
            connection.close()


def test_a_handshake_byte_by_byte_ends_in_time(server: Server) -> None:
    hello = ssl.MemoryBIO()
    client = server.context(server.ci).wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection, contextlib.suppress(OSError):
        for byte in hello.read():
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
            assert time.monotonic() - begun < 8
    assert server.get("/livez")[0] == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET /livez HTTP/1.1\r\nHost: a\r\nX: ", id="an unfinished header"),
        pytest.param(
            b"POST /v1/checks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
            id="an unfinished body",
        ),
    ],
)
def test_a_slow_request_ends_in_time_and_stops_nobody(server: Server, request_bytes: bytes) -> None:
    slow = [server.connect(server.ci) for _ in range(8)]
    try:
        for connection in slow:
            connection.sendall(request_bytes)
        begun = time.monotonic()
        for number in range(6):
            time.sleep(0.4)
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.sendall(b"%d" % number)
        assert server.get("/livez")[0] == 200
        assert time.monotonic() - begun < 9
    finally:
        for connection in slow:
            connection.close()


# Revocation.


def ask_again(connection: http.client.HTTPSConnection) -> None:
    connection.request("GET", "/v1/decisions")
    connection.getresponse()


def test_a_revocation_list_swapped_at_run_time_counts_at_once(lone: Server) -> None:
    crl = lone.folder / "clients.crl"
    lone.authority.revoke(crl)
    lone.settings["crl"] = str(crl)
    lone.start()
    assert lone.get("/v1/decisions")[0] == 200
    kept = http.client.HTTPSConnection("127.0.0.1", lone.port, timeout=10, context=lone.context(lone.ci))
    with contextlib.closing(kept):
        kept.request("GET", "/v1/decisions")
        assert kept.getresponse().read()

        lone.authority.revoke(crl, lone.ci.serial)
        with pytest.raises((OSError, http.client.HTTPException)):
            lone.get("/v1/decisions")
        with pytest.raises((OSError, http.client.HTTPException)):
            ask_again(kept)

    lone.authority.revoke(crl)
    assert lone.get("/v1/decisions")[0] == 200


@pytest.mark.parametrize("fault", ["gone", "torn", "old"])
def test_a_revocation_list_that_cannot_be_used_lets_nobody_in(lone: Server, fault: str) -> None:
    crl = lone.folder / "clients.crl"
    lone.authority.revoke(crl)
    lone.settings["crl"] = str(crl)
    lone.start()
    match fault:
        case "gone":
            crl.unlink()
        case "torn":
            crl.write_bytes(crl.read_bytes()[:100])
        case _:
            lone.authority.revoke(crl, ends=timedelta(days=-1))
    with pytest.raises((OSError, http.client.HTTPException)):
        lone.get("/v1/decisions")
    lone.authority.revoke(crl)
    assert lone.get("/v1/decisions")[0] == 200


# The process.


def test_every_listener_serves_what_is_its_own(lone: Server) -> None:
    public, operations = free_port(), free_port()
    lone.settings |= {"public_bind": f"127.0.0.1:{public}", "metrics_bind": f"127.0.0.1:{operations}", "workers": 2}
    lone.start()
    no_certificate = lone.authority.client("unused")
    end = time.monotonic() + READY
    while True:
        with contextlib.suppress(OSError):
            status, document = lone.get("/v1/keys", identity=no_certificate, port=public)
            break
        assert time.monotonic() < end
        time.sleep(0.1)
    assert status == 200
    assert [key["name"] for key in document["keys"]] == ["release"]
    assert lone.get("/v1/decisions", port=public)[0] == 404
    plain = http.client.HTTPConnection("127.0.0.1", operations, timeout=10)
    with contextlib.closing(plain):
        plain.request("GET", "/metrics")
        text = plain.getresponse().read().decode()
    assert 'signer_http_requests_total{method="GET",route="/livez",status="200"}' in text
    assert "signer_up 1.0" in text
    assert "signer_cert_expiry_timestamp_seconds" in text
    assert "signer_client_ca_expiry_timestamp_seconds" in text


def test_a_killed_worker_is_replaced_and_its_counts_stay(lone: Server) -> None:
    operations = free_port()
    lone.settings |= {"metrics_bind": f"127.0.0.1:{operations}"}
    lone.start()
    assert lone.process is not None
    for child in psutil.Process(lone.process.pid).children(recursive=True):
        if not child.children():
            child.kill()
    end = time.monotonic() + READY
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if lone.get("/livez")[0] == 200:
                break
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_killed_supervisor_leaves_no_process_and_no_port_behind(lone: Server) -> None:
    lone.settings |= {"public_bind": f"127.0.0.1:{free_port()}", "metrics_bind": f"127.0.0.1:{free_port()}"}
    lone.start()
    assert lone.process is not None
    family = psutil.Process(lone.process.pid).children(recursive=True)
    assert len(family) >= 6
    lone.process.kill()
    lone.process.wait(5)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    lone.start()
    assert lone.get("/livez")[0] == 200


def test_when_one_listener_ends_all_end(lone: Server) -> None:
    lone.settings |= {"public_bind": f"127.0.0.1:{free_port()}"}
    lone.start()
    assert lone.process is not None
    public = psutil.Process(lone.process.pid).children()[1]
    public.kill()
    assert lone.process.wait(20) == 1


def test_a_stop_that_was_asked_for_ends_well(lone: Server) -> None:
    lone.settings |= {"metrics_bind": f"127.0.0.1:{free_port()}"}
    lone.start()
    assert lone.stop() == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("ours-ca.pem", None, id="no authority file"),
        pytest.param("ours-ca.pem", b"", id="an empty authority file"),
        pytest.param("ours-ca.pem", b"junk", id="an unreadable authority file"),
        pytest.param("server.pem", b"", id="an empty certificate"),
        pytest.param("server.key", b"", id="an empty key"),
    ],
)
def test_unusable_tls_files_end_the_start_with_78(lone: Server, name: str, content: bytes | None) -> None:
    path = lone.folder / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    lone.start(ready=False)
    assert lone.process is not None
    assert lone.process.wait(20) == 78


def test_metrics_are_not_exposed_beyond_this_machine(lone: Server) -> None:
    lone.settings |= {"metrics_bind": f"0.0.0.0:{free_port()}"}
    lone.start(ready=False)
    assert lone.process is not None
    assert lone.process.wait(20) == 78


def test_nothing_of_the_server_can_be_steered_from_outside(server: Server) -> None:
    assert server.process is not None
    family = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    sockets = [str(each.laddr) for process in family for each in process.net_connections("unix")]
    assert [address for address in sockets if "gunicorn" in address] == []
