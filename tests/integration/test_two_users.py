# SPDX-License-Identifier: Apache-2.0
"""An installation as the how-to describes it: the settings of deploy/, two users, owners, no development part.

The commands are those of docs/how-to/run-with-systemd.md. Only root can start processes as other users.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.bodies import ACCESS, Workshop
from signer.dev.certificates import ensure_client, ensure_server, open_ca

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "signing.example.com/ledger"
CUSTODIAN, WEB, GROUP = 65531, 65532, 65532
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so")

SPAWN = (
    "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', 'import signer.cli, pkcs11']).returncode)"
)


def obstacle() -> str:
    """Why other users cannot run the checkout on this machine; empty when they can."""
    if os.geteuid() != 0:
        return "only root can start processes as other users"
    as_web = ["setpriv", f"--reuid={WEB}", f"--regid={GROUP}", "--clear-groups", "--", sys.executable, "-c", SPAWN]
    ended = subprocess.run(as_web, cwd=ROOT, capture_output=True, check=False, env={"PATH": os.environ["PATH"]})
    return "" if ended.returncode == 0 else "the checkout or its Python lies where other users may not go"


pytestmark = pytest.mark.skipif(bool(obstacle()), reason=obstacle())


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass(slots=True)
class Machine:
    """The folders of one installation below `root`, and the processes that run there."""

    root: Path
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def path(self, place: str) -> Path:
        """Where a path of the example settings is here."""
        return self.root / place.lstrip("/")

    @property
    def config(self) -> str:
        return str(self.path("/etc/signer/signer.toml"))

    def run(
        self, *words: str, user: int | None = None, expect: int = 0, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end as `user`, or as root; its exit code must be the expected one."""
        ended = subprocess.run(
            self._as(user, words),
            cwd=self.root,
            env=self._environment(environment),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert ended.returncode == expect, f"{words}\n{ended.stdout}\n{ended.stderr}"
        return ended

    def signer(
        self, *words: str, user: int | None = None, expect: int = 0, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run a command of `signer`; what it said."""
        ended = self.run(sys.executable, "-m", "signer.cli", *words, user=user, expect=expect, environment=environment)
        return ended.stdout + ended.stderr

    def start(self, *words: str, user: int) -> subprocess.Popen[bytes]:
        """Start a server as `user`."""
        log = (self.root / f"{words[0]}.log").open("wb")
        with log:
            process = subprocess.Popen(
                self._as(user, (sys.executable, "-m", "signer.cli", *words)),
                cwd=self.root,
                env=self._environment(None),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o027,
            )
        self.processes.append(process)
        return process

    def wait_for(
        self, command: Sequence[str], *, user: int | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Until a command of `signer` succeeds."""
        deadline = time.monotonic() + 30
        while True:
            ended = subprocess.run(
                self._as(user, (sys.executable, "-m", "signer.cli", *command)),
                cwd=self.root,
                env=self._environment(environment),
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            if ended.returncode == 0:
                return
            logs = "\n".join(path.read_text("utf-8")[-1500:] for path in self.root.glob("*.log"))
            assert time.monotonic() < deadline, f"{ended.stdout}\n{ended.stderr}\n{logs}"
            time.sleep(0.2)

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(timeout=30)

    def _as(self, user: int | None, words: Sequence[str]) -> list[str]:
        if user is None:
            return list(words)
        return ["setpriv", f"--reuid={user}", f"--regid={GROUP}", "--clear-groups", "--", *words]

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        # A user without a home has no ~/.config; the checkout stands in for the installed package.
        plain = {"PATH": os.environ["PATH"], "HOME": str(self.root), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
        return {**plain, "PYTHONDONTWRITEBYTECODE": "1", **(more or {})}


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """Steps 2 and 3: folders with their owners, settings, PIN, token, TLS files."""
    folder = Path(tempfile.mkdtemp(prefix="signer-"))  # not pytest's folder: other users may not enter that one
    folder.chmod(0o755)
    here = Machine(folder, free_port())
    for place, owner, group, mode in (
        ("/var/lib/signer", CUSTODIAN, GROUP, 0o2750),
        ("/var/lib/signer-spool", WEB, GROUP, 0o750),
        ("/var/lib/signer-custodian", CUSTODIAN, CUSTODIAN, 0o700),
        ("/run/signer", CUSTODIAN, GROUP, 0o750),
        ("/run/credentials/signer-custodian.service", CUSTODIAN, CUSTODIAN, 0o700),
        ("/etc/signer/tls", 0, GROUP, 0o750),
    ):
        here.path(place).mkdir(parents=True)
        os.chown(here.path(place), owner, group)
        here.path(place).chmod(mode)
    write_configuration(here)
    here.path("/var/lib/signer-custodian/tokens").mkdir(mode=0o700)
    os.chown(here.path("/var/lib/signer-custodian/tokens"), CUSTODIAN, CUSTODIAN)
    here.run(
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        "signer",
        "--pin",
        "1234",
        "--so-pin",
        "12345678",
        user=CUSTODIAN,
        environment={"SOFTHSM2_CONF": str(here.path("/etc/signer/softhsm2.conf"))},
    )
    try:
        yield here
    finally:
        here.stop()
        shutil.rmtree(folder)


def write_configuration(here: Machine) -> None:
    """The files of deploy/ with this machine's folders; certificates and PIN."""
    text = (ROOT / "deploy" / "signer.toml.example").read_text("utf-8")
    for place in ("/var/lib/signer", "/run/", "/etc/signer"):
        text = text.replace(f'"{place}', f'"{here.root}{place}').replace(
            f"sqlite:///{place}", f"sqlite:///{here.root}{place}"
        )
    text = text.replace("0.0.0.0:8443", f"127.0.0.1:{here.port}").replace("127.0.0.1:9464", f"127.0.0.1:{free_port()}")
    text = text.replace(MODULES[0], next(path for path in MODULES if Path(path).exists()))
    here.path("/etc/signer/signer.toml").write_text(text)
    token = (ROOT / "deploy" / "softhsm2.conf").read_text("utf-8").replace("/var/lib", f"{here.root}/var/lib")
    here.path("/etc/signer/softhsm2.conf").write_text(token)
    pin = here.path("/run/credentials/signer-custodian.service/pin")
    pin.write_text("1234")
    os.chown(pin, CUSTODIAN, CUSTODIAN)
    pin.chmod(0o400)
    now, made = datetime.now(UTC), here.root / "pki"
    ca = open_ca(made, now=now)
    ensure_server(ca, made, now=now)
    ensure_client(ca, made / "ci", name="ci", san="spiffe://dev.invalid/robot/ci", now=now)
    files = {"server.pem": "server/cert.pem", "server.key": "server/key.pem", "clients.pem": "ca.pem"}
    for name, source in files.items():
        target = here.path("/etc/signer/tls") / name
        shutil.copy(made / source, target)
        os.chown(target, WEB, GROUP)
        target.chmod(0o400)


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Machine:
    """Steps 4 to 6: owners, documents, genesis, the custodian, its key, trust, web."""
    workshop = Workshop.open()
    (machine.root / "policy.yaml").write_text(workshop.policy())
    (machine.root / "access.yaml").write_text(ACCESS)
    for number, item in enumerate(json.loads(workshop.body(1))["evidence"]):
        (machine.root / f"evidence-{number}.json").write_bytes(base64.b64decode(item["content"]))
    for owner in ("owner-1", "owner-2"):
        machine.run(
            "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{owner}.key"
        )
        machine.run("openssl", "pkey", "-in", f"{owner}.key", "-pubout", "-out", f"{owner}.pub")
        for action in ("policy", "access"):
            machine.signer(
                "owner",
                "sign",
                "--action",
                action,
                "--document",
                f"{action}.yaml",
                "--origin",
                ORIGIN,
                "--key",
                f"{owner}.key",
                "--out",
                f"{action}.{owner}",
            )
    acts = [f"--signature={action}.{owner}" for action in ("policy", "access") for owner in ("owner-1", "owner-2")]
    machine.signer(
        "init",
        "--config",
        machine.config,
        "--owner",
        "owner-1.pub",
        "--owner",
        "owner-2.pub",
        "--threshold",
        "2",
        "--policy",
        "policy.yaml",
        "--access",
        "access.yaml",
        *acts,
        user=CUSTODIAN,
    )
    machine.start("custodian", "--config", machine.config, user=CUSTODIAN)
    machine.wait_for(["keys", "create", "release", "--config", machine.config])
    machine.signer("trust", "draft", "--config", machine.config, "--out", "trust-document.json")
    for owner in ("owner-1", "owner-2"):
        machine.signer(
            "owner",
            "sign",
            "--action",
            "trust",
            "--document",
            "trust-document.json",
            "--key",
            f"{owner}.key",
            "--out",
            f"trust.{owner}",
        )
    machine.signer(
        "trust",
        "publish",
        "trust-document.json",
        "--signature",
        "trust.owner-1",
        "--signature",
        "trust.owner-2",
        "--config",
        machine.config,
    )
    machine.start("serve", "--config", machine.config, user=WEB)
    (machine.root / "trust.json").write_bytes(fetch_trust(machine))
    return machine


def client(machine: Machine) -> dict[str, str]:
    """The variables of the pipeline."""
    return {
        "SIGNER_URL": f"https://127.0.0.1:{machine.port}",
        "SIGNER_CA": str(machine.root / "pki" / "ca.pem"),
        "SIGNER_CLIENT_CERT": str(machine.root / "pki" / "ci" / "cert.pem"),
        "SIGNER_CLIENT_KEY": str(machine.root / "pki" / "ci" / "key.pem"),
        "SIGNER_TRUST": str(machine.root / "trust.json"),
    }


def test_the_doctor_finds_nothing_wrong_on_the_server_and_at_the_client(installed: Machine) -> None:
    installed.signer("doctor", "--config", installed.config)
    installed.signer("doctor", environment=client(installed))


def test_a_pipeline_gets_a_signature_that_verifies_without_allow_dev(installed: Machine) -> None:
    digest = json.loads(Workshop.open().body(1))["subjects"][0]
    subject = f"{digest['name']}@sha256:{digest['digest']['sha256']}"
    asked = ("--policy", "demo", "--environment", "release", "--subject", subject)
    evidence = [f"evidence-{number}.json" for number in range(3)]
    kept = ("--bundle", "bundle.json", "--receipt", "receipt.json")
    installed.signer("sign", *asked, "--evidence", *evidence, *kept, environment=client(installed))
    said = installed.signer("verify", "--trust", "trust.json", *kept, "--subject", subject, "--environment", "release")
    assert "VERIFIED" in said
    assert "DEVELOPMENT" not in said


def test_a_large_document_crosses_from_one_user_to_the_other(installed: Machine) -> None:
    document, back = installed.root / "build.log", installed.root / "back.log"
    document.write_bytes(os.urandom(3 * 1024 * 1024))
    digest = hashlib.sha256(document.read_bytes()).hexdigest()
    about = ("--kind", "build-log", "--media-type", "text/plain", "--subject", f"sha256:{'ab' * 32}")
    installed.signer("evidence", "add", str(document), "--policy", "demo", *about, environment=client(installed))
    installed.signer("evidence", "show", f"sha256:{digest}", "--out", str(back), environment=client(installed))
    assert back.read_bytes() == document.read_bytes()
    kept = installed.path("/var/lib/signer/documents") / digest
    assert (kept.stat().st_uid, kept.stat().st_gid) == (CUSTODIAN, GROUP)
    installed.run("test", "-w", str(kept), user=WEB, expect=1)
    installed.run("test", "-w", str(kept.parent), user=WEB, expect=1)
    assert list(installed.path("/var/lib/signer-spool").iterdir()) == []


def fetch_trust(machine: Machine) -> bytes:
    """The trust file, as an operator hands it to verifiers; waits until web answers."""
    values = client(machine)
    tls = ssl.create_default_context(cafile=values["SIGNER_CA"])
    tls.load_cert_chain(values["SIGNER_CLIENT_CERT"], values["SIGNER_CLIENT_KEY"])
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"{values['SIGNER_URL']}/v1/trust", context=tls, timeout=10) as answer:
                data: bytes = answer.read()
                return data
        except OSError:  # not listening yet
            assert time.monotonic() < deadline, (machine.root / "serve.log").read_text("utf-8")
            time.sleep(0.1)


@pytest.mark.parametrize(
    "place",
    [
        "/run/credentials/signer-custodian.service/pin",
        "/var/lib/signer-custodian/ledger.key",
        "/var/lib/signer-custodian/persons.db",
        "/var/lib/signer-custodian/tokens",
    ],
)
def test_the_user_of_web_cannot_read_a_secret(installed: Machine, place: str) -> None:
    assert installed.path(place).exists()
    ended = installed.run("test", "-r", str(installed.path(place)), user=WEB, expect=1)
    assert ended.returncode == 1


@pytest.mark.parametrize(
    "place", ["/var/lib/signer", "/var/lib/signer/ledger.db", "/var/lib/signer/guard", "/run/signer"]
)
def test_the_user_of_web_cannot_write_the_ledger_or_replace_a_socket(installed: Machine, place: str) -> None:
    assert installed.path(place).exists()
    installed.run("test", "-w", str(installed.path(place)), user=WEB, expect=1)


@pytest.mark.parametrize("user", [pytest.param(WEB, id="web"), pytest.param(65533, id="a stranger")])
def test_only_the_operator_may_use_the_admin_socket(installed: Machine, user: int) -> None:
    said = installed.signer("halt", "--config", installed.config, "--reason", "I may not", user=user, expect=78)
    assert "admin" in said
