# SPDX-License-Identifier: Apache-2.0
"""The documents that a decision leaf names: facts, findings, subjects; and the decision document of answers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from policy import facts, ledger_facts
from policy.decision import Decision, Finding, Offender, Outcome, Verdict, WaiverUse
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.decision import decision_document, subjects_document
from signer.formats.facts import decode_facts, encode_facts
from signer.formats.findings import decode_decision, decode_findings, encode_findings, finding_objects

NOW = datetime(2026, 11, 23, 10, 0, 0, 1, UTC)

TEXT = st.text(max_size=12)
INSTANTS = st.datetimes(timezones=st.just(UTC))
TIMES = st.none() | INSTANTS
COUNTS = st.integers(0, 2**53 - 1)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
INDICES = st.lists(st.integers(0, 1000), max_size=3).map(tuple)
DEBTS = st.builds(ledger_facts.ReviewDebt, at=INSTANTS)
ORIGINS = st.builds(facts.Origin, covers=INDICES, received=COUNTS)
OFFENDERS = st.lists(st.builds(Offender), max_size=2).map(tuple)
FACTS = st.builds(
    facts.Facts,
    request=st.builds(
        facts.RequestFacts, subjects=st.lists(st.builds(facts.SubjectFact), min_size=1, max_size=3).map(tuple)
    ),
    evidence=st.builds(
        facts.EvidenceFacts,
        provenance=st.lists(
            st.builds(
                facts.Provenance,
                origin=ORIGINS,
                parameters=TEXTS,
                dependencies=COUNTS,
                undigested=COUNTS,
                started=TIMES,
                finished=TIMES,
            ),
            max_size=2,
        ).map(tuple),
        sources=st.lists(
            st.builds(facts.SourceSummary, origin=ORIGINS, refs=TEXTS, levels=TEXTS, verified=TIMES), max_size=2
        ).map(tuple),
        tests=st.lists(
            st.builds(facts.TestResult, origin=ORIGINS, suites=TEXTS, passed=COUNTS, failed=COUNTS), max_size=2
        ).map(tuple),
        scans=st.lists(
            st.builds(
                facts.VulnerabilityScan,
                origin=ORIGINS,
                database_updated=TIMES,
                finished=TIMES,
                vulnerabilities=st.lists(
                    st.builds(facts.Vulnerability, score=st.none() | st.integers(0, 100)), max_size=2
                ).map(tuple),
            ),
            max_size=2,
        ).map(tuple),
        sboms=st.lists(st.builds(facts.Sbom, origin=ORIGINS, components=COUNTS), max_size=2).map(tuple),
        documents=st.lists(st.builds(facts.Document, origin=ORIGINS), max_size=2).map(tuple),
        reviews=st.lists(st.builds(facts.ReviewRecord, origin=ORIGINS), max_size=2).map(tuple),
    ),
    ledger=st.builds(
        ledger_facts.LedgerFacts,
        allowed=st.lists(st.builds(ledger_facts.Reached, at=INSTANTS), max_size=2).map(tuple),
        deployed=st.lists(st.builds(ledger_facts.Reached, at=INSTANTS), max_size=2).map(tuple),
        approvals=st.lists(st.builds(ledger_facts.Approval, at=INSTANTS, groups=TEXTS), max_size=2).map(tuple),
        excluded=st.lists(st.builds(ledger_facts.Excluded), max_size=2).map(tuple),
        break_glass=st.none()
        | st.builds(
            ledger_facts.BreakGlass,
            debts=st.lists(st.builds(ledger_facts.ReviewDebt, at=INSTANTS), max_size=2).map(tuple),
        ),
        waivers=st.lists(
            st.builds(
                ledger_facts.Waiver,
                offenders=OFFENDERS,
                rules=TEXTS,
                digests=TEXTS,
                repositories=TEXTS,
                not_before=INSTANTS,
                expires=INSTANTS,
                uses=COUNTS,
                max_uses=COUNTS,
                renewal=COUNTS,
            ),
            max_size=2,
        ).map(tuple),
    ),
)
DECISIONS = st.builds(
    Decision,
    findings=st.lists(
        st.builds(
            Finding,
            evidence=TEXTS,
            subjects=INDICES,
            would=st.none() | st.sampled_from(Outcome),
            offenders=OFFENDERS,
            waived_by=st.lists(st.builds(WaiverUse, expires=INSTANTS, use=COUNTS, max_uses=COUNTS), max_size=2).map(
                tuple
            ),
        ),
        max_size=3,
    ).map(tuple),
)


@settings(max_examples=50)
@given(FACTS)
def test_facts_come_back(judged: facts.Facts) -> None:
    data = encode_facts(judged)
    assert decode_facts(data) == judged
    assert encode_facts(decode_facts(data)) == data


@settings(max_examples=50)
@given(DECISIONS)
def test_findings_come_back(decision: Decision) -> None:
    data = encode_findings(decision)
    assert decode_decision(data) == decision
    assert decode_findings(data) == decision.findings


REQUEST = facts.RequestFacts(
    policy="demo",
    environment="release",
    submitter="robot:ci",
    subjects=(facts.SubjectFact(name="shop", sha256="a" * 64),),
)


def judged(evidence: facts.EvidenceFacts) -> facts.Facts:
    ledger = ledger_facts.LedgerFacts(policy_digest="b" * 64, access_digest="c" * 64)
    return facts.Facts(request=REQUEST, evidence=evidence, ledger=ledger)


def scan(finished: datetime) -> facts.EvidenceFacts:
    origin = facts.Origin(
        digest="d" * 64, attested=True, key="scanner", submitter=None, bound="subject", covers=(0,), received=0
    )
    return facts.EvidenceFacts(
        scans=(
            facts.VulnerabilityScan(
                origin=origin,
                scanner="grype",
                scanner_uri="https://example.com",
                database_updated=None,
                finished=finished,
                vulnerabilities=(),
            ),
        )
    )


@pytest.mark.parametrize(
    "time",
    [
        pytest.param(NOW.replace(tzinfo=None), id="a naive time"),
        pytest.param(NOW.astimezone(timezone(timedelta(hours=1))), id="another offset"),
    ],
)
def test_facts_hold_utc_only(time: datetime) -> None:
    with pytest.raises(ValueError):
        encode_facts(judged(scan(time)))


GOOD = encode_facts(judged(scan(NOW)))
RECORDED = (
    (
        b'{"evidence":{"documents":[],"provenance":[],"sboms":[],"scans":[{"database_updated":null,"finished":'
        b'"2026-11-23T10:00:00.000001Z","origin":{"attested":true,"bound":"subject","covers":[0],"digest":"'
        + b"d"
        * 64
        + b'","identity":null,"key":"scanner","received":0,"submitter":null},"scanner":"grype","scanner_uri":'
        b'"https://example.com","vulnerabilities":[{"fix":null,"id":"CVE-1","package":null,"score":null,"severity":"low"}]'
        b'}],"sources":[],"tests":[]},"ledger":{"access_digest":"' + b"c" * 64 + b'","policy_digest":"' + b"b" * 64
    )
    + b'"},"request":{"environment":"release","policy":"demo","subjects":[{"name":"shop","sha256":"'
    + (b"a" * 64 + b'"}],"submitter":"robot:ci"}}')
)
"""A document of the first form: with no field that came later."""


def test_a_document_that_was_recorded_before_a_field_existed_still_decodes() -> None:
    found = decode_facts(RECORDED)
    assert found.ledger.approvals == ()
    assert encode_facts(found) == RECORDED


def test_a_field_at_its_default_is_left_out_and_another_value_is_written() -> None:
    approved = ledger_facts.Approval(
        kind="approve",
        person="person:1",
        groups=("release",),
        hold="0f" * 16,
        sha256="a" * 64,
        environment="release",
        policy_digest="b" * 64,
        cited="e" * 64,
        at=NOW,
        signed=True,
        answers=None,
        statement="f" * 64,
    )
    plain = judged(scan(NOW))
    held = replace(plain, ledger=replace(plain.ledger, approvals=(approved,)))
    assert json.loads(encode_facts(held))["ledger"].keys() == {"access_digest", "approvals", "policy_digest"}
    assert json.loads(encode_facts(plain))["ledger"].keys() == {"access_digest", "policy_digest"}


def test_a_document_that_writes_a_later_field_at_its_default_is_refused() -> None:
    with pytest.raises(Malformed, match="canonical"):
        decode_facts(RECORDED.replace(b'"ledger":{', b'"ledger":{"allowed":[],'))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="E06 empty"),
        pytest.param(b"[]", id="a list"),
        pytest.param(GOOD + b" ", id="trailing space"),
        pytest.param(b" " + GOOD, id="leading space"),
        pytest.param(GOOD.replace(b'{"evidence"', b'{"extra":1,"evidence"', 1), id="an unknown field"),
        pytest.param(GOOD.replace(b'"covers":[0]', b'"covers":[0],"covers":[1]'), id="P01 a key twice"),
        pytest.param(GOOD.replace(b"Z", b"+00:00"), id="another spelling of a time"),
        pytest.param(GOOD.replace(b"Z", b""), id="P11 a naive time"),
        pytest.param(GOOD.replace(b'"covers":[0]', b'"covers":[0.0]'), id="P07 an index that is no integer"),
        pytest.param(GOOD.replace(b'"bound":"subject"', b'"bound":"subjects"'), id="an unknown binding"),
        pytest.param(b"\xff", id="P04 no UTF-8"),
        pytest.param(b"[" * 100_000, id="P03 100,000 open brackets"),
    ],
)
def test_refuses_facts(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_facts(data)


FINDING = Finding(
    rule="BLD-1",
    type="build.provenance",
    control="build",
    level="minimum",
    outcome=Outcome.FAIL,
    title="needs provenance by a trusted builder; none counted",
    required="provenance",
    found="nothing",
    evidence=("d" * 64,),
    bound="none",
    remedy="attest the build",
    subjects=(0,),
)
FINDINGS = encode_findings(Decision(verdict=Verdict.DENY, findings=(FINDING,)))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"{}", id="E06 empty"),
        pytest.param(FINDINGS + b"\n", id="trailing newline"),
        pytest.param(FINDINGS.replace(b'"fail"', b'"passed"'), id="an unknown outcome"),
        pytest.param(FINDINGS.replace(b'"deny"', b'"maybe"'), id="an unknown verdict"),
        pytest.param(FINDINGS.replace(b'{"bound"', b'{"a":1,"bound"'), id="an unknown field"),
    ],
)
def test_refuses_findings(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_decision(data)


def test_the_decision_document_says_everything() -> None:
    subjects = [Subject.parse(f"shop@sha256:{'a' * 64}")]
    document = json.loads(
        decision_document(
            request_id="0f" * 16,
            time=NOW,
            verdict=Verdict.DENY,
            policy=("demo", 3, "b" * 64),
            access="c" * 64,
            environment="release",
            principal="robot:ci",
            subjects=subjects,
            findings=(FINDING,),
            matrix={"build": None, "source": "minimum"},
            questions=[{"id": "digest", "answer": "yes"}],
            answers="e" * 64,
            leaf=7,
        )
    )
    assert document == {
        "type": "signing-authority/decision/v1",
        "request_id": "0f" * 16,
        "time": "2026-11-23T10:00:00.000001Z",
        "verdict": "deny",
        "policy": {"name": "demo", "version": 3, "digest": "b" * 64},
        "access": "c" * 64,
        "environment": "release",
        "principal": "robot:ci",
        "subjects": [{"name": "shop", "digest": {"sha256": "a" * 64}}],
        "findings": json.loads(FINDINGS)["findings"],
        "matrix": {"build": None, "source": "minimum"},
        "questions": [{"id": "digest", "answer": "yes"}],
        "answers": "e" * 64,
        "leaf": 7,
    }


def test_the_subjects_document() -> None:
    subjects = [Subject.of("shop", {"sha512": "b" * 128, "sha256": "a" * 64})]
    assert subjects_document(subjects) == (
        b'{"subjects":[{"digest":{"sha256":"' + b"a" * 64 + b'","sha512":"' + b"b" * 128 + b'"},"name":"shop"}]}'
    )


def test_a_finding_leaves_out_what_says_nothing_and_keeps_what_does() -> None:
    said: dict[str, Any] = {
        "rule": "VUL-1", "type": "vulns.threshold", "level": "better", "control": "artifact", "outcome": Outcome.FAIL,
        "title": "t", "required": "r", "found": "f", "evidence": (), "bound": "subject", "remedy": "", "subjects": (0,),
    }  # fmt: skip
    use = WaiverUse(digest="w" * 64, requested_by="a", approved_by="b", expires=NOW, use=1, max_uses=2)
    more = Finding(**said, would=Outcome.FAIL, offenders=(Offender(id="CVE-1"),), waived_by=(use,))
    short, long = finding_objects((Finding(**said), more))
    assert {"would", "offenders", "waived_by"}.isdisjoint(short)
    assert long["would"] == "fail"
    assert long["offenders"][0]["id"] == "CVE-1"
    assert long["waived_by"][0]["digest"] == "w" * 64
