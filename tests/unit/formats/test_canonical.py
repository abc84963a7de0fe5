# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given, settings, strategies as st

from signer.formats.canonical import canonical

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=6), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=200)
@given(JSON)
def test_equals_rfc_8785(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type] # hypothesis cannot say JSON


def test_every_character_of_the_basic_plane_is_escaped_as_rfc_8785_does() -> None:
    text = "".join(chr(point) for point in range(0x10000) if not 0xD800 <= point < 0xE000) + "\U0001f600"
    assert canonical({"k": text}) == rfc8785.dumps({"k": text})


def test_keys_are_sorted_by_utf_16_code_units() -> None:
    assert canonical({"\uffff": 1, "\U00010000": 2}) == '{"\U00010000":2,"\uffff":1}'.encode()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(2**53, id="an integer beyond 2^53-1"),
        pytest.param(float("nan"), id="NaN"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param({1: 2}, id="a key that is no text"),
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param({"a": b"bytes"}, id="bytes"),
        pytest.param({"a": {1, 2}}, id="a set"),
    ],
)
def test_refuses_what_json_cannot_carry(value: object) -> None:
    with pytest.raises(ValueError):
        canonical(value)
