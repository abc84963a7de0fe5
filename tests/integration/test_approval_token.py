# SPDX-License-Identifier: Apache-2.0
"""An approval key that never leaves its token: the statement is signed there, and a wrong PIN is tried once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from signer.dev.token import LABEL
from signer.formats.approval import read_approval
from signer.formats.dsse import verify_envelope
from signer.formats.spki import load_spki
from tests.approvals import an_approval
from tests.integration.softhsm import TestToken

KEY = f"pkcs11:token={LABEL};object=kim;id=%07"
PROGRAM = """
import sys
from pathlib import Path
from signer.cli.approval_key import ApprovalKey
from signer.errors import SignerError
from signer.formats.approval import parse_approval
key = ApprovalKey(token_key=sys.argv[1], token_module=Path(sys.argv[2]), pin_file=Path(sys.argv[3]))
try:
    sys.stdout.buffer.write(key.sign(parse_approval(sys.stdin.buffer.read())))
except SignerError as fault:
    sys.exit(f"{fault.code}: {fault.detail}")
"""


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> TestToken:
    made = TestToken.make(tmp_path_factory.mktemp("approver") / "token")
    made.run("make('kim', b'\\7', SENSITIVE=True, EXTRACTABLE=False)")
    return made


def sign(token: TestToken, payload: bytes, *, key: str = KEY, pin_file: Path | None = None) -> tuple[bytes, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, key, str(token.token.module), str(pin_file or token.token.pin_file)],
        env={**os.environ, **token.environment},
        input=payload,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.stdout, done.stderr.decode()


def test_a_statement_is_signed_in_the_token(token: TestToken) -> None:
    said = read_approval(an_approval())[1]
    data, trouble = sign(token, said.payload())
    assert trouble == ""
    envelope, read = read_approval(data)
    assert read == said
    public = load_spki(
        token.run("""
from pkcs11.util.ec import encode_ec_public_key
(public,) = session.get_objects({Attribute.LABEL: "kim", Attribute.CLASS: ObjectClass.PUBLIC_KEY})
sys.stdout.buffer.write(encode_ec_public_key(public))
""")
    )
    assert verify_envelope(envelope, {"kim": public}) == {"kim"}


def test_a_key_that_is_not_there_and_a_wrong_pin_are_told(token: TestToken, tmp_path: Path) -> None:
    payload = read_approval(an_approval())[1].payload()
    _, trouble = sign(token, payload, key=KEY.replace("kim", "lee"))
    assert trouble.startswith("key-missing: ")
    _, trouble = sign(token, payload, key="awskms:///alias/kim?region=eu-west-1")
    assert trouble.startswith("invalid-key-uri: ")
    wrong = tmp_path / "pin"
    wrong.write_text("0000")
    for _ in range(2):
        _, trouble = sign(token, payload, pin_file=wrong)
        assert trouble.startswith("pin-refused: ")
    assert (tmp_path / "pin.refused").exists(), "the second time the token is not asked"
