# SPDX-License-Identifier: Apache-2.0
"""Which kinds of evidence have a place of their own in a pack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from signer.formats import cosign_vuln, cyclonedx, provenance, provenance_v02, spdx, test_result, vulns
from signer.ledger.documents import SCANS

APPROVAL_RECORD: Final = "approval-record"
PROVENANCE: Final = (provenance.PREDICATE_TYPE, provenance_v02.PREDICATE_TYPE)

LINES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("04-attestations/provenance.jsonl", PROVENANCE),
    ("04-attestations/vuln-scan-attestation.jsonl", (vulns.PREDICATE_TYPE, cosign_vuln.PREDICATE_TYPE)),
    ("04-attestations/test-attestation.jsonl", (test_result.PREDICATE_TYPE,)),
)
"""File of envelopes, one on each line -> the predicate types in it."""

DOCUMENTS: Final[Mapping[str, tuple[str, str]]] = {
    "pull-request-summary": ("01-source/pull-request-summary", ".md"),
    "commit-range": ("01-source/commit-range", ".txt"),
    "build-log": ("02-build/build-log", ".txt"),
    "runner-metadata": ("02-build/runner-metadata", ".json"),
    "rollback-plan": ("06-deployment/rollback-plan", ".md"),
}
"""Kind of a submitted document -> its file, without its number, and the ending."""


def is_scan(kind: str) -> bool:
    """Whether evidence of this kind is a report of vulnerabilities."""
    return kind in SCANS


def sbom_file(kind: str) -> tuple[str, str] | None:
    """The file of an inventory, without its number, and the ending; None for what is none."""
    if spdx.is_spdx(kind):
        return "03-artifacts/sbom", ".spdx.json"
    return ("03-artifacts/sbom", ".cdx.json") if cyclonedx.is_cyclonedx(kind) else None
