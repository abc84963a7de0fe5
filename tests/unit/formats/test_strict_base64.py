# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from base64 import standard_b64encode, urlsafe_b64encode

import pytest
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.formats.strict_base64 import decode_base64, encode_base64

REFUSED = [
    pytest.param("YQ", id="P05 padding is missing"),
    pytest.param("YQ=", id="P05 one padding character is missing"),
    pytest.param("YWJj=", id="P05 one padding character too many"),
    pytest.param("YWJj====", id="P05 a group of padding too many"),
    pytest.param("YQ===", id="P05 three padding characters"),
    pytest.param("====", id="P05 only padding"),
    pytest.param("Y=Q=", id="P05 padding inside"),
    pytest.param("YWJ=", id="P05 trailing bits are not zero"),
    pytest.param("aGl=", id="P05 trailing bits are not zero, again"),
    pytest.param("YR==", id="P05 four trailing bits are not zero"),
    pytest.param("-_+/", id="P05 both alphabets in one text"),
    pytest.param("YQ==\n", id="P05 a line feed at the end"),
    pytest.param("YW\nJj", id="P05 a line feed inside"),
    pytest.param(" YWJj", id="P05 a space before"),
    pytest.param("YW!Jj", id="P05 junk inside"),
    pytest.param("YQ==YQ==", id="P05 text after the padding"),
    pytest.param("a", id="P05 a single character"),
    pytest.param("YWJ\u212a", id="P05 a look-alike outside ASCII"),
    pytest.param("\ud800AAA", id="P05 a lone surrogate"),
]


@pytest.mark.parametrize("text", REFUSED)
def test_refuses(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        decode_base64(text, what="field")
    assert refused.value.code == "invalid-encoding"


@given(st.binary(max_size=200))
def test_both_alphabets_give_the_same_bytes(data: bytes) -> None:
    assert decode_base64(standard_b64encode(data).decode(), what="field") == data
    assert decode_base64(urlsafe_b64encode(data).decode(), what="field") == data
    assert encode_base64(data) == standard_b64encode(data).decode()


@given(st.text(alphabet="AQZaz09+/-_= \n", max_size=12))
def test_one_spelling_per_alphabet(text: str) -> None:
    try:
        data = decode_base64(text, what="field")
    except Malformed:
        return
    assert text in {standard_b64encode(data).decode(), urlsafe_b64encode(data).decode()}
