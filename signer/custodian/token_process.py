# SPDX-License-Identifier: Apache-2.0
"""One token worker seen from the custodian: its process, its channel, its board and what it was asked.

    STARTING ──ready──▶ IDLE ──sign / locate──▶ BUSY ──last result──▶ IDLE
        └───────────────── hang-up, kill, deadline ─────────────────▶ gone

At most one ask is outstanding, so a frame to an idle worker always fits into the socket's buffer.
"""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
from collections import deque
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
    number: int
    job: SigningJob


class TokenProcess:
    """A spawned worker. Never forked: a vendor module must not be loaded when a process forks."""

    def __init__(self, start: Start, *, environment: Mapping[str, str], now: int) -> None:
        self._channel, theirs = socket.socketpair()
        descriptor = os.memfd_create("token-worker-board")
        os.ftruncate(descriptor, BOARD_SIZE)
        self._board = mmap.mmap(descriptor, BOARD_SIZE)
        self._asked: deque[_Asked] = deque()
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
        self.locating: Locate | None = None
        self.heard = now
        """When it last said something, CLOCK_MONOTONIC nanoseconds: a deep queue is not a hang."""
        self.pace = 0.0
        """Nanoseconds per job, smoothed; 0 while unknown."""
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

    def set_stop(self, *, stopped: bool) -> None:
        """Tell the worker through the board that signing is halted, or goes on."""
        self._board[BOARD_STOP] = int(stopped)

    def sign(self, jobs: Sequence[SigningJob], *, now: int) -> None:
        """Ask an idle worker for signatures, in order."""
        for job in jobs:
            self._number += 1
            self._asked.append(_Asked(self._number, job))
        self.heard = now
        self._send(
            encode_frame(
                Sign(
                    jobs=tuple(
                        Job(
                            number=asked.number,
                            uri=str(asked.job.key.place.uri),
                            spki=asked.job.key.pin.spki,
                            digest=asked.job.digest,
                            begin_by=asked.job.begin_by,
                        )
                        for asked in self._asked
                    )
                )
            )
        )

    def locate(self, ask: Locate, *, now: int) -> None:
        """Ask an idle worker for the key at a place."""
        self.locating = ask
        self.heard = now
        self._send(encode_frame(ask))

    def answered(self, number: int) -> SigningJob:
        """The job that a result is about; raises Malformed when it was never asked."""
        if not self._asked or self._asked[0].number != number:
            raise Malformed("malformed-frame", "the token worker answered what it was not asked")
        return self._asked.popleft().job

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
        touched = [asked.job for asked in self._asked if asked.number <= started]
        untouched = [asked.job for asked in self._asked if asked.number > started]
        self._asked.clear()
        return touched, untouched

    @property
    def gone(self) -> bool:
        """Whether the process was reaped."""
        return self._process.poll() is not None

    def _send(self, frame: bytearray) -> None:
        try:
            sent = self._channel.send(frame)
        except OSError:
            # It hung up: the next receive sees that, and `end` finds its jobs unstarted.
            return
        if sent != len(frame):
            # Cannot happen to an idle worker within the bounds of an ask; its death is noticed like any other.
            self._process.kill()
