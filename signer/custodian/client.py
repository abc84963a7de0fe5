# SPDX-License-Identifier: Apache-2.0
"""How web speaks to the custodian: one blocking connection per thread, one command at a time.

A command goes out again on a fresh connection only when it certainly did not arrive: the custodian acts on whole
frames alone. Once a frame is sent, a lost answer leaves its fate open, and only the idempotency key can tell.
"""

from __future__ import annotations

import select
import socket
import threading
from pathlib import Path

import msgspec

from signer.custodian.commands import MAX_FRAME, Command, Reply
from signer.custodian.frames import FrameReader, decode_body, encode_frame
from signer.errors import Malformed, Unavailable

_READ = 256 * 1024


class CustodianClient:
    """Asks the custodian behind `socket_path`; may be shared by threads."""

    def __init__(self, socket_path: Path | str, *, timeout: float) -> None:
        self._path = str(socket_path)
        self._timeout = timeout
        self._local = threading.local()
        self._decoder = msgspec.msgpack.Decoder(Reply)

    def ask(self, command: Command) -> Reply:
        """Send one command and wait for its reply; raises Unavailable("custodian-unavailable")."""
        frame = encode_frame(command)
        if len(frame) > MAX_FRAME:
            raise Malformed("too-large", f"the request with its evidence is larger than {MAX_FRAME} bytes")
        channel = self._sent(frame)
        try:
            return self._receive(channel)
        except (OSError, Malformed) as fault:
            # The connection may still bring this answer later: it must not meet the next command.
            self.close()
            raise _unavailable("the custodian did not answer", fault) from None

    def close(self) -> None:
        """Close this thread's connection."""
        channel: socket.socket | None = getattr(self._local, "channel", None)
        self._local.channel = None
        if channel is not None:
            channel.close()

    def _sent(self, frame: bytearray) -> socket.socket:
        """A connection on which the whole frame was sent; tries a kept one, then one fresh one."""
        kept: socket.socket | None = getattr(self._local, "channel", None)
        if kept is not None:
            try:
                if _is_quiet(kept):
                    kept.sendall(frame)
                    return kept
            except OSError:
                # Not all of the frame left, so the custodian cannot act on it.
                pass
            self.close()
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            fresh.settimeout(self._timeout)
            fresh.connect(self._path)
            fresh.sendall(frame)
        except OSError as fault:
            fresh.close()
            raise _unavailable("the custodian cannot be reached", fault) from None
        self._local.channel = fresh
        return fresh

    def _receive(self, channel: socket.socket) -> Reply:
        reader = FrameReader(limit=MAX_FRAME)
        while (body := reader.next()) is None:
            data = channel.recv(_READ)
            if not data:
                raise ConnectionResetError
            reader.feed(data)
        if len(reader):
            # Something followed that nobody asked for: it must not meet the next command.
            self.close()
        reply: Reply = decode_body(body, self._decoder)
        return reply


def _is_quiet(channel: socket.socket) -> bool:
    """Whether the custodian neither hung up nor said anything unasked."""
    # NOTE: a recv with MSG_DONTWAIT would wait all the same: a socket with a timeout polls before it calls.
    peer = select.poll()
    peer.register(channel, select.POLLIN | select.POLLRDHUP)
    return not peer.poll(0)


def _unavailable(what: str, fault: Exception) -> Unavailable:
    return Unavailable(
        "custodian-unavailable",
        f"{what}: {type(fault).__name__}",
        remedy="send the request again with the same Idempotency-Key",
    )
