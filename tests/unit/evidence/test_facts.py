# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from policy import facts as policy_facts
from policy.ledger_facts import LedgerFacts
from policy.trust import Collector, Trust
from signer.dev.attestations import (
    COMMIT,
    DEVELOPER,
    approvals_statement,
    attest,
    provenance_statement,
    review_statement,
    sbom_statement,
    scan_statement,
    source_statement,
    suite_statement,
)
from signer.domain.digest import Digest
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.evidence.facts import Stored, requested_source_digests
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.facts import decode_facts, encode_facts
from signer.formats.opaque import opaque_document
from signer.formats.statement import build_statement
from tests.unit.evidence.factory import (
    BUILDER,
    DOCS,
    ELSE,
    NOW,
    OTHER_BUILDER,
    OTHER_BUILDER_ID,
    SCANNER,
    SHOP,
    SOURCE,
    STRANGER,
    TRUST,
    facts_of,
)

PROVENANCE = attest(provenance_statement([SHOP], finished=NOW), BUILDER)
SOURCE_VSA = attest(source_statement(verified=NOW), SOURCE)
TESTS = attest(suite_statement([SHOP], failed=2), BUILDER)
SCAN = attest(scan_statement([SHOP], finished=NOW, vulnerabilities=[("CVE-1", "8.1")]), SCANNER)
SBOM = attest(sbom_statement([SHOP], created=NOW, packages=["a", "b"]), BUILDER)


def origin(data: bytes, *, key: str, bound: policy_facts.Bound = "subject") -> policy_facts.Origin:
    return policy_facts.Origin(
        digest=sha256_hex(data), attested=True, key=key, submitter=None, bound=bound, covers=(0,), received=0
    )


def test_trusted_evidence_becomes_facts() -> None:
    found = facts_of(PROVENANCE, SOURCE_VSA, TESTS, SCAN, SBOM)
    [provenance], [source], [test], [scan], [sbom] = (
        found.provenance,
        found.sources,
        found.tests,
        found.scans,
        found.sboms,
    )
    assert provenance.origin == origin(PROVENANCE, key="builder")
    assert (provenance.builder, provenance.isolation) == ("demo-builder", "ephemeral")
    assert (provenance.repository, provenance.ref, provenance.commit) == (
        "github.com/acme/shop",
        "refs/heads/main",
        COMMIT,
    )
    assert (provenance.started, provenance.finished) == (NOW - timedelta(minutes=4), NOW)
    assert source.origin == origin(SOURCE_VSA, key="source", bound="source")
    assert (source.collector, source.commit, source.refs) == ("demo-source", COMMIT, ("refs/heads/main",))
    assert test.origin == origin(TESTS, key="builder")
    assert (test.tester, test.result, test.suites, test.passed, test.failed) == (
        "demo-tester",
        "FAILED",
        ("unit",),
        128,
        2,
    )
    assert scan.origin == origin(SCAN, key="scanner")
    assert (scan.scanner, scan.finished, scan.database_updated) == ("demo-scanner", NOW, NOW - timedelta(hours=6))
    assert scan.vulnerabilities == (policy_facts.Vulnerability(id="CVE-1", severity="high", score=81),)
    assert sbom.origin == origin(SBOM, key="builder")
    assert (sbom.producer, sbom.format, sbom.version, sbom.components) == ("demo-sbom", "spdx", "2.3", 2)
    assert found.documents == ()


def test_facts_survive_their_document() -> None:
    judged = policy_facts.Facts(
        request=policy_facts.RequestFacts(
            policy="demo",
            environment="release",
            submitter="robot:ci",
            subjects=(policy_facts.SubjectFact(name=SHOP.name, sha256=SHOP.sha256),),
        ),
        evidence=facts_of(PROVENANCE, SOURCE_VSA, TESTS, SCAN, SBOM),
        ledger=LedgerFacts(policy_digest="a" * 64, access_digest="b" * 64),
    )
    assert decode_facts(encode_facts(judged)) == judged


def test_without_evidence_there_are_no_facts() -> None:
    assert facts_of() == policy_facts.EvidenceFacts()


def test_evidence_that_nobody_trusts_is_absent() -> None:
    assert facts_of(attest(provenance_statement([SHOP], finished=NOW), STRANGER)) == policy_facts.EvidenceFacts()


def test_evidence_that_nobody_trusts_may_speak_of_anything() -> None:
    assert facts_of(attest(provenance_statement([ELSE], finished=NOW), STRANGER)) == policy_facts.EvidenceFacts()


UNTRUSTED_ROLES = [
    pytest.param(
        attest(provenance_statement([SHOP], finished=NOW, builder_id=OTHER_BUILDER_ID), BUILDER), id="E10 A names B"
    ),
    pytest.param(attest(provenance_statement([SHOP], finished=NOW), OTHER_BUILDER), id="E10 B signs as A"),
    pytest.param(
        attest(provenance_statement([SHOP], finished=NOW, builder_id="https://dev.invalid/Builder"), BUILDER),
        id="E12 the builder id in another case",
    ),
    pytest.param(attest(provenance_statement([SHOP], finished=NOW), SCANNER), id="a scanner's key signs provenance"),
]


@pytest.mark.parametrize("data", UNTRUSTED_ROLES)
def test_a_builder_is_key_and_id_together(data: bytes) -> None:
    [found] = facts_of(data).provenance
    assert (found.builder, found.isolation) == (None, None)
    assert found.origin.covers == (0,)


def test_each_builder_has_its_own_isolation() -> None:
    data = attest(provenance_statement([SHOP], finished=NOW, builder_id=OTHER_BUILDER_ID), OTHER_BUILDER)
    [found] = facts_of(data).provenance
    assert (found.builder, found.isolation, found.origin.key) == ("other-builder", "shared", "other")


def test_roles_are_not_exchangeable() -> None:
    assert facts_of(attest(scan_statement([SHOP], finished=NOW), BUILDER)).scans[0].scanner is None
    assert facts_of(attest(suite_statement([SHOP]), SCANNER)).tests[0].tester is None
    assert facts_of(attest(sbom_statement([SHOP], created=NOW), SCANNER)).sboms[0].producer is None
    assert facts_of(attest(source_statement(verified=NOW), BUILDER)).sources[0].collector is None
    other = attest(source_statement(verified=NOW, verifier="https://dev.invalid/other"), SOURCE)
    assert facts_of(other).sources[0].collector is None


def test_unknown_predicate_types_make_no_facts() -> None:
    data = attest(
        build_statement([SHOP], predicate_type="https://example.com/x", predicate={"result": "PASSED"}), BUILDER
    )
    assert facts_of(data) == policy_facts.EvidenceFacts()


BOTH = Subject("shop", (Digest("sha256", "a" * 64), Digest("sha512", "d" * 128)))


def listing(*digests: dict[str, str]) -> bytes:
    statement = json.loads(suite_statement([SHOP]))
    statement["subject"] = [{"name": f"s{index}", "digest": digest} for index, digest in enumerate(digests)]
    return attest(canonical(statement), BUILDER)


MISMATCHES = [
    pytest.param(SHOP, listing({"sha256": "c" * 64}), id="E01 another digest"),
    pytest.param(SHOP, listing({"sha512": "d" * 128}), id="sha256 is missing"),
    pytest.param(
        SHOP,
        listing({"sha256": "c" * 64, "sha1": "a" * 40, "gitCommit": "a" * 40}),
        id="E03 only weak digests could match",
    ),
    pytest.param(BOTH, listing({"sha256": "a" * 64, "sha512": "e" * 128}), id="E03 sha256 equal, sha512 not"),
    pytest.param(BOTH, listing({"sha256": "c" * 64, "sha512": "d" * 128}), id="E03 sha512 equal, sha256 not"),
    pytest.param(SHOP, listing({"md5": "a" * 32}), id="trap 10: only a weak digest"),
    pytest.param(SHOP, listing({"gce_image_id": "7"}), id="only an identifier that is no digest"),
    pytest.param(
        BOTH,
        listing({"sha256": "a" * 64}, {"sha256": "a" * 64, "sha512": "e" * 128}),
        id="one entry agrees and another contradicts",
    ),
]


@pytest.mark.parametrize(("subject", "data"), MISMATCHES)
def test_evidence_in_the_request_must_speak_of_a_requested_digest(subject: Subject, data: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        facts_of(data, subjects=(subject,))
    assert refused.value.code == "subject-mismatch"


@pytest.mark.parametrize(("subject", "data"), MISMATCHES)
def test_stored_evidence_about_something_else_is_passed_over(subject: Subject, data: bytes) -> None:
    stored = {sha256_hex(data): Stored(3, "robot:ci")}
    assert facts_of(data, subjects=(subject,), stored=stored) == policy_facts.EvidenceFacts()
    with pytest.raises(Malformed):
        facts_of(data, subjects=(subject,), stored=stored, offered=(sha256_hex(data),))


MATCHES = [
    pytest.param(SHOP, listing({"sha256": "a" * 64}), id="sha256 alone"),
    pytest.param(
        SHOP, listing({"sha256": "a" * 64, "sha512": "e" * 128}), id="a further digest that was not requested"
    ),
    pytest.param(BOTH, listing({"sha256": "a" * 64}), id="a further digest that is not stated"),
    pytest.param(BOTH, listing({"sha256": "a" * 64, "sha512": "d" * 128}), id="both agree"),
    pytest.param(BOTH, listing({"sha256": "a" * 64, "md5": "0" * 32}), id="a weak digest beside it is ignored"),
    pytest.param(SHOP, listing({"sha256": "c" * 64}, {"sha256": "a" * 64}), id="E02 one of several"),
]


@pytest.mark.parametrize(("subject", "data"), MATCHES)
def test_evidence_covers_the_subject(subject: Subject, data: bytes) -> None:
    [found] = facts_of(data, subjects=(subject,)).tests
    assert (found.origin.bound, found.origin.covers) == ("subject", (0,))


def test_each_item_covers_exactly_the_subjects_that_it_lists() -> None:
    both = attest(suite_statement([DOCS, SHOP, ELSE]), BUILDER)
    one = attest(suite_statement([DOCS]), BUILDER)
    found = facts_of(both, one, subjects=(SHOP, DOCS)).tests
    assert [item.origin.covers for item in found] == [(0, 1), (1,)]


def test_the_same_item_offered_twice_counts_once() -> None:
    assert len(facts_of(PROVENANCE, PROVENANCE).provenance) == 1


def test_stored_evidence_comes_first_in_receipt_order() -> None:
    data = [attest(suite_statement([SHOP], passed=number), BUILDER) for number in range(4)]
    stored = {sha256_hex(data[0]): Stored(9, "robot:ci"), sha256_hex(data[2]): Stored(4, None)}
    found = facts_of(*data, stored=stored).tests
    assert [item.passed for item in found] == [2, 0, 1, 3]
    assert [item.origin.received for item in found] == [4, 9, 0, 0]
    assert [item.origin.submitter for item in found] == [None, "robot:ci", None, None]


def test_a_statement_said_again_in_other_bytes_keeps_its_first_receipt() -> None:
    passed, failed = suite_statement([SHOP]), suite_statement([SHOP], failed=1)
    first, then = attest(passed, BUILDER), attest(failed, BUILDER)
    stored = {sha256_hex(first): Stored(4, None), sha256_hex(then): Stored(5, None)}
    for again in (first + b" ", attest(passed, BUILDER)):
        both = {**stored, sha256_hex(again): Stored(6, None)}
        for found in (facts_of(first, then, again, stored=stored), facts_of(first, then, again, stored=both)):
            assert [(item.passed, item.failed, item.origin.received) for item in found.tests] == [
                (128, 0, 4),
                (128, 1, 5),
            ]


def test_a_signer_beside_another_who_said_it_before_brings_nothing_of_the_others() -> None:
    statement = suite_statement([SHOP])
    by_builder = attest(statement, BUILDER)
    merged = json.loads(by_builder)
    merged["signatures"] += json.loads(attest(statement, SCANNER))["signatures"]
    both = json.dumps(merged).encode()
    found = facts_of(by_builder, both, stored={sha256_hex(by_builder): Stored(4, None)})
    assert [(item.tester, item.origin.key) for item in found.tests] == [("demo-tester", "builder"), (None, "scanner")]
    # The other way round the builder is the one who has not said it yet.
    by_scanner = attest(statement, SCANNER)
    found = facts_of(by_scanner, both, stored={sha256_hex(by_scanner): Stored(4, None)})
    assert [item.tester for item in found.tests] == [None, "demo-tester"]


OTHER = "d" * 40


def built_from(commit: str = COMMIT, *subjects: Subject, **changes: Any) -> bytes:
    return attest(provenance_statement(subjects or [SHOP], finished=NOW, commit=commit, **changes), BUILDER)


UNJOINED = [
    pytest.param([SOURCE_VSA], id="no provenance"),
    pytest.param([SOURCE_VSA, built_from(OTHER)], id="another commit"),
    pytest.param([SOURCE_VSA, built_from(repository="github.com/evil/shop")], id="another repository, same commit"),
    pytest.param(
        [SOURCE_VSA, attest(provenance_statement([SHOP], finished=NOW), SCANNER)],
        id="provenance by an untrusted builder",
    ),
    pytest.param(
        [SOURCE_VSA, attest(provenance_statement([SHOP], finished=NOW), STRANGER)], id="provenance by a stranger"
    ),
    pytest.param(
        [attest(source_statement(verified=NOW, repository="github.com/acme/shop-evil"), SOURCE), PROVENANCE],
        id="E14 a repository with the same prefix",
    ),
]


@pytest.mark.parametrize("evidence", UNJOINED)
def test_a_source_summary_that_does_not_join_is_bound_to_nothing(evidence: list[bytes]) -> None:
    [found] = facts_of(*evidence).sources
    assert (found.origin.bound, found.origin.covers) == ("none", ())


def test_the_order_of_the_evidence_does_not_matter_for_the_join() -> None:
    for evidence in ([SOURCE_VSA, PROVENANCE], [PROVENANCE, SOURCE_VSA]):
        [found] = facts_of(*evidence).sources
        assert (found.origin.bound, found.origin.covers) == ("source", (0,))


def test_the_join_covers_only_the_subjects_of_that_provenance() -> None:
    evidence = [built_from(COMMIT, SHOP), built_from(OTHER, DOCS), SOURCE_VSA]
    [found] = facts_of(*evidence, subjects=(SHOP, DOCS)).sources
    assert found.origin.covers == (0,)


def test_a_summary_of_two_commits_gives_one_fact_per_joined_commit() -> None:
    statement = json.loads(source_statement(verified=NOW))
    statement["subject"] = [{"digest": {"gitCommit": commit}} for commit in (OTHER, COMMIT, "e" * 40)]
    data = attest(canonical(statement), SOURCE)
    found = facts_of(data, built_from(COMMIT, SHOP), built_from(OTHER, DOCS), subjects=(SHOP, DOCS)).sources
    assert [(item.commit, item.origin.covers) for item in found] == [(COMMIT, (0,)), (OTHER, (1,))]


def run_on_commit(commit: str, uri: str | None) -> bytes:
    statement = json.loads(suite_statement([SHOP]))
    statement["subject"] = [{"digest": {"gitCommit": commit}} | ({} if uri is None else {"uri": uri})]
    return attest(canonical(statement), BUILDER)


COMMIT_TESTS = [
    pytest.param(run_on_commit(COMMIT, "git+https://github.com/acme/shop"), "source", (0,), id="the built commit"),
    pytest.param(run_on_commit(OTHER, "git+https://github.com/acme/shop"), "none", (), id="another commit"),
    pytest.param(run_on_commit(COMMIT, "git+https://github.com/evil/shop"), "none", (), id="another repository"),
    pytest.param(run_on_commit(COMMIT, None), "none", (), id="no repository"),
    pytest.param(run_on_commit(COMMIT, "https://x@github.com/acme/shop"), "none", (), id="E12 userinfo"),
]


@pytest.mark.parametrize(("data", "bound", "covers"), COMMIT_TESTS)
def test_tests_of_a_commit_reach_the_artifact_by_the_join_alone(
    data: bytes, bound: str, covers: tuple[int, ...]
) -> None:
    [found] = facts_of(PROVENANCE, data).tests
    assert (found.origin.bound, found.origin.covers) == (bound, covers)


def test_a_scan_of_a_commit_says_nothing_about_the_artifact() -> None:
    statement = json.loads(scan_statement([SHOP], finished=NOW))
    statement["subject"] = [{"digest": {"gitCommit": COMMIT}, "uri": "git+https://github.com/acme/shop"}]
    assert facts_of(PROVENANCE, attest(canonical(statement), SCANNER)).scans == ()


def test_trusted_provenance_names_the_commits_to_look_up() -> None:
    found = facts_of(built_from(OTHER), built_from(COMMIT), built_from(COMMIT, triggered_by="email:a@dev.invalid"))
    assert requested_source_digests(found) == (f"gitCommit:{COMMIT}", f"gitCommit:{OTHER}")


def test_untrusted_provenance_names_no_commit_to_look_up() -> None:
    assert requested_source_digests(facts_of(attest(provenance_statement([SHOP], finished=NOW), SCANNER))) == ()


def test_persons_stay_as_the_evidence_states_them() -> None:
    [found] = facts_of(built_from(triggered_by="email:alice@dev.invalid")).provenance
    assert found.triggered_by == "email:alice@dev.invalid"


DOCUMENT = opaque_document(b"log", kind="build-log", media_type="text/plain", subjects=[f"sha256:{SHOP.sha256}"])


def test_an_opaque_document_is_submitted_and_not_attested() -> None:
    [found] = facts_of(DOCUMENT).documents
    assert found.kind == "build-log"
    assert (found.origin.attested, found.origin.key, found.origin.covers) == (False, None, (0,))


def test_an_opaque_document_about_something_else_does_not_belong_in_the_request() -> None:
    with pytest.raises(Malformed) as refused:
        facts_of(replace(DOCUMENT, subjects=(ELSE.sha256,)))
    assert refused.value.code == "subject-mismatch"


REVIEW = attest(review_statement(), SOURCE)


def test_a_review_record_of_the_built_commit_joins() -> None:
    [found] = facts_of(PROVENANCE, REVIEW).reviews
    assert (found.collector, found.commit, found.repository) == ("demo-source", COMMIT, "github.com/acme/shop")
    assert (found.origin.bound, found.origin.covers, found.origin.attested) == ("source", (0,), True)
    assert found.authors == (DEVELOPER,)


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([REVIEW], id="without provenance"),
        pytest.param([built_from(OTHER), REVIEW], id="provenance of another commit"),
        pytest.param([attest(provenance_statement([SHOP], finished=NOW), SCANNER), REVIEW], id="untrusted provenance"),
        pytest.param(
            [PROVENANCE, attest(review_statement(repository="github.com/acme/shop-evil"), SOURCE)],
            id="another repository",
        ),
    ],
)
def test_a_review_record_that_does_not_join_is_bound_to_nothing(items: list[bytes]) -> None:
    [found] = facts_of(*items).reviews
    assert (found.origin.bound, found.origin.covers) == ("none", ())


def test_a_review_record_is_a_collectors_by_key_and_producer() -> None:
    assert facts_of(attest(review_statement(), BUILDER)).reviews[0].collector is None
    other = attest(review_statement(verifier="https://dev.invalid/other"), SOURCE)
    assert facts_of(other).reviews[0].collector is None


def test_a_review_record_beside_an_artifact_digest_is_still_about_the_source() -> None:
    statement = json.loads(review_statement())
    statement["subject"][0]["digest"]["sha256"] = SHOP.sha256
    [found] = facts_of(attest(canonical(statement), SOURCE)).reviews
    assert found.origin.bound == "none"


TREE = "2f70a39a" + "0" * 32
TREE_REVIEW = attest(review_statement(tree=TREE), SOURCE)
APPROVALS = attest(approvals_statement(tree=TREE, approvers=["octocat+583231"], dismissed=["b+2"]), SOURCE)
GITTUF = replace(
    TRUST,
    collectors={
        **TRUST.collectors,
        "gittuf": Collector(
            name="gittuf", key="source", verifier="https://gittuf.dev/github-pull-request-approval/v0.1"
        ),
    },
)


def by_tree(*items: bytes, trust: Trust = GITTUF) -> list[policy_facts.ReviewRecord]:
    return [record for record in facts_of(*items, trust=trust).reviews if record.by_tree]


def test_approvals_of_a_tree_reach_the_commit_by_the_record_that_names_both() -> None:
    [found] = by_tree(PROVENANCE, TREE_REVIEW, APPROVALS)
    assert (found.collector, found.commit, found.tree, found.authors) == ("gittuf", COMMIT, TREE, None)
    assert (found.origin.bound, found.origin.covers) == ("source", (0,))
    assert [(review.reviewer, review.commit, review.decision, review.role) for review in found.reviews] == [
        ("login:https://github.com#583231", COMMIT, "approved", None),
        ("login:https://github.com#2", COMMIT, "dismissed", None),
    ]


@pytest.mark.parametrize(
    "items",
    [
        pytest.param((PROVENANCE, APPROVALS), id="no record"),
        pytest.param((PROVENANCE, REVIEW, APPROVALS), id="a record without a tree"),
        pytest.param((PROVENANCE, attest(review_statement(tree="0" * 40), SOURCE), APPROVALS), id="another tree"),
        pytest.param((TREE_REVIEW, APPROVALS), id="no provenance"),
        pytest.param((built_from(OTHER), TREE_REVIEW, APPROVALS), id="provenance of another commit"),
        pytest.param((PROVENANCE, attest(review_statement(tree=TREE), BUILDER), APPROVALS), id="a stranger's record"),
    ],
)
def test_approvals_of_a_tree_that_no_trusted_record_names_say_nothing(items: tuple[bytes, ...]) -> None:
    assert by_tree(*items) == []


def test_approvals_by_a_key_that_is_no_collectors_are_nobodys() -> None:
    [found] = by_tree(PROVENANCE, TREE_REVIEW, APPROVALS, trust=TRUST)
    assert found.collector is None


def test_records_name_the_trees_to_look_up() -> None:
    assert requested_source_digests(facts_of(PROVENANCE, TREE_REVIEW)) == (f"gitCommit:{COMMIT}", f"gitTree:{TREE}")
    forged = attest(review_statement(tree=TREE), BUILDER)
    assert requested_source_digests(facts_of(PROVENANCE, forged)) == (f"gitCommit:{COMMIT}",)
