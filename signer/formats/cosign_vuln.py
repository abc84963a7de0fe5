# SPDX-License-Identifier: Apache-2.0
"""cosign's vulnerability predicate, which wraps a scanner's own report (sigstore/cosign:specs).

    {"invocation":{},"scanner":{"uri":"pkg:github/anchore/grype","version":"0.90.0",
       "db":{"uri":"","version":"","lastUpdate":"2026-11-22T00:00:00Z"},"result":{…the report…}},
     "metadata":{"scanStartedOn":"2026-11-23T09:06:00Z","scanFinishedOn":"2026-11-23T09:07:00Z"}}

A report by no known scanner says nothing here. Times that cosign was not given are of the year 1: not stated.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from signer.formats.rfc3339 import parse_time
from signer.formats.scanners import UNSET_CLOCK, read_report
from signer.formats.shape import read_shape, require_visible
from signer.formats.vulns import ScanReport

PREDICATE_TYPE = "https://cosign.sigstore.dev/attestation/vuln/v1"


class _Database(msgspec.Struct, rename="camel"):
    last_update: str | None = None


class _Scanner(msgspec.Struct):
    result: Any
    uri: str = ""
    db: _Database | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    scan_started_on: str | None = None
    scan_finished_on: str | None = None


class _Predicate(msgspec.Struct):
    scanner: _Scanner
    metadata: _Metadata | None = None


def read_cosign_scan(predicate: Mapping[str, Any]) -> ScanReport | None:
    """Read the predicate of a verified statement; None when no known scanner wrote the report; raises Malformed."""
    wire = read_shape(dict(predicate), _Predicate, what="cosign vulnerability scan")
    report = read_report(wire.scanner.result)
    if report is None:
        return None
    metadata = wire.metadata or _Metadata()
    stated = wire.scanner.db.last_update if wire.scanner.db is not None else None
    return ScanReport(
        scanner_uri=require_visible(wire.scanner.uri or report.scanner, what="scanner uri"),
        database_updated=_time(stated, "scanner.db.lastUpdate") or report.database_updated,
        started=_time(metadata.scan_started_on, "metadata.scanStartedOn"),
        finished=_time(metadata.scan_finished_on, "metadata.scanFinishedOn"),
        vulnerabilities=report.vulnerabilities,
        tells_fixes=True,
    )


def _time(text: str | None, field: str) -> datetime | None:
    return None if text in (None, "", UNSET_CLOCK) else parse_time(str(text), what=field)
