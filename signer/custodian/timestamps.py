# SPDX-License-Identifier: Apache-2.0
"""The timestamp worker seen from the custodian: one process, a short queue, and deadlines that it cannot miss.

    queued ──a thread is free──▶ asked ──answer──▶ stamped
       └── too long ──▶ failed      └── hang-up, too long ──▶ failed; the worker is killed and started again

A failed question is never asked again here: the signature is dropped or released without, as the policy says, and the
caller decides. After three failures in a row new work is refused for a second before anything is decided.
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable

import msgspec

from signer.custodian.frames import FrameReader, decode_body, encode_frame
from signer.custodian.timestamp_messages import MAX_FRAME, FromStamper, Stamp, StampEnded, StampStart
from signer.custodian.timestamp_place import TimestampPlace
from signer.custodian.token_events import Stamped, StampJob
from signer.errors import Malformed, Unavailable
from signer.telemetry.logs import Log

FAILURES = 3
PAUSE_NS = 1_000_000_000
GRACE_NS = 1_000_000_000
"""What the worker may take beyond its own deadline before it counts as hung."""
FLUSH_NS = 5_000_000
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH")
_READ = 256 * 1024
_decoder = msgspec.msgpack.Decoder(FromStamper)


class _Process:
    """A spawned worker and its channel."""

    def __init__(self, place: TimestampPlace) -> None:
        self.channel, theirs = socket.socketpair()
        self.reader = FrameReader(limit=MAX_FRAME)
        self.unsent = bytearray()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own module, no shell, numbers as arguments
                [
                    *(sys.executable, "-P", "-m", "signer.custodian.timestamp_worker"),
                    *(str(theirs.fileno()), str(os.getpid())),
                ],
                pass_fds=(theirs.fileno(),),
                env={name: os.environ[name] for name in _INHERITED if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self.channel.setblocking(False)
        self.send(StampStart(url=place.url, ca=place.ca, timeout=place.timeout, threads=place.threads))

    def send(self, message: StampStart | Stamp) -> None:
        self.unsent += encode_frame(message)
        self.flush()

    def flush(self) -> None:
        try:
            while self.unsent:
                del self.unsent[: self.channel.send(self.unsent)]
        except BlockingIOError:
            return
        except OSError:
            # It hung up: the next receive sees that.
            self.unsent.clear()

    def receive(self) -> tuple[list[StampEnded], bool]:
        """What it said, and whether it is still there; raises Malformed for anything but its language."""
        alive = True
        try:
            while alive and (data := self.channel.recv(_READ)):
                self.reader.feed(data)
            # Reached only when it hung up; a channel without data raises.
            alive = False
        except BlockingIOError:
            pass
        except OSError:
            alive = False
        messages: list[StampEnded] = []
        while (body := self.reader.next()) is not None:
            messages.append(decode_body(body, _decoder))
        return messages, alive


class Timestamps:
    """Has signatures timestamped; one thread, driven by the custodian's loop."""

    def __init__(
        self, place: TimestampPlace, *, selector: selectors.BaseSelector, monotonic: Callable[[], int], log: Log
    ) -> None:
        self._place = place
        self._selector = selector
        self._monotonic = monotonic
        self._log = log
        self._worker: _Process | None = None
        self._queue: deque[tuple[StampJob, int]] = deque()
        """Jobs that wait for a thread, and until when: CLOCK_MONOTONIC nanoseconds."""
        self._asked: dict[int, tuple[StampJob, int]] = {}
        self._number = 0
        self._events: list[Stamped] = []
        self._failures = 0
        self._refuse_until = 0
        self._next_start = 0

    def hindrance(self) -> Unavailable | None:
        """Why nothing can be timestamped now, as the error to answer; None when it can, or soon can."""
        if self._failures < FAILURES or self._monotonic() >= self._refuse_until:
            return None
        return Unavailable(
            "timestamp-unavailable",
            "the timestamp authority did not answer as it must, several times in a row",
            remedy="send the request again; the custodian's log says what it answered",
        )

    def submit(self, job: StampJob) -> None:
        """Queue one job; its end comes as a Stamped."""
        self._queue.append((job, self._monotonic() + self._timeout))

    def take_events(self) -> list[Stamped]:
        """What ended since the last call."""
        events, self._events = self._events, []
        return events

    @property
    def waiting(self) -> bool:
        """Whether a job waits that could be asked now."""
        return bool(self._queue) and len(self._asked) < self._place.threads

    @property
    def pid(self) -> int | None:
        """Process id of the worker, for logs and fault tests."""
        return None if self._worker is None else self._worker.process.pid

    def turn(self) -> None:
        """One turn: hear the worker, end it when it hangs, start it, hand out work."""
        now = self._monotonic()
        if self._worker is not None:
            self._hear(self._worker, now=now)
        if self._worker is not None and any(now > end for _, end in self._asked.values()):
            self._lose("hangs", now=now)
        while self._queue and now > self._queue[0][1]:
            self._fail(self._queue.popleft()[0], "it was not asked in time", now=now)
        if self._worker is None and now >= self._next_start:
            self._worker = _Process(self._place)
            self._selector.register(self._worker.channel, selectors.EVENT_READ, None)
        while self._worker is not None and self._queue and len(self._asked) < self._place.threads:
            job, _ = self._queue.popleft()
            self._number += 1
            self._asked[self._number] = (job, now + self._timeout + GRACE_NS)
            self._worker.send(Stamp(number=self._number, signature=job.signature, chains=job.chains))

    def next_wake(self) -> int | None:
        """When a turn is due although nobody speaks; CLOCK_MONOTONIC nanoseconds."""
        ends = [end for _, end in (*self._queue, *self._asked.values())]
        if self._worker is None and self._queue:
            ends.append(self._next_start)
        if self._worker is not None and self._worker.unsent:
            ends.append(self._monotonic() + FLUSH_NS)
        return min(ends, default=None)

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._end(self._worker)

    @property
    def _timeout(self) -> int:
        return int(self._place.timeout * 1e9)

    def _hear(self, worker: _Process, *, now: int) -> None:
        worker.flush()
        try:
            messages, alive = worker.receive()
            for message in messages:
                self._ended(message, now=now)
        except Malformed:
            self._lose("speaks another language", now=now)
            return
        if not alive:
            self._lose("ended", now=now)

    def _ended(self, message: StampEnded, *, now: int) -> None:
        if message.number not in self._asked:
            raise Malformed("malformed-frame", "the timestamp worker answered what it was not asked")
        job, _ = self._asked.pop(message.number)
        if not message.response:
            self._fail(job, message.detail, now=now)
            return
        self._failures = 0
        self._events.append(Stamped(ticket=job.ticket, response=message.response, detail=""))

    def _fail(self, job: StampJob, detail: str, *, now: int) -> None:
        self._failures += 1
        self._refuse_until = now + PAUSE_NS
        self._log.warning("timestamp failed", detail=detail)
        self._events.append(Stamped(ticket=job.ticket, response=b"", detail=detail))

    def _lose(self, why: str, *, now: int) -> None:
        worker = self._worker
        assert worker is not None
        self._log.warning("timestamp worker lost", pid=worker.process.pid, reason=why)
        self._end(worker)
        asked, self._asked = self._asked, {}
        for job, _ in asked.values():
            self._fail(job, f"the timestamp worker {why}", now=now)
        # A worker that cannot even start is not started in a loop.
        self._next_start = now + (0 if asked else PAUSE_NS)

    def _end(self, worker: _Process) -> None:
        self._worker = None
        self._selector.unregister(worker.channel)
        worker.channel.close()
        worker.process.kill()
        # SIGKILL cannot be refused; the wait is for the kernel alone.
        worker.process.wait()
