# SPDX-License-Identifier: Apache-2.0
"""Requests and answers over mutual TLS: bounded retries within the time that the caller gave, errors with causes.

A retry repeats the same bytes. Retried are answers 429 and 503, and connections that break.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import urllib3

from signer.client.body import PIECE, Body, FileBody
from signer.client.endpoint import Endpoint
from signer.client.problem import Answered, parse_problem
from signer.client.tls import client_context, handshake_cause, tls_cause
from signer.errors import SignerError, Unavailable

MAX_ANSWER = 96 * 1024 * 1024
ATTEMPTS = 6
_CONNECT = 10.0
_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_AGAIN = (429, 503)
_BROKEN = (urllib3.exceptions.ProtocolError, urllib3.exceptions.SSLError, ConnectionError)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Connections to one authority; raises Answered for a problem, Unavailable when none answers."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self._port = endpoint.place()
        self._base = endpoint.url.rstrip("/")
        self._timeout = endpoint.timeout
        self._sleep = sleep
        self._clock = clock
        self._context = client_context(ca=endpoint.ca, certificate=endpoint.certificate, key=endpoint.key)
        self._asked_why = False
        # The pool follows no redirect and reads no proxy from the environment: it speaks to this host alone.
        self._pool = urllib3.PoolManager(ssl_context=self._context, retries=False, maxsize=1)

    def expect(self, status: int, answer: Answer) -> Answer:
        """The answer when it has this status; raises Answered for any other."""
        if answer.status != status:
            media_type = answer.headers.get("content-type", "")
            raise Answered(parse_problem(answer.status, answer.body, media_type=media_type))
        return answer

    def fetch(self, path: str, sink: Callable[[bytes], None]) -> Mapping[str, str]:
        """GET a body piece by piece into `sink`; the answer's headers. Not retried."""
        try:
            response = self._open("GET", path, body=None, headers={}, left=self._timeout)
            headers = {name.lower(): value for name, value in response.headers.items()}
            if response.status != 200:  # noqa: PLR2004 - what every fetch answers when there is something
                self.expect(200, Answer(response.status, headers, response.read(MAX_ANSWER)))
            try:
                for piece in response.stream(PIECE):
                    sink(piece)
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as fault:
            raise tls_cause(fault) or self._unreachable(fault) from None
        return headers

    def send(self, method: str, path: str, *, body: Body, headers: Mapping[str, str]) -> Answer:
        """Send until there is a lasting answer, the attempts are used up or the time is."""
        end = self._clock() + self._timeout
        attempt = 0
        while True:
            attempt += 1
            left = max(end - self._clock(), 0.001)
            answer: Answer | None = None
            fault: Unavailable | None = None
            try:
                answer = self._once(method, path, body=body, headers=headers, left=left)
            except Unavailable as trouble:
                fault = trouble
            if answer is not None and answer.status not in _AGAIN:
                return answer
            pause = _pause(attempt, answer)
            if attempt >= ATTEMPTS or self._clock() + pause >= end:
                if answer is not None:
                    return answer
                assert fault is not None
                raise fault
            self._sleep(pause)

    def _open(
        self, method: str, path: str, *, body: Any, headers: Mapping[str, str], left: float
    ) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            method,
            self._base + path,
            body=body,
            headers={"Accept": "application/json, application/problem+json, */*", **headers},
            timeout=urllib3.Timeout(connect=min(_CONNECT, left), read=left),
            redirect=False,
            preload_content=False,
        )

    def _once(self, method: str, path: str, *, body: Body, headers: Mapping[str, str], left: float) -> Answer:
        try:
            with nullcontext(body) if not isinstance(body, tuple) else FileBody(*body) as sent:
                response = self._open(method, path, body=sent, headers=headers, left=left)
            try:
                data = response.read(MAX_ANSWER + 1)
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as fault:
            raise tls_cause(fault) or self._why_it_broke(fault) or self._unreachable(fault) from None
        if len(data) > MAX_ANSWER:
            raise Unavailable("answer-malformed", f"the answer is larger than {MAX_ANSWER} bytes")
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, data)

    def _why_it_broke(self, fault: Exception) -> SignerError | None:
        """A connection that broke may have been a refusal whose alert was lost: ask once."""
        if self._asked_why or not isinstance(fault, _BROKEN):
            return None
        self._asked_why = True
        return handshake_cause(self._host, self._port, context=self._context)

    def _unreachable(self, fault: Exception) -> Unavailable:
        match fault:
            case urllib3.exceptions.NameResolutionError():
                found, remedy = "its name does not resolve", "check the host in SIGNER_URL"
            case urllib3.exceptions.NewConnectionError():
                found, remedy = "nothing answers at that address", "check SIGNER_URL, and whether the authority runs"
            case urllib3.exceptions.TimeoutError():
                found, remedy = "it did not answer in time", "try again, or give more time with --timeout"
            case _:
                found, remedy = f"the connection broke ({type(fault).__name__})", "try again"
        return Unavailable("authority-unreachable", f"{self._base}: {found}", remedy=remedy)


def _pause(attempt: int, answer: Answer | None) -> float:
    """Seconds before the next attempt: what the server asked for, else doubling with jitter."""
    asked = "" if answer is None else answer.headers.get("retry-after", "")
    if asked.isascii() and asked.isdigit():
        return float(asked)
    longest = min(_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
