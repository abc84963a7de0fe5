# SPDX-License-Identifier: Apache-2.0
"""cosign's simple signing document: what a signature of a container image covers.

    {"critical":{"identity":{"docker-reference":"registry.example.com/shop/api"},
                 "image":{"docker-manifest-digest":"sha256:9c56…"},
                 "type":"cosign container image signature"},
     "optional":{"authority":"<origin>","environment":"release","policy":"demo","request":"<request id>"}}

sigstore/cosign:specs/SIGNATURE_SPEC.md; the names are those of sigstore/sigstore:pkg/signature/payload/payload.go. The
signature covers the sha256 of these bytes. cosign compares the digest with the image's and, with `-a`, what is
optional; few verifiers look at the reference, so an image is known by its digest alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from signer.errors import Malformed
from signer.formats.canonical import canonical
from signer.formats.shape import read_shape
from signer.formats.strict_json import parse_object

MEDIA_TYPE: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
TYPE: Final = "cosign container image signature"
MAX_PAYLOAD = 8 * 1024
MAX_REFERENCE = 255

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = (
    r"(?:localhost|[a-z0-9]+(?:[.-][a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)+|[a-z0-9.-]+(?=:[0-9]))(?::[0-9]{1,5})?"
)
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_HOST}(?:/{_PART})+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleSigning:
    """One document as read."""

    reference: str
    """Repository of the image, with its registry and without a tag."""
    sha256: str
    """Digest of the image's manifest, or of its index, in hexadecimal."""
    optional: Mapping[str, str]


class _Identity(msgspec.Struct, rename="kebab", forbid_unknown_fields=True):
    docker_reference: str


class _Image(msgspec.Struct, rename="kebab", forbid_unknown_fields=True):
    docker_manifest_digest: str


class _Critical(msgspec.Struct, forbid_unknown_fields=True):
    identity: _Identity
    image: _Image
    type: Literal["cosign container image signature"]


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    critical: _Critical
    optional: dict[str, str] | None = None


def require_repository(name: str) -> None:
    """Raise Malformed unless `name` is a repository with its registry, and with neither tag nor digest.

    distribution/reference, grammar of `name`; the registry is not left out, because it would be guessed.
    """
    if len(name) > MAX_REFERENCE or _REPOSITORY.fullmatch(name) is None:
        raise Malformed(
            "subject-not-image",
            f"{name[:128]} is not the repository of an image",
            remedy="name the subject REGISTRY/PATH without a tag, for example registry.example.com/shop/api, and give "
            "the digest of its manifest or index",
        )


def build_simple_signing(*, reference: str, sha256: str, optional: Mapping[str, str]) -> bytes:
    """Canonical bytes of the document about one image; raises Malformed for a name that is no repository."""
    require_repository(reference)
    return canonical(
        {
            "critical": {
                "identity": {"docker-reference": reference},
                "image": {"docker-manifest-digest": f"sha256:{sha256}"},
                "type": TYPE,
            },
            "optional": dict(optional),
        }
    )


def parse_simple_signing(data: bytes) -> SimpleSigning:
    """Read a document; raises Malformed."""
    value = parse_object(data, limit=MAX_PAYLOAD, what="simple signing document")
    wire = read_shape(value, _Document, what="simple signing document", code="payload-unexpected")
    digest = wire.critical.image.docker_manifest_digest
    if _DIGEST.fullmatch(digest) is None:
        raise Malformed("payload-unexpected", "the simple signing document names no sha256 of an image")
    return SimpleSigning(
        reference=wire.critical.identity.docker_reference,
        sha256=digest.removeprefix("sha256:"),
        optional=wire.optional or {},
    )
