# SPDX-License-Identifier: Apache-2.0
"""The HTTP client: one method per deed.

A retry repeats the same bytes under the same Idempotency-Key, so it can never sign twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from signer.client.endpoint import Endpoint
from signer.client.request import approval_request, revocation_request, waiver_request
from signer.client.transport import MAX_ANSWER, Answer, Transport
from signer.errors import Malformed, Unavailable
from signer.formats.strict_json import parse_object


class Client:
    """Typed calls to one authority; raises Answered for a problem, Unavailable when none answers."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = Transport(endpoint, sleep=sleep, clock=clock)
        self.warnings: tuple[str, ...] = ()
        """What the authority told beside the last judged answer: what ends soon."""

    def sign(self, request: bytes, *, idempotency_key: str) -> bytes:
        """POST /v1/signatures: the receipt's bytes."""
        return self._judged("/v1/signatures", request, idempotency_key=idempotency_key).body

    def check(self, request: bytes) -> dict[str, Any]:
        """POST /v1/checks: the decision document of an allowed request, not recorded."""
        return _object(self._judged("/v1/checks", request))

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
        return _object(
            self._transport.expect(
                201, self._transport.send("POST", "/v1/uploads", body=(path, moved), headers=headers)
            )
        )

    def fetch_evidence(self, digest: str, sink: Callable[[bytes], None]) -> Mapping[str, str]:
        """GET /v1/evidence/{sha256}: the exact bytes, piece by piece into `sink`; the answer's headers. Not retried."""
        return self._transport.fetch(f"/v1/evidence/{_segment(digest)}", sink)

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

    def record_deployment(self, request: bytes) -> dict[str, Any]:
        """POST /v1/deployments: leaf and id. Told twice it is recorded once, so it is retried."""
        return _object(self._post("/v1/deployments", request, expected=201))

    def deployments(self, filters: Mapping[str, str]) -> dict[str, Any]:
        """GET /v1/deployments: a page of CDEvents."""
        return _object(self._get("/v1/deployments" + (f"?{urlencode(filters)}" if filters else "")))

    def revoke(self, request: bytes) -> dict[str, Any]:
        """POST /v1/revocations: the leaf that takes a release back. Doing so twice is harmless, so it is retried."""
        return _object(self._post("/v1/revocations", request, expected=201))

    def approvals(self, filters: Mapping[str, str]) -> dict[str, Any]:
        """GET /v1/approvals: holds, with what people said of each."""
        return _object(self._get("/v1/approvals" + (f"?{urlencode(filters)}" if filters else "")))

    def hold(self, request_id: str) -> dict[str, Any]:
        """GET /v1/holds/{request}: one hold as it is to be approved."""
        return _object(self._get(f"/v1/holds/{_segment(request_id)}"))

    def record_approval(self, statement: bytes, *, signed: bool) -> dict[str, Any]:
        """POST /v1/approvals: leaf and digest of what was recorded."""
        return _object(self._post("/v1/approvals", approval_request(statement, signed=signed), expected=201))

    def revoke_approval(self, digest: str, *, reason: str, revocation: bytes | None) -> dict[str, Any]:
        """POST /v1/approvals/{digest}/revoke: the leaf that takes it back. Twice is harmless, so it is retried."""
        body = revocation_request(reason=reason, revocation=revocation)
        return _object(self._post(f"/v1/approvals/{_segment(digest)}/revoke", body))

    def release(self, digest: str) -> dict[str, Any]:
        """GET /v1/releases/{digest}: where it stands."""
        return _object(self._get(f"/v1/releases/{_segment(digest)}"))

    def findings(self, filters: Mapping[str, str]) -> dict[str, Any]:
        """GET /v1/findings: a page of them."""
        return _object(self._get("/v1/findings" + (f"?{urlencode(filters)}" if filters else "")))

    def pack(self, digest: str, sink: Callable[[bytes], None], *, size: int | None = None) -> Mapping[str, str]:
        """GET /v1/releases/{digest}/pack: the archive, piece by piece into `sink`; the answer's headers."""
        query = "" if size is None else f"?size={size}"
        return self._transport.fetch(f"/v1/releases/{_segment(digest)}/pack{query}", sink)

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

    def _judged(self, path: str, body: bytes, *, idempotency_key: str | None = None) -> Answer:
        answer = self._post(path, body, idempotency_key=idempotency_key)
        told = answer.headers.get("signer-warning", "")
        self.warnings = tuple(part.strip() for part in told.split(",") if part.strip())
        return answer

    def _get(self, path: str) -> Answer:
        return self._transport.expect(200, self._transport.send("GET", path, body=None, headers={}))

    def _post(self, path: str, body: bytes, *, expected: int = 200, idempotency_key: str | None = None) -> Answer:
        headers = {"Content-Type": "application/json"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return self._transport.expect(expected, self._transport.send("POST", path, body=body, headers=headers))


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
