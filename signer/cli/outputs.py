# SPDX-License-Identifier: Apache-2.0
"""What a receipt holds beside the statement, as the files that other tools take.

--oci-layout DIR            signatures of images, to be copied to their registries
--artifact-signatures DIR   <sha256>.sig for `openssl dgst -verify`, <sha256>.sigstore.json for cosign, and
                            <sha256>.tsr for `openssl ts -verify` over the signature
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from policy.outputs import ARTIFACT, COSIGN
from signer.cli.options import write_file
from signer.errors import Malformed
from signer.formats.bundle import parse_message_bundle
from signer.formats.oci_layout import ImageSignature, build_layout
from signer.formats.receipt import Receipt


def require_new_folder(path: Path | None, option: str) -> None:
    """Refuse a folder that cannot be made, or that holds something, before anything irrevocable is asked for."""
    if path is None:
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise click.BadParameter(f"{path} is there already and not an empty folder", param_hint=option)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise click.BadParameter(f"{path} cannot be made: {fault.strerror}", param_hint=option) from None


def write_outputs(receipt: Receipt, *, layout: Path | None, signatures: Path | None) -> tuple[str, ...]:
    """Write what was asked for; the tags under which images are signed. Raises Malformed for what is not there.

    Called after the bundle and the receipt were kept: what was signed is not lost.
    """
    tags: tuple[str, ...] = ()
    if layout is not None:
        images = image_signatures(receipt)
        _require(bool(images), receipt, COSIGN)
        _write(layout, build_layout(images))
        tags = tuple(image.tag for image in images)
    if signatures is not None:
        files = artifact_files(receipt)
        _require(bool(files), receipt, ARTIFACT)
        _write(signatures, files)
    return tags


def image_signatures(receipt: Receipt) -> tuple[ImageSignature, ...]:
    """The signed documents about images; raises Malformed where a bundle names a document that is not there."""
    found = []
    for entry in receipt.bundles:
        if entry.format == COSIGN:
            bundle = parse_message_bundle(entry.bundle)
            payload = None if bundle.sha256 is None else receipt.documents.get(bundle.sha256.hex())
            if payload is None:
                raise Malformed("malformed-receipt", "the receipt lacks the document about an image")
            timestamp = bundle.timestamps[0] if bundle.timestamps else None
            found.append(ImageSignature(payload=payload, signature=bundle.signature, timestamp=timestamp))
    return tuple(found)


def artifact_files(receipt: Receipt) -> Mapping[str, bytes]:
    """The signatures of artifacts by the names of their files."""
    files: dict[str, bytes] = {}
    for entry in receipt.bundles:
        if entry.format == ARTIFACT:
            bundle = parse_message_bundle(entry.bundle)
            if bundle.sha256 is None:
                raise Malformed("malformed-receipt", "the signature of an artifact names no sha256")
            files[f"{bundle.sha256.hex()}.sig"] = bundle.signature
            files[f"{bundle.sha256.hex()}.sigstore.json"] = entry.bundle
            if bundle.timestamps:
                files[f"{bundle.sha256.hex()}.tsr"] = bundle.timestamps[0]
    return files


def _require(there: bool, receipt: Receipt, name: str) -> None:
    if not there:
        raise Malformed(
            "format-absent",
            f"environment {receipt.environment} signs nothing in the format {name}; the statement was signed and kept",
            remedy=f"the policy's environment lists {name} under formats: signer policy explain",
        )


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data)
