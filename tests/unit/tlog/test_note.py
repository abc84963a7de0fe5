# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from signer.errors import Malformed, Refused
from signer.tlog.note import NoteSigner, VerifierKey, parse_note, parse_vkey, verify_note

NAME = "example.com/log"
SIGNER = NoteSigner(NAME, Ed25519PrivateKey.from_private_bytes(bytes(32)))
OTHER = NoteSigner(NAME, Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1"))
TEXT = "a text\n\nof three lines\n"
NOTE = SIGNER.sign(TEXT)
LINE = NOTE.removeprefix(TEXT + "\n")

# The example of the Go package golang.org/x/mod/sumdb/note, made by other hands.
FOREIGN_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
FOREIGN_NOTE = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""


def signature(data: bytes, name: str = NAME) -> str:
    return f"— {name} {base64.b64encode(data).decode()}\n"


def test_a_note_is_split_at_its_last_empty_line_and_verifies() -> None:
    note = parse_note(NOTE.encode())
    assert note.text == TEXT
    assert verify_note(note, [SIGNER.verifier]) == (SIGNER.verifier,)


def test_a_note_made_by_another_implementation_verifies() -> None:
    key = parse_vkey(FOREIGN_KEY)
    assert str(key) == FOREIGN_KEY
    assert verify_note(parse_note(FOREIGN_NOTE.encode()), [key]) == (key,)


@pytest.mark.parametrize(
    "note",
    [
        pytest.param("", id="empty"),
        pytest.param(TEXT, id="no signature"),
        pytest.param(TEXT + "\n", id="no signature after the empty line"),
        pytest.param(NOTE[:-1], id="no newline at the end"),
        pytest.param(NOTE + "\n", id="an empty line at the end"),
        pytest.param(TEXT + LINE, id="no empty line"),
        pytest.param(NOTE.replace("\n", "\r\n"), id="carriage returns"),
        pytest.param("a\0\n\n" + LINE, id="a NUL byte"),
        pytest.param("a\tb\n\n" + LINE, id="a tab"),
        pytest.param(NOTE + LINE, id="two signatures of one key"),
        pytest.param(NOTE.replace("— ", "- "), id="a hyphen for the dash"),
        pytest.param(NOTE.replace("— ", "—  "), id="two spaces"),
        pytest.param(f"{TEXT}\n— {NAME}\n", id="no signature bytes"),
        pytest.param(TEXT + "\n" + signature(b"1234"), id="a key id alone"),
        pytest.param(TEXT + "\n" + signature(b"12345").replace("=\n", "\n"), id="base64 without padding"),
        pytest.param(TEXT + "\n" + signature(b"12345", "a+b"), id="a plus in the name"),
        pytest.param(TEXT + "\n" + signature(b"12345", "a\u2003b"), id="a Unicode space in the name"),
        pytest.param(TEXT + "\n" + f"— {NAME} AAAAAAAB\n".replace("AB", "A-"), id="URL-safe base64"),
        pytest.param(TEXT + "\n" + f"— {NAME} AAAAAAB=\n", id="trailing bits in the base64"),
        pytest.param(TEXT + "\n" + "".join(signature(b"%04dx" % n) for n in range(101)), id="101 signatures"),
    ],
)
def test_other_forms_are_malformed(note: str) -> None:
    with pytest.raises(Malformed):
        parse_note(note.encode())


def test_bytes_that_are_not_utf_8_are_malformed() -> None:
    with pytest.raises(Malformed):
        parse_note(b"\xff" + NOTE.encode())


def test_sixteen_signatures_of_strangers_are_ignored() -> None:
    note = parse_note((NOTE + "".join(signature(b"%04dx" % n, "stranger") for n in range(16))).encode())
    assert verify_note(note, [SIGNER.verifier]) == (SIGNER.verifier,)


def test_a_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    spoiled = parse_note(NOTE.replace("a text", "A text").encode())
    both = parse_note((OTHER.sign("A text\n\nof three lines\n") + LINE).encode())
    for note in (spoiled, both):
        with pytest.raises(Refused) as fault:
            verify_note(note, [OTHER.verifier, SIGNER.verifier])
        assert fault.value.code == "note-signature-invalid"


@pytest.mark.parametrize(
    "key",
    [OTHER.verifier, VerifierKey("example.com/other", SIGNER.verifier.public)],
    ids=["another key of the name", "the key under another name"],
)
def test_a_note_without_a_trusted_key_is_refused(key: VerifierKey) -> None:
    with pytest.raises(Refused) as fault:
        verify_note(parse_note(NOTE.encode()), [key])
    assert fault.value.code == "note-unsigned"


def test_a_vkey_reads_as_it_is_written() -> None:
    assert parse_vkey(str(SIGNER.verifier)) == SIGNER.verifier


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(FOREIGN_KEY.replace("c74f20a3", "c74f20a4"), id="the key id of another key"),
        pytest.param(FOREIGN_KEY.replace("c74f20a3", "C74F20A3"), id="a key id in capitals"),
        pytest.param(FOREIGN_KEY.replace("+AR", "+Ah"), id="another algorithm"),
        pytest.param(FOREIGN_KEY[:-4], id="a short key"),
        pytest.param(FOREIGN_KEY + "\n", id="a newline at the end"),
        pytest.param(FOREIGN_KEY.replace("Peter", "Peter "), id="a space in the name"),
    ],
)
def test_other_vkeys_are_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_vkey(text)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_note_or_malformed(data: bytes) -> None:
    try:
        note = parse_note(data)
    except Malformed:
        return
    assert data.startswith(note.text.encode())


@given(at=st.integers(0, 8 * len(NOTE.encode()) - 1))
def test_one_flipped_bit_never_verifies_under_the_same_text(at: int) -> None:
    data = bytearray(NOTE.encode())
    data[at // 8] ^= 1 << at % 8
    with pytest.raises((Malformed, Refused)):
        verify_note(parse_note(bytes(data)), [SIGNER.verifier])
