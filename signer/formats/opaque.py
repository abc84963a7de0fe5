# SPDX-License-Identifier: Apache-2.0
"""Opaque documents: evidence kept by digest and not read, each of a kind from one closed list.

{"content":"<base64>","kind":"build-log","media_type":"text/plain","subjects":["sha256:9c56…"]}
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from signer.domain.digest import Digest
from signer.errors import Malformed
from signer.formats.canonical import sha256_hex

KINDS = (
    "pull-request-summary",
    "commit-range",
    "build-log",
    "runner-metadata",
    "rollback-plan",
    "approval-record",
)
MAX_DOCUMENT = 1024 * 1024
MAX_SUBJECTS = 1024

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueDocument:
    """A document that speaks of the given artifacts because its submitter says so."""

    digest: str
    """sha256 of the exact bytes, in hexadecimal."""
    kind: str
    media_type: str
    subjects: tuple[str, ...]
    """sha256 of each artifact, in hexadecimal."""


def opaque_document(data: bytes, *, kind: str, media_type: str, subjects: Sequence[str]) -> OpaqueDocument:
    """Accept a document for keeping; `subjects` are written `sha256:<hex>`; raises Malformed."""
    if len(data) > MAX_DOCUMENT:
        raise Malformed("too-large", f"a document is at most {MAX_DOCUMENT} bytes")
    return described_document(sha256_hex(data), kind=kind, media_type=media_type, subjects=subjects)


def described_document(digest: str, *, kind: str, media_type: str, subjects: Sequence[str]) -> OpaqueDocument:
    """The same for a document whose bytes with this sha256 are elsewhere; raises Malformed."""
    if kind not in KINDS:
        raise Malformed("evidence-invalid", "the kind of the document is unknown", remedy=f"one of {', '.join(KINDS)}")
    if _MEDIA_TYPE.fullmatch(media_type) is None:
        raise Malformed("evidence-invalid", "the media type is not written like text/plain")
    if not 0 < len(subjects) <= MAX_SUBJECTS:
        raise Malformed("evidence-invalid", f"a document speaks of 1 to {MAX_SUBJECTS} subjects")
    digests = tuple(Digest.parse(subject) for subject in subjects)
    if any(digest.algorithm != "sha256" for digest in digests) or len(set(digests)) != len(digests):
        raise Malformed("invalid-digest", "the subjects of a document are distinct sha256 digests")
    return OpaqueDocument(
        digest=digest,
        kind=kind,
        media_type=media_type,
        subjects=tuple(digest.value for digest in digests),
    )
