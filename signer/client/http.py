# SPDX-License-Identifier: Apache-2.0
"""The HTTP client: one method per deed, mutual TLS, bounded retries, errors with causes.

A retry repeats the same bytes under the same Idempotency-Key, so it can never sign twice. Retried are answers
429 and 503, and connections that break; never beyond the time that the caller gave.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from signer.client.body import PIECE, Body, FileBody
from signer.client.endpoint import Endpoint
from signer.client.problem import Answered, parse_problem
from signer.client.request import waiver_request
from signer.client.tls import client_context, handshake_cause, tls_cause
from signer.errors import Malformed, SignerError, Unavailable
from signer.formats.strict_json import parse_object

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


class Client:
    """Typed calls to one authority; raises Answered for a problem, Unavailable when none answers."""

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

    def sign(self, request: bytes, *, idempotency_key: str) -> bytes:
        """POST /v1/signatures: the receipt's bytes."""
        return self._post("/v1/signatures", request, idempotency_key=idempotency_key).body

    def check(self, request: bytes) -> dict[str, Any]:
        """POST /v1/checks: the decision document of an allowed request, not recorded."""
        return _object(self._post("/v1/checks", request))

    def keep_evidence(self, request: bytes) -> dict[str, Any]:
        """POST /v1/evidence: digest and leaf of each item."""
        return _object(self._post("/v1/evidence", request, expected=201))

    def upload(self, path: Path, *, moved: Callable[[int], None] = lambda _size: None) -> dict[str, Any]:
        """POST /v1/uploads: digest and size of a file's bytes, which are never held as a whole; raises Malformed.

        The limit is asked for first: a server that refuses a body while it is sent cannot make itself heard.
        """
        limit = _object(self._get("/v1/uploads")).get("limit")
        if isinstance(limit, int) and path.stat().st_size > limit:
            raise Malformed(
                "too-large",
                f"{path} is larger than the {limit} bytes that the authority keeps",
                remedy="keep an extract; the operator may raise the limit under [documents]",
            )
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
        return _object(self._expect(201, self._send("POST", "/v1/uploads", body=(path, moved), headers=headers)))

    def fetch_evidence(self, digest: str, sink: Callable[[bytes], None]) -> Mapping[str, str]:
        """GET /v1/evidence/{sha256}: the exact bytes, piece by piece into `sink`; the answer's headers. Not retried."""
        return self._fetch(f"/v1/evidence/{_segment(digest)}", sink)

    def decisions(self, filters: Mapping[str, str]) -> dict[str, Any]:
        """GET /v1/decisions."""
        return _object(self._get("/v1/decisions" + (f"?{urlencode(filters)}" if filters else "")))

    def records(self, filters: Mapping[str, str]) -> tuple[bytes, str | None]:
        """GET /v1/decisions/records: one page as JSON Lines, and the `before` of the page that follows, if any."""
        answer = self._get(f"/v1/decisions/records?{urlencode(filters)}")
        return answer.body, answer.headers.get("next")

    def decision(self, request_id: str) -> dict[str, Any]:
        """GET /v1/decisions/{id}: the decision document and its outcome."""
        return _object(self._get(f"/v1/decisions/{_segment(request_id)}"))

    def keys(self) -> dict[str, Any]:
        """GET /v1/keys."""
        return _object(self._get("/v1/keys"))

    def trust(self) -> bytes:
        """GET /v1/trust: the trust file's bytes."""
        return self._get("/v1/trust").body

    def checkpoint(self) -> bytes:
        """GET /checkpoint: the newest published checkpoint."""
        return self._get("/checkpoint").body

    def tile(self, path: str) -> bytes:
        """GET one tile by its path (C2SP tlog-tiles), for example `tile/entries/000`."""
        return self._get("/" + quote(path)).body

    def halt(self, reason: str) -> dict[str, Any]:
        """POST /v1/halt: the index of the halt leaf. Halting twice is harmless, so it is retried."""
        return _object(self._post("/v1/halt", json.dumps({"reason": reason}).encode()))

    def resume(self, request: bytes) -> dict[str, Any]:
        """POST /v1/resume: the index of the resume leaf."""
        return _object(self._post("/v1/resume", request))

    def waivers(self, filters: Mapping[str, str]) -> dict[str, Any]:
        """GET /v1/waivers."""
        return _object(self._get("/v1/waivers" + (f"?{urlencode(filters)}" if filters else "")))

    def record_waiver(self, envelope: bytes) -> dict[str, Any]:
        """POST /v1/waivers: leaf and digest of what two people signed."""
        return _object(self._post("/v1/waivers", waiver_request(envelope), expected=201))

    def end_waiver(self, digest: str, *, reason: str) -> dict[str, Any]:
        """POST /v1/waivers/{digest}/end: the leaf that ends it. Ending twice is harmless, so it is retried."""
        return _object(self._post(f"/v1/waivers/{_segment(digest)}/end", json.dumps({"reason": reason}).encode()))

    def policies(self) -> dict[str, Any]:
        """GET /v1/policies: the policies in force that this caller may see, with their bytes."""
        return _object(self._get("/v1/policies"))

    def shadow(self, policy: str) -> dict[str, Any]:
        """GET /v1/policies/{name}/shadow: what is in shadow, and what was recorded of it."""
        return _object(self._get(f"/v1/policies/{quote(policy, safe='')}/shadow"))

    def access(self) -> dict[str, Any]:
        """GET /v1/access: the access document in force, with its bytes."""
        return _object(self._get("/v1/access"))

    def activate(self, document: str, request: bytes) -> dict[str, Any]:
        """POST /v1/policies or /v1/access: leaf, name, version and digest of what is in force now."""
        path = "/v1/access" if document == "access" else "/v1/policies"
        return _object(self._post(path, request, expected=201))

    def _get(self, path: str) -> Answer:
        return self._expect(200, self._send("GET", path, body=None, headers={}))

    def _post(self, path: str, body: bytes, *, expected: int = 200, idempotency_key: str | None = None) -> Answer:
        headers = {"Content-Type": "application/json"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return self._expect(expected, self._send("POST", path, body=body, headers=headers))

    def _expect(self, status: int, answer: Answer) -> Answer:
        if answer.status != status:
            media_type = answer.headers.get("content-type", "")
            raise Answered(parse_problem(answer.status, answer.body, media_type=media_type))
        return answer

    def _fetch(self, path: str, sink: Callable[[bytes], None]) -> Mapping[str, str]:
        try:
            response = self._open("GET", path, body=None, headers={}, left=self._timeout)
            headers = {name.lower(): value for name, value in response.headers.items()}
            if response.status != 200:  # noqa: PLR2004 - what every fetch answers when there is something
                self._expect(200, Answer(response.status, headers, response.read(MAX_ANSWER)))
            try:
                for piece in response.stream(PIECE):
                    sink(piece)
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as fault:
            raise tls_cause(fault) or self._unreachable(fault) from None
        return headers

    def _send(self, method: str, path: str, *, body: Body, headers: Mapping[str, str]) -> Answer:
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


def _object(answer: Answer) -> dict[str, Any]:
    try:
        return parse_object(answer.body, limit=MAX_ANSWER, what="answer")
    except Malformed as fault:
        raise answer_malformed(fault) from None


def answer_malformed(fault: Malformed) -> Unavailable:
    """An answer that does not parse is no fault of the caller."""
    return Unavailable("answer-malformed", fault.detail, remedy="check that SIGNER_URL is an authority, then try again")


def _segment(text: str) -> str:
    return quote(text, safe="")


def _pause(attempt: int, answer: Answer | None) -> float:
    """Seconds before the next attempt: what the server asked for, else doubling with jitter."""
    asked = "" if answer is None else answer.headers.get("retry-after", "")
    if asked.isascii() and asked.isdigit():
        return float(asked)
    longest = min(_PAUSE * 2.0 ** (attempt - 1), _LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
