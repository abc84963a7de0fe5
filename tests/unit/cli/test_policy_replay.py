# SPDX-License-Identifier: Apache-2.0
"""`signer policy replay` and `signer decision export`, over files and pages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policy.document import parse_policy
from policy.engine import evaluate
from policy.facts import Facts, TestResult
from signer.formats.canonical import sha256_hex
from signer.formats.facts import encode_facts
from signer.formats.findings import encode_findings
from signer.formats.replay_record import (
    DecisionRecord,
    PolicyRecord,
    RecordedPolicy,
    encode_decision,
    encode_policy,
    parse_record,
)
from tests.policy.factory import NOW, document, encode, facts, good
from tests.unit.cli.conftest import FakeAuthority, Signer, answered

ACTIVE = encode(document())
DENIED = facts(*(item for item in good() if not isinstance(item, TestResult)))


def lines(*known: Facts, policy: bytes = ACTIVE, encoded: bytes | None = None) -> list[bytes]:
    judge = parse_policy(policy)
    found = [encode_policy(PolicyRecord(digest=sha256_hex(policy), data=policy))]
    for place, each in enumerate(known):
        decision = evaluate(judge, each, now=NOW)
        found.append(
            encode_decision(
                DecisionRecord(
                    leaf=9 - place,
                    request_id=f"{place:032x}",
                    time=NOW,
                    principal="robot:ci",
                    policy=RecordedPolicy("demo", 1, sha256_hex(policy)),
                    environment="release",
                    verdict=decision.verdict.value,
                    facts=encoded or encode_facts(each),
                    findings=encode_findings(decision),
                )
            )
        )
    return found


def write(path: Path, those: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in those))
    return path


def changed(path: Path, **changes: Any) -> Path:
    value = document()
    for place, rule in enumerate(value["rules"]):
        if rule["id"] in changes:
            value["rules"][place] = {**rule, **changes[rule["id"]]}
    if "require" in changes:
        value["environments"]["release"]["require"] = changes["require"]
    path.write_bytes(encode(value))
    return path


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write(tmp_path / "decisions.jsonl", lines(facts(*good()), DENIED))


def test_the_active_policy_over_its_own_history_flips_nothing(signer: Signer, tmp_path: Path, export: Path) -> None:
    active = changed(tmp_path / "active.yaml")
    ran = signer("policy", "replay", "--policy", active, "--export", export, "-o", "json")
    assert ran.code == 0
    assert ran.document["counts"] == {
        "deny-to-allow": 0,
        "allow-to-deny": 0,
        "other-reasons": 0,
        "not-replayable": 0,
        "same": 2,
    }


def test_a_loosened_draft_ends_with_three_until_it_is_acknowledged(
    signer: Signer, tmp_path: Path, export: Path
) -> None:
    looser = changed(tmp_path / "draft.yaml", require=["BLD-1", "SRC-1"])
    ran = signer("policy", "replay", "--policy", looser, "--export", export)
    assert ran.code == 3
    assert ran.out.startswith("deny-to-allow (1)\n")
    assert "was stopped by TST-1" in ran.out
    assert "1 would be allowed; when that is meant: --acknowledge TST-1" in ran.err
    meant = signer("policy", "replay", "--policy", looser, "--export", export, "--acknowledge", "TST-1")
    assert meant.code == 0


def test_a_tighter_draft_shows_what_the_developer_would_have_read(signer: Signer, tmp_path: Path, export: Path) -> None:
    tighter = changed(tmp_path / "draft.yaml", **{"SBM-1": {"minComponents": 43}})
    ran = signer("policy", "replay", "--policy", tighter, "--export", export)
    assert ran.code == 0
    assert "allow-to-deny (1)\n  1 by SBM-1 in github.com/acme/shop" in ran.out
    assert "required  an SBOM in spdx by ci with at least 43 components" in ran.out
    assert "other-reasons (1)" in ran.out


def test_facts_that_this_version_cannot_read_are_not_replayed(signer: Signer, tmp_path: Path) -> None:
    export = write(tmp_path / "old.jsonl", lines(facts(*good()), encoded=b'{"evidence":{},"ledger":{}}'))
    ran = signer("policy", "replay", "--policy", changed(tmp_path / "active.yaml"), "--export", export)
    assert ran.code == 0
    assert "not-replayable (1)" in ran.out
    assert "missing: not a facts document: Object missing required field" in ran.out


def test_now_asks_what_the_past_would_get_today(signer: Signer, tmp_path: Path, export: Path) -> None:
    active = changed(tmp_path / "active.yaml", **{"BLD-1": {"maxAge": "1s"}})
    ran = signer("policy", "replay", "--policy", active, "--export", export, "--now", "-o", "json")
    assert ran.document["counts"]["allow-to-deny"] == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--environment", "staging"), 0),
        (("--environment", "release"), 2),
        (("--since", "2026-11-23T12:00:00Z"), 2),
        (("--since", "2026-11-23T12:00:01Z"), 0),
        (("--until", "2026-11-23T12:00:00Z"), 0),
    ],
)
def test_only_the_wanted_decisions_are_replayed(
    signer: Signer, tmp_path: Path, export: Path, options: tuple[str, str], expected: int
) -> None:
    active = changed(tmp_path / "active.yaml")
    ran = signer("policy", "replay", "--policy", active, "--export", export, *options, "-o", "json")
    assert sum(ran.document["counts"].values()) == expected
    assert ("nothing was replayed" in ran.err) == (expected == 0)


BROKEN: dict[str, tuple[list[bytes], str]] = {
    "no policy": (lines(DENIED)[1:], "do not hold the policy"),
    "another policy than its digest says": (
        [lines(DENIED)[0].replace(sha256_hex(ACTIVE).encode(), b"0" * 64), *lines(DENIED)[1:]],
        "is not the one with sha256",
    ),
    "no record": ([b"{}"], "malformed-record"),
    "no JSON": ([b"decision"], "malformed-json"),
}


@pytest.mark.parametrize(("those", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_file_of_records_is_refused_with(signer: Signer, tmp_path: Path, those: list[bytes], expected: str) -> None:
    export = write(tmp_path / "x.jsonl", those)
    ran = signer("policy", "replay", "--policy", changed(tmp_path / "p.yaml"), "--export", export)
    assert ran.code == 2
    assert expected in ran.err


def test_a_file_that_was_cut_off_is_refused(signer: Signer, tmp_path: Path, export: Path) -> None:
    export.write_bytes(export.read_bytes()[:-10])
    ran = signer("policy", "replay", "--policy", changed(tmp_path / "p.yaml"), "--export", export)
    assert ran.code == 2
    assert "ends within a line" in ran.err


def test_replay_over_https_reads_page_after_page(signer: Signer, tmp_path: Path, authority: FakeAuthority) -> None:
    policy, first, second = lines(facts(*good()), DENIED)
    authority.answers = [(policy + b"\n" + first + b"\n", "9"), (policy + b"\n" + second + b"\n", None)]
    active = changed(tmp_path / "p.yaml")
    ran = signer("policy", "replay", "--policy", active, "--since", "2026-11-01T00:00:00Z", "-o", "json")
    assert ran.code == 0, ran.err
    assert ran.document["counts"]["same"] == 2
    assert [asked[1][0] for asked in authority.asked] == [
        {"policy": "demo", "since": "2026-11-01T00:00:00.000000Z"},
        {"policy": "demo", "since": "2026-11-01T00:00:00.000000Z", "before": "9"},
    ]


def test_without_the_grant_nothing_is_exported(signer: Signer, tmp_path: Path, authority: FakeAuthority) -> None:
    authority.answers = [answered(404, "not-found")]
    out = tmp_path / "out.jsonl"
    ran = signer("decision", "export", "--policy", "demo", "--out", out)
    assert ran.code == 4
    assert [*tmp_path.glob("*out*")] == []


def test_an_export_is_replayed(signer: Signer, tmp_path: Path, authority: FakeAuthority) -> None:
    authority.answers = [(b"".join(line + b"\n" for line in lines(DENIED)), None)]
    out = tmp_path / "out.jsonl"
    assert signer("decision", "export", "--policy", "demo", "--since", "30d", "--out", out).code == 0
    ran = signer("policy", "replay", "--policy", changed(tmp_path / "p.yaml"), "--export", out, "-o", "json")
    assert ran.document["counts"]["same"] == 1


def test_two_places_at_once_are_refused(signer: Signer, tmp_path: Path, export: Path) -> None:
    ran = signer(
        "policy", "replay", "--policy", changed(tmp_path / "p.yaml"), "--export", export, "--database", "ledger.db"
    )
    assert ran.code == 2


def test_a_record_reads_as_it_was_written() -> None:
    policy, line = lines(DENIED)
    read = parse_record(line)
    assert isinstance(read, DecisionRecord)
    assert encode_decision(read) == line
    assert read.time == NOW + timedelta(0)
    found = parse_record(policy)
    assert isinstance(found, PolicyRecord)
    assert encode_policy(found) == policy
