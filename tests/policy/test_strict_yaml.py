# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from policy.strict_yaml import MAX_BYTES, MAX_DEPTH, YamlError, load

READ = {
    "a plain word is text": (b"a: word", {"a": "word"}),
    "a time stays text": (b"a: 2027-06-30T00:00:00Z", {"a": "2027-06-30T00:00:00Z"}),
    "a duration stays text": (b"a: 7d", {"a": "7d"}),
    "true and false are the booleans": (b"a: [true, false]", {"a": [True, False]}),
    "a canonical decimal is an integer": (b"a: [0, 7, -3, 9007199254740991]", {"a": [0, 7, -3, 9007199254740991]}),
    "quotes make text of anything": (b"a: ['no', \"12\", '', 'true', '~']", {"a": ["no", "12", "", "true", "~"]}),
    "a block scalar is text": (b"a: |\n  no\n  12\n", {"a": "no\n12\n"}),
    "nested collections": (b"a: {b: [1, {c: d}], e: []}\nf: {}", {"a": {"b": [1, {"c": "d"}], "e": []}, "f": {}}),
    "JSON is YAML": (b'{"a": [1, "x", {"b": false}]}', {"a": [1, "x", {"b": False}]}),
    "a document mark and comments": (b"--- # first\na: 1 # one\n...\n", {"a": 1}),
    "a document may be a list": (b"- a\n- b\n", ["a", "b"]),
}


@pytest.mark.parametrize(("data", "value"), READ.values(), ids=READ)
def test_reads(data: bytes, value: object) -> None:
    assert load(data) == value


def bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return "\n".join(lines).encode()


REFUSED = {
    "an anchor bomb": (bomb(), "anchors"),
    "an anchor that nobody uses": (b"a: &x 1", "anchors"),
    "an alias": (b"a: *x", "aliases"),
    "a Python object": (b"a: !!python/object/apply:os.system [id]", "tags"),
    "a harmless tag": (b"a: !!str 1", "tags"),
    "the non-specific tag": (b"a: ! x", "tags"),
    "a tag on a mapping": (b"a: !!map {b: c}", "tags"),
    "a merge key": (b"a: {<<: {b: 1}}", "'<<'"),
    "a duplicate key": (b"a: 1\nb: 2\na: 3", "line 3: the key 'a' stands twice"),
    "a duplicate key, once quoted": (b"a: 1\n'a': 2", "stands twice"),
    "a duplicate key, spelt with an escape": (b'a: 1\n"\\x61": 2', "stands twice"),
    "a duplicate key inside": (b"x: {a: {b: 1}, a: 2}", "stands twice"),
    "no": (b"a: no", "'no'"),
    "NO": (b"a: NO", "'NO'"),
    "on as a key": (b"on: x", "'on'"),
    "Off": (b"a: [Off]", "'Off'"),
    "y": (b"a: y", "'y'"),
    "True": (b"a: True", "'True'"),
    "null": (b"a: null", "'null'"),
    "a tilde": (b"a: ~", "'~'"),
    "a missing value": (b"a:", "missing"),
    "a missing list entry": (b"a:\n- \n- b", "missing"),
    "a float": (b"a: 1.5", "'1.5'"),
    "an exponent": (b"a: 1e3", "'1e3'"),
    "infinity": (b"a: .inf", "'.inf'"),
    "not a number": (b"a: .NaN", "'.NaN'"),
    "an octal of YAML 1.1": (b"a: 012", "'012'"),
    "an octal of YAML 1.2": (b"a: 0o12", "'0o12'"),
    "a hexadecimal": (b"a: 0x1f", "'0x1f'"),
    "a sexagesimal": (b"a: 12:30", "'12:30'"),
    "an underscored integer": (b"a: 1_000", "'1_000'"),
    "a signed integer": (b"a: +1", "'+1'"),
    "minus zero": (b"a: -0", "'-0'"),
    "an integer beyond 2^53-1": (b"a: 9007199254740992", "disagree"),
    "five thousand digits": (b"a: " + b"9" * 5000, "disagree"),
    "the value key": (b"a: =", "'='"),
    "an integer as key": (b"1: a", "not text"),
    "a list as key": (b"? [a]\n: b", "a key must be text"),
    "a mapping as key": (b"{{a: b}: c}", "a key must be text"),
    "a second document": (b"a: 1\n---\nb: 2", "second document"),
    "a directive": (b"%YAML 1.1\n---\na: 1", "directives"),
    "nothing": (b"", "empty"),
    "comments only": (b"# nothing\n", "empty"),
    "deep flow nesting": (b"[" * 100_000, "nested deeper"),
    "deep block nesting": (b"\n".join(b" " * n + b"a:" for n in range(40)), "nested deeper"),
    "deep sequences": (b"- " * 100_000, "nested deeper"),
    "ten megabytes": (b"a" * 10_000_000, "larger than"),
    "UTF-16": ("a: 1".encode("utf-16"), "not UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbfa: 1", "U+FEFF"),
    "an overlong encoding": (b"a: \xc0\xaf", "not UTF-8"),
    "an encoded surrogate": (b"a: \xed\xa0\x80", "not UTF-8"),
    "half a character": (b'a: "\\ud800"', "half a character"),
    "an escape beyond Unicode": (b'a: "\\U00110000"', "no Unicode character"),
    "an escape far beyond Unicode": (b'a: "\\Uffffffff"', "no Unicode character"),
    "a control character": (b"a: \x07", "control characters"),
    "NUL": (b"a: x\x00", "control characters"),
    "a bidirectional override": ("a: x\u202ey".encode(), "U+202E"),
    "a line end of YAML 1.1 only": ("a: x\u2028b: y".encode(), "line 1 holds the invisible character U+2028"),
    "a tab as indentation": (b"a:\n\tb: 1", "cannot start any token"),
    "half a mapping": (b"{a: 1", "line"),
}


@pytest.mark.parametrize(("data", "detail"), REFUSED.values(), ids=REFUSED)
def test_refuses(data: bytes, detail: str) -> None:
    began = time.process_time()
    with pytest.raises(YamlError) as fault:
        load(data)
    assert detail in fault.value.detail
    assert fault.value.remedy
    assert time.process_time() - began < 5


def test_the_depth_is_exact() -> None:
    assert load(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    with pytest.raises(YamlError, match="nested deeper"):
        load(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_the_limit_is_exact() -> None:
    assert load(b"# " + b"x" * (MAX_BYTES - 7) + b"\na: 1") == {"a": 1}
    with pytest.raises(YamlError):
        load(b"# " + b"x" * (MAX_BYTES - 6) + b"\na: 1")


def refusal(data: bytes) -> YamlError | None:
    try:
        load(data)
    except YamlError as fault:
        return fault
    return None


@given(st.binary(max_size=200) | st.text("abno01.:-_+~=<>{}[]!&*#|>'\"%@`?, \n", max_size=60).map(str.encode))
@settings(max_examples=200)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    fault = refusal(data)
    assert fault is None or (fault.detail and fault.remedy)


@given(st.text("0123456789abcdefoxyYnN.:_+-~=<TRUEtrueFALSEfalseONofFIe", min_size=1, max_size=12))
@settings(max_examples=200)
def test_an_accepted_plain_word_is_the_same_to_another_reader(word: str) -> None:
    data = f"[{word}]".encode()
    if refusal(data) is not None or not isinstance(load(data)[0], str | int):
        return
    (ours,) = load(data)
    (theirs,) = yaml.safe_load(f"[{word}]")
    # Times are the one exception: they stay text here, and only the schema reads them.
    assert ours == theirs or hasattr(theirs, "year")
    assert type(ours) is type(theirs) or hasattr(theirs, "year")


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


@given(
    st.recursive(
        st.integers(-(2**53) + 1, 2**53 - 1)
        | st.booleans()
        | st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
        max_leaves=12,
    )
)
def test_what_another_writer_wrote_is_read_back(value: object) -> None:
    written = yaml.dump({"value": value}, Dumper=Plain)
    fault = refusal(written.encode())
    if fault is None:
        assert load(written.encode()) == {"value": value}
    else:
        # A writer quotes what its own resolver takes for another type; words that only others misread stay plain.
        assert "disagree" in fault.detail or "not text" in fault.detail
