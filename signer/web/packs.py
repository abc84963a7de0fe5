# SPDX-License-Identifier: Apache-2.0
"""GET /v1/releases/{digest}/pack: the evidence pack of one digest, as an archive that is never held as a whole.

The custodian makes and signs the manifest; here the files are made again from the same leaves and sent, when they are
those that it lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from flask import Blueprint, Response

from signer.custodian.release_commands import SealPack
from signer.errors import Unavailable
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import parse_envelope
from signer.formats.ustar import END, header, padding, write_archive
from signer.pack.layout import MANIFEST, ROOT, File, lay_out
from signer.pack.manifest import MAX_MANIFEST, build_manifest
from signer.releases.gather import gather, policies_of
from signer.releases.source import Source
from signer.web.admission import caller, out_of_reach
from signer.web.answers import sealed
from signer.web.application import Application
from signer.web.resource import Answer, Resource
from signer.web.schemas import Decimal, Loaded, Strict

MEDIA_TYPE = "application/x-tar"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PackQuery(Strict):
    """Where the pack is cut."""

    size = Decimal(least=1, most=2**53 - 1)


def packs(application: Application) -> Blueprint:
    """The resource of packs."""
    resource = Resource("packs", "All that the ledger holds of one digest, to be proved again offline.")

    @resource.get(
        "/v1/releases/<string:sha256>/pack",
        Answer(media_type=MEDIA_TYPE, description="The pack, cut at the newest checkpoint or at `size` leaves"),
        query=PackQuery,
    )
    def pack(wanted: Loaded, sha256: str) -> Response:
        """Serve the evidence pack of a digest; needs the `audit` grant for every policy that its record belongs to."""
        asking, source = caller(), source_of(application)
        policies = policies_of(source, sha256) if _SHA256.fullmatch(sha256) else frozenset()
        if not policies or not all(asking.allows("audit", policy=policy) for policy in policies):
            raise out_of_reach()
        reply = sealed(
            application.custodian.ask(
                SealPack(principal=asking.principal.id, sha256=sha256, size=wanted.get("size", 0))
            )
        )
        contents = gather(source, sha256, size=reply.size)
        files = lay_out(contents)
        if build_manifest(contents, files) != parse_envelope(reply.manifest, limit=MAX_MANIFEST).payload:
            raise Unavailable(
                "pack-differs",
                "the pack that was sealed at this checkpoint has other files",
                remedy="leave out the size, or export with the version of the server that sealed it",
            )
        response = Response(
            write_archive(_entries(source, files, reply.manifest)), mimetype=MEDIA_TYPE, direct_passthrough=True
        )
        response.headers["Content-Length"] = str(_length(files, reply.manifest))
        response.headers["Content-Disposition"] = (
            f'attachment; filename="release-evidence-{sha256[:12]}-{reply.size}.tar"'
        )
        return response

    return resource.blueprint


def source_of(application: Application) -> Source:
    """The ledger and the store, as a release is read."""
    return Source(application.reader, application.store)


def _entries(source: Source, files: Iterable[File], manifest: bytes) -> Iterator[tuple[str, int, Iterable[bytes]]]:
    whole = File(MANIFEST, manifest, sha256_hex(manifest), len(manifest))
    for file in sorted((*files, whole), key=lambda each: each.path):
        pieces = [file.data] if file.data is not None else source.stream(file.sha256)
        yield f"{ROOT}{file.path}", file.size, pieces


def _length(files: Iterable[File], manifest: bytes) -> int:
    sizes = [*(file.size for file in files), len(manifest)]
    return sum(len(header("a", 0)) + size + len(padding(size)) for size in sizes) + len(END)
