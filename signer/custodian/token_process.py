# SPDX-License-Identifier: Apache-2.0
"""One token worker seen from the custodian: its process, its channel, its board and what it was asked.

    STARTING ──ready──▶ IDLE ──sign / locate──▶ BUSY ──last result──▶ IDLE
        └───────────────── hang-up, kill, deadline ─────────────────▶ gone

A worker of one thread has at most one ask outstanding, and answers its jobs in order. One of several threads has a
job for each of them, answered as they end.
"""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from signer.custodian.frames import FrameReader, decode_body, encode_frame
from signer.custodian.token_events import SigningJob
from signer.custodian.token_messages import BOARD_SIZE, BOARD_STOP, MAX_FRAME, FromWorker, Job, Locate, Sign, Start
from signer.errors import Malformed

_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH")
"""The custodian's variables that a worker may see; whatever a vendor module reads is named in its token's settings."""
_READ = 256 * 1024
_decoder = msgspec.msgpack.Decoder(FromWorker)


@dataclass(frozen=True, slots=True)
class _Asked:
    job: SigningJob
    at: int


class TokenProcess:
    """A spawned worker. Never forked: a vendor module must not be loaded when a process forks."""

    def __init__(self, start: Start, *, environment: Mapping[str, str], now: int, threads: int = 1) -> None:
        self._channel, theirs = socket.socketpair()
        descriptor = os.memfd_create("token-worker-board")
        os.ftruncate(descriptor, BOARD_SIZE)
        self._board = mmap.mmap(descriptor, BOARD_SIZE)
        self._asked: dict[int, _Asked] = {}
        self._threads = threads
        self._unsent = bytearray()
        self._number = 0
        self._reader = FrameReader(limit=MAX_FRAME)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell, numbers as arguments
                [
                    *(sys.executable, "-P", "-m", "signer.custodian.token_worker"),
                    *(str(theirs.fileno()), str(descriptor), str(os.getpid())),
                ],
                pass_fds=(theirs.fileno(), descriptor),
                env={name: os.environ[name] for name in _INHERITED if name in os.environ} | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        os.close(descriptor)
        self._channel.setblocking(False)
        self.ready = False
        self.opening = False
        """Whether it has begun to use the device: what came before was our own code, on a machine that may be busy."""
        self.locating: Locate | None = None
        self.heard = now
        """When it last said something, CLOCK_MONOTONIC nanoseconds: a deep queue is not a hang."""
        self.pace = 0.0
        """Nanoseconds per job, smoothed; 0 while unknown."""
        self.stale = False
        """Whether another session sees a key that this one may not see: it gets no more work."""
        self.proved = False
        """Whether it has answered anything since it became ready."""
        self._send(encode_frame(start))

    def fileno(self) -> int:
        """The channel, for a selector."""
        return self._channel.fileno()

    @property
    def pid(self) -> int:
        """Process id, for logs and fault tests."""
        return self._process.pid

    @property
    def idle(self) -> bool:
        """Ready and owing no answer."""
        return self.ready and not self._asked and self.locating is None

    @property
    def busy(self) -> bool:
        """Owing an answer, its first included."""
        return not self.idle

    @property
    def free(self) -> int:
        """How many asks it can take now."""
        if not self.ready or self.stale or (self.locating is not None and self._threads == 1):
            return 0
        return max(0, self._threads - len(self._asked))

    @property
    def may_look(self) -> bool:
        """Whether it can look at a key now."""
        return self.ready and self.locating is None and (self._threads > 1 or not self._asked)

    @property
    def silent_since(self) -> int:
        """Since when it owes what it should have said, CLOCK_MONOTONIC nanoseconds: a deep queue is not a hang."""
        if self._threads == 1 or not self._asked:
            return self.heard
        # Each thread has its own job: the others' answers excuse none.
        return next(iter(self._asked.values())).at

    @property
    def unsent(self) -> bool:
        """Whether part of an ask waits for room in the socket's buffer."""
        return bool(self._unsent)

    def set_stop(self, *, stopped: bool) -> None:
        """Tell the worker through the board that signing is halted, or goes on."""
        self._board[BOARD_STOP] = int(stopped)

    def sign(self, jobs: Sequence[SigningJob], *, now: int) -> None:
        """Ask for signatures, in order; no more than `free` of a worker of several threads."""
        asked = []
        for job in jobs:
            self._number += 1
            self._asked[self._number] = _Asked(job, now)
            asked.append(
                Job(
                    number=self._number,
                    uri=str(job.key.place.uri),
                    algorithm=job.key.place.algorithm,
                    spki=job.key.pin.spki,
                    data=job.data,
                    begin_by=job.begin_by,
                )
            )
        self.heard = now
        self._send(encode_frame(Sign(jobs=tuple(asked))))

    def locate(self, ask: Locate, *, now: int) -> None:
        """Ask an idle worker for the key at a place."""
        self.locating = ask
        self.heard = now
        self._send(encode_frame(ask))

    def answered(self, number: int) -> SigningJob:
        """The job that a result is about; raises Malformed when it was never asked."""
        first = next(iter(self._asked), 0)
        if number not in self._asked or (self._threads == 1 and number != first):
            raise Malformed("malformed-frame", "the token worker answered what it was not asked")
        return self._asked.pop(number).job

    def measure(self, count: int, *, elapsed: int) -> None:
        """Learn the pace from `count` results that took the worker `elapsed` nanoseconds."""
        pace = elapsed / count
        self.pace = pace if not self.pace else 0.7 * self.pace + 0.3 * pace

    def receive(self, *, now: int) -> tuple[list[FromWorker], bool]:
        """What it said, and whether it is still there; raises Malformed for anything but its language."""
        messages: list[FromWorker] = []
        alive = True
        try:
            data = self._channel.recv(_READ)
            alive = bool(data)
            self._reader.feed(data)
        except BlockingIOError:
            pass
        except OSError:
            alive = False
        while (body := self._reader.next()) is not None:
            messages.append(decode_body(body, _decoder))
            self.heard = now
        return messages, alive

    def end(self) -> tuple[list[SigningJob], list[SigningJob]]:
        """Kill it and part its unanswered jobs: (may have touched their key, certainly did not)."""
        self._process.kill()
        self._channel.close()
        # Read after the kill was sent; a job that the worker starts in between cannot answer any more, so wait
        # for the end first. SIGKILL cannot be refused, and the wait is bounded.
        dead = True
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            dead = False
        started = int.from_bytes(self._board[:8], "little") if dead else self._number
        self._board.close()
        touched = [asked.job for number, asked in self._asked.items() if number <= started]
        untouched = [asked.job for number, asked in self._asked.items() if number > started]
        self._asked.clear()
        return touched, untouched

    @property
    def gone(self) -> bool:
        """Whether the process was reaped."""
        return self._process.poll() is not None

    def flush(self) -> None:
        """Send what did not fit before; the messages of Ed25519 may be larger than the socket's buffer."""
        try:
            while self._unsent:
                del self._unsent[: self._channel.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            # It hung up: the next receive sees that, and `end` finds its jobs unstarted.
            self._unsent.clear()

    def _send(self, frame: bytearray) -> None:
        self._unsent += frame
        self.flush()
