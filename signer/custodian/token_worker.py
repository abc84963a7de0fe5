# SPDX-License-Identifier: Apache-2.0
"""A token worker: one process for one device (`python -m signer.custodian.token_worker`).

    argv: SOCKET-FD BOARD-FD PARENT-PID

A PKCS #11 module is used from one thread and one session; AWS KMS from several threads. It reads the PIN itself,
finds each key anew at start, compares it with its pin, and verifies every signature under the pinned key before it
answers (invariant I11). Vendor code that crashes or hangs costs this process alone. It ends when the custodian does.
"""

from __future__ import annotations

import mmap
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from signer.custodian.frames import FrameReader, decode_body, encode_frame
from signer.custodian.spawned import die_with_parent
from signer.custodian.token_messages import (
    BOARD_SIZE,
    BOARD_STOP,
    MAX_FRAME,
    Fault,
    Job,
    Locate,
    Located,
    Problem,
    Progress,
    Ready,
    Result,
    Sign,
    Signed,
    Start,
    ToWorker,
)
from signer.domain.algorithm import Algorithm
from signer.errors import Malformed
from signer.keys.backend import FoundKey, KeyBackend, KeyFault, Scope
from signer.keys.devices import KmsDevice, open_backend
from signer.keys.keyring import PinCheck
from signer.keys.uri import parse_uri

FLUSH_AFTER_NS = 500_000
"""Results wait at most this long for the rest of their batch: fast tokens answer in batches, slow ones at once."""
_READ = 64 * 1024


class Board:
    """The 16 shared bytes through which the custodian sees how far this worker came."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, BOARD_SIZE)
        self._lock = threading.Lock()
        self._started = 0

    def start(self, number: int) -> None:
        """Say that job `number` is about to touch its key: from here on its fate is unknown until it answers.

        Of several threads the highest number stands: an earlier job that waits yet counts as begun as well.
        """
        with self._lock:
            self._started = max(self._started, number)
            self._map[:8] = self._started.to_bytes(8, "little")

    @property
    def stopped(self) -> bool:
        """Whether the custodian has halted signing."""
        return self._map[BOARD_STOP] != 0


class TokenWorker:
    """Signs what it is asked, with the keys of one backend; from several threads where the backend allows it."""

    def __init__(self, backend: KeyBackend, *, board: Board) -> None:
        self._backend = backend
        self._board = board
        self._pins: dict[str, PinCheck] = {}

    def find(self, uri: str, algorithm: Algorithm, spki: bytes) -> PinCheck:
        """The key at `uri`, looked up once and compared with its pin; raises KeyFault."""
        pin = self._pins.get(uri)
        if pin is None or pin.spki != spki or pin.algorithm != algorithm:
            pin, _ = self._look(uri, algorithm, spki)
        return pin

    def prepare(
        self, keys: tuple[tuple[str, Algorithm, bytes], ...], *, on_progress: Callable[[], None] = lambda: None
    ) -> Ready:
        """Find every recorded key; one that cannot be used does not stop the others."""
        found, problems = [], []
        for uri, algorithm, spki in keys:
            on_progress()
            try:
                found.append((uri, self._look(uri, algorithm, spki)[1].protection))
            except KeyFault as fault:
                if _ends_worker(fault.scope):
                    raise
                problems.append(Problem(uri=uri, code=fault.code, detail=fault.detail, remedy=fault.remedy))
        return Ready(found=tuple(found), problems=tuple(problems))

    def sign(self, job: Job) -> Result:
        """Sign one input and verify the signature under the pin."""
        try:
            pin = self.find(job.uri, job.algorithm, job.spki)
            # The last look before the key: a halt or a late job uses no key (invariant I1, signing cycle step 7).
            if self._board.stopped:
                return _failed(job, "halted", "signing was halted before the key was called")
            if time.monotonic_ns() > job.begin_by:
                return _failed(job, "stale", "the key was not called in time")
            self._board.start(job.number)
            signature = self._backend.sign(pin.uri, pin.algorithm, job.data)
            pin.verify_own(job.data, signature)
        except KeyFault as fault:
            if fault.scope is Scope.KEY:
                # Found anew, and compared with its pin, before it signs again.
                self._pins.pop(job.uri, None)
            return Result(
                number=job.number,
                signature=b"",
                code=fault.code,
                detail=fault.detail,
                remedy=fault.remedy,
                scope=fault.scope.value,
                touched=fault.touched,
            )
        return Result(number=job.number, signature=signature, code="", detail="", remedy="", scope="", touched=True)

    def locate(self, ask: Locate) -> Located:
        """Find a key that the ledger does not know yet, or make it; faults of one key are an answer."""
        try:
            place = parse_uri(ask.uri)
            try:
                found = self._backend.public_key(place, ask.algorithm)
            except KeyFault as fault:
                if fault.code != "key-missing" or not ask.generate:
                    raise
                found = self._backend.generate(place, ask.algorithm)
        except KeyFault as fault:
            if _ends_worker(fault.scope):
                raise
            return Located(
                uri=ask.uri, spki=b"", protection="", code=fault.code, detail=fault.detail, remedy=fault.remedy
            )
        return Located(uri=ask.uri, spki=found.spki, protection=found.protection, code="", detail="", remedy="")

    def _look(self, uri: str, algorithm: Algorithm, spki: bytes) -> tuple[PinCheck, FoundKey]:
        try:
            pin = PinCheck(spki, uri=parse_uri(uri), algorithm=algorithm)
        except Malformed as fault:
            raise KeyFault("key-pin-mismatch", f"{uri}: {fault.detail}", scope=Scope.KEY) from None
        found = self._backend.public_key(pin.uri, algorithm)
        pin.check_found(found.spki)
        self._pins[uri] = pin
        return pin, found


def serve(channel: socket.socket, board: Board) -> None:
    """Answer until the custodian hangs up; raises KeyFault when the session or the module is lost."""
    decoder = msgspec.msgpack.Decoder(ToWorker)
    reader = FrameReader(limit=MAX_FRAME)
    messages = _messages(channel, reader, decoder)
    start = next(messages, None)
    if not isinstance(start, Start):
        return

    def tell_progress() -> None:
        # A vendor module may hang in any call; calls of AWS KMS end by themselves, each in its own time.
        if not isinstance(start.device, KmsDevice):
            channel.sendall(encode_frame(Progress()))

    tell_progress()
    worker = TokenWorker(open_backend(start.device), board=board)
    channel.sendall(encode_frame(worker.prepare(start.keys, on_progress=tell_progress)))
    if isinstance(start.device, KmsDevice):
        _serve_in_threads(messages, worker=worker, channel=channel, threads=start.device.threads)
        return
    for message in messages:
        match message:
            case Sign():
                _sign_all(message.jobs, worker=worker, channel=channel)
            case Locate():
                channel.sendall(encode_frame(worker.locate(message)))
            case Start():
                return


def _serve_in_threads(
    messages: Iterator[ToWorker], *, worker: TokenWorker, channel: socket.socket, threads: int
) -> None:
    """Each job in a thread of its own, answered as soon as it ends; no fault of AWS KMS ends the process."""
    sending = threading.Lock()

    def answer(message: Job | Locate) -> None:
        if isinstance(message, Job):
            begun = time.monotonic_ns()
            result = worker.sign(message)
            frame = encode_frame(Signed(results=(result,), elapsed=time.monotonic_ns() - begun))
        else:
            frame = encode_frame(worker.locate(message))
        with sending:
            channel.sendall(frame)

    # One thread more than jobs: a look at a key does not wait for them.
    pool = ThreadPoolExecutor(threads + 1, thread_name_prefix="key-call")
    try:
        for message in messages:
            match message:
                case Sign():
                    for job in message.jobs:
                        pool.submit(answer, job)
                case Locate():
                    pool.submit(answer, message)
                case Start():
                    return
    finally:
        # The custodian hung up: nobody waits for what still runs.
        pool.shutdown(wait=False, cancel_futures=True)


def main(argv: list[str]) -> int:
    """Serve on the inherited descriptors; exit code 0 when the custodian hung up, 1 after a fault."""
    channel = socket.socket(fileno=int(argv[1]))
    board = Board(int(argv[2]))
    die_with_parent(int(argv[3]))
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
        lost = bool(result.scope) and _ends_worker(Scope(result.scope))
        now = time.monotonic_ns()
        if lost or position == len(jobs) or now - flushed > FLUSH_AFTER_NS:
            channel.sendall(encode_frame(Signed(results=tuple(waiting), elapsed=now - flushed)))
            waiting, flushed = [], now
        if lost:
            # The rest of the batch was not started: the custodian gives it to the next worker.
            raise KeyFault(result.code, result.detail, scope=Scope(result.scope), remedy=result.remedy)


def _ends_worker(scope: Scope) -> bool:
    return scope in (Scope.SESSION, Scope.MODULE, Scope.NEVER)


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
    return Result(
        number=job.number, signature=b"", code=code, detail=detail, remedy="", scope=Scope.CALL.value, touched=False
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv))
