# SPDX-License-Identifier: Apache-2.0
"""The loop between real Unix sockets and an authority that does as the test says."""

from __future__ import annotations

import contextlib
import io
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from signer.custodian import connections
from signer.custodian.commands import (
    MAX_FRAME,
    Command,
    Done,
    Failed,
    Halt,
    KeepEvidence,
    Reply,
    Status,
    StatusReport,
)
from signer.custodian.connections import ADMIN_COMMANDS, WEB_COMMANDS, Listener
from signer.custodian.frames import FrameReader, decode_body, encode_frame
from signer.custodian.server import Server
from signer.custodian.token_events import TokenEvent
from signer.custodian.token_process import TokenProcess
from signer.telemetry.logs import open_log

REPORT = StatusReport(ready=True, halted=False, tree_size=1, origin="o", problems=(), keys=())


class FakeAuthority:
    """Holds commands until it is let go; answers status at once."""

    def __init__(self) -> None:
        self.held: list[tuple[int, Command]] = []
        self.hold = False
        self.turns: list[int] = []
        self.unfinished = False
        self.commit_seconds = 0.0

    @property
    def in_work(self) -> int:
        return len(self.held)

    def turn(self, arrivals: Iterable[tuple[int, Command]], events: Iterable[TokenEvent]) -> list[tuple[int, Reply]]:  # noqa: ARG002 - the protocol's signature
        given = list(arrivals)
        self.turns.append(len(given))
        self.held += given
        if self.hold:
            return []
        answers: list[tuple[int, Reply]] = [
            (ticket, REPORT if isinstance(command, Status) else Done(leaf=7)) for ticket, command in self.held
        ]
        self.held.clear()
        return answers

    def rest(self) -> bool:
        return False


class NoTokens:
    waiting = False

    def turn(self, readable: Iterable[TokenProcess]) -> None: ...
    def take_events(self) -> list[TokenEvent]:
        return []

    def next_wake(self) -> int | None:
        return None


class Desk:
    """A server on two sockets, turned by hand."""

    def __init__(self, folder: Path, *, queue: int = 8, uids: frozenset[int] = frozenset({os.getuid()})) -> None:
        self.folder = folder
        self.authority = FakeAuthority()
        self.selector = selectors.DefaultSelector()
        self.log = io.BytesIO()
        self.now = 0
        self.peers: list[Peer] = []
        self.server = Server(
            [
                Listener.bind("web", folder / "web.sock", uids=uids, commands=WEB_COMMANDS),
                Listener.bind("admin", folder / "admin.sock", uids=uids, commands=ADMIN_COMMANDS),
            ],
            authority=self.authority,
            tokens=NoTokens(),
            selector=self.selector,
            queue=queue,
            log=open_log(self.log, room="test"),
            monotonic=lambda: self.now,
        )

    def peer(self, name: str = "web") -> Peer:
        self.peers.append(Peer(self, self.folder / f"{name}.sock"))
        return self.peers[-1]

    def turn(self, times: int = 3) -> None:
        # Never wait: what is there is there.
        self.authority.unfinished = True
        for _ in range(times):
            self.server.turn()

    def close(self) -> None:
        for peer in self.peers:
            peer.channel.close()
        self.server.stop()
        self.now += 1
        self.authority.held.clear()
        self.server.run()
        self.selector.close()


class Peer:
    """A client that sends what it likes."""

    def __init__(self, desk: Desk, path: Path) -> None:
        self.desk = desk
        self.channel = socket.socket(socket.AF_UNIX)
        self.channel.settimeout(5)
        self.channel.connect(str(path))
        self.reader = FrameReader(limit=1 << 26)

    def send(self, data: bytes | bytearray | msgspec.Struct) -> None:
        self.channel.sendall(encode_frame(data) if isinstance(data, msgspec.Struct) else data)

    def reply(self) -> Reply | None:
        """What came back; None when the server hung up."""
        deadline = time.monotonic() + 5
        self.channel.setblocking(False)
        while time.monotonic() < deadline:
            body = self.reader.next()
            if body is not None:
                reply: Reply = decode_body(body, msgspec.msgpack.Decoder(Reply))
                return reply
            self.desk.turn(1)
            try:
                data = self.channel.recv(1 << 20)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.reader.feed(data)
        raise AssertionError("neither a reply nor a hang-up")


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    with contextlib.ExitStack() as stack:

        def new(*, queue: int = 8, uids: frozenset[int] = frozenset({os.getuid()})) -> Desk:
            desk = Desk(tmp_path, queue=queue, uids=uids)
            stack.callback(desk.close)
            return desk

        yield new


@pytest.fixture
def desk(new_desk: Callable[..., Desk]) -> Desk:
    return new_desk()


def halt(reason: str = "drill") -> Halt:
    return Halt(principal="robot:ci", reason=reason)


def test_a_command_gets_its_answer_and_the_connection_stays(desk: Desk) -> None:
    peer = desk.peer()
    for _ in range(3):
        peer.send(Status())
        assert peer.reply() == REPORT


def test_all_that_wait_are_taken_in_one_turn(desk: Desk) -> None:
    peers = [desk.peer() for _ in range(20)]
    for peer in peers:
        peer.send(halt())
    desk.turn(2)
    assert max(desk.authority.turns) == 20, "one accept per turn would make each wait for another commit"


def test_a_pipelined_command_waits_for_the_answer_before_it(desk: Desk) -> None:
    peer = desk.peer()
    desk.authority.hold = True
    peer.send(bytes(encode_frame(halt("one"))) + bytes(encode_frame(halt("two"))))
    desk.turn(5)
    peer.send(halt("three"))
    desk.turn(5)
    assert len(desk.authority.held) == 1
    desk.authority.hold = False
    assert [peer.reply() for _ in range(3)] == [Done(leaf=7)] * 3
    assert max(desk.authority.turns) == 1


def test_a_slow_sender_is_read_piece_by_piece(desk: Desk) -> None:
    peer = desk.peer()
    for byte in bytes(encode_frame(Status())):
        peer.send(bytes([byte]))
        desk.turn(1)
    assert peer.reply() == REPORT


def test_a_frame_that_is_never_finished_costs_its_connection_alone(desk: Desk) -> None:
    slow, other = desk.peer(), desk.peer()
    slow.send(b"\0\0\1\0half")
    desk.turn()
    desk.now += connections.FRAME_NS + 1
    assert slow.reply() is None
    other.send(Status())
    assert other.reply() == REPORT


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param((MAX_FRAME + 1).to_bytes(4), "too-large", id="a length beyond the cap"),
        pytest.param(b"\xff\xff\xff\xff", "too-large", id="the largest length"),
        pytest.param(b"\0\0\0\0", "malformed-frame", id="an empty body"),
        pytest.param(b"\0\0\0\1\xc1", "malformed-frame", id="a byte that MessagePack never uses"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "too-large", id="another protocol"),
        pytest.param(bytes(encode_frame(REPORT)), "malformed-frame", id="a reply instead of a command"),
    ],
)
def test_a_frame_that_cannot_be_read_is_answered_once_and_hung_up_on(data: bytes, code: str, desk: Desk) -> None:
    peer, other = desk.peer(), desk.peer()
    peer.send(data)
    reply = peer.reply()
    assert isinstance(reply, Failed)
    assert (reply.family, reply.code) == ("malformed", code)
    assert peer.reply() is None
    other.send(Status())
    assert other.reply() == REPORT


def test_unfinished_frames_share_one_budget(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_HELD", 1000)
    first, second = desk.peer(), desk.peer()
    first.send((5000).to_bytes(4) + b"x" * 600)
    desk.turn()
    second.send((5000).to_bytes(4) + b"x" * 600)
    assert second.reply() is None
    assert b"too much is unfinished" in desk.log.getvalue()


def test_connections_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    peers = [desk.peer() for _ in range(3)]
    desk.turn()
    assert peers[2].reply() is None
    peers[0].send(Status())
    assert peers[0].reply() == REPORT


def test_a_full_queue_answers_overloaded_but_lets_a_halt_and_a_status_pass(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(queue=2)
    desk.authority.hold = True
    busy = [desk.peer() for _ in range(2)]
    for peer in busy:
        peer.send(KeepEvidence(request_id="0", principal="p", policy="p", items=()))
    desk.turn()
    late = desk.peer()
    late.send(KeepEvidence(request_id="0", principal="p", policy="p", items=()))
    reply = late.reply()
    assert isinstance(reply, Failed)
    assert (reply.family, reply.code, reply.retry_after) == ("unavailable", "overloaded", 1)
    late.send(halt())
    desk.turn()
    assert isinstance(desk.authority.held[-1][1], Halt)


def test_a_peer_that_hangs_up_takes_nobody_with_it(desk: Desk) -> None:
    desk.authority.hold = True
    peer, other = desk.peer(), desk.peer()
    peer.send(halt())
    desk.turn()
    peer.channel.close()
    desk.turn()
    desk.authority.hold = False
    desk.turn()
    other.send(Status())
    assert other.reply() == REPORT


def test_a_peer_that_takes_no_answer_does_not_stall_the_loop(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    large = StatusReport(ready=True, halted=False, tree_size=1, origin="o" * 8_000_000, problems=(), keys=())
    monkeypatch.setattr("tests.unit.custodian.test_server.REPORT", large)
    deaf, other = desk.peer(), desk.peer()
    deaf.send(Status())
    desk.turn()
    other.send(halt())
    assert other.reply() == Done(leaf=7)
    desk.now += connections.FRAME_NS + 1
    desk.turn()
    with pytest.raises((AssertionError, OSError)):
        deaf.send(b"x" * 10_000_000)


def test_a_uid_that_is_not_listed_is_hung_up_on(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(uids=frozenset({os.getuid() + 1}))
    peer = desk.peer()
    with contextlib.suppress(BrokenPipeError):
        peer.send(Status())
    assert peer.reply() is None
    assert b"is not allowed" in desk.log.getvalue()
    assert desk.authority.held == []


def test_the_sockets_are_private_unless_another_uid_must_reach_them(tmp_path: Path) -> None:
    for uids, mode in (({os.getuid()}, 0o600), ({0, os.getuid()}, 0o600), ({os.getuid() + 1}, 0o666)):
        listener = Listener.bind("web", tmp_path / "sock", uids=uids, commands=WEB_COMMANDS)
        assert (tmp_path / "sock").stat().st_mode & 0o777 == mode
        listener.channel.close()


def test_a_stopping_server_finishes_what_is_in_work(desk: Desk) -> None:
    peer = desk.peer()
    desk.authority.hold = True
    peer.send(halt())
    desk.turn()
    desk.server.stop()
    desk.authority.hold = False
    desk.server.run()
    assert peer.reply() == Done(leaf=7)
