# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests: who asks for what, with the exact bytes of the evidence.

{"environment":"release","evidence":[{"content":"<base64>"}],"policy":"demo",
 "subjects":[{"digest":{"sha256":"9c56…"},"name":"shop"}]}
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signer.domain.digest import Digest
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.canonical import canonical
from signer.formats.strict_base64 import encode_base64

MAX_EVIDENCE = 64 * 1024 * 1024
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One item of evidence; `kind`, `media_type` and `subjects` are set for an opaque document only."""

    content: bytes = b""
    kind: str | None = None
    media_type: str | None = None
    subjects: tuple[str, ...] = ()
    upload: str | None = None
    """sha256 of bytes that were uploaded before, in place of `content`."""

    def body(self) -> dict[str, Any]:
        """The item as it stands in a request."""
        held = {"content": encode_base64(self.content)} if self.upload is None else {"upload": self.upload}
        if self.kind is None:
            return held
        return held | {
            "kind": self.kind,
            "media_type": self.media_type or "application/octet-stream",
            "subjects": list(self.subjects),
        }


def signing_request(
    *, policy: str, environment: str, subjects: Sequence[Subject], evidence: Sequence[Evidence]
) -> bytes:
    """The body of POST /v1/signatures and /v1/checks; equal arguments give equal bytes, which retries rely on."""
    return canonical(
        {
            "policy": policy,
            "environment": environment,
            "subjects": [
                {"name": subject.name, "digest": {digest.algorithm: digest.value for digest in subject.digests}}
                for subject in subjects
            ],
            "evidence": [item.body() for item in evidence],
        }
    )


def evidence_request(*, policy: str, evidence: Sequence[Evidence]) -> bytes:
    """The body of POST /v1/evidence."""
    return canonical({"policy": policy, "evidence": [item.body() for item in evidence]})


def resume_request(*, halt_index: int, signatures: Sequence[bytes]) -> bytes:
    """The body of POST /v1/resume: which halt ends, and the owners' envelopes."""
    return canonical({"halt_index": halt_index, "signatures": [encode_base64(envelope) for envelope in signatures]})


def activation_request(
    *, document: bytes, signatures: Sequence[bytes], shadow: bool = False, acknowledge: Sequence[str] = ()
) -> bytes:
    """The body of POST /v1/policies and /v1/access: the document's exact bytes, and the owners' envelopes."""
    body: dict[str, Any] = {
        "document": encode_base64(document),
        "signatures": [encode_base64(envelope) for envelope in signatures],
    }
    if shadow:
        body["shadow"] = True
    if acknowledge:
        body["acknowledge"] = list(acknowledge)
    return canonical(body)


def waiver_request(envelope: bytes) -> bytes:
    """The body of POST /v1/waivers: the envelope with both signatures."""
    return canonical({"waiver": encode_base64(envelope)})


def approval_request(statement: bytes, *, signed: bool) -> bytes:
    """The body of POST /v1/approvals: the signed envelope, or the statement alone."""
    return canonical({"approval" if signed else "statement": encode_base64(statement)})


def revocation_request(*, reason: str, revocation: bytes | None) -> bytes:
    """The body of POST /v1/approvals/{digest}/revoke."""
    signed = {} if revocation is None else {"revocation": encode_base64(revocation)}
    return canonical({"reason": reason, **signed})


def subject_of_file(path: Path) -> Subject:
    """Digest a file; its base name is the subject's name. Raises Malformed for a name that cannot stand there."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return Subject(path.name, (Digest("sha256", hasher.hexdigest()),))


def evidence_of_file(path: Path) -> list[Evidence]:
    """The attestations in a file: one, or one per line of a JSON Lines file (`.jsonl`)."""
    if path.stat().st_size > MAX_EVIDENCE:
        raise Malformed("too-large", f"{path} is larger than {MAX_EVIDENCE} bytes")
    data = path.read_bytes()
    lines = [line for line in data.splitlines() if line.strip()] if path.suffix == ".jsonl" else [data]
    if not lines or not lines[0]:
        raise Malformed("evidence-empty", f"{path} holds nothing", remedy="check the step that wrote it")
    return [Evidence(content=line) for line in lines]
