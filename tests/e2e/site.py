# SPDX-License-Identifier: Apache-2.0
"""A real authority's machine before `signer init`: two owners, their own keys, certificates, documents, a token."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from policy.library import render
from signer.dev.attestations import BUILDER_ID, REPOSITORY, VERIFIER_ID
from signer.dev.certificates import ensure_client, ensure_key, ensure_server, open_ca, public_pem
from signer.dev.directory import IDENTITIES, SIGNERS, DevDirectory
from signer.dev.documents import render_access, san_of
from signer.dev.samples import ensure_samples
from signer.dev.token import LABEL, ensure_token
from tests.e2e.running import SIGNER, Ran

ORIGIN = "sign.example.test/authority"
OWNERS = ("anna", "ben")
RELEASE: Mapping[str, tuple[str, str]] = {
    "release": (f"pkcs11:token={LABEL};object=release;id=%01", "ecdsa-p256-sha256")
}


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
            cwd=self.folder,
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


def make_site(
    folder: Path,
    *,
    keys: Mapping[str, tuple[str, str]] = RELEASE,
    environments: Collection[str] | None = None,
    devices: str = "",
) -> Site:
    """Everything in `folder`; `keys` are (URI, algorithm) by name, and each has an environment unless that is given."""
    now = datetime.now(UTC)
    directory = DevDirectory.prepare(folder)
    ca = open_ca(directory.ca, now=now)
    ensure_server(ca, directory.ca, now=now)
    for name in IDENTITIES:
        ensure_client(ca, directory.identity(name), name=name, san=san_of(name), now=now)
    for owner in OWNERS:
        ensure_key(folder / f"{owner}.key")
    pems = {name: public_pem(ensure_key(directory.signer_key(name))).decode() for name in SIGNERS}
    ensure_samples(directory, now=now)
    policy = (
        render(
            "better",
            name="demo",
            builder_id=BUILDER_ID,
            builder_key=pems["builder"],
            scanner_key=pems["scanner"],
            source_key=pems["source"],
            source_verifier=VERIFIER_ID,
            repository=REPOSITORY,
        )
        .decode()
        .rstrip()
    )
    (entry,) = [line for line in policy.splitlines() if "formats: [vsa]" in line]
    others = [entry.replace("release", name) for name in environments or keys]
    head = policy.replace(entry, "\n".join(others)) + "\n"
    (folder / "policy.yaml").write_text(head)
    (folder / "access.yaml").write_bytes(
        render_access(
            policy="demo",
            environments=list(environments or keys),
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
    entries = "\n".join(
        f'[[keys]]\nname = "{name}"\nuri = "{uri}"\npurpose = "statement"\nalgorithm = "{algorithm}"'
        for name, (uri, algorithm) in keys.items()
    )
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
{entries}
[[tokens]]
label = "{LABEL}"
module = "{token.module}"
pin_file = "{token.pin_file}"
environment = {{SOFTHSM2_CONF = "{token.configuration}"}}
{devices}
""")
    return Site(folder, port)


def fetch(site: Site, path: str, out: Path) -> Path:
    """GET `path` as ci, into a file."""
    code = (
        "import ssl, sys, urllib.request as u; url, ca, cert, key, out = sys.argv[1:];"
        "c = ssl.create_default_context(cafile=ca); c.load_cert_chain(cert, key);"
        "open(out, 'wb').write(u.urlopen(url, context=c).read())"
    )
    client = site.samples.identity("ci")
    words = [
        f"https://127.0.0.1:{site.port}{path}",
        site.folder / "ca" / "ca.pem",
        client / "cert.pem",
        client / "key.pem",
        out,
    ]
    subprocess.run([sys.executable, "-c", code, *map(str, words)], check=True, timeout=60)
    return out
