# SPDX-License-Identifier: Apache-2.0
"""An OCI image layout with signatures of images, as cosign attaches them: one manifest and tag for each image.

    oci-layout
    index.json                  annotation org.opencontainers.image.ref.name: sha256-<digest of the image>.sig
    blobs/sha256/<manifest>     layers: [the simple signing document, annotated with its signature]
    blobs/sha256/<config>
    blobs/sha256/<document>

opencontainers/image-spec:image-layout.md, manifest.md, config.md; sigstore/cosign:specs/SIGNATURE_SPEC.md. Any tool
that copies from a layout to a registry attaches them; the names of files are digests of their bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from signer.formats.canonical import canonical, sha256_hex
from signer.formats.simple_signing import MEDIA_TYPE as SIMPLE_SIGNING, parse_simple_signing
from signer.formats.strict_base64 import encode_base64

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
SIGNATURE: Final = "dev.cosignproject.cosign/signature"
TIMESTAMP: Final = "dev.sigstore.cosign/rfc3161timestamp"
REF_NAME: Final = "org.opencontainers.image.ref.name"
BEGINNING: Final = "0001-01-01T00:00:00Z"
"""The time that cosign gives a signature's image: none, so that equal signatures are equal images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSignature:
    """One signed document, its signature, and the RFC 3161 response over that, DER, where there is one."""

    payload: bytes
    signature: bytes
    timestamp: bytes | None = None

    @property
    def tag(self) -> str:
        """The tag under which cosign looks for the signatures of an image, in the image's own repository."""
        return f"sha256-{parse_simple_signing(self.payload).sha256}.sig"


def build_layout(signatures: Iterable[ImageSignature]) -> Mapping[str, bytes]:
    """The files of a layout by their paths in it; raises Malformed for a payload that is no document about an image."""
    files: dict[str, bytes] = {"oci-layout": canonical({"imageLayoutVersion": "1.0.0"})}
    manifests = []
    for each in signatures:
        annotations = {SIGNATURE: encode_base64(each.signature)}
        if each.timestamp is not None:
            stamped = canonical({"SignedRFC3161Timestamp": encode_base64(each.timestamp)})
            annotations[TIMESTAMP] = stamped.decode("ascii")
        layer = {**_blob(files, each.payload, SIMPLE_SIGNING), "annotations": annotations}
        config = _blob(files, canonical(_config(each.payload)), CONFIG)
        manifest = canonical({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]})
        manifests.append({**_blob(files, manifest, MANIFEST), "annotations": {REF_NAME: each.tag}})
    files["index.json"] = canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    return files


def _blob(files: dict[str, bytes], data: bytes, media_type: str) -> dict[str, Any]:
    digest = sha256_hex(data)
    files[f"blobs/sha256/{digest}"] = data
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _config(payload: bytes) -> dict[str, Any]:
    """The config that an image must have: of no system, with the document as its only layer."""
    return {
        "architecture": "",
        "config": {},
        "created": BEGINNING,
        "history": [{"created": BEGINNING}],
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256_hex(payload)}"]},
    }
