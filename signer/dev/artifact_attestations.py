# SPDX-License-Identifier: Apache-2.0
"""More statements about an artifact for demonstrations and tests: its signature, VEX, and a scanner's own report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from signer.dev.attestations import SCANNER_URI
from signer.domain.subject import Subject
from signer.formats import artifact_signature, cosign_vuln, openvex
from signer.formats.rfc3339 import format_time
from signer.formats.statement import build_statement


def signature_statement(subjects: Sequence[Subject]) -> bytes:
    """What cosign v3 signs for an artifact: its digest and nothing more."""
    return build_statement(subjects, predicate_type=artifact_signature.PREDICATE_TYPE, predicate={})


def vex_statement(
    subjects: Sequence[Subject],
    *,
    made: datetime,
    vulnerability: str,
    status: str = "not_affected",
    justification: str = "vulnerable_code_not_present",
) -> bytes:
    """An OpenVEX document with one statement."""
    return build_statement(
        subjects,
        predicate_type=f"{openvex.PREDICATE_TYPE}/v0.2.0",
        predicate={
            "@context": "https://openvex.dev/ns/v0.2.0",
            "@id": f"https://dev.invalid/vex/{vulnerability}",
            "author": "dev",
            "timestamp": format_time(made),
            "version": 1,
            "statements": [
                {"vulnerability": {"name": vulnerability}, "status": status, "justification": justification}
            ],
        },
    )


def report_statement(
    subjects: Sequence[Subject],
    *,
    finished: datetime,
    matches: Sequence[tuple[str, str, str | None]] = (),
) -> bytes:
    """The report of grype as cosign attests it; `matches` are (id, severity word, fix or None)."""
    return build_statement(
        subjects,
        predicate_type=cosign_vuln.PREDICATE_TYPE,
        predicate={
            "scanner": {
                "uri": SCANNER_URI,
                "db": {"lastUpdate": format_time(finished - timedelta(hours=6))},
                "result": {
                    "matches": [
                        {
                            "vulnerability": {
                                "id": name,
                                "severity": severity,
                                "fix": {"versions": [fix] if fix else []},
                            },
                            "artifact": {"name": "a", "version": "1.0", "purl": "pkg:pypi/a@1.0"},
                        }
                        for name, severity, fix in matches
                    ],
                    "descriptor": {"name": "grype"},
                },
            },
            "metadata": {
                "scanStartedOn": format_time(finished - timedelta(minutes=1)),
                "scanFinishedOn": format_time(finished),
            },
        },
    )
