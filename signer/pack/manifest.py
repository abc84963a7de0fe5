# SPDX-License-Identifier: Apache-2.0
"""The manifest: an in-toto statement about the digest that lists every file of its pack (in-toto reference v0.1).

    {"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"shop.tar","digest":{"sha256":"9c56…"}}],
     "predicateType":"https://in-toto.io/attestation/reference/v0.1",
     "predicate":{"attester":{"id":"https://sign.example/authority"},
       "references":[{"name":"00-index/checkpoint.txt","downloadLocation":"00-index/checkpoint.txt",
                      "mediaType":"text/plain","digest":{"sha256":"…"},"annotations":{"size":211}}, …]}}

It is DSSE-signed by the ledger key. What is not there is an annotation of MISSING.txt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.domain.digest import Digest
from signer.domain.subject import Subject
from signer.errors import Malformed, Refused
from signer.formats.dsse import IN_TOTO, parse_envelope, sign_envelope, verify_envelope
from signer.formats.spki import PublicKey
from signer.formats.statement import build_statement
from signer.formats.strict_json import parse_object
from signer.pack.layout import MISSING, File, missing_files
from signer.releases.contents import Contents

PREDICATE_TYPE: Final = "https://in-toto.io/attestation/reference/v0.1"
MAX_MANIFEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the manifest lists it."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that the ledger key signed; `payload` are the exact bytes."""

    payload: bytes
    attester: str
    sha256: str
    files: tuple[Listed, ...]


def build_manifest(contents: Contents, files: Sequence[File]) -> bytes:
    """The statement's bytes: equal contents give equal bytes."""
    missing = [path for path, _ in missing_files({file.path for file in files})]
    names = contents.names()
    subject = Subject(names[0] if names else f"sha256:{contents.sha256}", (Digest("sha256", contents.sha256),))
    return build_statement(
        [subject],
        predicate_type=PREDICATE_TYPE,
        predicate={
            "attester": {"id": f"https://{contents.origin}"},
            "references": [_reference(file, missing) for file in files],
        },
    )


def sign_manifest(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """The signed manifest; the same payload and key give the same bytes."""
    return sign_envelope(IN_TOTO, payload, key)


def read_manifest(data: bytes, keys: Sequence[PublicKey]) -> Manifest:
    """The manifest in `data` once one of the ledger keys signed it; raises Malformed or Refused."""
    envelope = parse_envelope(data, limit=MAX_MANIFEST)
    if envelope.payload_type != IN_TOTO:
        raise Malformed("pack-invalid", "the manifest does not hold a statement")
    if not verify_envelope(envelope, {str(number): key for number, key in enumerate(keys)}):
        raise Refused("pack-unsigned", "no ledger key of the trust file signed the manifest")
    value = parse_object(envelope.payload, limit=MAX_MANIFEST, what="manifest")
    try:
        (subject,) = value["subject"]
        if value["predicateType"] != PREDICATE_TYPE:
            raise Malformed("pack-invalid", "the manifest is of another predicate type")
        predicate = value["predicate"]
        files = tuple(
            Listed(str(each["name"]), str(each["digest"]["sha256"]), int(each["annotations"]["size"]))
            for each in predicate["references"]
        )
        attester, sha256 = str(predicate["attester"]["id"]), str(subject["digest"]["sha256"])
    except (KeyError, TypeError, ValueError):
        raise Malformed("pack-invalid", "the manifest has another form") from None
    return Manifest(payload=envelope.payload, attester=attester, sha256=sha256, files=files)


def _reference(file: File, missing: Sequence[str]) -> Mapping[str, Any]:
    annotations: dict[str, Any] = {"size": file.size}
    if file.path == MISSING:
        annotations["missing"] = list(missing)
    return {
        "name": file.path,
        "downloadLocation": file.path,
        "mediaType": file.media_type,
        "digest": {"sha256": file.sha256},
        "annotations": annotations,
    }
