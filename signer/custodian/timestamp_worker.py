# SPDX-License-Identifier: Apache-2.0
"""The timestamp worker: one process that asks one timestamp authority (`python -m signer.custodian.timestamp_worker`).

    argv: SOCKET-FD PARENT-PID

The custodian opens no connection, so this process does: to the configured authority and to nothing else. It follows no
redirect, uses no proxy, reads a bounded answer within a deadline, and hands on only what it has verified: the imprint
of this signature, the nonce of this question, a pinned chain. It sees signatures and public certificates, never a key.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from signer.custodian.frames import FrameReader, decode_body, encode_frame
from signer.custodian.spawned import die_with_parent
from signer.custodian.timestamp_messages import MAX_FRAME, Stamp, StampEnded, StampStart, ToStamper
from signer.errors import Malformed, Refused
from signer.formats.timestamp import MAX_TIMESTAMP, QUERY_TYPE, REPLY_TYPE, build_request, verify_timestamp

_READ = 64 * 1024
_OK = 200


class Stamper:
    """Asks the authority; used from several threads."""

    def __init__(self, start: StampStart) -> None:
        self._url = start.url
        self._timeout = start.timeout
        # A pool of its own, not `urllib3.proxy_from_url`: nothing of the environment says where to connect.
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=start.threads,
            retries=False,
            ca_certs=start.ca or None,
            cert_reqs="CERT_REQUIRED",
        )

    def stamp(self, ask: Stamp) -> StampEnded:
        """The verified answer about one signature, or why there is none."""
        try:
            request = build_request(ask.signature)
            response = self._ask(request.der)
            self._verify(response, ask, nonce=request.nonce)
        except (Refused, Malformed) as fault:
            return StampEnded(number=ask.number, response=b"", detail=fault.detail)
        except HTTPError as fault:
            detail = f"the timestamp authority did not answer: {type(fault).__name__}"
            return StampEnded(number=ask.number, response=b"", detail=detail)
        return StampEnded(number=ask.number, response=response, detail="")

    def _ask(self, query: bytes) -> bytes:
        deadline = time.monotonic() + self._timeout
        answer = self._pool.request(
            "POST",
            self._url,
            body=query,
            headers={"Content-Type": QUERY_TYPE, "Accept": REPLY_TYPE},
            timeout=urllib3.Timeout(total=self._timeout),
            redirect=False,
            preload_content=False,
        )
        try:
            data = _read_whole(answer, deadline=deadline)
        except BaseException:
            # What was not read to its end must not be taken for the answer to the next question.
            answer.close()
            raise
        answer.release_conn()
        return data

    def _verify(self, response: bytes, ask: Stamp, *, nonce: int) -> None:
        """The answer counts under one of the pinned chains; raises Refused with what the last one says."""
        fault = Refused("timestamp-invalid", "the trust document in force pins no timestamp authority")
        for chain in ask.chains:
            try:
                verify_timestamp(response, signature=ask.signature, chain=chain, nonce=nonce)
            except Refused as refused:
                fault = refused
            else:
                return
        raise fault


def _read_whole(answer: urllib3.BaseHTTPResponse, *, deadline: float) -> bytes:
    """The body of an answer, bounded in size and time; raises Refused, or what the library raises."""
    if answer.status != _OK or answer.headers.get("Content-Type", "").partition(";")[0] != REPLY_TYPE:
        raise Refused("timestamp-invalid", f"the timestamp authority answered with status {answer.status}")
    data = b""
    # The library's timeout is for each read: an answer in drops must end as well.
    while piece := answer.read1(_READ):
        data += piece
        if len(data) > MAX_TIMESTAMP:
            raise Refused("timestamp-invalid", "the timestamp authority answered with too many bytes")
        if time.monotonic() > deadline:
            raise Refused("timestamp-invalid", "the timestamp authority did not finish its answer in time")
    return data


def serve(channel: socket.socket) -> None:
    """Answer until the custodian hangs up."""
    decoder = msgspec.msgpack.Decoder(ToStamper)
    reader = FrameReader(limit=MAX_FRAME)
    sending = threading.Lock()
    stamper: Stamper | None = None
    pool: ThreadPoolExecutor | None = None

    def answer(ask: Stamp, asked: Stamper) -> None:
        frame = encode_frame(asked.stamp(ask))
        with sending:
            channel.sendall(frame)

    try:
        while data := channel.recv(_READ):
            reader.feed(data)
            while (body := reader.next()) is not None:
                match decode_body(body, decoder):
                    case StampStart() as start if stamper is None:
                        stamper = Stamper(start)
                        pool = ThreadPoolExecutor(start.threads, thread_name_prefix="timestamp")
                    case Stamp() as ask if stamper is not None and pool is not None:
                        pool.submit(answer, ask, stamper)
                    case _:
                        return
    finally:
        if pool is not None:
            # The custodian hung up: nobody waits for what still runs.
            pool.shutdown(wait=False, cancel_futures=True)


def main(argv: list[str]) -> int:
    """Serve on the inherited descriptor; exit code 0 when the custodian hung up, 1 after a fault."""
    channel = socket.socket(fileno=int(argv[1]))
    die_with_parent(int(argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serve(channel)
    except (OSError, Malformed):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
