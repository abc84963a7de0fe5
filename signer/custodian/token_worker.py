# SPDX-License-Identifier: Apache-2.0
"""A token worker: one process, one vendor module, one session (`python -m signer.custodian.token_worker`).

    argv: SOCKET-FD BOARD-FD PARENT-PID

It reads the PIN itself, finds each key anew at start, compares it with its pin, and verifies every signature
under the pinned key before it answers (invariant I11). Vendor code that crashes or hangs costs this process
alone. It ends when the custodian does.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from signer.custodian.frames import FrameReader, decode_body, encode_frame
from signer.custodian.token_messages import (
    BOARD_SIZE,
    BOARD_STOP,
    MAX_FRAME,
    Fault,
    Job,
    Locate,
    Located,
    Ready,
    Result,
    Sign,
    Signed,
    Start,
    ToWorker,
)
from signer.keys.backend import KeyBackend, KeyFault, Scope
from signer.keys.keyring import PinCheck
from signer.keys.uri import parse_uri

MAX_PIN = 256
FLUSH_AFTER_NS = 500_000
"""Results wait at most this long for the rest of their batch: fast tokens answer in batches, slow ones at once."""
_PR_SET_PDEATHSIG = 1
_READ = 64 * 1024


class Board:
    """The 16 shared bytes through which the custodian sees how far this worker came."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, BOARD_SIZE)

    def start(self, number: int) -> None:
        """Say that job `number` is about to touch its key: from here on its fate is unknown until it answers."""
        self._map[:8] = number.to_bytes(8, "little")

    @property
    def stopped(self) -> bool:
        """Whether the custodian has halted signing."""
        return self._map[BOARD_STOP] != 0


class TokenWorker:
    """Signs what it is asked, with the keys of one backend."""

    def __init__(self, backend: KeyBackend, *, board: Board) -> None:
        self._backend = backend
        self._board = board
        self._pins: dict[str, PinCheck] = {}

    def find(self, uri: str, spki: bytes) -> PinCheck:
        """Find the key at `uri` and compare it with its pin; raises KeyFault."""
        pin = self._pins.get(uri)
        if pin is None or pin.spki != spki:
            pin = PinCheck(spki, uri=parse_uri(uri))
            pin.check_found(self._backend.public_key(pin.uri))
            self._pins[uri] = pin
        return pin

    def prepare(self, keys: tuple[tuple[str, bytes], ...]) -> Ready:
        """Find every recorded key; one that cannot be used does not stop the others."""
        problems = []
        for uri, spki in keys:
            try:
                self.find(uri, spki)
            except KeyFault as fault:
                if fault.scope is not Scope.KEY:
                    raise
                problems.append((uri, fault.code, fault.detail))
        return Ready(problems=tuple(problems))

    def sign(self, job: Job) -> Result:
        """Sign one digest and verify the signature under the pin."""
        try:
            pin = self.find(job.uri, job.spki)
            # The last look before the key: a halt or a late job uses no key (invariant I1, signing cycle step 7).
            if self._board.stopped:
                return _failed(job, "halted", "signing was halted before the key was called")
            if time.monotonic_ns() > job.begin_by:
                return _failed(job, "stale", "the key was not called in time")
            self._board.start(job.number)
            signature = self._backend.sign_digest(pin.uri, job.digest)
            pin.verify_own(job.digest, signature)
        except KeyFault as fault:
            return Result(
                number=job.number,
                signature=b"",
                code=fault.code,
                detail=fault.detail,
                scope=fault.scope.value,
                touched=fault.touched,
            )
        return Result(number=job.number, signature=signature, code="", detail="", scope="", touched=True)

    def locate(self, ask: Locate) -> Located:
        """Find a key that the ledger does not know yet, or make it; faults of one key are an answer."""
        try:
            place = parse_uri(ask.uri)
            try:
                spki = self._backend.public_key(place)
            except KeyFault as fault:
                if fault.code != "key-missing" or not ask.generate:
                    raise
                spki = self._backend.generate(place)
        except KeyFault as fault:
            if fault.scope not in (Scope.KEY, Scope.CALL):
                raise
            return Located(uri=ask.uri, spki=b"", code=fault.code, detail=fault.detail)
        return Located(uri=ask.uri, spki=spki, code="", detail="")


def serve(channel: socket.socket, board: Board) -> None:
    """Answer until the custodian hangs up; raises KeyFault when the session or the module is lost."""
    decoder = msgspec.msgpack.Decoder(ToWorker)
    reader = FrameReader(limit=MAX_FRAME)
    messages = _messages(channel, reader, decoder)
    start = next(messages, None)
    if not isinstance(start, Start):
        return
    worker = TokenWorker(_open(start), board=board)
    channel.sendall(encode_frame(worker.prepare(start.keys)))
    for message in messages:
        match message:
            case Sign():
                _sign_all(message.jobs, worker=worker, channel=channel)
            case Locate():
                channel.sendall(encode_frame(worker.locate(message)))
            case Start():
                return


def main(argv: list[str]) -> int:
    """Serve on the inherited descriptors; exit code 0 when the custodian hung up, 1 after a fault."""
    channel = socket.socket(fileno=int(argv[1]))
    board = Board(int(argv[2]))
    _die_with_parent(int(argv[3]))
    # The custodian decides when this process ends; a Ctrl-C in its terminal reaches the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serve(channel, board)
    except KeyFault as fault:
        channel.sendall(
            encode_frame(Fault(code=fault.code, detail=fault.detail, scope=fault.scope.value, remedy=fault.remedy))
        )
        return 1
    except OSError:
        # The custodian is gone, and with it whoever could use an answer.
        return 1
    return 0


def _sign_all(jobs: tuple[Job, ...], *, worker: TokenWorker, channel: socket.socket) -> None:
    waiting: list[Result] = []
    flushed = time.monotonic_ns()
    for position, job in enumerate(jobs, start=1):
        result = worker.sign(job)
        waiting.append(result)
        lost = result.scope in (Scope.SESSION.value, Scope.MODULE.value, Scope.NEVER.value)
        now = time.monotonic_ns()
        if lost or position == len(jobs) or now - flushed > FLUSH_AFTER_NS:
            channel.sendall(encode_frame(Signed(results=tuple(waiting), elapsed=now - flushed)))
            waiting, flushed = [], now
        if lost:
            # The rest of the batch was not started: the custodian gives it to the next worker.
            raise KeyFault(result.code, result.detail, scope=Scope(result.scope))


def _open(start: Start) -> KeyBackend:
    # Imported here: only a worker that really starts loads the vendor binding.
    from signer.keys.pkcs11 import Pkcs11Backend  # noqa: PLC0415 - loaded on use, so that others never load it

    try:
        with Path(start.pin_file).open("rb") as file:
            pin = file.read(MAX_PIN + 1).strip().decode("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise KeyFault(
            "pin-unreadable",
            f"the PIN file {start.pin_file} cannot be read: {type(fault).__name__}",
            scope=Scope.NEVER,
            remedy="make the file readable for the custodian's user",
        ) from None
    if not 0 < len(pin) <= MAX_PIN:
        raise KeyFault("pin-unreadable", f"the PIN file {start.pin_file} holds no PIN", scope=Scope.NEVER)
    return Pkcs11Backend(Path(start.module), label=start.label, pin=pin, lock=Path(start.lock))


def _messages(
    channel: socket.socket, reader: FrameReader, decoder: msgspec.msgpack.Decoder[ToWorker]
) -> Iterator[ToWorker]:
    while True:
        body = reader.next()
        if body is not None:
            yield decode_body(body, decoder)
            continue
        data = channel.recv(_READ)
        if not data:
            return
        reader.feed(data)


def _failed(job: Job, code: str, detail: str) -> Result:
    return Result(number=job.number, signature=b"", code=code, detail=detail, scope=Scope.CALL.value, touched=False)


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when the custodian dies: a stopped one never reads the hang-up."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
