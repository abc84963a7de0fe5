# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from signer.custodian.client import CustodianClient
from signer.custodian.commands import MAX_FRAME, Done, Status
from signer.custodian.frames import FrameReader, encode_frame
from signer.errors import Unavailable

Serve = Callable[[socket.socket, int], None]


def answer(channel: socket.socket, connection: int) -> None:
    """Answer every command with the number of the connection that it came on."""
    reader = FrameReader(limit=MAX_FRAME)
    while data := channel.recv(65536):
        reader.feed(data)
        while reader.next() is not None:
            channel.sendall(encode_frame(Done(leaf=connection)))


def answer_once(channel: socket.socket, connection: int) -> None:
    reader = FrameReader(limit=MAX_FRAME)
    while reader.next() is None:
        reader.feed(channel.recv(65536))
    channel.sendall(encode_frame(Done(leaf=connection)))


def hang_up(channel: socket.socket, connection: int) -> None:
    channel.recv(65536)


@contextmanager
def custodian(path: Path, serve: Serve) -> Iterator[threading.Semaphore]:
    """A stand-in that serves one connection after another; the semaphore counts those that it closed."""
    closed = threading.Semaphore(0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def run() -> None:
            connection = 0
            while True:
                try:
                    channel, _ = listener.accept()
                except OSError:
                    return
                with channel:
                    serve(channel, connection)
                connection += 1
                closed.release()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield closed
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[CustodianClient]:
    made = CustodianClient(tmp_path / "socket", timeout=20)
    yield made
    made.close()


def test_a_kept_connection_is_used_again_at_once(tmp_path: Path, client: CustodianClient) -> None:
    with custodian(tmp_path / "socket", answer):
        began = time.monotonic()
        assert [client.ask(Status()) for _ in range(5)] == [Done(leaf=0)] * 5
        assert time.monotonic() - began < 5
        client.close()


def test_a_connection_that_was_closed_meanwhile_is_replaced(tmp_path: Path, client: CustodianClient) -> None:
    with custodian(tmp_path / "socket", answer_once) as closed:
        for connection in range(3):
            assert client.ask(Status()) == Done(leaf=connection)
            assert closed.acquire(timeout=10)


def test_a_lost_answer_is_unavailable_and_never_sent_again(tmp_path: Path, client: CustodianClient) -> None:
    with custodian(tmp_path / "socket", hang_up), pytest.raises(Unavailable) as refused:
        client.ask(Status())
    assert refused.value.code == "custodian-unavailable"


def test_an_absent_custodian_is_unavailable(client: CustodianClient) -> None:
    with pytest.raises(Unavailable) as refused:
        client.ask(Status())
    assert refused.value.code == "custodian-unavailable"
