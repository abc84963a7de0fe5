# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from signer.devices import devices_of
from signer.errors import Misconfigured
from signer.settings import Settings, load_settings, split_bind

GOOD = """
origin = "dev.invalid/signing-authority"
[ledger]
database = "sqlite:////srv/ledger.db"
persons = "sqlite:////srv/persons.db"
guard = "/srv/guard"
key = "/srv/ledger.key"
[custodian]
socket = "/run/custodian.sock"
admin_socket = "/run/admin.sock"
web_uids = [990]
admin_uids = [0]
[web]
bind = "127.0.0.1:8443"
certificate = "/srv/server.pem"
key = "/srv/server.key"
client_ca = "/srv/clients.pem"
[[keys]]
name = "release"
uri = "pkcs11:token=signer;object=release"
purpose = "statement"
algorithm = "ecdsa-p256-sha256"
[[tokens]]
label = "signer"
module = "/usr/lib/softhsm/libsofthsm2.so"
pin_file = "/srv/pin"
environment = {SOFTHSM2_CONF = "/srv/softhsm2.conf"}
"""


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "signer.toml"
    path.write_text(text)
    return load_settings(path)


def test_a_complete_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "signer.toml"
    path.write_text(GOOD)
    loaded = load_settings(path)
    assert loaded.origin == "dev.invalid/signing-authority"
    assert loaded.ledger.guard == Path("/srv/guard")
    assert loaded.custodian.web_uids == (990,)
    assert (loaded.custodian.queue, loaded.web.workers, loaded.web.threads) == (1024, 2, 8)
    assert loaded.web.public_bind is None
    assert loaded.keys[0].purpose == "statement"
    assert loaded.tokens[0].environment == {"SOFTHSM2_CONF": "/srv/softhsm2.conf"}


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        pytest.param('origin = "dev', 'color = 1\norigin = "dev', "color", id="an unknown key at the top"),
        pytest.param("[custodian]", "[custodian]\npin = 1", "custodian.pin", id="an unknown key in a section"),
        pytest.param(
            'name = "release"', 'name = "release"\nlabel = ""', "keys[0].label", id="an unknown key in a list"
        ),
        pytest.param('guard = "/srv/guard"', 'guard = "guard"', "guard", id="a relative path"),
        pytest.param('guard = "/srv/guard"\n', "", "guard", id="a missing key"),
        pytest.param("web_uids = [990]", 'web_uids = ["web"]', "web_uids", id="a user name where a uid belongs"),
        pytest.param("sqlite:////srv/ledger.db", "sqlite:///ledger.db", "database", id="a relative database path"),
        pytest.param("sqlite:////srv/ledger.db", "mysql://x/y", "database", id="a database that is not supported"),
        pytest.param(
            "sqlite:////srv/ledger.db", "postgresql+psycopg://a:s3cret@db/l", "password", id="a password in a URL"
        ),
        pytest.param(
            "sqlite:////srv/persons.db", "sqlite:////srv/ledger.db", "two databases", id="one database for both"
        ),
        pytest.param("/run/admin.sock", "/run/custodian.sock", "two sockets", id="one socket for both"),
        pytest.param(
            'purpose = "statement"',
            'purpose = "anything"',
            "one of statement, image, artifact, break-glass",
            id="a purpose that does not exist",
        ),
        pytest.param(
            'purpose = "statement"\nalgorithm = "ecdsa-p256-sha256"',
            'purpose = "artifact"\nalgorithm = "ed25519"',
            "signs the sha256 that a request names",
            id="a key for artifacts that signs whole messages",
        ),
        pytest.param(
            'purpose = "statement"\nalgorithm = "ecdsa-p256-sha256"',
            'purpose = "artifact"\nalgorithm = "ecdsa-p384-sha384"',
            "signs the sha256 that a request names",
            id="a key for artifacts over another digest than the requested one",
        ),
        pytest.param("ecdsa-p256-sha256", "ecdsa-p256-md5", "algorithm", id="an algorithm that does not exist"),
        pytest.param("object=release", "object=release?pin-value=1234", "PIN", id="a PIN in a key URI"),
        pytest.param("127.0.0.1:8443", "127.0.0.1", "HOST:PORT", id="a bind without a port"),
        pytest.param("127.0.0.1:8443", "127.0.0.1:99999", "HOST:PORT", id="a port that does not exist"),
        pytest.param('"dev.invalid/signing-authority"', '"https://a/b"', "origin", id="an origin with a scheme"),
        pytest.param('label = "signer"', 'label = "signer"\nworkers = 0', "workers", id="no token worker"),
        pytest.param('label = "signer"', 'label = "signer"\nslots = 17', "slots", id="more slots than sessions"),
        pytest.param(
            'label = "signer"', 'label = "signer"\nslots = 2\nworkers = 2', "one of the two", id="slots and workers"
        ),
        pytest.param("[custodian]", "[custodian]\nprobe_interval = 0.5", "probe_interval", id="probes without pause"),
        pytest.param("[custodian]", "[custodian]\nqueue = 0", "queue", id="no queue"),
        pytest.param("[custodian]", "[custodian]\ntoken_deadline = 0.0", "deadline", id="no deadline"),
        pytest.param("[web]", "[web]\nworkers = true", "workers", id="a flag where a number belongs"),
        pytest.param("[web]", '[timestamp]\nurl = "ftp://tsa/"\n[web]', "url", id="a timestamp authority over FTP"),
        pytest.param("[web]", '[timestamp]\nurl = "http://u:p@tsa/"\n[web]', "user", id="a user in a URL"),
        pytest.param(
            "[web]", '[timestamp]\nurl = "http://tsa/"\nca = "/srv/ca.pem"\n[web]', "https", id="CAs for plain http"
        ),
        pytest.param(
            "[web]", '[timestamp]\nurl = "http://tsa/"\ntimeout = 60.0\n[web]', "timeout", id="a timestamp for ever"
        ),
        pytest.param("[ledger]", "[ledger", "TOML", id="not TOML"),
    ],
)
def test_a_faulty_file_is_refused_by_name(tmp_path: Path, before: str, after: str, names: str) -> None:
    assert before in GOOD
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path, GOOD.replace(before, after, 1))
    assert refused.value.code == "settings-invalid"
    assert names in refused.value.detail


@pytest.mark.parametrize(
    ("line", "workers"),
    [
        pytest.param("", 1, id="a local token has one"),
        pytest.param("workers = 3", 3, id="as many as are named"),
        pytest.param("slots = 4", 8, id="twice the slots of a device"),
        pytest.param("slots = 12", 16, id="never more than sixteen"),
    ],
)
def test_a_token_has_so_many_workers(tmp_path: Path, line: str, workers: int) -> None:
    settings = load(tmp_path, GOOD.replace('label = "signer"', f'label = "signer"\n{line}', 1))
    assert [device.workers for device in devices_of(settings)] == [workers]


def test_a_password_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refused:
        load(tmp_path, GOOD.replace("sqlite:////srv/ledger.db", "postgresql+psycopg://a:s3cret@db/l"))
    assert "s3cret" not in str(refused.value)


def test_two_keys_of_one_name_are_refused(tmp_path: Path) -> None:
    key = GOOD[GOOD.index("[[keys]]") : GOOD.index("[[tokens]]")]
    with pytest.raises(Misconfigured):
        load(tmp_path, GOOD + key.replace("object=release", "object=other"))


def test_an_absent_file_is_misconfigured(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        load_settings(tmp_path / "absent.toml")


def test_an_oversize_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        load(tmp_path, GOOD + "#" * (256 * 1024))


@given(st.binary(max_size=200))
@hypothesis_settings(max_examples=100)
def test_any_bytes_are_settings_or_misconfigured(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("settings") / "signer.toml"
    path.write_bytes(data)
    with pytest.raises(Misconfigured):
        load_settings(path)


@pytest.mark.parametrize(
    ("bind", "parts"),
    [("127.0.0.1:8443", ("127.0.0.1", 8443)), ("[::1]:0", ("::1", 0)), ("localhost:1", ("localhost", 1))],
)
def test_a_bind_splits_into_host_and_port(bind: str, parts: tuple[str, int]) -> None:
    assert split_bind(bind) == parts
