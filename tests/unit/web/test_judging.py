# SPDX-License-Identifier: Apache-2.0
"""Steps 0 to 4: which facts and evidence a command carries, and who may ask for it."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from itertools import combinations

import pytest

from signer.custodian.commands import Check, Decide, Judge, Reply, Stale
from signer.dev.attestations import (
    approvals_statement,
    attest,
    provenance_statement,
    review_statement,
    scan_statement,
    source_statement,
)
from signer.formats.canonical import sha256_hex
from tests.unit.web.world import ACCESS, COMMIT, NOW, OTHER, SUBJECT, World, item, render_policy

PREFIX = "urn:signing-authority:problem:"


def asked(world: World) -> Judge:
    command = world.custodian.asked[-1]
    assert isinstance(command, Decide | Check)
    return command.judge


def keep(world: World, *attestations: bytes) -> None:
    body = {"policy": "demo", "evidence": [item(data) for data in attestations]}
    assert world.client().post("/v1/evidence", json=body).status_code == 201


def outcomes(answer_data: bytes) -> dict[str, str]:
    document = json.loads(answer_data)
    findings = document.get("decision", document)["findings"]
    return {finding["rule"]: finding["outcome"] for finding in findings}


def test_good_evidence_becomes_facts_under_the_documents_in_force(world: World) -> None:
    answer = world.client().post("/v1/signatures", json=world.body())
    judge = asked(world)
    assert answer.status_code == 200
    assert (judge.principal, judge.policy, judge.environment) == ("robot:ci", "demo", "release")
    assert judge.policy_digest == hashlib.sha256(render_policy(world.keys)).hexdigest()
    assert judge.access_digest == hashlib.sha256(ACCESS.encode()).hexdigest()
    assert judge.subjects == (("shop.tar", (("sha256", SUBJECT.sha256),)),)
    assert [fact.builder for fact in judge.facts.provenance] == ["builder"]
    assert len(judge.new) == len(judge.used) == 6
    assert {each.digest for each in judge.new} == set(judge.used)


def test_the_index_learns_what_each_new_item_speaks_of(world: World) -> None:
    world.client().post("/v1/checks", json=world.body())
    speaks = {each.subjects for each in asked(world).new}
    assert speaks == {(f"sha256:{SUBJECT.sha256}",), (f"gitCommit:{COMMIT}",)}


def test_the_request_id_of_the_answer_is_that_of_the_command(world: World) -> None:
    answer = world.client().post("/v1/checks", json=world.body([]))
    assert answer.get_json()["request_id"] == answer.headers["Request-Id"] == asked(world).request_id


@pytest.mark.parametrize("withheld", ["provenance", "source", "tests", "scan", "sbom", "review"])
def test_leaving_a_stored_item_out_of_a_request_changes_nothing(world: World, withheld: str) -> None:
    attestations = world.attestations()
    keep(world, attestations.pop(withheld))
    answer = world.client().post("/v1/checks", json=world.body(list(attestations.values())))
    assert answer.status_code == 200, answer.data
    assert len(asked(world).used) == 6
    assert len(asked(world).new) == 5


def test_whatever_part_of_the_stored_evidence_is_offered_the_same_facts_are_judged(world: World) -> None:
    attestations = list(world.attestations().values())
    keep(world, *attestations)
    judged = set()
    for count in range(len(attestations) + 1):
        for offered in combinations(attestations, count):
            assert world.client().post("/v1/checks", json=world.body(list(offered))).status_code == 200
            command = asked(world)
            judged.add((command.facts, frozenset(command.used), command.new))
    assert len(judged) == 1


def test_stored_approvals_of_the_tree_are_found_by_the_record_that_is_found_by_the_commit(world: World) -> None:
    tree = "7" * 40
    review = attest(review_statement(tree=tree), world.keys.source)
    approvals = attest(approvals_statement(tree=tree, approvers=["octocat+583231"]), world.keys.source)
    keep(world, review, approvals)
    attestations = world.attestations()
    del attestations["review"]
    answer = world.client().post("/v1/checks", json=world.body(list(attestations.values())))
    assert answer.status_code == 200, answer.data
    assert {sha256_hex(review), sha256_hex(approvals)} <= set(asked(world).used)


def test_a_stored_failing_scan_counts_although_the_request_withholds_it(world: World) -> None:
    scan = scan_statement([SUBJECT], finished=NOW - timedelta(minutes=5), vulnerabilities=[("CVE-2026-1", "critical")])
    keep(world, world.attestations()["scan"], attest(scan, world.keys.scanner))
    answer = world.client().post("/v1/signatures", json=world.body())
    assert answer.status_code == 403
    assert outcomes(answer.data)["VUL-1"] == "fail"


def test_what_is_stored_already_is_not_sent_again(world: World) -> None:
    attestations = list(world.attestations().values())
    keep(world, *attestations)
    world.client().post("/v1/checks", json=world.body(attestations))
    stored = {each.digest for each in world.application.reader.evidence_for([f"sha256:{SUBJECT.sha256}"])}
    assert len(stored) == 4
    assert stored & {each.digest for each in asked(world).new} == set()


def test_stored_evidence_keeps_its_receipt_order_and_submitter(world: World) -> None:
    keep(world, *world.attestations().values())
    world.client().post("/v1/checks", json=world.body([]))
    facts = asked(world).facts
    received = [fact.origin.received for fact in facts.items()]
    assert all(received)
    assert len(set(received)) == 6
    assert {fact.origin.submitter for fact in facts.items()} == {"robot:ci"}


def test_source_evidence_of_the_joined_commit_is_recalled_once_provenance_is_trusted(world: World) -> None:
    attestations = world.attestations()
    keep(world, attestations["source"])
    world.client().post("/v1/checks", json=world.body([attestations["scan"]]))
    assert asked(world).facts.sources == ()
    world.client().post("/v1/checks", json=world.body([attestations["provenance"]]))
    assert [fact.commit for fact in asked(world).facts.sources] == [COMMIT]


def test_evidence_by_an_unknown_key_counts_as_absent_and_is_not_kept(world: World) -> None:
    forged = attest(provenance_statement([SUBJECT], finished=NOW), world.keys.stranger)
    answer = world.client().post("/v1/signatures", json=world.body([forged]))
    assert answer.status_code == 409
    assert asked(world).facts.provenance == ()
    assert (asked(world).used, asked(world).new) == ((), ())


def test_source_evidence_that_does_not_join_is_unknown_not_malformed(world: World) -> None:
    attestations = world.attestations() | {
        "source": attest(source_statement(verified=NOW, commit="ab" * 20), world.keys.source)
    }
    answer = world.client().post("/v1/checks", json=world.body(list(attestations.values())))
    assert answer.status_code == 409
    assert outcomes(answer.data)["SRC-2"] == "unknown"


def test_a_stale_answer_makes_web_verify_again(world: World) -> None:
    world.custodian.replies = [Stale(reason="moved"), Stale(reason="moved")]
    assert world.client().post("/v1/signatures", json=world.body()).status_code == 200
    judges = [command.judge for command in world.custodian.asked if isinstance(command, Decide)]
    assert len(judges) == 3
    assert len({judge.request_id for judge in judges}) == 1


def test_a_fourth_attempt_is_not_made(world: World) -> None:
    world.custodian.replies = [Stale(reason="moved")] * 3
    answer = world.client().post("/v1/signatures", json=world.body())
    assert (answer.status_code, answer.get_json()["type"]) == (503, PREFIX + "stale")
    assert answer.get_json()["retryable"] is True
    assert answer.headers["Retry-After"] == "1"
    assert len(world.custodian.asked) == 3


def test_after_a_stale_answer_the_newest_documents_count(world: World) -> None:
    newer = render_policy(world.keys).replace(b"version: 1", b"version: 2")

    class Activating:
        def __init__(self) -> None:
            self.asked: list[Judge] = []

        def ask(self, command: object) -> Reply:
            assert isinstance(command, Decide)
            self.asked.append(command.judge)
            if len(self.asked) == 1:
                world.activate("policy", "demo", 2, newer)
                return Stale(reason="another policy is in force")
            return world.custodian.ask(command)

    custodian = Activating()
    object.__setattr__(world.application, "custodian", custodian)
    assert world.client().post("/v1/signatures", json=world.body()).status_code == 200
    first, second = (judge.policy_digest for judge in custodian.asked)
    assert (first != second, second) == (True, hashlib.sha256(newer).hexdigest())


def test_idempotency_travels_as_digests_of_key_and_raw_body(world: World) -> None:
    raw = json.dumps(world.body([])).encode()
    world.client().post("/v1/signatures", data=raw, content_type="application/json", headers={"Idempotency-Key": "k1"})
    command = world.custodian.asked[-1]
    assert isinstance(command, Decide)
    assert command.idempotency is not None
    assert command.idempotency.key == hashlib.sha256(b"k1").hexdigest()
    assert command.idempotency.body == hashlib.sha256(raw).hexdigest()


def test_without_a_key_there_is_no_idempotency(world: World) -> None:
    world.client().post("/v1/signatures", json=world.body([]))
    command = world.custodian.asked[-1]
    assert isinstance(command, Decide)
    assert command.idempotency is None


FORBIDDEN = {
    "an unknown policy": ("ci", {"policy": "nothing"}),
    "a policy outside the grant": ("ci", {"policy": "hidden"}),
    "an unknown environment": ("ci", {"environment": "production"}),
    "no grant at all": ("idle", {}),
    "a grant for another repository": ("other", {}),
}


@pytest.mark.parametrize(("robot", "changes"), FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_unknown_and_forbidden_answer_alike(world: World, robot: str, changes: dict[str, str]) -> None:
    world.activate("policy", "hidden", 1, render_policy(world.keys, name="hidden"))
    world.san = f"spiffe://dev.invalid/robot/{robot}"
    answer = world.client().post("/v1/signatures", json=world.body() | changes)
    document = answer.get_json()
    assert answer.status_code == 404
    assert document.pop("request_id") == answer.headers["Request-Id"]
    assert document == {
        "type": PREFIX + "not-found",
        "title": "Not found",
        "status": 404,
        "detail": "this caller can reach no policy, environment, repository or record of that name",
        "remedy": "check the names, and the caller's grants in the access document",
        "retryable": False,
        "violations": [],
    }
    assert world.custodian.asked == []


def test_a_grant_for_check_does_not_sign(world: World) -> None:
    world.san = "spiffe://dev.invalid/robot/slow"
    assert world.client().post("/v1/checks", json=world.body([])).status_code == 409
    assert world.client().post("/v1/signatures", json=world.body([])).status_code == 404


def test_missing_provenance_is_explained_to_a_grant_with_repositories(world: World) -> None:
    world.san = "spiffe://dev.invalid/robot/other"
    answer = world.client().post("/v1/checks", json=world.body([]))
    assert answer.status_code == 409
    assert outcomes(answer.data)["BLD-1"] == "unknown"


LOOSE = b"""\
  loose: {require: [SBM-1], key: release, formats: [vsa]}
"""


def test_an_environment_without_provenance_is_no_way_around_the_repositories_of_a_grant(world: World) -> None:
    policy = render_policy(world.keys).replace(b"version: 1", b"version: 2") + LOOSE
    access = ACCESS.replace("version: 1", "version: 2").replace("environments: [release]", 'environments: ["*"]')
    world.activate("policy", "demo", 2, policy)
    world.activate("access", "access", 2, access.encode())
    evidence = [world.attestations()["sbom"]]
    assert world.client().post("/v1/checks", json=world.body(evidence, environment="loose")).status_code == 404
    world.san = "spiffe://dev.invalid/robot/slow"
    assert world.client().post("/v1/checks", json=world.body([], environment="loose")).status_code == 409


def test_one_subject_with_provenance_does_not_lend_its_repository_to_another(world: World) -> None:
    policy = render_policy(world.keys).replace(b"version: 1", b"version: 2") + LOOSE
    access = ACCESS.replace("version: 1", "version: 2").replace("environments: [release]", 'environments: ["*"]')
    world.activate("policy", "demo", 2, policy)
    world.activate("access", "access", 2, access.encode())
    body = world.body([world.attestations()["provenance"]], environment="loose")
    assert world.client().post("/v1/checks", json=body).status_code == 409
    body = world.body([world.attestations()["provenance"]], environment="loose", subjects=(SUBJECT, OTHER))
    assert world.client().post("/v1/checks", json=body).status_code == 404


def test_several_subjects_travel_in_their_order(world: World) -> None:
    world.client().post("/v1/checks", json=world.body(subjects=(OTHER, SUBJECT)))
    assert [name for name, _ in asked(world).subjects] == ["other.tar", "shop.tar"]
    assert asked(world).facts.provenance[0].origin.covers == (1,)


def test_new_evidence_is_paid_from_the_quota_and_stored_evidence_is_not(world: World) -> None:
    world.san = "spiffe://dev.invalid/robot/slow"
    answer = world.client().post("/v1/checks", json=world.body())
    assert (answer.status_code, answer.get_json()["type"]) == (429, PREFIX + "over-quota")
    assert int(answer.headers["Retry-After"]) > 0
    world.san = "spiffe://dev.invalid/robot/ci"
    keep(world, *world.attestations().values())
    world.san = "spiffe://dev.invalid/robot/slow"
    assert world.client().post("/v1/checks", json=world.body([])).status_code == 200


def test_requests_beyond_the_quota_wait(world: World) -> None:
    world.san = "spiffe://dev.invalid/robot/slow"
    statuses = [world.client().post("/v1/checks", json=world.body([])).status_code for _ in range(3)]
    assert statuses == [409, 409, 429]


def test_a_policy_whose_key_cannot_be_used_decides_nothing(world: World) -> None:
    broken = render_policy(world.keys).replace(b"version: 1", b"version: 2").replace(b"MFkw", b"AAAA")
    world.activate("policy", "demo", 2, broken)
    answer = world.client().post("/v1/checks", json=world.body())
    assert answer.status_code == 503
    assert world.custodian.asked == []
