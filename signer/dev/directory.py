# SPDX-License-Identifier: Apache-2.0
"""Where everything of `signer dev` stands, under one directory.

DIR/env ready trust.json signer.toml policy.yaml access.yaml
DIR/ca/          the throwaway CA and the server's certificate
DIR/identities/  NAME/{cert.pem,key.pem,approval.key,approval.pub}
DIR/owners/      NAME.key NAME.pub
DIR/signers/     keys of the demo builder, scanner and source platform
DIR/samples/     an artifact and the attestations about it
DIR/state/       ledger, pseudonyms, guard, ledger key
DIR/token/       the software token, its configuration and its PIN
DIR/run/         sockets and the lock; DIR/log/ what the processes print
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from signer.errors import Misconfigured

ROBOTS = ("ci", "deployer")
OWNERS = ("owner-1", "owner-2")
PEOPLE = ("approver-1", "approver-2", "auditor", *OWNERS)
IDENTITIES = (*ROBOTS, *PEOPLE)
SIGNERS = ("builder", "scanner", "source")

MAX_SOCKET_PATH = 107
"""Bytes of a Unix socket's path, as Linux's sockaddr_un holds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevDirectory:
    """The paths below `root`, which is absolute."""

    root: Path
    settings: Path
    env: Path
    ready: Path
    """Stands here only while the authority answers: its address, and the process that a killed one cannot remove."""
    trust: Path
    policy: Path
    access: Path
    ca: Path
    samples: Path
    state: Path
    spool: Path
    token: Path
    log: Path
    run: Path
    web_socket: Path
    admin_socket: Path

    @classmethod
    def at(cls, path: Path) -> DevDirectory:
        """Name the paths; touches nothing."""
        root = path.absolute()
        return cls(
            root=root,
            settings=root / "signer.toml",
            env=root / "env",
            ready=root / "ready",
            trust=root / "trust.json",
            policy=root / "policy.yaml",
            access=root / "access.yaml",
            ca=root / "ca",
            samples=root / "samples",
            state=root / "state",
            spool=root / "spool",
            token=root / "token",
            log=root / "log",
            run=root / "run",
            web_socket=root / "run" / "custodian.sock",
            admin_socket=root / "run" / "admin.sock",
        )

    @classmethod
    def prepare(cls, path: Path) -> DevDirectory:
        """Make the directory and its rooms, private to this user; raises Misconfigured when it cannot serve."""
        directory = cls.at(path)
        if len(os.fsencode(directory.web_socket)) > MAX_SOCKET_PATH:
            raise Misconfigured(
                "directory-too-long",
                f"{directory.root} is too long for a socket below it",
                remedy="choose a directory with a shorter path",
            )
        try:
            for room in (directory.root, *(directory.root / name for name in _ROOMS)):
                room.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            raise Misconfigured(
                "directory-unusable", f"{fault.filename}: {fault.strerror}", remedy="choose a directory of your own"
            ) from None
        return directory

    def identity(self, name: str) -> Path:
        """The directory of one identity: cert.pem, key.pem, approval.key, approval.pub."""
        return self.root / "identities" / name

    def owner_key(self, name: str) -> Path:
        """The owner's private key, PEM."""
        return self.root / "owners" / f"{name}.key"

    def signer_key(self, name: str) -> Path:
        """The private key with which a demo system signs its attestations, PEM."""
        return self.root / "signers" / f"{name}.key"


_ROOMS = ("ca", "identities", "owners", "signers", "samples", "state", "spool", "token", "run", "log")


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only this user may read, whole or not at all."""
    _write(path, data, 0o600)


def write_public(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: readers see the old bytes or the new ones."""
    _write(path, data, 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A crash here leaves a .part file, which the next writer truncates.
    part = path.with_name(f"{path.name}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:  # noqa: PTH123 - a mode from the first byte on
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
