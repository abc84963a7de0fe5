# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import get_args

import msgspec
import pytest
from hypothesis import given, strategies as st

from signer.custodian.commands import Command, Halt, Status
from signer.custodian.connections import ADMIN_COMMANDS, WEB_COMMANDS
from signer.custodian.frames import FrameReader, decode_body, encode_frame
from signer.errors import Malformed

DECODER = msgspec.msgpack.Decoder(Command)


@given(st.lists(st.text(max_size=50), min_size=1, max_size=5), st.lists(st.integers(0, 400), max_size=8))
def test_frames_read_back_however_the_stream_is_cut(reasons: list[str], cuts: list[int]) -> None:
    sent = [Halt(principal="robot:ci", reason=reason) for reason in reasons]
    stream = b"".join(bytes(encode_frame(each)) for each in sent)
    reader, read = FrameReader(limit=1024), []
    for start, end in pairwise([0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]):
        reader.feed(stream[start:end])
        while (body := reader.next()) is not None:
            read.append(decode_body(body, DECODER))
    assert read == sent
    assert len(reader) == 0


def test_an_oversized_frame_is_refused_by_its_length_alone() -> None:
    reader = FrameReader(limit=8)
    reader.feed((9).to_bytes(4))
    with pytest.raises(Malformed) as caught:
        reader.next()
    assert caught.value.code == "too-large"


@given(st.binary(max_size=200))
def test_any_body_is_a_command_or_malformed(body: bytes) -> None:
    for language in (WEB_COMMANDS, ADMIN_COMMANDS):
        with suppress(Malformed):
            decode_body(body, msgspec.msgpack.Decoder(language))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"type": "status", "more": 1}, id="an unknown field"),
        pytest.param({"type": "sign", "data": b"x"}, id="a command that does not exist"),
        pytest.param({"type": "halt", "principal": "robot:ci"}, id="a field is missing"),
        pytest.param({"type": "halt", "principal": 7, "reason": "x"}, id="a field of another type"),
        pytest.param({"principal": "robot:ci", "reason": "x"}, id="no type"),
        pytest.param([], id="no map"),
    ],
)
def test_refuses(body: object) -> None:
    with pytest.raises(Malformed):
        decode_body(msgspec.msgpack.encode(body), DECODER)


def test_deep_nesting_is_malformed() -> None:
    with pytest.raises(Malformed):
        decode_body(b"\x91" * 100_000, DECODER)


@pytest.mark.parametrize("kind", ["update-trust", "add-key"])
def test_the_web_socket_has_no_words_for(kind: str) -> None:
    fields: dict[str, object] = {"type": kind, "principal": "robot:ci"}
    fields |= {"data": b"", "signatures": ()} if kind == "update-trust" else {"name": "release", "generate": True}
    body = msgspec.msgpack.encode(fields)
    decode_body(body, msgspec.msgpack.Decoder(ADMIN_COMMANDS))
    with pytest.raises(Malformed):
        decode_body(body, msgspec.msgpack.Decoder(WEB_COMMANDS))


def test_no_command_carries_bytes_to_sign_a_key_or_a_verdict() -> None:
    """The language itself is the first wall: what cannot be said cannot be forged."""
    decide = msgspec.json.schema(Command)["$defs"]["Judge"]["properties"]
    assert set(decide) == {
        "type",
        "request_id",
        "principal",
        "policy",
        "environment",
        "policy_digest",
        "access_digest",
        "subjects",
        "facts",
        "used",
        "new",
    }
    assert isinstance(Status(), msgspec.Struct)


def test_every_command_is_a_message_of_a_socket() -> None:
    assert set(get_args(ADMIN_COMMANDS)) == set(get_args(Command))
    assert set(get_args(WEB_COMMANDS)) < set(get_args(ADMIN_COMMANDS))
