# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from signer.errors import Misconfigured
from signer.ledger.credential import load_ledger_key, make_ledger_key


def test_a_made_key_is_private_and_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.key"
    made = make_ledger_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for again in (load_ledger_key(path), make_ledger_key(path)):
        assert again.public_key() == made.public_key()


def write_other_algorithm(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem)
    path.chmod(0o600)


def write_shared(path: Path) -> None:
    make_ledger_key(path)
    path.chmod(0o640)


@pytest.mark.parametrize(
    ("write", "why"),
    [
        pytest.param(lambda _: None, "cannot be read", id="no file"),
        pytest.param(lambda path: path.touch(0o600), "is not an unencrypted PEM", id="an empty file"),
        pytest.param(write_other_algorithm, "is not an Ed25519 key", id="another algorithm"),
        pytest.param(write_shared, "is readable for others", id="readable for the group"),
    ],
)
def test_other_files_are_refused_with_their_path(tmp_path: Path, write: Callable[[Path], None], why: str) -> None:
    path = tmp_path / "ledger.key"
    write(path)
    with pytest.raises(Misconfigured) as fault:
        load_ledger_key(path)
    assert fault.value.code == "ledger-key"
    assert why in fault.value.detail
    assert str(path) in fault.value.detail


def test_a_torn_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ledger.key"
    path.touch(0o600)
    with pytest.raises(Misconfigured):
        make_ledger_key(path)
    assert path.read_bytes() == b""
