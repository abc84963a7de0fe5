# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.errors import Malformed, Refused
from signer.tlog.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint, verify_checkpoint
from signer.tlog.merkle import EMPTY_ROOT, leaf_hash
from signer.tlog.note import NoteSigner
from signer.tlog.strict import format_base64

ORIGIN = "example.com/log"
SIGNER = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
CHECKPOINT = Checkpoint(ORIGIN, 7, leaf_hash(b""))
ROOT = format_base64(CHECKPOINT.root)


def test_a_checkpoint_is_three_lines_and_a_signature() -> None:
    text = sign_checkpoint(CHECKPOINT, signer=SIGNER)
    assert text.startswith(f"{ORIGIN}\n7\n{ROOT}\n\n— {ORIGIN} ")
    assert verify_checkpoint(text.encode(), origin=ORIGIN, keys=[SIGNER.verifier]) == CHECKPOINT


def test_the_empty_tree_has_a_checkpoint() -> None:
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert parse_checkpoint(sign_checkpoint(empty, signer=SIGNER).encode())[0] == empty


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"\n7\n{ROOT}\n", id="no origin"),
        pytest.param(f"{ORIGIN}\n07\n{ROOT}\n", id="a leading zero"),
        pytest.param(f"{ORIGIN}\n+7\n{ROOT}\n", id="a sign"),
        pytest.param(f"{ORIGIN}\n7_0\n{ROOT}\n", id="an underscore"),
        pytest.param(f"{ORIGIN}\n \u0667\n{ROOT}\n", id="a digit of another script"),
        pytest.param(f"{ORIGIN}\n9223372036854775808\n{ROOT}\n", id="size 2^63"),
        pytest.param(f"{ORIGIN}\n7\n{ROOT[:-4]}\n", id="a short root"),
        pytest.param(f"{ORIGIN}\n7\n{ROOT[:-2]}1=\n", id="trailing bits in the root"),
        pytest.param(f"{ORIGIN}\n7\n{ROOT} \n", id="a space after the root"),
        pytest.param(f"{ORIGIN}\n7\n{ROOT}\nmore\n", id="an extension line"),
        pytest.param(f"{ORIGIN}\n7\n", id="no root"),
        pytest.param(f"{ORIGIN}\n0\n{ROOT}\n", id="a root of nothing that is not the empty one"),
    ],
)
def test_other_forms_are_malformed_whoever_signed_them(text: str) -> None:
    with pytest.raises(Malformed):
        verify_checkpoint(SIGNER.sign(text).encode(), origin=ORIGIN, keys=[SIGNER.verifier])


def test_a_checkpoint_of_another_log_is_refused() -> None:
    text = sign_checkpoint(CHECKPOINT, signer=SIGNER).encode()
    with pytest.raises(Refused) as fault:
        verify_checkpoint(text, origin="example.com/other", keys=[SIGNER.verifier])
    assert fault.value.code == "checkpoint-foreign"


def test_a_trusted_key_speaks_for_its_own_log_only() -> None:
    other = NoteSigner("example.com/other", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    text = sign_checkpoint(CHECKPOINT, signer=other).encode()
    with pytest.raises(Refused) as fault:
        verify_checkpoint(text, origin=ORIGIN, keys=[other.verifier, SIGNER.verifier])
    assert fault.value.code == "note-unsigned"
