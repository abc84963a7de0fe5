# SPDX-License-Identifier: Apache-2.0
"""What the newer predicates become as facts, and older spellings as the policy says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policy.facts import EvidenceFacts
from policy.trust import Accept
from signer.dev.attestations import attest
from signer.errors import Malformed
from signer.evidence.facts import evidence_facts
from signer.evidence.verifier import VerifiedAttestation, verify_item
from signer.formats.statement import build_statement
from tests.unit.evidence.factory import BUILDER, KEYS, SCANNER, SHOP, JudgedPolicy
from tests.unit.formats.test_older_and_other_predicates import BOM, OLD, VEX
from tests.unit.formats.test_scanner_reports import GRYPE, wrapped


def facts_of(data: bytes, **accept: tuple[str, ...]) -> EvidenceFacts:
    item = verify_item(data, replace(KEYS, accept=Accept(**accept)))
    return evidence_facts([item], policy=JudgedPolicy(), subjects=[SHOP])


def signed(kind: str, predicate: dict[str, Any], *, key: Any = BUILDER) -> bytes:
    return attest(build_statement([SHOP], predicate_type=kind, predicate=predicate), key)


def test_cyclonedx_is_an_inventory() -> None:
    (sbom,) = facts_of(signed("https://cyclonedx.org/bom/v1.6", BOM)).sboms
    assert (sbom.format, sbom.version, sbom.components, sbom.producer) == ("cyclonedx", "1.6", 3, "demo-sbom")


def test_a_scanners_own_report_is_a_scan_with_packages_and_fixes() -> None:
    data = signed("https://cosign.sigstore.dev/attestation/vuln/v1", wrapped(GRYPE), key=SCANNER)
    (scan,) = facts_of(data).scans
    assert scan.scanner == "demo-scanner"
    assert [(found.package, found.fix) for found in scan.vulnerabilities] == [("pkg:pypi/a@1.0", "1.2"), ("b@3", None)]


@pytest.mark.parametrize(
    ("kind", "predicate"),
    [
        ("https://openvex.dev/ns", VEX),
        ("https://cosign.sigstore.dev/attestation/vuln/v1", wrapped({"Issues": []})),
        ("https://slsa.dev/provenance/v0.2", OLD),
    ],
    ids=["OpenVEX", "a report of no known scanner", "provenance v0.2 that nobody accepts"],
)
def test_what_no_rule_reads_verifies_and_says_nothing(kind: str, predicate: dict[str, Any]) -> None:
    data = signed(kind, predicate)
    assert isinstance(verify_item(data, KEYS), VerifiedAttestation)
    assert list(facts_of(data).items()) == []


def test_older_spellings_are_read_where_the_policy_says_so() -> None:
    statement = build_statement([SHOP], predicate_type="https://slsa.dev/provenance/v0.2", predicate=OLD)
    data = attest(statement.replace(b"Statement/v1", b"Statement/v0.1"), BUILDER)
    (built,) = facts_of(data, statements=("v0.1",), provenance=("v0.2",)).provenance
    assert built.repository == "github.com/acme/shop"
    assert facts_of(data, statements=("v0.1",)).provenance == ()
    with pytest.raises(Malformed) as refused:
        facts_of(data, provenance=("v0.2",))
    assert refused.value.code == "statement-not-accepted"


def test_a_report_that_does_not_parse_is_refused_and_not_absent() -> None:
    data = signed("https://cosign.sigstore.dev/attestation/vuln/v1", wrapped({"SchemaVersion": 2}), key=SCANNER)
    with pytest.raises(Malformed):
        verify_item(data, KEYS)
