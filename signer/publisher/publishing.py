# SPDX-License-Identifier: Apache-2.0
"""Everything that the public listener serves, as files, in an order that is right at every moment.

    tiles and entries  ──▶  keys, trust, revocations  ──▶  checkpoint

A reader of the checkpoint finds every tile that it needs; whoever finds no newer checkpoint has missed nothing. A run
that was cut off leaves files that nobody refers to, and the next one writes them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from signer.publisher.directory import Directory
from signer.publisher.documents import fetch_documents
from signer.publisher.log import CHECKPOINT, OutgoingLog
from signer.publisher.site import Site
from signer.verify.checks import Check, Checklist


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a folder holds now."""

    origin: str
    size: int
    tiles: int
    """Tiles and entry bundles that were written by this run."""
    documents: int
    checks: tuple[Check, ...]


def publish(
    site: Site, *, to: Directory, now: datetime, entries: bool, progress: Callable[[int, int], None]
) -> Published:
    """Bring a folder up to date; raises CheckFailed or Refused before anything unproven is written."""
    checks = Checklist()
    with to.locked():
        documents = fetch_documents(site, held=to, now=now, checks=checks)
        log = OutgoingLog(site, trust=documents.trust, held=to, checks=checks)
        with checks.check("each tile leads to the root", code="tile-invalid") as check:
            waiting = list(log.tiles(entries=entries))
            for done, (path, proven) in enumerate(waiting):
                to.write(path, proven())
                progress(done + 1, len(waiting))
            check.found = f"{len(waiting)} new"
        for path, data in documents.files.items():
            to.write(path, data)
        to.settle()
        to.write(CHECKPOINT, log.note)
        to.settle()
    return Published(
        origin=documents.trust.origin,
        size=log.head.size,
        tiles=len(waiting),
        documents=len(documents.files),
        checks=checks.passed,
    )
