# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from signer.errors import Malformed, Refused
from signer.tlog.checkpoint import Checkpoint, sign_checkpoint
from signer.tlog.note import NoteSigner
from signer.tlog.proof import TlogProof, encode_proof, parse_proof, verify_proof
from tests.unit.tlog import naive_tree

ORIGIN = "example.com/log"
SIGNER = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
ENTRIES = [b"entry %d" % index for index in range(11)]
CHECKPOINT = sign_checkpoint(Checkpoint(ORIGIN, len(ENTRIES), naive_tree.root(ENTRIES)), signer=SIGNER)
PROOF = encode_proof(5, naive_tree.path(5, ENTRIES), CHECKPOINT)


def verify(text: str, leaf: bytes = ENTRIES[5]) -> int:
    return verify_proof(text, leaf=leaf, origin=ORIGIN, keys=[SIGNER.verifier])[0].index


@pytest.mark.parametrize("index", range(len(ENTRIES)))
def test_every_leaf_is_proved_by_its_own_file(index: int) -> None:
    text = encode_proof(index, naive_tree.path(index, ENTRIES), CHECKPOINT)
    assert text.startswith(f"c2sp.org/tlog-proof@v1\nindex {index}\n")
    assert text.endswith("\n\n" + CHECKPOINT)
    assert verify(text, ENTRIES[index]) == index


def test_the_only_leaf_of_a_log_needs_no_hash() -> None:
    checkpoint = sign_checkpoint(Checkpoint(ORIGIN, 1, naive_tree.root(ENTRIES[:1])), signer=SIGNER)
    assert verify(encode_proof(0, [], checkpoint), ENTRIES[0]) == 0


def test_extra_data_is_kept_and_changes_nothing() -> None:
    text = PROOF.replace("index", "extra AAEC\nindex", 1)
    assert parse_proof(text).extra == b"\0\1\2"
    assert verify(text) == 5


def test_a_proof_reads_as_it_is_written() -> None:
    assert parse_proof(PROOF) == TlogProof(5, tuple(naive_tree.path(5, ENTRIES)), CHECKPOINT)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(PROOF.replace("@v1", "@v2"), id="another version"),
        pytest.param("\n" + PROOF, id="an empty line first"),
        pytest.param(PROOF.replace("index 5", "index 05"), id="a leading zero"),
        pytest.param(PROOF.replace("index 5", "index -5"), id="a negative index"),
        pytest.param(PROOF.replace("index 5\n", ""), id="no index"),
        pytest.param(PROOF.replace("index 5", "extra A\nindex 5"), id="extra data that is not base64"),
        pytest.param(PROOF.replace("index 5", "index 5\nextra AAEC"), id="extra data after the index"),
        pytest.param(PROOF.replace("\n", "\r\n"), id="carriage returns"),
        pytest.param(PROOF.replace("\n\n", "\n", 1), id="no empty line"),
        pytest.param(PROOF.replace("\n\n", "\nAAEC\n\n", 1), id="a short hash"),
        pytest.param(PROOF.replace("\n\n", "\n" + 64 * f"{'A' * 43}=\n" + "\n", 1), id="more hashes than any tree has"),
        pytest.param(PROOF[:-1], id="a checkpoint that is cut off"),
        pytest.param(PROOF + "\n", id="text after the checkpoint"),
    ],
)
def test_other_forms_are_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        verify(text)


def test_other_bytes_of_the_leaf_are_refused() -> None:
    with pytest.raises(Refused) as fault:
        verify(PROOF, ENTRIES[5] + b" ")
    assert fault.value.code == "proof-invalid"


@given(at=st.integers(0, 8 * len(PROOF.encode()) - 1))
def test_one_flipped_bit_never_verifies(at: int) -> None:
    data = bytearray(PROOF.encode())
    data[at // 8] ^= 1 << at % 8
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    with pytest.raises((Malformed, Refused)):
        verify(text)
