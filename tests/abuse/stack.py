# SPDX-License-Identifier: Apache-2.0
"""The stack that is attacked: a real custodian with a SoftHSM key, the real listeners over mutual TLS, and callers.

Two teams share one authority: `ci` owns the policy demo and those of `tests.abuse.policies`, `other` owns the policy
other.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import urllib3
from cryptography.hazmat.primitives.asymmetric import ec

from signer.dev import attestations
from signer.domain.subject import Subject
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import parse_envelope
from signer.formats.spki import spki_pem
from signer.ledger.leaves import Leaf, decode_leaf
from tests import approvals
from tests.abuse.policies import EXCUSED, INDEPENDENT, PINNED, with_keys
from tests.authority import LiveAuthority
from tests.integration.web_pki import Authority, Identity
from tests.unit.evidence.private_instance import COMMIT, WORKFLOW
from tests.waivers import KEYS

START = 40.0
BODY_LIMIT = 16 * 1024 * 1024
DOCUMENT_LIMIT = 128 * 1024 * 1024
FOLLOWED = "https://127.0.0.1:{port}/followed"

ACCESS = """\
schema: signing-access/v1
metadata: {name: access, version: 1}
people:
  - {id: alice, sans: ["spiffe://dev.invalid/person/alice"], approvalKeys: ["ALICE"]}
  - {id: bob, sans: ["spiffe://dev.invalid/person/bob"], approvalKeys: ["BOB"]}
  - {id: developer, emails: [developer@dev.invalid], sans: ["spiffe://dev.invalid/person/developer"],
     logins: [{issuer: "https://github.com", id: 4711}], approvalKeys: ["DEVELOPER"]}
  - {id: kim, sans: ["spiffe://dev.invalid/person/kim"], approvalKeys: ["KIM"]}
  - {id: lee, sans: ["spiffe://dev.invalid/person/lee"], approvalKeys: ["LEE"]}
  - {id: omar, sans: ["spiffe://dev.invalid/person/omar"], approvalKeys: ["OMAR"]}
  - {id: guest, sans: ["spiffe://dev.invalid/person/guest"], approvalKeys: ["GUEST"]}
  - {id: reviewer, emails: [reviewer@dev.invalid]}
  - {id: maintainer, emails: [maintainer@dev.invalid]}
robots:
  - {id: ci, sans: ["spiffe://dev.invalid/robot/ci"]}
  - {id: other, sans: ["spiffe://dev.invalid/robot/other"]}
  - {id: auditor, sans: ["spiffe://dev.invalid/robot/auditor"]}
groups:
  - {id: release-managers, kind: release, members: [kim, lee, developer]}
  - {id: sre, kind: operations, members: [kim, omar, developer]}
  - {id: hasty, kind: release, members: [guest]}
grants:
  - {to: "robot:ci", actions: [sign, check, evidence, read], policies: [demo, independent, keyless, logged,
     excused, pinned, rollback], environments: [release], repositories: ["*"]}
  - {to: "robot:ci", actions: [sign, check, evidence, read], policies: [staged],
     environments: [release, production], repositories: ["*"]}
  - {to: "person:developer", actions: [sign, check, approve, read], policies: [staged], environments: [production],
     repositories: ["*"]}
  - {to: "person:kim", actions: [approve, read], policies: [staged], environments: [production], repositories: ["*"]}
  - {to: "person:lee", actions: [approve, read], policies: [staged], environments: [production], repositories: ["*"]}
  - {to: "person:omar", actions: [approve, read], policies: [staged], environments: [production], repositories: ["*"]}
  - {to: "person:guest", actions: [approve, read], policies: [staged], environments: [production], repositories: ["*"]}
  - {to: "robot:other", actions: [sign, check, evidence, read], policies: [other], environments: [release],
     repositories: ["*"]}
  - {to: "robot:auditor", actions: [read, audit], policies: ["*"], environments: ["*"], repositories: ["*"]}
  - {to: "person:alice", actions: [halt, waive, deploy, revoke], policies: ["*"], environments: ["*"],
     repositories: ["*"]}
quotas:
  - {to: "robot:ci", requestsPerMinute: 1000000, evidenceBytes: 10000000000}
  - {to: "robot:other", requestsPerMinute: 1000000, evidenceBytes: 10000000000}
  - {to: "person:alice", requestsPerMinute: 1000000, evidenceBytes: 10000000000}
  - {to: "robot:auditor", requestsPerMinute: 1000000, evidenceBytes: 10000000000}
  - {to: "group:release-managers", requestsPerMinute: 1000000, evidenceBytes: 10000000000}
  - {to: "group:sre", requestsPerMinute: 1000000, evidenceBytes: 10000000000}
  - {to: "group:hasty", requestsPerMinute: 20, evidenceBytes: 0}
"""
for _name, _key in {**KEYS, **approvals.KEYS}.items():
    _pem = spki_pem(_key.public_key()).replace("\n", "\\n")
    ACCESS = ACCESS.replace(f'"{_name.upper()}"', f'"{_pem}"')

HOSTILE_ENVIRONMENT = {
    # What an attacker who sets variables would try: gunicorn reads the first, requests-like clients the others.
    "GUNICORN_CMD_ARGS": "--cert-reqs 0 --forwarded-allow-ips=* --access-logfile=-",
    "FORWARDED_ALLOW_IPS": "*",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem, or the empty string."""
        kind = self.headers.get("Content-Type", "")
        return str(self.json["type"]).rpartition(":")[2] if kind == "application/problem+json" else ""

    @property
    def said(self) -> tuple[int, str]:
        """Status and code, to compare with what was expected."""
        return self.status, self.code

    def finding(self, rule: str) -> Mapping[str, Any]:
        """What stands in the way by one rule."""
        (found,) = [each for each in self.json["violations"] if each["rule"] == rule]
        return dict(found)


@dataclass(slots=True)
class Release:
    """An artifact of its own, and attestations about it that the policy demo allows."""

    subject: Subject
    commit: str
    signers: Mapping[str, ec.EllipticCurvePrivateKey]
    finished: datetime

    def provenance(self, *subjects: Subject, by: str = "builder", **changes: Any) -> bytes:
        about = subjects or (self.subject,)
        return self.by(
            by,
            attestations.provenance_statement(about, **{"finished": self.finished, "commit": self.commit, **changes}),
        )

    def source(self, *, by: str = "source", **changes: Any) -> bytes:
        return self.by(
            by, attestations.source_statement(**{"verified": self.finished, "commit": self.commit, **changes})
        )

    def review(self, *, by: str = "source", **changes: Any) -> bytes:
        return self.by(by, attestations.review_statement(**{"commit": self.commit, **changes}))

    def tests(self, *subjects: Subject, by: str = "builder", **changes: Any) -> bytes:
        return self.by(by, attestations.suite_statement(subjects or (self.subject,), **changes))

    def scan(self, *subjects: Subject, by: str = "scanner", **changes: Any) -> bytes:
        about = subjects or (self.subject,)
        return self.by(by, attestations.scan_statement(about, **{"finished": self.finished, **changes}))

    def sbom(self, *subjects: Subject, by: str = "builder") -> bytes:
        return self.by(by, attestations.sbom_statement(subjects or (self.subject,), created=self.finished))

    def built_keyless(self) -> bytes:
        """What the workflow that the policy keyless trusts says of the artifact, before anybody signs it."""
        return attestations.provenance_statement(
            [self.subject], finished=self.finished, builder_id=WORKFLOW, ref="refs/tags/v1.2.3", commit=COMMIT
        )

    def by(self, name: str, statement: bytes) -> bytes:
        """Any bytes as a statement of one of the signers."""
        return attestations.attest(statement, self.signers[name])

    def evidence(self, **changed: bytes | None) -> list[bytes]:
        """All six attestations, some replaced, and those that are None left out."""
        good = {name: getattr(self, name) for name in ("provenance", "source", "review", "tests", "scan", "sbom")}
        made = {name: changed[name] if name in changed else make() for name, make in good.items()}
        return [item for item in made.values() if item is not None]


@dataclass(slots=True)
class Stack:
    """A running authority and everything that callers need."""

    authority: LiveAuthority
    pki: Authority
    strangers: Authority
    port: int
    public_port: int
    metrics_port: int
    identities: dict[str, Identity]
    web: subprocess.Popen[bytes] | None = None
    failures: list[str] = field(default_factory=list)
    """Answers of the class 5xx that no test has said it expects."""
    _pools: dict[tuple[str, int], urllib3.PoolManager] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _good: dict[str, tuple[Release, list[bytes]]] = field(default_factory=dict)

    # The processes

    @classmethod
    def start(cls, folder: Path, *, web: Mapping[str, str] | None = None, **founding: Any) -> Stack:
        """Found an authority and serve it; `web` are further lines of [web] as TOML."""
        authority = LiveAuthority.found(folder / "a", **founding)
        authority.access_bytes = ACCESS.encode()
        (folder / "pki").mkdir()
        (folder / "theirs").mkdir()
        pki, strangers = Authority(folder / "pki", "ours"), Authority(folder / "theirs", "theirs")
        pki.server()
        pki.revoke(pki.folder / "clients.crl")
        port, public_port, metrics_port = free_ports(3)
        identities = {name: pki.client(name) for name in ("ci", "other", "auditor", "nobody")}
        for name in ("alice", "kim", "lee", "omar", "developer", "guest"):
            identities[name] = pki.client(name, uris=[f"spiffe://dev.invalid/person/{name}"])
        stack = cls(authority, pki, strangers, port, public_port, metrics_port, identities)
        stack.write_settings(**(web or {}))
        authority.start()
        authority.set_up()
        stack.activate("policy", named(authority.policy_bytes, "other"))
        stack.activate("policy", named(approvals.policy_document(authority.signers), "staged"))
        for text in (INDEPENDENT, EXCUSED, PINNED):
            stack.activate("policy", with_keys(text, authority.signers))
        stack.activate("policy", rollback(authority.policy_bytes))
        stack.serve()
        return stack

    @property
    def settings(self) -> Path:
        return self.authority.directory / "signer.toml"

    @property
    def crl(self) -> Path:
        return self.pki.folder / "clients.crl"

    @property
    def web_log(self) -> Path:
        return self.authority.directory / "web.log"

    def write_settings(self, **changes: str) -> None:
        """Put the real listeners into the settings file; `changes` are further lines of [web] as TOML."""
        text = self.settings.read_text()
        head, _, rest = text.partition("[web]\n")
        _, keys, tail = rest.partition("[[keys]]")
        folder = self.pki.folder
        web = {
            "bind": f'"127.0.0.1:{self.port}"',
            "public_bind": f'"127.0.0.1:{self.public_port}"',
            "metrics_bind": f'"127.0.0.1:{self.metrics_port}"',
            "certificate": f'"{folder / "server.pem"}"',
            "key": f'"{folder / "server.key"}"',
            "client_ca": f'"{self.pki.pem}"',
            "crl": f'"{self.crl}"',
            "workers": "2",
            "threads": "4",
            **changes,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in web.items())
        self.settings.write_text(f"{head}[web]\n{lines}{keys}{tail}")

    def serve(self) -> None:
        with self.web_log.open("ab") as log:
            self.web = subprocess.Popen(
                [sys.executable, "-P", "-m", "signer.cli", "serve", "--config", str(self.settings)],
                env={**os.environ, **HOSTILE_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait(self.is_up, what="web does not answer")

    def is_up(self) -> bool:
        assert self.web is not None
        assert self.web.poll() is None, self.web_log.read_text()
        try:
            ready = self.request("GET", "/readyz", may_fail=True).status == 200
            return ready and self.request("GET", "/livez", port=self.metrics_port).status == 200
        except (urllib3.exceptions.HTTPError, OSError):
            return False

    def stop(self) -> None:
        self.forget_connections()
        if self.web is not None:
            self.web.send_signal(signal.SIGTERM)
            assert self.web.wait(30) == 0, self.web_log.read_text()[-2000:]
        assert self.authority.stop() == 0, self.authority.log()[-2000:]

    def processes(self) -> list[psutil.Process]:
        """Every process of the service."""
        assert self.web is not None
        assert self.authority.process is not None
        heads = [psutil.Process(self.web.pid), psutil.Process(self.authority.process.pid)]
        return [each for head in heads for each in (head, *head.children(recursive=True))]

    @contextmanager
    def bounded(self, limit: int) -> Iterator[None]:
        """The web processes together never hold more than `limit` bytes beyond what they hold now, not for a moment."""
        assert self.web is not None
        head = psutil.Process(self.web.pid)
        pids = [each.pid for each in (head, *head.children(recursive=True))]
        for pid in pids:
            # Linux: forget the highest resident size so far.
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        before = sum(map(highest, pids))
        yield
        grown = sum(map(highest, pids)) - before
        assert grown < limit, f"grew by {grown} bytes"

    def wait(self, until: Callable[[], object], *, seconds: float = START, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, what
            time.sleep(0.05)

    # Asking

    def context(self, identity: Identity | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.pki.pem))
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        by: str = "ci",
        headers: Mapping[str, str] | None = None,
        port: int = 0,
        may_fail: bool = False,
    ) -> Answer:
        """Ask as one of the identities, on its kept connections; 5xx is written down unless it is expected."""
        port = port or self.port
        scheme = "http" if port == self.metrics_port else "https"
        given = {"Content-Type": "application/json", **(headers or {})} if body is not None else dict(headers or {})
        answered = self._pool(by, port).request(
            method, f"{scheme}://127.0.0.1:{port}{path}", body=body, headers=given, retries=False, redirect=False
        )
        answer = Answer(answered.status, dict(answered.headers), answered.data)
        if answer.status >= 500 and not may_fail:
            self.failures.append(f"{method} {path[:80]}: {answer.status} {answer.body[:300]!r}")
        return answer

    def post(self, path: str, document: Any, **options: Any) -> Answer:
        return self.request("POST", path, json.dumps(document).encode(), **options)

    def ask(
        self,
        release: Release | Sequence[Subject],
        evidence: Sequence[bytes],
        *,
        to: str = "/v1/signatures",
        policy: str = "demo",
        environment: str = "release",
        key: str | None = None,
        **options: Any,
    ) -> Answer:
        """Ask for a signature or a check."""
        headers = {} if key is None else {"Idempotency-Key": key}
        subjects = [release.subject] if isinstance(release, Release) else release
        return self.post(to, question(subjects, evidence, policy, environment), headers=headers, **options)

    def raw(self, request: bytes, *, by: Identity | None = None, context: ssl.SSLContext | None = None) -> bytes:
        """Send bytes and read until the server closes; an end without any answer is raised."""
        with self.connect(context or self.context(by or self.identities["ci"])) as connection:
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

    def first(self, request: bytes, *, by: Identity | None = None) -> bytes:
        """Send bytes and read what comes first; the server may keep the connection."""
        with self.connect(self.context(by or self.identities["ci"])) as connection:
            connection.sendall(request)
            return connection.recv(65536)

    def connect(self, context: ssl.SSLContext, *, name: str | None = "127.0.0.1", timeout: float = 15) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        try:
            return context.wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise

    def is_let_in(self, identity: Identity | None, context: ssl.SSLContext | None = None) -> int | None:
        """The status that one request gets, or None when TLS lets nothing through."""
        request = b"GET /v1/decisions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        try:
            answer = self.raw(request, context=context or self.context(identity))
        except (OSError, http.client.HTTPException):
            return None
        return int(answer.split()[1])

    def forget_connections(self) -> None:
        for pool in self._pools.values():
            pool.clear()
        self._pools.clear()

    def _pool(self, by: str, port: int) -> urllib3.PoolManager:
        # One pool for each thread: answers must not be told apart by luck.
        key = (f"{by}/{threading.get_ident()}", port)
        if key not in self._pools:
            context = self.context(self.identities[by] if port == self.port else None)
            self._pools[key] = urllib3.PoolManager(ssl_context=context, timeout=urllib3.Timeout(connect=5, read=60))
        return self._pools[key]

    # The record

    def size(self) -> int:
        """Leaves of the ledger."""
        return self.authority.status().tree_size

    @contextmanager
    def unrecorded(self) -> Iterator[None]:
        """Nothing that happens inside is a leaf: it is not judged, and no key is used."""
        before = self.size()
        yield
        assert self.size() == before, "it left a leaf"

    def leaves(self, start: int = 0) -> list[Leaf]:
        reader = self.authority.reader()
        return [decode_leaf(reader.leaf(index)) for index in range(start, reader.head().size)]

    def log_lines(self) -> list[dict[str, Any]]:
        """What web logged, each line as its object."""
        return [json.loads(line) for line in self.web_log.read_text("ascii").splitlines()]

    def metrics(self) -> str:
        return self.request("GET", "/metrics", port=self.metrics_port).body.decode()

    # What is good

    def release(self, name: str = "shop.tar") -> Release:
        """An artifact that nobody has seen, built from a commit of its own."""
        number = next(self._numbers)
        token = secrets.token_bytes(8) + number.to_bytes(4)
        subject = Subject.of(name, {"sha256": sha256_hex(token)})
        finished = datetime.now(UTC) - timedelta(minutes=5)
        return Release(subject, sha256_hex(token)[:40], self.authority.signers, finished)

    def sign_good(self, *, by: str = "ci", policy: str = "demo", **options: Any) -> Answer:
        """A request that must be signed whenever the service is well."""
        if by not in self._good:
            fresh = self.release()
            self._good[by] = (fresh, fresh.evidence())
        release, evidence = self._good[by]
        return self.ask(release, evidence, by=by, policy=policy, **options)

    def wait_until_it_signs(self) -> None:
        """Wait for a token that comes back: readiness follows it with hysteresis, a signature does not."""
        self.wait(lambda: self.sign_good(may_fail=True).status == 200, what="nothing is signed", seconds=20)

    def activate(self, document: str, data: bytes) -> None:
        reply = self.authority.activate(document, data)
        assert type(reply).__name__ == "Done", reply


def highest(pid: int) -> int:
    """The most bytes that were resident at once."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def question(subjects: Sequence[Subject], evidence: Sequence[bytes], policy: str, environment: str) -> dict[str, Any]:
    """The body of a request."""
    return {
        "policy": policy,
        "environment": environment,
        "subjects": [
            {"name": each.name, "digest": {digest.algorithm: digest.value for digest in each.digests}}
            for each in subjects
        ],
        "evidence": [{"content": base64.b64encode(item).decode()} for item in evidence],
    }


def edited(statement: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A statement, changed before it is signed."""
    value = json.loads(statement)
    change(value)
    return json.dumps(value).encode()


def signed_statement(receipt: Answer) -> dict[str, Any]:
    """The statement inside the bundle of a receipt."""
    (bundle,) = receipt.json["bundles"]
    value = json.loads(base64.b64decode(bundle["bundle"]))
    envelope = parse_envelope(json.dumps(value["dsseEnvelope"]).encode())
    statement: dict[str, Any] = json.loads(envelope.payload)
    return statement


def named(policy: bytes, name: str) -> bytes:
    """The same policy under another name."""
    return policy.replace(b'name: "demo"', b'name: "%s"' % name.encode(), 1)


def rollback(policy: bytes) -> bytes:
    """A policy that asks for nothing but a rollback plan of the digest."""
    rule = b"\n  - {id: RBK-1, type: deployment.rollback, control: deployment, level: minimum}\nenvironments:"
    return named(policy, "rollback").replace(b"\nenvironments:", rule, 1)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, each another."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
