# SPDX-License-Identifier: Apache-2.0
"""A real authority, made step by step as `signer init` says: two owners, their own keys, no development mode."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policy.library import render
from signer.dev.attestations import BUILDER_ID, REPOSITORY, VERIFIER_ID
from signer.dev.certificates import ensure_client, ensure_key, ensure_server, open_ca, public_pem
from signer.dev.directory import IDENTITIES, SIGNERS, DevDirectory
from signer.dev.documents import render_access, san_of
from signer.dev.samples import ensure_samples
from signer.dev.token import LABEL, ensure_token
from tests.e2e.running import REQUEST, SIGNER, Ran, wait_for

ORIGIN = "sign.example.test/authority"
OWNERS = ("anna", "ben")


@dataclass(frozen=True, slots=True)
class Site:
    """One machine's files before `signer init`: settings, certificates, documents, owners, token."""

    folder: Path
    port: int

    @property
    def config(self) -> Path:
        return self.folder / "signer.toml"

    @property
    def samples(self) -> DevDirectory:
        return DevDirectory.at(self.folder)

    def signer(self, *arguments: str | Path, **environ: str) -> Ran:
        client = self.samples.identity("ci")
        known = {
            "SIGNER_CONFIG": str(self.config),
            "SIGNER_URL": f"https://127.0.0.1:{self.port}",
            "SIGNER_CA": str(self.folder / "ca" / "ca.pem"),
            "SIGNER_CLIENT_CERT": str(client / "cert.pem"),
            "SIGNER_CLIENT_KEY": str(client / "key.pem"),
        }
        done = subprocess.run(
            [*SIGNER, *map(str, arguments)],
            env={**os.environ, **known, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def consent(self, action: str, document: Path, *owners: str) -> list[str | Path]:
        """`--signature` for each owner, made with the owner's key and no settings at all."""
        words: list[str | Path] = []
        for owner in owners:
            out = self.folder / f"{document.stem}.{owner}.sig"
            ran = self.signer(
                *("owner", "sign", "--action", action, "--document", document, "--origin", ORIGIN),
                *("--key", self.folder / f"{owner}.key", "--out", out),
                SIGNER_CONFIG="",
                SIGNER_URL="",
            )
            assert ran.code == 0, ran.err
            words += ["--signature", out]
        return words

    def init(self, *arguments: str | Path, threshold: int = 2) -> Ran:
        owners = [word for owner in OWNERS for word in ("--owner", self.folder / f"{owner}.pub")]
        return self.signer("init", *owners, "--threshold", str(threshold), *arguments)

    def documents(self) -> list[str | Path]:
        return ["--policy", self.folder / "policy.yaml", "--access", self.folder / "access.yaml"]

    @contextmanager
    def running(self, command: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / f"{command}.log").open("ab") as log:
            process = subprocess.Popen([*SIGNER, command, "--config", str(self.config)], stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder, now = tmp_path, datetime.now(UTC)
    directory = DevDirectory.prepare(folder)
    ca = open_ca(directory.ca, now=now)
    ensure_server(ca, directory.ca, now=now)
    for name in IDENTITIES:
        ensure_client(ca, directory.identity(name), name=name, san=san_of(name), now=now)
    for owner in OWNERS:
        ensure_key(folder / f"{owner}.key")
    keys = {name: public_pem(ensure_key(directory.signer_key(name))).decode() for name in SIGNERS}
    ensure_samples(directory, now=now)
    (folder / "policy.yaml").write_bytes(
        render(
            "better",
            name="demo",
            builder_id=BUILDER_ID,
            builder_key=keys["builder"],
            scanner_key=keys["scanner"],
            source_key=keys["source"],
            source_verifier=VERIFIER_ID,
            repository=REPOSITORY,
        )
    )
    (folder / "access.yaml").write_bytes(
        render_access(
            policy="demo",
            environments=["release"],
            repositories=[REPOSITORY],
            approval_keys={
                name: public_pem(ensure_key(directory.identity(name) / "approval.key")).decode() for name in IDENTITIES
            },
        )
    )
    token = ensure_token(directory.token)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    uid = os.getuid()
    (folder / "signer.toml").write_text(f"""\
origin = "{ORIGIN}"
[ledger]
database = "sqlite:///{directory.state}/ledger.db"
persons = "sqlite:///{directory.state}/persons.db"
guard = "{directory.state}/guard"
key = "{directory.state}/ledger.key"
[custodian]
socket = "{directory.web_socket}"
admin_socket = "{directory.admin_socket}"
web_uids = [{uid}]
admin_uids = [{uid}]
[web]
bind = "127.0.0.1:{port}"
certificate = "{directory.ca}/server/cert.pem"
key = "{directory.ca}/server/key.pem"
client_ca = "{directory.ca}/ca.pem"
workers = 1
[[keys]]
name = "release"
uri = "pkcs11:token={LABEL};object=release;id=%01"
purpose = "statement"
algorithm = "ecdsa-p256-sha256"
[[tokens]]
label = "{LABEL}"
module = "{token.module}"
pin_file = "{token.pin_file}"
environment = {{SOFTHSM2_CONF = "{token.configuration}"}}
""")
    return Site(folder, port)


def test_a_new_authority_signs_after_the_steps_that_init_prints(site: Site) -> None:
    policy, access = site.folder / "policy.yaml", site.folder / "access.yaml"
    consent = [*site.consent("policy", policy, *OWNERS), *site.consent("access", access, *OWNERS)]
    founded = site.init(*site.documents(), *consent)
    assert founded.code == 0, founded.err
    for step in (
        "signer custodian",
        "signer keys create release",
        "signer trust draft",
        "signer owner sign",
        "signer trust publish",
        "signer serve",
        "signer doctor",
    ):
        assert step in founded.err
    with ExitStack() as stack:
        stack.enter_context(site.running("custodian"))
        wait_for(site.samples.admin_socket.exists)
        created = site.signer("keys", "create", "release")
        assert created.code == 0, created.err
        draft, trust = site.folder / "trust-document.json", site.folder / "trust.json"
        assert site.signer("trust", "draft", "--out", draft).code == 0
        one = site.consent("trust", draft, "anna")
        assert site.signer("trust", "publish", draft, *one).code == 4
        published = site.signer("trust", "publish", draft, *site.consent("trust", draft, *OWNERS))
        assert published.code == 0, published.err
        stack.enter_context(site.running("serve"))
        wait_for(lambda: site.signer("doctor", "-o", "json", SIGNER_CONFIG="").json["checks"][-1]["ok"])
        doctor = site.signer("doctor", "--config", site.config, "-o", "json")
        assert doctor.code == 0, doctor.out
        # The first trust file comes by a trusted hand; here it is what the authority serves.
        served = site.signer("trust", "show", "--fetch", "-o", "json")
        assert (served.code, served.json["trust"]["dev"]) == (0, False)
        _fetch(site, trust)
        bundle, receipt = site.folder / "bundle.json", site.folder / "receipt.json"
        artifact: tuple[str | Path, ...] = ("--subject-file", site.samples.samples / "artifact.txt")
        evidence = sorted(site.samples.samples.glob("good*.json"))
        signed = site.signer(
            *("sign", *REQUEST, *artifact, "--evidence", *evidence),
            *("--bundle", bundle, "--receipt", receipt, "--trust", trust),
        )
        assert signed.code == 0, signed.err
    verified = site.signer(
        *("verify", "--trust", trust, "--bundle", bundle, "--receipt", receipt, "--environment", "release"), *artifact
    )
    assert verified.code == 0, verified.err
    assert "DEVELOPMENT" not in verified.err


def _fetch(site: Site, out: Path) -> None:
    """GET /v1/trust as ci."""
    code = (
        "import ssl, sys, urllib.request as u; url, ca, cert, key, out = sys.argv[1:];"
        "c = ssl.create_default_context(cafile=ca); c.load_cert_chain(cert, key);"
        "open(out, 'wb').write(u.urlopen(url + '/v1/trust', context=c).read())"
    )
    client = site.samples.identity("ci")
    words = [
        f"https://127.0.0.1:{site.port}",
        site.folder / "ca" / "ca.pem",
        client / "cert.pem",
        client / "key.pem",
        out,
    ]
    subprocess.run([sys.executable, "-c", code, *map(str, words)], check=True, timeout=60)


def test_init_overwrites_nothing(site: Site) -> None:
    assert site.init().code == 0
    kept = {path.name: path.read_bytes() for path in site.samples.state.iterdir() if path.suffix in ("", ".key", ".db")}
    again = site.init()
    assert (again.code, "ledger-exists" in again.err) == (78, True)
    assert {path.name: path.read_bytes() for path in site.samples.state.iterdir() if path.name in kept} == kept
    assert oct((site.samples.state / "ledger.key").stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("owners", [(), ("anna",), ("anna", "anna")])
def test_init_puts_no_document_in_force_without_the_threshold(site: Site, owners: tuple[str, ...]) -> None:
    policy = site.folder / "policy.yaml"
    ran = site.init("--policy", policy, *site.consent("policy", policy, *owners))
    assert ran.code == 4, ran.err
    # Nothing was begun: the same command with both signatures goes through.
    assert site.init("--policy", policy, *site.consent("policy", policy, *OWNERS)).code == 0


def test_init_refuses_a_threshold_that_cannot_be_met(site: Site) -> None:
    assert site.init(threshold=3).code == 78


def test_a_real_ledger_is_not_run_as_a_development_one(site: Site) -> None:
    assert site.init().code == 0
    ran = site.signer("custodian", "--config", site.config, "--dev-supervisor", str(os.getpid()))
    assert (ran.code, "not-dev" in ran.err) == (78, True)


@pytest.mark.parametrize("command", ["custodian", "serve"])
def test_without_a_ledger_nothing_starts(site: Site, command: str) -> None:
    ran = site.signer(command, "--config", site.config)
    assert ran.code == 78, ran.err
