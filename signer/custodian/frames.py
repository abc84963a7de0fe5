# SPDX-License-Identifier: Apache-2.0
"""Frames on the custodian's sockets: a 4-byte big-endian length and that many bytes of MessagePack.

    00 00 00 0f  81 a4 74 79 70 65 a6 73 74 61 74 75 73 …     {"type": "status"}

The length is judged before a byte of the body is kept (invariant I9).
"""

from __future__ import annotations

from typing import Any

import msgspec

from signer.errors import Malformed

HEADER = 4
_encoder = msgspec.msgpack.Encoder()


def encode_frame(message: msgspec.Struct) -> bytearray:
    """The frame around one message."""
    frame = bytearray(HEADER)
    _encoder.encode_into(message, frame, HEADER)
    frame[:HEADER] = (len(frame) - HEADER).to_bytes(HEADER)
    return frame


def decode_body(body: bytes | bytearray, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
    """Read the body of a frame; raises Malformed("malformed-frame")."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as fault:
        raise Malformed("malformed-frame", f"not a message of this socket: {str(fault)[:200]}") from None


class FrameReader:
    """Cuts a byte stream into frame bodies of at most `limit` bytes."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def __len__(self) -> int:
        """Bytes held that are not yet a whole frame."""
        return len(self._buffer)

    @property
    def wanted(self) -> int:
        """How many bytes the next frame still needs; raises Malformed for a length beyond the limit."""
        if len(self._buffer) < HEADER:
            return HEADER - len(self._buffer)
        return max(0, HEADER + self._length() - len(self._buffer))

    def feed(self, data: bytes) -> None:
        """Add what the socket gave."""
        self._buffer += data

    def next(self) -> bytearray | None:
        """The next whole body, or None; raises Malformed for a length beyond the limit."""
        if self.wanted:
            return None
        end = HEADER + self._length()
        body = self._buffer[HEADER:end]
        del self._buffer[:end]
        return body

    def _length(self) -> int:
        length = int.from_bytes(self._buffer[:HEADER])
        if length > self._limit:
            raise Malformed("too-large", f"a frame of this socket is at most {self._limit} bytes")
        return length
