# SPDX-License-Identifier: Apache-2.0
"""The client that web uses: what it may send again, and what it must not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from signer.custodian.client import CustodianClient
from signer.custodian.commands import Command, Done, Halt, Reply, Status
from signer.custodian.frames import FrameReader, decode_body, encode_frame
from signer.errors import Unavailable

HALT = Halt(principal="robot:ci", reason="drill")


class Custodian:
    """Accepts connections and treats each as the next script says."""

    def __init__(self, path: Path, *scripts: str) -> None:
        self.received: list[Command] = []
        self.accepted = 0
        self.hung_up = threading.Event()
        self.late = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, args=(scripts,))
        self._thread.start()

    def _serve(self, scripts: tuple[str, ...]) -> None:
        for script in scripts:
            try:
                channel, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            channel.settimeout(5)
            self._open.append(channel)
            reader = FrameReader(limit=1 << 20)
            for word in script.split():
                if word == "hang-up":
                    channel.close()
                    self.hung_up.set()
                    break
                while (body := reader.next()) is None:
                    data = channel.recv(1 << 16)
                    if not data:
                        return
                    reader.feed(data)
                self.received.append(decode_body(body, msgspec.msgpack.Decoder(Command)))
                self._answer(word, channel)

    def _answer(self, word: str, channel: socket.socket) -> None:
        match word:
            case "answer":
                channel.sendall(encode_frame(Done(leaf=len(self.received))))
            case "late":
                channel.sendall(encode_frame(Done(leaf=1)))
                self.hung_up.wait(5)
                channel.sendall(encode_frame(Done(leaf=666)))
                self.late.set()
            case "garbage":
                channel.sendall(b"\0\0\0\1\xc1")
            case "twice":
                channel.sendall(bytes(encode_frame(Done(leaf=1))) + bytes(encode_frame(Done(leaf=2))))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        for channel in (*self._open, self._listener):
            channel.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[Custodian, CustodianClient]]]:
    started: list[tuple[Custodian, CustodianClient]] = []

    def new(*scripts: str, timeout: float = 5.0) -> tuple[Custodian, CustodianClient]:
        path = tmp_path / "sock"
        started.append((Custodian(path, *scripts), CustodianClient(path, timeout=timeout)))
        return started[-1]

    yield new
    for custodian, client in started:
        client.close()
        custodian.close()


def test_one_connection_serves_many_commands(start: Callable[..., tuple[Custodian, CustodianClient]]) -> None:
    custodian, client = start("answer answer answer")
    assert [client.ask(HALT) for _ in range(3)] == [Done(leaf=1), Done(leaf=2), Done(leaf=3)]
    assert custodian.accepted == 1


def test_a_kept_connection_that_died_is_replaced_before_sending(
    start: Callable[..., tuple[Custodian, CustodianClient]],
) -> None:
    custodian, client = start("answer hang-up", "answer")
    assert client.ask(HALT) == Done(leaf=1)
    assert custodian.hung_up.wait(5)
    assert client.ask(HALT) == Done(leaf=2)
    assert (custodian.accepted, len(custodian.received)) == (2, 2)


@pytest.mark.parametrize("script", ["read hang-up", "garbage"], ids=["the custodian hangs up", "it answers rubbish"])
def test_a_lost_answer_is_never_asked_for_blindly(
    script: str, start: Callable[..., tuple[Custodian, CustodianClient]]
) -> None:
    custodian, client = start(script)
    with pytest.raises(Unavailable) as caught:
        client.ask(HALT)
    assert caught.value.code == "custodian-unavailable"
    assert custodian.received == [HALT], "sent once"


def test_an_answer_that_comes_too_late_meets_no_other_command(
    start: Callable[..., tuple[Custodian, CustodianClient]],
) -> None:
    custodian, client = start("read", "answer", timeout=0.1)
    with pytest.raises(Unavailable):
        client.ask(HALT)
    assert client.ask(Status()) == Done(leaf=2)
    assert custodian.accepted == 2


def test_an_answer_that_nobody_asked_for_ends_the_connection(
    start: Callable[..., tuple[Custodian, CustodianClient]],
) -> None:
    custodian, client = start("twice", "answer")
    assert client.ask(HALT) == Done(leaf=1)
    assert client.ask(HALT) == Done(leaf=2)
    assert custodian.accepted == 2


def test_a_word_that_comes_between_two_commands_answers_neither(
    start: Callable[..., tuple[Custodian, CustodianClient]],
) -> None:
    custodian, client = start("late", "answer")
    assert client.ask(HALT) == Done(leaf=1)
    custodian.hung_up.set()
    assert custodian.late.wait(5)
    assert client.ask(HALT) == Done(leaf=2)
    assert custodian.accepted == 2


def test_no_custodian_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        CustodianClient(tmp_path / "nobody", timeout=1).ask(Status())
    assert caught.value.code == "custodian-unavailable"


def test_threads_do_not_share_a_connection(start: Callable[..., tuple[Custodian, CustodianClient]]) -> None:
    custodian, client = start("answer", "answer")
    replies: list[Reply] = []

    def ask() -> None:
        replies.append(client.ask(HALT))
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert custodian.accepted == 2
    assert len(replies) == 2
