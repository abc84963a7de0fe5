# SPDX-License-Identifier: Apache-2.0
"""The matrix of controls and levels, through the whole service: each cell is earned by evidence, and lost by one thing.

All ready policies stand in one authority. A cell's evidence satisfies the ready policy of its level in every control;
the cell names what of it is no better than it has to be, and the one change that loses exactly this control.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from policy.library import Level, render
from signer.custodian.client import CustodianClient
from signer.custodian.commands import Activate, Done
from signer.dev import attestations
from signer.dev.artifact_attestations import signature_statement, vex_statement
from signer.dev.attestations import DEVELOPER, MAINTAINER, REVIEWER
from signer.dev.certificates import load_key, public_pem
from signer.domain.digest import Digest
from signer.domain.subject import Subject
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import parse_envelope
from signer.formats.owner_act import OwnerAct, sign_owner_act
from signer.settings import load_settings
from tests.e2e.running import Ran, Running, running

LEVELS: tuple[Level, ...] = get_args(Level)
Evidence = Mapping[str, Mapping[str, Any]]
"""Attestation → arguments of the function in `signer.dev.attestations` that states it."""


WEAKER = "https://dev.invalid/weaker-builder"
"""A builder that each ready policy trusts as well, and whose isolation is one step below what its level needs."""
ABSENT = {"absent": True}
BELOW: Mapping[Level, Mapping[str, Any]] = {
    "minimum": {"isolation": "shared", "broadAccess": True},
    "better": {"isolation": "shared"},
    "strong": {"isolation": "ephemeral"},
}
"""What the weaker builder is like beside the ready policy of each level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the matrix."""

    control: str
    level: Level
    enough: Evidence = field(default_factory=dict)
    """What of the evidence is no better than this level needs."""
    lost: Evidence
    """The change that loses the cell."""
    by: Mapping[str, str]
    """The rules that then do not pass, and words of each."""
    missing: Sequence[str] = ()
    """The rules by which the next level denies what is enough for this one."""


SOURCE = (
    Cell(
        control="source",
        level="minimum",
        enough={"review": {"approvals": {}, "enforced": False, "protection": {"includesAdmins": False}}},
        lost={"review": {"protection": {"byRequest": False}}},
        by={"SRC-3": "takes direct pushes"},
        missing=("SRC-4", "SRC-5", "SRC-6"),
    ),
    Cell(
        control="source",
        level="better",
        enough={"review": {"approvals": {REVIEWER: "write"}, "protection": {"includesAdmins": False}}},
        lost={"review": {"enforced": False}},
        by={"SRC-5": "does not insist on an owner's approval", "SRC-6": "does not insist on an owner's approval"},
        missing=("SRC-3", "SRC-8"),
    ),
    Cell(
        control="source",
        level="strong",
        lost={"review": {"approvals": {REVIEWER: "write", DEVELOPER: "admin"}}},
        by={"SRC-8": "0 of 1 independent approvals of the head commit by administrators"},
    ),
)
BUILD = (
    Cell(
        control="build",
        level="minimum",
        enough={"provenance": {"dependencies": [{"uri": "https://dev.invalid/tool"}]}},
        lost={"provenance": {"builder_id": WEAKER}},
        by={"BLD-2": "the builder has broad access"},
        missing=("BLD-4",),
    ),
    Cell(
        control="build",
        level="better",
        enough={"provenance": {"log": None, "secrets": None}},
        lost={"provenance": {"builder_id": WEAKER}},
        by={"BLD-2": "the builder is shared"},
        missing=("BLD-6", "BLD-7"),
    ),
    Cell(
        control="build",
        level="strong",
        lost={"provenance": {"builder_id": WEAKER}},
        by={"BLD-2": "the builder is ephemeral"},
    ),
)
ARTIFACT = (
    Cell(
        control="artifact",
        level="minimum",
        enough={"scan": ABSENT, "signature": ABSENT},
        lost={"sbom": {"packages": []}},
        by={"SBM-1": "the SBOM lists 0 components"},
        missing=("VUL-1",),
    ),
    Cell(
        control="artifact",
        level="better",
        enough={"scan": {"vulnerabilities": [("CVE-2026-1", "medium")]}, "signature": ABSENT},
        lost={"scan": {"vulnerabilities": [("CVE-2026-2", "high")]}},
        by={"VUL-1": "CVE-2026-2"},
        missing=("ART-3", "VUL-1"),
    ),
    Cell(
        control="artifact",
        level="strong",
        lost={"signature": ABSENT},
        by={"ART-3": "no verified signature of this digest"},
    ),
)
CELLS = (*SOURCE, *BUILD, *ARTIFACT)


@dataclass(slots=True)
class Factory:
    """A running authority with every ready policy in force, and the systems whose evidence it trusts."""

    authority: Running
    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def bundle(self) -> Path:
        """Where the last signed request left its bundle."""
        return self.folder / "bundle.json"

    def ask(self, level: Level, *changes: Evidence) -> Ran:
        """Ask for a signature over an artifact, built from a commit, that no other request has named."""
        number = next(self.numbers)
        artifact = self.folder / f"artifact-{number}"
        artifact.write_text(f"artifact {number}\n")
        offered: list[Path] = []
        for name, envelope in self.evidence(artifact, f"{number:040x}", changes).items():
            path = self.folder / f"{number}-{name}.json"
            path.write_bytes(envelope)
            offered.append(path)
        request: list[str | Path] = ["--policy", level, "--environment", "release", "--subject-file", artifact]
        return self.authority.signer("sign", *request, "--bundle", self.bundle, "-o", "json", "--evidence", *offered)

    def evidence(self, artifact: Path, commit: str, changes: Sequence[Evidence]) -> Mapping[str, bytes]:
        """Attestations that satisfy every level, with the changes laid over one another."""
        subjects = [Subject(artifact.name, (Digest.of(artifact.read_bytes()),))]
        now = datetime.now(UTC)

        def made(name: str, **arguments: Any) -> dict[str, Any]:
            for change in changes:
                arguments.update(change.get(name, {}))
            arguments.pop("absent", None)
            arguments.pop("by", None)
            return arguments

        statements = {
            "provenance": attestations.provenance_statement(
                subjects, **made("provenance", finished=now - timedelta(minutes=10), commit=commit)
            ),
            "source": attestations.source_statement(
                **made("source", verified=now - timedelta(minutes=20), commit=commit)
            ),
            "review": attestations.review_statement(**made("review", commit=commit)),
            "tests": attestations.suite_statement(subjects, **made("tests")),
            "scan": attestations.scan_statement(subjects, **made("scan", finished=now - timedelta(minutes=5))),
            "sbom": attestations.sbom_statement(subjects, **made("sbom", created=now)),
            "signature": signature_statement(subjects),
            "vex": vex_statement(subjects, **made("vex", made=now, vulnerability="CVE-2026-9")),
        }
        keys = {"scan": "scanner", "source": "source", "review": "source", "vex": "source"}
        for change in changes:
            keys.update({name: each["by"] for name, each in change.items() if "by" in each})
        return {
            name: attestations.attest(statement, self.authority.key(keys.get(name, "builder")))
            for name, statement in statements.items()
            if not any(change.get(name) == ABSENT for change in changes)
        }


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    with running(tmp_path_factory.mktemp("matrix") / "dev") as authority:
        access = yaml.safe_load(authority.directory.access.read_bytes())
        access["metadata"]["version"] += 1
        for grant in access["grants"]:
            grant["policies"] = ["*"]
        documents = [("access", access["metadata"]["version"], json.dumps(access).encode())]
        documents += [("policy", 1, ready(authority, level)) for level in LEVELS]
        activate(authority, documents)
        yield Factory(authority, tmp_path_factory.mktemp("cells"))


def ready(authority: Running, level: Level) -> bytes:
    """The ready policy of a level, under the level's name, with a weaker builder beside its own."""
    keys = {name: public_pem(authority.key(name)).decode() for name in ("builder", "scanner", "source")}
    document = yaml.safe_load(
        render(
            level,
            name=level,
            builder_id=attestations.BUILDER_ID,
            builder_key=keys["builder"],
            scanner_key=keys["scanner"],
            source_key=keys["source"],
            source_verifier=attestations.VERIFIER_ID,
            repository=attestations.REPOSITORY,
        )
    )
    builders, weaker = document["trust"]["builders"], BELOW[level]
    builders["weaker"] = {**builders["builder"], "id": WEAKER, "network": "open", **weaker}
    document["trust"]["authors"] = {"appsec": {"key": "source"}}
    for rule in document["rules"]:
        if rule["type"] == "vulns.threshold":
            rule["vex"] = ["appsec"]
    document["rules"][0]["builders"] = ["builder", "weaker"]
    assert document["rules"][0]["type"] == "build.provenance"
    return json.dumps(document).encode()


def activate(authority: Running, documents: Sequence[tuple[str, int, bytes]]) -> None:
    """Put documents in force as both owners agree, through the operator's socket."""
    origin = load_settings(authority.directory.settings).origin
    owners = [load_key(authority.directory.owner_key(name)) for name in ("owner-1", "owner-2")]
    with closing(CustodianClient(authority.directory.admin_socket, timeout=20)) as client:
        for sort, version, data in documents:
            act = OwnerAct(
                action="access" if sort == "access" else "policy",
                number=version,
                origin=origin,
                sha256=sha256_hex(data),
            )
            signatures = tuple(sign_owner_act(act, owner) for owner in owners)
            command = Activate(principal="person:owner-1", document=sort, data=data, signatures=signatures)
            reply = client.ask(command)
            assert isinstance(reply, Done), reply


def named(cell: Cell) -> str:
    return f"{cell.control} {cell.level}"


def stopping(ran: Ran) -> dict[str, dict[str, Any]]:
    """The findings that do not pass, by rule."""
    findings = ran.json["decision"]["findings"]
    return {finding["rule"]: finding for finding in findings if finding["outcome"] != "pass"}


@pytest.mark.parametrize("cell", CELLS, ids=named)
def test_a_cell_is_earned(factory: Factory, cell: Cell) -> None:
    ran = factory.ask(cell.level, cell.enough)
    assert ran.code == 0, ran.err
    envelope = json.dumps(json.loads(factory.bundle.read_bytes())["dsseEnvelope"]).encode()
    levels = json.loads(parse_envelope(envelope).payload)["predicate"]["verifiedLevels"]
    assert f"AUTHORITY_{cell.control}_{cell.level}".upper() in levels


@pytest.mark.parametrize("cell", CELLS, ids=named)
def test_a_cell_is_lost_by_exactly_this_control(factory: Factory, cell: Cell) -> None:
    ran = factory.ask(cell.level, cell.enough, cell.lost)
    assert ran.code in (10, 12), ran.err
    found = stopping(ran)
    assert found.keys() == cell.by.keys()
    for rule, words in cell.by.items():
        assert words in f"{found[rule]['title']} {found[rule]['found']}"
        assert found[rule]["control"] == cell.control
        assert ": signer " in found[rule]["remedy"]
    earned = ran.json["decision"]["matrix"][cell.control]
    assert earned is None or LEVELS.index(earned) < LEVELS.index(cell.level)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.missing], ids=named)
def test_the_next_level_says_what_is_missing(factory: Factory, cell: Cell) -> None:
    above = LEVELS[LEVELS.index(cell.level) + 1]
    ran = factory.ask(above, cell.enough)
    assert ran.code in (10, 12), ran.err
    assert {rule for rule, finding in stopping(ran).items() if finding["control"] == cell.control} == {*cell.missing}


# What an author of VEX says


VULNERABLE: Evidence = {"scan": {"vulnerabilities": [("CVE-2026-9", "critical")]}}


def test_what_a_trusted_author_dismisses_is_not_counted_and_stands_in_the_finding(factory: Factory) -> None:
    ran = factory.ask("better", VULNERABLE, {"vex": {"by": "source"}})
    assert ran.code == 0, ran.err
    shown = factory.authority.signer("explain", ran.json["request_id"], "-o", "json")
    found = {finding["rule"]: finding["found"] for finding in shown.json["decision"]["findings"]}
    assert 'not counted: "CVE-2026-9" not_affected, vulnerable_code_not_present, by appsec' in found["VUL-1"]


@pytest.mark.parametrize("change", [{"by": "scanner"}, {"status": "affected"}, {"justification": "we say so"}])
def test_what_nobody_trusted_dismisses_for_a_reason_is_counted(factory: Factory, change: Mapping[str, str]) -> None:
    ran = factory.ask("better", VULNERABLE, {"vex": {"by": "source", **change}})
    assert ran.code == 10, ran.err
    assert "CVE-2026-9" in stopping(ran)["VUL-1"]["title"]


# Who counts as somebody else


SAME_HUMAN = ("san:spiffe://dev.invalid/person/approver-1", "login:https://github.com#1000")


def test_one_human_under_an_address_a_login_and_a_certificate_reviews_nothing_of_their_own(factory: Factory) -> None:
    for reviewer in SAME_HUMAN:
        alone: Evidence = {"review": {"authors": ["email:approver-1@dev.invalid"], "approvals": {reviewer: "admin"}}}
        ran = factory.ask("strong", alone)
        assert ran.code == 10, ran.err
        assert "1 by an author, committer, builder trigger or requester" in stopping(ran)["SRC-4"]["found"]


def test_an_author_whom_nobody_knows_denies(factory: Factory) -> None:
    stranger: Evidence = {"review": {"authors": ["email:stranger@dev.invalid"]}}
    ran = factory.ask("better", stranger)
    assert ran.code == 12, ran.err
    finding = stopping(ran)["SRC-4"]
    assert "does not know an author" in finding["title"]
    assert "signer access activate" in finding["remedy"]


def test_who_triggered_the_build_reviews_nothing_of_it(factory: Factory) -> None:
    ran = factory.ask(
        "better", {"provenance": {"triggered_by": MAINTAINER}, "review": {"approvals": {MAINTAINER: "admin"}}}
    )
    assert ran.code == 10, ran.err
    assert {"SRC-4", "SRC-5", "SRC-6"} == stopping(ran).keys()
