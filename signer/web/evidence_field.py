# SPDX-License-Identifier: Apache-2.0
"""The field of requests that holds evidence: bytes, or the digest of an upload.

{"content":"<base64>"}                                        a DSSE envelope or a Sigstore bundle
{"content":"<base64>","kind":…,"media_type":…,"subjects":[…]} an opaque document
{"upload":"9c56…", …}                                         either of them, more than 1 MiB
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from signer.errors import Malformed
from signer.formats.canonical import sha256_hex
from signer.formats.opaque import KINDS, MAX_SUBJECTS as MAX_DOCUMENT_SUBJECTS, described_document, opaque_document
from signer.formats.strict_base64 import decode_base64
from signer.web.offer import MAX_ITEM, Offered, Uploaded

MAX_EVIDENCE = 64
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _uploaded(offered: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of what is offered, with the digest of an upload in place of its bytes."""
    members = {name: schema for name, schema in offered["properties"].items() if name != "content"}
    upload = {
        "type": "string",
        "pattern": f"^{_SHA256.pattern}$",
        "description": "the digest that POST /v1/uploads told",
    }
    required = ["upload" if name == "content" else name for name in offered["required"]]
    return {**offered, "required": required, "properties": {"upload": upload, **members}}


class Evidence(ma.fields.Field[tuple[Offered | Uploaded, ...]]):
    """Attestations, or opaque documents by kind; the digest of evidence is that of its exact bytes."""

    def __init__(self, *, least: int, uploads: bool = False, **options: Any) -> None:
        content = {"type": "string", "contentEncoding": "base64", "maxLength": (MAX_ITEM + 2) // 3 * 4}
        attestation = {
            "type": "object",
            "additionalProperties": False,
            "required": ["content"],
            "properties": {"content": {**content, "description": "a DSSE envelope or a Sigstore bundle"}},
        }
        opaque = {
            "type": "object",
            "additionalProperties": False,
            "required": ["content", "kind", "media_type", "subjects"],
            "properties": {
                "content": content,
                "kind": {"type": "string", "enum": sorted(KINDS)},
                "media_type": {"type": "string", "maxLength": 129},
                "subjects": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_DOCUMENT_SUBJECTS,
                    "items": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
                },
            },
        }
        super().__init__(
            metadata={
                "type": "array",
                "minItems": least,
                "maxItems": MAX_EVIDENCE,
                "items": {
                    "oneOf": [attestation, opaque, *(_uploaded(each) for each in (attestation, opaque) if uploads)]
                },
            },
            **options,
        )
        self._least = least
        self._uploads = uploads

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_options: Any) -> tuple[Offered | Uploaded, ...]:  # noqa: ARG002 - the library's signature
        if not isinstance(value, list) or not self._least <= len(value) <= MAX_EVIDENCE:
            raise ma.ValidationError(f"must be a list of {self._least} to {MAX_EVIDENCE} items")
        read = _item_or_upload if self._uploads else _item
        items = tuple(read(item, place) for place, item in enumerate(value))
        # The same bytes twice are one piece of evidence.
        return tuple({item.digest: item for item in items}.values())


def _item_or_upload(item: Any, place: int) -> Offered | Uploaded:
    match item:
        case {"upload": str(digest), **rest} if _SHA256.fullmatch(digest) is not None:
            match rest:
                case {"kind": str(kind), "media_type": str(media_type), "subjects": list(subjects), **more} if (
                    not more and all(isinstance(subject, str) for subject in subjects)
                ):
                    document = described_document(digest, kind=kind, media_type=media_type, subjects=subjects)
                    return Uploaded(digest=digest, document=document)
                case _ if not rest:
                    return Uploaded(digest=digest, document=None)
    return _item(item, place)


def _item(item: Any, place: int) -> Offered:
    match item:
        case {"content": content, **rest} if not rest:
            data = read_bytes(content, what=f"content of evidence {place}")
            return Offered(digest=sha256_hex(data), data=data, document=None)
        case {
            "content": content,
            "kind": str(kind),
            "media_type": str(media_type),
            "subjects": list(subjects),
            **rest,
        } if not rest and all(isinstance(subject, str) for subject in subjects):
            data = read_bytes(content, what=f"content of evidence {place}")
            document = opaque_document(data, kind=kind, media_type=media_type, subjects=subjects)
            return Offered(digest=document.digest, data=data, document=document)
        case _:
            raise Malformed(
                "malformed-request",
                f"evidence {place} is neither an attestation nor an opaque document",
                remedy="an attestation has content alone; a document has content, kind, media_type and subjects",
            )


def read_bytes(value: Any, *, what: str) -> bytes:
    """Base64 of at most 1 MiB; raises Malformed."""
    if not isinstance(value, str):
        raise Malformed("malformed-request", f"the {what} is base64 text")
    if len(value) > (MAX_ITEM + 2) // 3 * 4:
        raise _too_large(what)
    data = decode_base64(value, what=what)
    if len(data) > MAX_ITEM:
        raise _too_large(what)
    return data


def _too_large(what: str) -> Malformed:
    return Malformed(
        "too-large",
        f"the {what} is larger than {MAX_ITEM} bytes",
        remedy="send larger evidence to POST /v1/uploads first: signer evidence add",
    )
