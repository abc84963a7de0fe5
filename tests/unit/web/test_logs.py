# SPDX-License-Identifier: Apache-2.0
"""A log line is one line, of listed fields, bounded, in printable ASCII."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from signer.telemetry.logs import FIELDS, MAX_TEXT, failure, open_log


def written(**fields: Any) -> tuple[bytes, dict[str, Any]]:
    stream = io.BytesIO()
    open_log(stream, room="web").info("test", **fields)
    return stream.getvalue(), json.loads(stream.getvalue())


def test_a_line_says_when_where_and_what() -> None:
    _, line = written(route="/v1/keys", status=200)
    assert (line["event"], line["level"], line["room"], line["route"], line["status"]) == (
        "test",
        "info",
        "web",
        "/v1/keys",
        200,
    )
    assert line["time"].endswith("Z")


@pytest.mark.parametrize("name", ["pin", "password", "authorization", "body", "evidence", "headers", "private_key"])
def test_a_field_that_is_not_listed_is_dropped_and_only_named(name: str) -> None:
    raw, line = written(**{name: "canary"})
    assert b"canary" not in raw
    assert line["dropped"] == [name]
    assert name not in FIELDS


def test_an_object_is_told_by_its_type() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "canary"

    raw, line = written(detail=Secret(), reason={"pin": "canary"})
    assert b"canary" not in raw
    assert "Secret" in line["detail"]
    assert line["reason"] == "<dict>"


ATTACKS = ["a\r\nb", "\x1b[2J\x1b[31m", '"}\n{"event":"forged', "\x00", "\x7f", "\u2028", "\u202e", "\x9b31m", "\ud800"]


@pytest.mark.parametrize("text", ATTACKS)
def test_no_value_ends_a_line_or_reaches_a_terminal(text: str) -> None:
    raw, line = written(detail=text)
    assert raw.count(b"\n") == 1
    assert all(0x20 <= byte < 0x7F for byte in raw[:-1])
    assert line["detail"] == text


@given(st.text(max_size=400))
def test_any_text_is_one_line_of_printable_ascii(text: str) -> None:
    raw, _ = written(detail=text, principal=text, problems=[text, text])
    assert raw.endswith(b"\n")
    assert all(0x20 <= byte < 0x7F for byte in raw[:-1])


def test_a_long_value_is_cut_and_carries_its_hash() -> None:
    text = "x" * 1_000_000
    raw, line = written(detail=text)
    assert len(raw) < 1000
    assert line["detail"].startswith("x" * MAX_TEXT + "…")
    assert hashlib.sha256(text.encode()).hexdigest() in line["detail"]


def test_a_long_list_is_cut_and_counted() -> None:
    _, line = written(problems=["p"] * 100)
    assert line["problems"][-1] == "and 68 more"


def test_an_error_is_told_by_type_and_frames_and_never_by_its_text() -> None:
    def fail() -> None:
        raise ValueError("canary")

    with pytest.raises(ValueError, match="canary") as caught:
        fail()
    raw, line = written(**failure(caught.value))
    assert b"canary" not in raw
    assert line["error"] == "ValueError"
    assert "test_logs.py" in line["frames"][-1]


def test_two_logs_share_nothing() -> None:
    one, two = io.BytesIO(), io.BytesIO()
    open_log(one, room="web").bind(principal="robot:ci")
    open_log(two, room="custodian").info("test")
    assert one.getvalue() == b""
    assert "principal" not in json.loads(two.getvalue())
