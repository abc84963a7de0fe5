# SPDX-License-Identifier: Apache-2.0
"""Statements about an artifact made of what tools wrote: test reports, scanners' reports, inventories.

Each is read again as the authority will read it, so that what cannot count is refused here, where it can be mended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

from signer.collect.junit import TestRun, run_predicate
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.evidence.verifier import MAX_ATTESTATION
from signer.formats import cosign_vuln, cyclonedx, spdx, test_result, vulns
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.scanners import RawReport, read_report
from signer.formats.statement import build_statement
from signer.formats.strict_json import parse_object

MAX_REPORT = 16 * 1024 * 1024
MAX_PAYLOAD = MAX_ATTESTATION * 3 // 4 - 4096
"""Bytes of a statement whose envelope, in base64 and with a signature, is still accepted."""

ScanPredicate: TypeAlias = Literal["cosign", "in-toto"]

_ADDRESS: Mapping[str, str] = {
    "grype": "https://github.com/anchore/grype",
    "trivy": "https://github.com/aquasecurity/trivy",
    "osv-scanner": "https://github.com/google/osv-scanner",
}


def tests_statement(subjects: Sequence[Subject], run: TestRun, *, suites: Sequence[str], url: str | None) -> bytes:
    """What tests of these subjects found, as in-toto test-result v0.1; raises Malformed."""
    predicate = run_predicate(run, suites=suites, url=url)
    test_result.read_test_report(predicate)
    return _statement(
        subjects, test_result.PREDICATE_TYPE, predicate, remedy="make one statement for each report or suite"
    )


def scan_statement(
    subjects: Sequence[Subject],
    data: bytes,
    *,
    predicate: ScanPredicate,
    scanner_uri: str | None,
    started: datetime | None,
    finished: datetime | None,
    database_updated: datetime | None,
) -> bytes:
    """What a scanner found: its whole report in cosign's predicate, or in-toto vulns; raises Malformed.

    Times that the report states stand for those that are not given; what nobody states is never made up.
    """
    value = parse_object(data, limit=MAX_REPORT, what="scanner's report")
    report = read_report(value)
    if report is None:
        raise Malformed(
            "scan-unknown",
            "the report is not JSON of grype, trivy or osv-scanner",
            remedy="grype -o json, trivy --format json, osv-scanner --format json; others attest by themselves",
        )
    times = {
        "started": started,
        "finished": finished or _stated(value),
        "database-updated": database_updated or report.database_updated,
    }
    needed = ("finished", "database-updated", *(("started",) if predicate == "in-toto" else ()))
    missing = [name for name in needed if times[name] is None]
    if missing:
        raise Malformed(
            "scan-incomplete",
            f"the report of {report.scanner} does not say when: {', '.join(missing)}",
            remedy=f"add {' '.join(f'--{name} TIME' for name in missing)}; rules on the age of a scan need it",
        )
    uri = scanner_uri or _ADDRESS[report.scanner]
    if predicate == "cosign":
        claim = _cosign(value, uri=uri, times=times)
        cosign_vuln.read_cosign_scan(claim)
        kind = cosign_vuln.PREDICATE_TYPE
    else:
        claim = _in_toto(report, uri=uri, times=times)
        vulns.read_scan(claim)
        kind = vulns.PREDICATE_TYPE
    return _statement(
        subjects, kind, claim, remedy="--predicate in-toto keeps ids and ratings alone, and is far smaller"
    )


def sbom_statement(subjects: Sequence[Subject], data: bytes) -> tuple[bytes, str, int]:
    """An inventory as a statement, with its format and its number of components; raises Malformed."""
    document = parse_object(data, limit=MAX_REPORT, what="inventory")
    if "bomFormat" in document:
        kind, read = cyclonedx.PREDICATE_TYPE, cyclonedx.read_cyclonedx(cyclonedx.PREDICATE_TYPE, document)
        name = f"CycloneDX {read.version}"
        count = read.components
    elif "spdxVersion" in document or "@graph" in document:
        kind, inventory = spdx.PREDICATE_TYPE, spdx.read_spdx(spdx.PREDICATE_TYPE, document)
        name = f"SPDX {inventory.version}"
        count = inventory.components
    else:
        raise Malformed(
            "sbom-unknown",
            "the document is neither SPDX nor CycloneDX in JSON",
            remedy="syft -o spdx-json or -o cyclonedx-json; tag-value and XML forms are not read",
        )
    if count == 0:
        raise Malformed(
            "sbom-empty", "the inventory lists no component", remedy="point the generator at the built artifact"
        )
    return _statement(subjects, kind, document, remedy="leave out files and relationships"), name, count


def _cosign(value: Mapping[str, Any], *, uri: str, times: Mapping[str, datetime | None]) -> dict[str, Any]:
    return {
        "invocation": {},
        "scanner": {
            "uri": uri,
            "version": _version(value),
            "db": {"uri": "", "version": "", "lastUpdate": _written(times["database-updated"])},
            "result": value,
        },
        "metadata": {
            name: _written(time)
            for name, time in (("scanStartedOn", times["started"]), ("scanFinishedOn", times["finished"]))
            if time is not None
        },
    }


def _in_toto(report: RawReport, *, uri: str, times: Mapping[str, datetime | None]) -> dict[str, Any]:
    return {
        "scanner": {
            "uri": uri,
            "db": {"lastUpdate": _written(times["database-updated"])},
            "result": [
                {
                    "id": found.id,
                    "severity": [
                        {"method": "scanner", "score": found.severity},
                        *([] if found.score is None else [{"method": "cvss", "score": f"{found.score / 10:.1f}"}]),
                    ],
                }
                for found in report.vulnerabilities
            ],
        },
        "metadata": {
            "scanStartedOn": _written(times["started"]),
            "scanFinishedOn": _written(times["finished"]),
        },
    }


def _stated(value: Mapping[str, Any]) -> datetime | None:
    """When the report says that it was written: `descriptor.timestamp` of grype, `CreatedAt` of trivy."""
    descriptor = value.get("descriptor")
    text = descriptor.get("timestamp") if isinstance(descriptor, dict) else value.get("CreatedAt")
    return parse_time(text, what="time of the report") if isinstance(text, str) else None


def _version(value: Mapping[str, Any]) -> str:
    descriptor = value.get("descriptor")
    version = descriptor.get("version") if isinstance(descriptor, dict) else None
    return version if isinstance(version, str) else ""


def _written(time: datetime | None) -> str:
    return "" if time is None else format_time(time)


def _statement(subjects: Sequence[Subject], kind: str, predicate: Mapping[str, Any], *, remedy: str) -> bytes:
    statement = build_statement(subjects, predicate_type=kind, predicate=predicate)
    if len(statement) > MAX_PAYLOAD:
        raise Malformed("too-large", f"the statement is larger than {MAX_PAYLOAD} bytes", remedy=remedy)
    return statement
