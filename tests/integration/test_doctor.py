# SPDX-License-Identifier: Apache-2.0
"""The doctor on a server: every line of it fails when its part is broken, and says what to do."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from signer.cli.checkup import Line
from signer.cli.checkup_server import examine_server
from signer.dev.token import LABEL
from tests.contract.devices import kms_credentials
from tests.e2e.running import wait_for
from tests.e2e.site import OWNERS, Site, make_site
from tests.kms_server import Fault, KmsServer, kms_server

NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Installation:
    """A whole authority whose custodian has stopped; its settings name a key in a token and one in KMS."""

    site: Site
    kms: KmsServer

    def lines(self, *, later: timedelta = timedelta()) -> dict[str, Line]:
        now = datetime.now(UTC) + later
        return {line.what: line for line in examine_server(self.site.config, now=now)}


@pytest.fixture(scope="module")
def kms() -> Iterator[KmsServer]:
    with kms_server() as server:
        yield server


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, kms: KmsServer) -> Installation:
    folder = tmp_path_factory.mktemp("doctor")
    credentials = kms_credentials(folder)["AWS_SHARED_CREDENTIALS_FILE"]
    site = make_site(
        folder,
        keys={
            "release": (f"pkcs11:token={LABEL};object=release;id=%01", "ecdsa-p256-sha256"),
            "cloud": (f"awskms:///{kms.create('ECC_NIST_P256')}", "ecdsa-p256-sha256"),
        },
        devices=f"""\
[[aws_kms]]
region = "eu-central-1"
endpoint = "{kms.endpoint}"
credentials_file = "{credentials}"
environment = {{AWS_EC2_METADATA_DISABLED = "true"}}
""",
    )
    policy, access = folder / "policy.yaml", folder / "access.yaml"
    consent = [*site.consent("policy", policy, *OWNERS), *site.consent("access", access, *OWNERS)]
    assert site.init(*site.documents(), *consent).code == 0
    made = Installation(site, kms)
    with site.running("custodian"):
        wait_for(site.samples.admin_socket.exists)
        for name in ("release", "cloud"):
            created = site.signer("keys", "create", name, "--draft", folder / "draft.json")
            assert created.code == 0, created.err
        published = site.signer(
            "trust", "publish", folder / "draft.json", *site.consent("trust", folder / "draft.json", *OWNERS)
        )
        assert published.code == 0, published.err
        whole = made.lines()
        assert [line for line in whole.values() if not line.ok] == []
        assert all(line.what and line.required and line.found and line.remedy for line in whole.values())
        assert len(whole) >= 25
    return made


@contextmanager
def changed(path: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """The file with other bytes, for the length of a block."""
    held, mode = path.read_bytes(), path.stat().st_mode
    path.write_bytes(change(held))
    try:
        yield
    finally:
        path.write_bytes(held)
        path.chmod(mode)


@contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    held = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(held)


def setting(installed: Installation, old: str, new: str) -> Iterator[None]:
    text = installed.site.config.read_text()
    assert old in text
    with changed(installed.site.config, lambda data: data.replace(old.encode(), new.encode(), 1)):
        yield


def server_certificate(installed: Installation) -> Path:
    return installed.site.samples.ca / "server" / "cert.pem"


def self_signed(installed: Installation, **changes: object) -> Iterator[None]:
    """Another certificate for the server's own key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bare")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=9))
        .not_valid_after(NOW + timedelta(days=2 if "soon" in changes else 99))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    certificate = server_certificate(installed)
    with (
        changed(certificate, lambda _held: made.public_bytes(Encoding.PEM)),
        changed(certificate.with_name("key.pem"), lambda _held: pem),
    ):
        yield


def wrong_chain(installed: Installation) -> Iterator[None]:
    other = installed.site.samples.identity("ci") / "cert.pem"
    with changed(server_certificate(installed), lambda held: held + other.read_bytes()):
        yield


def other_server_key(installed: Installation) -> Iterator[None]:
    other = installed.site.samples.identity("ci") / "key.pem"
    with changed(server_certificate(installed).with_name("key.pem"), lambda _held: other.read_bytes()):
        yield


def open_server_key(installed: Installation) -> Iterator[None]:
    with mode(server_certificate(installed).with_name("key.pem"), 0o644):
        yield


def client_ca_that_is_none(installed: Installation) -> Iterator[None]:
    with changed(installed.site.samples.ca / "ca.pem", lambda _held: server_certificate(installed).read_bytes()):
        yield


def open_ledger_key(installed: Installation) -> Iterator[None]:
    with mode(installed.site.samples.state / "ledger.key", 0o644):
        yield


def lost_guard(installed: Installation) -> Iterator[None]:
    guard = installed.site.samples.state / "guard"
    away = guard.with_name("away")
    guard.rename(away)
    try:
        yield
    finally:
        away.rename(guard)


def altered_row(installed: Installation) -> Iterator[None]:
    database = installed.site.samples.state / "ledger.db"
    copy = shutil.copy(database, database.with_name("held.db"))
    connection = sqlite3.connect(database)
    for (trigger,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        connection.execute(f"drop trigger {trigger}")
    connection.execute("update leaf set body = replace(body, 'olga', 'carl') where idx = 0")
    connection.execute("update leaf set body = body || ' ' where idx = (select max(idx) from leaf)")
    connection.commit()
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    try:
        yield
    finally:
        for rest in database.parent.glob("ledger.db-*"):
            rest.unlink()
        shutil.move(copy, database)


def foreign_schema(installed: Installation) -> Iterator[None]:
    database = installed.site.samples.state / "ledger.db"
    copy = shutil.copy(database, database.with_name("held.db"))
    connection = sqlite3.connect(database)
    connection.execute("update alembic_version set version_num = '9999'")
    connection.commit()
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()
    try:
        yield
    finally:
        for rest in database.parent.glob("ledger.db-*"):
            rest.unlink()
        shutil.move(copy, database)


def wrong_pin(installed: Installation) -> Iterator[None]:
    with changed(installed.site.folder / "token" / "pin", lambda _held: b"canary-pin"):
        yield


def open_pin(installed: Installation) -> Iterator[None]:
    with mode(installed.site.folder / "token" / "pin", 0o644):
        yield


def lost_module(installed: Installation) -> Iterator[None]:
    yield from setting(installed, 'module = "/', 'module = "/nowhere/')


def other_label(installed: Installation) -> Iterator[None]:
    yield from setting(installed, "object=release;id=%01", "object=release;id=%02")


def other_algorithm(installed: Installation) -> Iterator[None]:
    uri = f"pkcs11:token={LABEL};object=release;id=%01"
    yield from setting(
        installed,
        f'uri = "{uri}"\npurpose = "statement"\nalgorithm = "ecdsa-p256-sha256"',
        f'uri = "{uri}"\npurpose = "statement"\nalgorithm = "ecdsa-p384-sha384"',
    )


def other_key_in_kms(installed: Installation) -> Iterator[None]:
    [arn] = [arn for arn in installed.kms.keys if arn in installed.site.config.read_text()]
    yield from setting(installed, arn, installed.kms.create("ECC_NIST_P256"))


def kms_denies_signing(installed: Installation) -> Iterator[None]:
    installed.kms.fail("Sign", Fault("error", "AccessDeniedException"))
    yield


def kms_denies_looking(installed: Installation) -> Iterator[None]:
    installed.kms.fail("DescribeKey", Fault("error", "AccessDeniedException"))
    yield


def wrong_origin(installed: Installation) -> Iterator[None]:
    yield from setting(installed, 'origin = "', 'origin = "other.')


def untouched(_installed: Installation) -> Iterator[None]:
    yield


CASES = [
    pytest.param("settings", lambda at: setting(at, "[web]", "[web]\nunknown = 1"), 0, "unknown", id="settings"),
    pytest.param("server certificate", untouched, 9000, "new certificate", id="a certificate past its end"),
    pytest.param("server key", other_server_key, 0, "pair them", id="the key of another certificate"),
    pytest.param("server chain", wrong_chain, 0, "sort", id="a chain that is none"),
    pytest.param("server EKU", self_signed, 0, "serverAuth", id="a certificate without extended key usage"),
    pytest.param("server SAN", self_signed, 0, "SAN", id="a certificate without names"),
    pytest.param("server key file", open_server_key, 0, "chmod 600", id="a key that everybody reads"),
    pytest.param("client CA", client_ca_that_is_none, 0, "clients' CA", id="a CA that is none"),
    pytest.param("ledger key", open_ledger_key, 0, "", id="a ledger key that everybody reads"),
    pytest.param("guard", lost_guard, 0, "restore the guard", id="a lost guard"),
    pytest.param("database", altered_row, 0, "restore", id="a leaf that was altered in the database"),
    pytest.param("database", foreign_schema, 0, "", id="a database of another version"),
    pytest.param("genesis", wrong_origin, 0, "right ledger", id="the settings of another ledger"),
    pytest.param("clock", untouched, -2, "synchronise", id="a clock behind the newest leaf"),
    pytest.param("policy expiry", untouched, 364, "signer policy activate", id="a policy near its end"),
    pytest.param("socket", untouched, 0, "signer custodian", id="no custodian"),
    pytest.param("admin socket", untouched, 0, "signer custodian", id="no custodian for the operator"),
    pytest.param(f"device {LABEL}", wrong_pin, 0, "PIN", id="a wrong PIN"),
    pytest.param(f"PIN of {LABEL} file", open_pin, 0, "chmod 600", id="a PIN that everybody reads"),
    pytest.param(f"device {LABEL}", lost_module, 0, "module", id="a module that is not there"),
    pytest.param("key release", other_label, 0, "exactly one", id="a key that the token lacks"),
    pytest.param("mechanism of key release", other_algorithm, 0, "[[keys]]", id="a key of another kind"),
    pytest.param("pin of key cloud", other_key_in_kms, 0, "signer keys create", id="another key in its place"),
    pytest.param("permission of key cloud", kms_denies_signing, 0, "kms:Sign", id="no permission to sign in KMS"),
    pytest.param("key cloud", kms_denies_looking, 0, "kms:DescribeKey", id="no permission to look in KMS"),
]


@pytest.mark.parametrize(("what", "broken", "days", "remedy"), CASES)
def test_a_broken_part_fails_its_line_and_says_what_helps(
    installed: Installation,
    what: str,
    broken: Callable[[Installation], Iterator[None]],
    days: int,
    remedy: str,
) -> None:
    signed = installed.kms.signed
    with contextmanager(broken)(installed):
        lines = installed.lines(later=timedelta(days=days))
    line = lines[what]
    assert not line.ok, line
    assert line.required
    assert line.found
    assert line.remedy
    assert remedy in line.remedy, line
    assert installed.kms.signed == signed, "a look signs nothing"
    assert not any("canary" in part for each in lines.values() for part in (each.found, each.required, each.remedy))
