# SPDX-License-Identifier: Apache-2.0
"""Who is connected to the custodian's sockets, and the bytes that come and go.

Every peer is named by the kernel (SO_PEERCRED) and belongs to the socket's list of uids. A connection has one
command in work at a time, so what it can make the custodian hold is one frame and one reply; all frames together
stay within one budget. Nothing here blocks.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from signer.custodian.commands import (
    MAX_FRAME,
    Activate,
    AddKey,
    Check,
    Command,
    Decide,
    Halt,
    KeepEvidence,
    KeyEvent,
    Reply,
    Resume,
    Said,
    Status,
    UpdateTrust,
)
from signer.custodian.frames import FrameReader, encode_frame
from signer.custodian.release_commands import RecordDeployment, RevokeRelease, SealPack
from signer.errors import Misconfigured
from signer.telemetry.logs import Log

WEB_COMMANDS = (
    Decide
    | Check
    | KeepEvidence
    | Halt
    | Resume
    | Activate
    | Said
    | RecordDeployment
    | RevokeRelease
    | SealPack
    | Status
)
ADMIN_COMMANDS = WEB_COMMANDS | UpdateTrust | AddKey | KeyEvent

BACKLOG = 256
MAX_CONNECTIONS = 512
"""Of one socket."""
MAX_HELD = 4 * MAX_FRAME
"""Bytes of unfinished frames of all connections together."""
FRAME_NS = 30_000_000_000
"""A frame that was begun must be whole within this time, and a reply taken."""
_READ = 256 * 1024
_READS = 32
_CREDENTIALS = struct.Struct("3i")


class Connection:
    """One peer: its unfinished frame, and what it was not yet told."""

    def __init__(self, channel: socket.socket, *, listener: Listener) -> None:
        self.channel = channel
        self.listener = listener
        self.reader = FrameReader(limit=MAX_FRAME)
        self.outgoing = bytearray()
        self.ticket: int | None = None
        """The command in work, if any."""
        self.closing = False
        """Hang up once the last reply is out."""
        self.since: int | None = None
        """When the unfinished frame or the untaken reply began; CLOCK_MONOTONIC nanoseconds."""

    def read(self) -> bool:
        """Take what the kernel holds, within bounds; False when the peer hung up."""
        try:
            for _ in range(_READS):
                if not self.reader.wanted:
                    break
                data = self.channel.recv(_READ)
                if not data:
                    return False
                self.reader.feed(data)
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def write(self) -> bool:
        """Give what the kernel takes; False when the peer hung up."""
        try:
            while self.outgoing:
                del self.outgoing[: self.channel.send(self.outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def tell(self, reply: Reply) -> None:
        """Queue one reply; the command is no longer in work."""
        self.ticket = None
        self.outgoing += encode_frame(reply)


@dataclass(frozen=True, eq=False)
class Listener:
    """One bound socket, the uids that may speak on it and the commands that it takes."""

    name: str
    channel: socket.socket
    uids: frozenset[int]
    decoder: msgspec.msgpack.Decoder[Command]

    @classmethod
    def bind(cls, name: str, path: Path, *, uids: Collection[int], commands: Any) -> Listener:
        """Listen at `path`, where a dead socket of an earlier run may stand; raises Misconfigured."""
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            path.unlink(missing_ok=True)
            # Bound closed to all; opened only when nothing but the uid list decides.
            before = os.umask(0o177)
            try:
                channel.bind(str(path))
            finally:
                os.umask(before)
            if not set(uids) <= {0, os.geteuid()}:
                # Another user's process must be able to connect; SO_PEERCRED decides who may stay.
                path.chmod(0o666)
            channel.listen(BACKLOG)
        except OSError as fault:
            channel.close()
            raise Misconfigured(
                "socket-unusable",
                f"cannot listen at {path}: {fault.strerror}",
                remedy="make its directory writable for the custodian's user alone",
            ) from None
        return cls(name, channel, frozenset(uids), msgspec.msgpack.Decoder(commands))

    def fileno(self) -> int:
        """The socket, for a selector."""
        return self.channel.fileno()


class Connections:
    """All peers of all sockets, on one selector."""

    def __init__(self, listeners: Collection[Listener], *, selector: selectors.BaseSelector, log: Log) -> None:
        self._selector = selector
        self._log = log
        self._open: dict[int, Connection] = {}
        self._listeners = list(listeners)
        for listener in self._listeners:
            selector.register(listener, selectors.EVENT_READ, listener)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._open.values()))

    def accept(self, listener: Listener) -> None:
        """Take every waiting peer: one per turn would make each wait for another commit."""
        while True:
            try:
                channel, _ = listener.channel.accept()
            except BlockingIOError:
                return
            except OSError as fault:
                # Out of descriptors, most likely: the peers wait in the backlog.
                self._log.warning("accept failed", listener=listener.name, error=type(fault).__name__)
                return
            pid, uid, _ = _CREDENTIALS.unpack(
                channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            crowd = sum(connection.listener is listener for connection in self._open.values())
            if uid not in listener.uids or crowd >= MAX_CONNECTIONS:
                reason = f"uid {uid} is not allowed" if uid not in listener.uids else "too many connections"
                self._log.warning("peer refused", listener=listener.name, pid=pid, reason=reason)
                channel.close()
                continue
            channel.setblocking(False)
            connection = Connection(channel, listener=listener)
            self._open[channel.fileno()] = connection
            self._selector.register(channel, selectors.EVENT_READ, connection)

    def read(self, connection: Connection, *, now: int) -> bytearray | None:
        """The next whole frame of a peer, unless its last command is still in work; raises Malformed when oversized."""
        if not connection.read():
            self.close(connection)
            return None
        if connection.ticket is None and not connection.closing:
            body = connection.reader.next()
            connection.since = now if len(connection.reader) else None
            if body is None and sum(len(other.reader) for other in self._open.values()) > MAX_HELD:
                self._log.warning("peer dropped", listener=connection.listener.name, reason="too much is unfinished")
                self.close(connection)
            return body
        # It speaks out of turn: listen again when it was answered.
        self._watch(connection, selectors.EVENT_WRITE if connection.outgoing else 0)
        return None

    def tell(self, connection: Connection, reply: Reply, *, now: int) -> None:
        """Send one reply, or as much as the kernel takes now."""
        connection.tell(reply)
        connection.since = now
        self.flush(connection)

    def flush(self, connection: Connection) -> None:
        """Go on sending; afterwards listen to the peer again, or hang up."""
        if not connection.write() or (connection.closing and not connection.outgoing):
            self.close(connection)
        elif connection.outgoing:
            self._watch(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
        else:
            connection.since = None
            self._watch(connection, selectors.EVENT_READ)

    def expire(self, *, now: int) -> None:
        """Drop peers that do not finish a frame, or do not take a reply, in time."""
        for connection in self:
            due = _due(connection)
            if due is not None and now > due:
                self._log.warning("peer dropped", listener=connection.listener.name, reason="it is too slow")
                self.close(connection)

    def next_wake(self) -> int | None:
        """When the slowest peer must be dropped; None while all are quick."""
        return min((due for peer in self._open.values() if (due := _due(peer)) is not None), default=None)

    def close(self, connection: Connection) -> None:
        """Hang up. A command in work goes on: its answer is in the ledger, under its idempotency key."""
        descriptor = connection.channel.fileno()
        if self._open.pop(descriptor, None) is None:
            return
        if descriptor in self._selector.get_map():
            self._selector.unregister(connection.channel)
        connection.channel.close()

    def stop_listening(self) -> None:
        """Take no new peers."""
        for listener in self._listeners:
            self._selector.unregister(listener)
            listener.channel.close()
        self._listeners.clear()

    def _watch(self, connection: Connection, events: int) -> None:
        known = self._selector.get_map().get(connection.channel.fileno())
        if known is None:
            if events:
                self._selector.register(connection.channel, events, connection)
        elif not events:
            self._selector.unregister(connection.channel)
        elif known.events != events:
            self._selector.modify(connection.channel, events, connection)


def _due(connection: Connection) -> int | None:
    """Until when the custodian waits for this peer; None while the peer waits for the custodian."""
    return None if connection.since is None or connection.ticket is not None else connection.since + FRAME_NS
