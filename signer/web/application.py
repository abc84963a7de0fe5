# SPDX-License-Identifier: Apache-2.0
"""What views need, handed to `create_app`: one worker's connections and values, and no global."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry

from signer.custodian.commands import Command, Reply
from signer.evidence.cache import VerifiedCache
from signer.ledger.guard import Guard
from signer.ledger.reader import Reader
from signer.ledger.store import DocumentStore
from signer.telemetry.logs import Log
from signer.telemetry.metrics import Metrics
from signer.web.documents import Documents
from signer.web.expiry import TlsFiles
from signer.web.peer import Peer, gunicorn_peer
from signer.web.quotas import Quotas
from signer.web.spool import Spool


class Custodian(Protocol):
    """The only way to change anything; raises Unavailable when it cannot be asked."""

    def ask(self, command: Command) -> Reply:
        """Send one command and wait for its reply."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One worker's view of the authority."""

    reader: Reader
    custodian: Custodian
    guard: Guard
    """Read only: the checkpoint in it is what the world may see."""
    revocations: Path
    """The published revocation list, which the custodian keeps current."""
    documents: Documents
    verified: VerifiedCache
    store: DocumentStore | None
    """Kept documents of more than 1 MiB; None where there are none."""
    spool: Spool | None
    """Uploads on their way there."""
    wide: threading.Lock
    """Held while an attestation of more than 1 MiB is verified: one at a time, for each takes much memory."""
    quotas: Quotas
    metrics: Metrics
    log: Log
    peer: Peer
    clock: Callable[[], datetime]
    new_request_id: Callable[[], str]
    body_limit: int
    tls: TlsFiles
    metrics_directory: Path


def open_application(
    *,
    reader: Reader,
    custodian: Custodian,
    guard: Guard,
    revocations: Path,
    log: Log,
    body_limit: int,
    store: DocumentStore | None,
    spool: Spool | None,
    workers: int,
    tls: TlsFiles,
    metrics_directory: Path,
) -> Application:
    """The application of a worker of the real server; call it after the fork."""
    metrics = Metrics(CollectorRegistry())
    return Application(
        reader=reader,
        custodian=custodian,
        guard=guard,
        revocations=revocations,
        documents=Documents(reader),
        verified=VerifiedCache(count=metrics.count_cached),
        store=store,
        spool=spool,
        wide=threading.Lock(),
        quotas=Quotas(workers=workers, monotonic=time.monotonic),
        metrics=metrics,
        log=log,
        peer=gunicorn_peer,
        clock=lambda: datetime.now(UTC),
        new_request_id=lambda: secrets.token_hex(16),
        body_limit=body_limit,
        tls=tls,
        metrics_directory=metrics_directory,
    )
