# SPDX-License-Identifier: Apache-2.0
"""What the newer predicates become as facts, and older spellings as the policy says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policy.facts import EvidenceFacts
from policy.trust import Accept
from signer.dev.artifact_attestations import report_statement, signature_statement
from signer.dev.attestations import attest, scan_statement
from signer.errors import Malformed
from signer.evidence.facts import evidence_facts
from signer.evidence.verifier import VerifiedAttestation, verify_item
from signer.formats.statement import build_statement
from tests.unit.evidence import factory
from tests.unit.evidence.factory import BUILDER, DOCS, KEYS, NOW, SCANNER, SHOP, SOURCE, JudgedPolicy
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
        ("https://cosign.sigstore.dev/attestation/vuln/v1", wrapped({"Issues": []})),
        ("https://slsa.dev/provenance/v0.2", OLD),
    ],
    ids=["a report of no known scanner", "provenance v0.2 that nobody accepts"],
)
def test_what_no_rule_reads_verifies_and_says_nothing(kind: str, predicate: dict[str, Any]) -> None:
    data = signed(kind, predicate)
    assert isinstance(verify_item(data, KEYS), VerifiedAttestation)
    assert list(facts_of(data).items()) == []


def test_openvex_says_of_each_subject_what_its_products_name() -> None:
    def about(sha256: str) -> dict[str, Any]:
        return {"@id": "pkg:oci/x", "hashes": {"sha-256": sha256}}

    def of(name: str, *products: dict[str, Any] | str) -> dict[str, Any]:
        return {"vulnerability": {"name": name, "aliases": ["GHSA-1"]}, "status": "fixed", "products": list(products)}

    part = {"subcomponents": [{"@id": "pkg:pypi/a@1"}, {"@id": "x", "identifiers": {"purl": "pkg:pypi/b@1"}}]}
    statements = [
        of("both"),
        of("shop", about(SHOP.sha256)),
        of("docs", f"pkg:oci/docs@sha256:{DOCS.sha256}"),
        of("encoded", f"pkg:oci/docs@sha256%3A{DOCS.sha256}?tag=1"),
        of("nobody", about("f" * 64)),
        of("unnamed", "pkg:generic/shop"),
        of("part", about(SHOP.sha256) | part),
    ]
    document = VEX | {"statements": statements}
    data = attest(build_statement([SHOP, DOCS], predicate_type="https://openvex.dev/ns", predicate=document), SOURCE)
    found = factory.facts_of(data, subjects=(SHOP, DOCS)).vex
    said = {each.origin.covers: [statement.ids[0] for statement in each.statements] for each in found}
    assert said == {(0,): ["both", "shop", "unnamed", "part"], (1,): ["both", "docs", "encoded", "unnamed"]}
    assert found[0].statements[0].ids == ("both", "GHSA-1")
    assert [statement.packages for statement in found[0].statements][-2:] == [(), ("pkg:pypi/a@1", "pkg:pypi/b@1")]
    assert {each.author for each in found} == {"demo-author"}


def test_openvex_that_says_the_same_of_all_is_one_fact() -> None:
    data = attest(build_statement([SHOP, DOCS], predicate_type="https://openvex.dev/ns", predicate=VEX), BUILDER)
    (found,) = factory.facts_of(data, subjects=(SHOP, DOCS)).vex
    assert (found.origin.covers, found.author, len(found.statements)) == ((0, 1), None, 2)


def test_a_signature_of_the_digest_is_its_signers() -> None:
    (mine,) = facts_of(attest(signature_statement([SHOP]), BUILDER)).signatures
    assert (mine.signer, mine.origin.covers) == ("demo-signer", (0,))
    (other,) = facts_of(attest(signature_statement([SHOP]), SCANNER)).signatures
    assert other.signer is None


def test_only_a_scanners_own_report_tells_fixes() -> None:
    report = attest(report_statement([SHOP], finished=NOW, matches=[("CVE-1", "High", None)]), SCANNER)
    scan = attest(scan_statement([SHOP], finished=NOW), SCANNER)
    assert [each.tells_fixes for each in factory.facts_of(report, scan).scans] == [True, False]


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
