# SPDX-License-Identifier: Apache-2.0
"""The settings file of a server, read once at start.

    origin = "signing.example.com/ledger"

    [ledger]
    database = "sqlite:////var/lib/signer/ledger.db"
    persons = "sqlite:////var/lib/signer-custodian/persons.db"
    guard = "/var/lib/signer/guard"
    key = "/etc/signer/ledger.key"

    [custodian]
    socket = "/run/signer/custodian.sock"
    admin_socket = "/run/signer/admin.sock"
    web_uids = [990]
    admin_uids = [0]

    [web]
    bind = "0.0.0.0:8443"
    certificate = "/etc/signer/server.pem"
    key = "/etc/signer/server.key"
    client_ca = "/etc/signer/clients.pem"

    [[keys]]
    name = "release"
    uri = "pkcs11:token=signer;object=release;id=%01"
    purpose = "statement"
    algorithm = "ecdsa-p256-sha256"

    [[tokens]]
    label = "signer"
    module = "/usr/lib/softhsm/libsofthsm2.so"
    pin_file = "/etc/signer/pin"

    [[aws_kms]]
    region = "eu-central-1"

Unknown keys are refused, paths are absolute, and no secret stands in the file: it names the files that hold them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from signer.errors import Misconfigured
from signer.key_settings import AwsKmsSettings, KeySettings, TokenSettings
from signer.settings_checks import check_absolute, check_distinct
from signer.settings_shape import to_path, unknown_keys

MAX_SETTINGS = 256 * 1024

_ORIGIN = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._-]+)*")
_BIND = re.compile(r"(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """Where the record stands: its database, the table of pseudonyms, the guard and the checkpoint key."""

    database: str
    """URL of the database of leaves and documents: sqlite:////PATH, or postgresql+psycopg://USER@/NAME?host=FOLDER.
    The custodian writes it, web reads it."""
    persons: str
    """URL of the database of pseudonyms, readable by the custodian alone."""
    guard: Path
    """File with the newest checkpoint; a ledger that is older than it is not used."""
    key: Path
    """Ed25519 private key, PEM (PKCS #8), readable by the custodian's user alone."""

    def __post_init__(self) -> None:
        _check_url("database", self.database)
        _check_url("persons", self.persons)
        if self.database == self.persons:
            raise ValueError("database and persons are two databases: web reads the first and never the second")
        check_absolute(self)

    @property
    def revocations(self) -> Path:
        """The published revocation list, beside the guard."""
        return self.guard.with_name("revocations.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianSettings:
    """The custodian's two sockets, who may speak on them, and its limits."""

    socket: Path
    """Where web reaches the custodian."""
    admin_socket: Path
    """Where commands of an operator reach the custodian."""
    web_uids: tuple[int, ...]
    """Users who may speak on `socket`."""
    admin_uids: tuple[int, ...]
    """Users who may speak on `admin_socket`."""
    queue: int = 1024
    """Commands waiting at most; beyond it the answer is 503."""
    token_deadline: float = 5.0
    """Seconds after which a silent token worker is ended."""
    probe_interval: float = 60.0
    """Seconds without a signature after which a key is probed; 0 for no probes."""

    def __post_init__(self) -> None:
        if self.socket == self.admin_socket:
            raise ValueError("socket and admin_socket are two sockets")
        if self.queue < 1:
            raise ValueError("queue is at least 1")
        if not 0 < self.token_deadline <= 60:  # noqa: PLR2004 - one minute is the bound itself
            raise ValueError("token_deadline is between 0 and 60 seconds")
        if self.probe_interval != 0 and not 1 <= self.probe_interval <= 3600:  # noqa: PLR2004 - an hour is the bound itself
            raise ValueError("probe_interval is 0, or between 1 and 3600 seconds")
        check_absolute(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """The mutual TLS listener and its companions; `public_bind` and `metrics_bind` are off when absent."""

    bind: str
    """HOST:PORT of the listener of callers."""
    certificate: Path
    """The server's certificate and its chain, PEM."""
    key: Path
    """The server's private key, PEM, readable by web's user alone."""
    client_ca: Path
    """The CAs of callers' certificates, PEM: a few of your own; public CAs are refused."""
    crl: Path | None = None
    """Revoked certificates of callers, PEM."""
    public_bind: str | None = None
    """HOST:PORT of the public listener: keys, trust file, checkpoint, hash tiles."""
    metrics_bind: str | None = None
    """HOST:PORT of the operations listener: metrics, liveness, readiness; keep it on loopback."""
    workers: int = 2
    """Processes that serve callers, one for each core."""
    threads: int = 8
    """Requests that one worker serves at a time."""
    body_limit: int = 16 * 1024 * 1024
    """Bytes of one request body at most."""

    def __post_init__(self) -> None:
        for name in ("bind", "public_bind", "metrics_bind"):
            value = getattr(self, name)
            if value is not None:
                split_bind(value)
        for name in ("workers", "threads", "body_limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1")
        check_absolute(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentSettings:
    """Evidence of more than 1 MiB: where it comes in and where it stays; refused when the section is absent."""

    spool: Path
    """Folder of uploads; web writes it, the custodian reads it."""
    store: Path
    """Folder of kept documents, beside the database and backed up with it; the custodian writes it, web reads it."""
    limit: int = 256 * 1024 * 1024
    """Bytes of one document at most."""
    quota: int = 1024 * 1024 * 1024
    """Bytes that one principal's uploads may take in the spool at a time."""
    total: int = 4 * 1024 * 1024 * 1024
    """Bytes that all uploads may take in the spool at a time."""

    def __post_init__(self) -> None:
        if self.spool == self.store:
            raise ValueError("spool and store are two folders: web writes the first and never the second")
        if not 0 < self.limit <= self.quota <= self.total:
            raise ValueError("limit, quota and total grow in this order")
        check_absolute(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of `signer.toml`."""

    origin: str
    """Name of the ledger: schema-less URL without a trailing slash (C2SP tlog-checkpoint)."""
    ledger: LedgerSettings
    custodian: CustodianSettings
    web: WebSettings
    documents: DocumentSettings | None = None
    keys: tuple[KeySettings, ...] = ()
    tokens: tuple[TokenSettings, ...] = ()
    aws_kms: tuple[AwsKmsSettings, ...] = ()

    def __post_init__(self) -> None:
        if _ORIGIN.fullmatch(self.origin) is None:
            raise ValueError("origin is written HOST/PATH, without a scheme")
        check_distinct("keys", [key.name for key in self.keys])
        check_distinct("keys (uri)", [key.uri for key in self.keys])
        check_distinct("tokens", [token.label for token in self.tokens])
        check_distinct("aws_kms", [kms.region for kms in self.aws_kms])
        for kms in self.aws_kms:
            if kms.connect_timeout + kms.read_timeout >= self.custodian.token_deadline:
                raise ValueError("connect_timeout and read_timeout of aws_kms end before custodian.token_deadline")


def load_settings(path: Path | str) -> Settings:
    """Read and check the file at `path`; raises Misconfigured with every unknown key by name."""
    source = Path(path)
    try:
        data = source.read_bytes()
    except OSError as fault:
        raise _misconfigured(source, f"cannot be read: {fault.strerror}") from None
    if len(data) > MAX_SETTINGS:
        raise _misconfigured(source, f"is larger than {MAX_SETTINGS} bytes")
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise _misconfigured(source, f"is not TOML: {fault}") from None
    unknown = sorted(unknown_keys(table, Settings))
    if unknown:
        raise _misconfigured(source, f"has unknown keys: {', '.join(unknown)}")
    try:
        return msgspec.convert(table, Settings, dec_hook=to_path)
    except msgspec.ValidationError as fault:
        raise _misconfigured(source, f"is not valid: {fault}") from None


def split_bind(bind: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8443` or `[::1]:8443`; raises ValueError."""
    match = _BIND.fullmatch(bind)
    if match is None or int(match[2]) > 65535:  # noqa: PLR2004 - the highest port
        raise ValueError(f"{bind!r} is not written HOST:PORT")
    return match[1].strip("[]"), int(match[2])


def _misconfigured(path: Path, sentence: str) -> Misconfigured:
    return Misconfigured(
        "settings-invalid", f"{path} {sentence}", remedy="correct the file; `signer doctor --config FILE` checks it"
    )


def _check_url(what: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.password is not None:
        raise ValueError(f"{what} holds a password; name a passfile in the URL instead")
    if parts.scheme == "sqlite":
        # sqlite:////absolute/path: urlsplit drops the empty authority and leaves //absolute/path.
        if not url.startswith("sqlite:////"):
            raise ValueError(f"{what} is not an absolute path: write sqlite:////path")
    elif parts.scheme != "postgresql+psycopg":
        raise ValueError(f"{what} starts with sqlite: or postgresql+psycopg:")
