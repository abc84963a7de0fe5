# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.formats.strict_json import MAX_DEPTH, parse_json, parse_object

LIMIT = 1024 * 1024

REFUSED = [
    pytest.param(b'{"a":1,"a":2}', "duplicate-key", id="P01 a key stands twice"),
    pytest.param(b'{"run":1,"r\\u0075n":2}', "duplicate-key", id="P01 a key stands twice, once escaped"),
    pytest.param(b'{"a":[{"b":1,"b":1}]}', "duplicate-key", id="P01 a nested key stands twice"),
    pytest.param(b"NaN", "malformed-json", id="P02 NaN"),
    pytest.param(b"[Infinity]", "malformed-json", id="P02 Infinity"),
    pytest.param(b"[-Infinity]", "malformed-json", id="P02 negative Infinity"),
    pytest.param(b"[1e999]", "malformed-json", id="P02 a number that overflows to infinity"),
    pytest.param(b"[1e20]", "malformed-json", id="P02 a float that no integer reader agrees on"),
    pytest.param(b"[9007199254740992]", "malformed-json", id="P02 an integer beyond 2^53-1"),
    pytest.param(b"[-9007199254740992]", "malformed-json", id="P02 a negative integer beyond 2^53-1"),
    pytest.param(b"[" + b"9" * 5000 + b"]", "malformed-json", id="P02 an integer of 5000 digits"),
    pytest.param(b"[01]", "malformed-json", id="P02 a leading zero"),
    pytest.param(b"[+1]", "malformed-json", id="P02 a plus sign"),
    pytest.param(b"[0x10]", "malformed-json", id="P02 hexadecimal"),
    pytest.param(b"[" * 200_000, "malformed-json", id="P03 200,000 open brackets"),
    pytest.param(b'{"a":' * 200_000, "malformed-json", id="P03 200,000 open objects"),
    pytest.param(b"[" * 65 + b"]" * 65, "malformed-json", id="P03 one level too deep"),
    pytest.param('{"a":1}'.encode("utf-16"), "malformed-json", id="P04 UTF-16"),
    pytest.param('{"a":1}'.encode("utf-32"), "malformed-json", id="P04 UTF-32"),
    pytest.param(b"\xef\xbb\xbf{}", "malformed-json", id="P04 byte order mark"),
    pytest.param(b'["\\ud800"]', "malformed-json", id="P04 lone surrogate"),
    pytest.param(b'["\xed\xa0\x80"]', "malformed-json", id="P04 encoded surrogate"),
    pytest.param(b'["\xc0\xaf"]', "malformed-json", id="P04 overlong UTF-8"),
    pytest.param(b'["\xff"]', "malformed-json", id="P04 a byte that UTF-8 never has"),
    pytest.param(b'["\x00"]', "malformed-json", id="P04 a raw NUL"),
    pytest.param(b'["a\nb"]', "malformed-json", id="P04 a raw line feed"),
    pytest.param(b"{} {}", "malformed-json", id="two documents"),
    pytest.param(b"{}\x00", "malformed-json", id="trailing NUL"),
    pytest.param(b"", "malformed-json", id="nothing"),
    pytest.param(b"[1,]", "malformed-json", id="trailing comma"),
    pytest.param(b"{'a':1}", "malformed-json", id="single quotes"),
    pytest.param(b"[1] // x", "malformed-json", id="comment"),
]


@pytest.mark.parametrize(("data", "code"), REFUSED)
def test_refuses(data: bytes, code: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse_json(data, limit=LIMIT)
    assert refused.value.code == code


def test_the_limit_comes_before_the_parse() -> None:
    started = time.thread_time()
    with pytest.raises(Malformed) as refused:
        parse_json(b'"' + b"a" * (10 * LIMIT), limit=LIMIT)
    assert refused.value.code == "too-large"
    assert time.thread_time() - started < 0.05


def test_a_document_of_exactly_the_limit_is_read() -> None:
    assert parse_json(b'"' + b"a" * (LIMIT - 2) + b'"', limit=LIMIT) == "a" * (LIMIT - 2)


def test_the_deepest_allowed_nesting_is_read() -> None:
    parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, limit=LIMIT)


@pytest.mark.parametrize("data", [b"[]", b"1", b'"a"', b"null", b"true"])
def test_an_object_is_demanded(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_object(data, limit=LIMIT)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_reads_what_json_writes(value: object) -> None:
    assert parse_json(json.dumps(value).encode(), limit=LIMIT) == value


@given(st.binary(max_size=64))
def test_never_crashes_on_bytes(data: bytes) -> None:
    with suppress(Malformed):
        parse_json(data, limit=LIMIT)


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn\\u ', max_size=40))
def test_never_crashes_on_almost_json(text: str) -> None:
    with suppress(Malformed):
        parse_json(text.encode(), limit=LIMIT)
