# SPDX-License-Identifier: Apache-2.0
"""Everything of a development authority that stands on disk before a process runs."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from policy.document import Policy, parse_policy
from policy.library import Stages, render
from policy.schema import PolicyError
from signer.dev.certificates import ensure_client, ensure_key, ensure_server, load_key, open_ca, public_pem
from signer.dev.directory import IDENTITIES, OWNERS, SIGNERS, DevDirectory, write_public
from signer.dev.documents import render_access, san_of
from signer.dev.token import LABEL, SoftToken, ensure_token
from signer.errors import Misconfigured
from signer.formats.spki import spki_der
from signer.identity.access import Access, parse_access
from signer.settings import Settings, load_settings

ORIGIN = "dev.invalid/signing-authority"
POLICY, ENVIRONMENT = "demo", "release"
REPOSITORY = "github.com/acme/shop"
BUILDER_ID = "https://dev.invalid/builder"
SOURCE_VERIFIER = "https://dev.invalid/source"
PROMOTION = b"""\
# Nobody waits a week at a development authority.
promotion: {decisions: 2, period: 0s}
"""
THRESHOLD = 2
APPROVERS, PRODUCTION_KEY = "approvers", "production"
"""The group that approves for production, and the key that signs for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What stands on disk: settings, the documents to be in force, and the owners who sign for them."""

    directory: DevDirectory
    settings: Settings
    policy: Policy
    policy_bytes: bytes
    access: Access
    access_bytes: bytes

    @property
    def url(self) -> str:
        """Where the mutual TLS listener answers."""
        return f"https://{self.settings.web.bind}"

    @property
    def environment(self) -> str:
        """The environment that the printed commands name."""
        names = list(self.policy.environments)
        return ENVIRONMENT if ENVIRONMENT in names else names[0]

    @property
    def owners(self) -> tuple[bytes, ...]:
        """DER SubjectPublicKeyInfo of both owners."""
        return tuple(spki_der(load_key(self.directory.owner_key(name)).public_key()) for name in OWNERS)


def install(
    directory: DevDirectory, *, port: int, policy: Path | None, access: Path | None, now: datetime
) -> Installation:
    """Make what is missing, keep what is there, write the settings; raises Misconfigured."""
    ca = open_ca(directory.ca, now=now)
    ensure_server(ca, directory.ca, now=now)
    for name in IDENTITIES:
        ensure_client(ca, directory.identity(name), name=name, san=san_of(name), now=now)
        ensure_key(directory.identity(name) / "approval.key")
    for name in OWNERS:
        ensure_key(directory.owner_key(name))
    for name in SIGNERS:
        ensure_key(directory.signer_key(name))
    token = ensure_token(directory.token)
    policy_bytes, parsed_policy = _policy(directory, policy)
    access_bytes, parsed_access = _access(directory, access, policy=parsed_policy)
    write_public(directory.settings, _render_settings(directory, token=token, policy=parsed_policy, port=port))
    return Installation(
        directory=directory,
        settings=load_settings(directory.settings),
        policy=parsed_policy,
        policy_bytes=policy_bytes,
        access=parsed_access,
        access_bytes=access_bytes,
    )


def _policy(directory: DevDirectory, wished: Path | None) -> tuple[bytes, Policy]:
    if wished is not None:
        data = _read(wished)
    elif directory.policy.exists():
        data = directory.policy.read_bytes()
    else:
        pems = {name: public_pem(load_key(directory.signer_key(name))).decode() for name in SIGNERS}
        data = render(
            "better",
            name=POLICY,
            builder_id=BUILDER_ID,
            builder_key=pems["builder"],
            scanner_key=pems["scanner"],
            source_key=pems["source"],
            source_verifier=SOURCE_VERIFIER,
            repository=REPOSITORY,
            environment=ENVIRONMENT,
            stages=Stages(approvers=APPROVERS, key=PRODUCTION_KEY),
        )
        # Two people approve for production; nobody at a throwaway authority waits two hours for it.
        data = data.replace(b", minSoak: 2h", b"").replace(b'{"approvers": 1}', b'{"approvers": 2}')
        data += PROMOTION
    try:
        return data, parse_policy(data)
    except PolicyError as fault:
        raise Misconfigured("policy-invalid", fault.detail, remedy=fault.remedy) from None


def _access(directory: DevDirectory, wished: Path | None, *, policy: Policy) -> tuple[bytes, Access]:
    if wished is not None:
        data = _read(wished)
    elif directory.access.exists():
        data = directory.access.read_bytes()
    else:
        keys = {name: (directory.identity(name) / "approval.pub").read_text() for name in IDENTITIES}
        # Another policy names its own repositories in its rules; the grant does not narrow them again.
        repositories = [REPOSITORY] if policy.name == POLICY else ["*"]
        data = render_access(
            policy=policy.name,
            environments=list(policy.environments),
            repositories=repositories,
            approval_keys=keys,
        )
    return data, parse_access(data)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise Misconfigured("document-unreadable", f"{path}: {fault.strerror}", remedy="name a readable file") from None


def _render_settings(directory: DevDirectory, *, token: SoftToken, policy: Policy, port: int) -> bytes:
    """signer.toml; each key that an environment names becomes an object of the software token."""
    uid = os.getuid()
    api, public, operations = _free_ports(port, 0, 0)
    purposes = {
        output.key: output.purpose for environment in policy.environments.values() for output in environment.outputs
    }
    lines = [
        "# Written anew at each start of `signer dev`.",
        f"origin = {_text(ORIGIN)}",
        "[ledger]",
        f"database = {_text(f'sqlite:///{directory.state}/ledger.db')}",
        f"persons = {_text(f'sqlite:///{directory.state}/persons.db')}",
        f"guard = {_text(directory.state / 'guard')}",
        f"key = {_text(directory.state / 'ledger.key')}",
        "[custodian]",
        f"socket = {_text(directory.web_socket)}",
        f"admin_socket = {_text(directory.admin_socket)}",
        f"web_uids = [{uid}]",
        f"admin_uids = [{uid}]",
        "# The key is a file on this machine: nothing is learnt by probing it, and leaves keep their numbers.",
        "probe_interval = 0",
        "[web]",
        f"bind = {_text(f'127.0.0.1:{api}')}",
        f"public_bind = {_text(f'127.0.0.1:{public}')}",
        f"metrics_bind = {_text(f'127.0.0.1:{operations}')}",
        f"certificate = {_text(directory.ca / 'server' / 'cert.pem')}",
        f"key = {_text(directory.ca / 'server' / 'key.pem')}",
        f"client_ca = {_text(directory.ca / 'ca.pem')}",
        "[documents]",
        f"spool = {_text(directory.spool)}",
        f"store = {_text(directory.state / 'documents')}",
    ]
    for name, purpose in sorted(purposes.items()):
        # The id follows from the name: another policy's keys never meet these.
        ident = "".join(f"%{byte:02X}" for byte in hashlib.sha256(name.encode()).digest()[:4])
        lines += [
            "[[keys]]",
            f"name = {_text(name)}",
            f"uri = {_text(f'pkcs11:token={LABEL};object={name};id={ident}')}",
            f"purpose = {_text(purpose)}",
            'algorithm = "ecdsa-p256-sha256"',
        ]
    lines += [
        "[[tokens]]",
        f"label = {_text(LABEL)}",
        f"module = {_text(token.module)}",
        f"pin_file = {_text(token.pin_file)}",
        f"environment = {{SOFTHSM2_CONF = {_text(token.configuration)}}}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _text(value: object) -> str:
    """A TOML basic string: JSON's escapes are a subset of TOML's."""
    return json.dumps(str(value), ensure_ascii=False)


def _free_ports(*wished: int) -> tuple[int, ...]:
    """The wished ports, or any free ones for 0, all different; raises Misconfigured when one is taken."""
    with ExitStack() as held:
        ports = []
        for port in wished:
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as fault:
                raise Misconfigured(
                    "port-taken", f"127.0.0.1:{port}: {fault.strerror}", remedy="choose another --port"
                ) from None
            ports.append(int(probe.getsockname()[1]))
        return tuple(ports)
