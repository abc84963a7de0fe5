# SPDX-License-Identifier: Apache-2.0
"""CycloneDX, OpenVEX, SLSA provenance v0.2 and Statement v0.1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from signer.errors import Malformed
from signer.formats.cyclonedx import is_cyclonedx, read_cyclonedx
from signer.formats.dsse import parse_envelope
from signer.formats.openvex import is_openvex, read_openvex
from signer.formats.provenance_v02 import PREDICATE_TYPE, read_provenance_v02
from signer.formats.statement import OLD_TYPE, parse_statement

BOM: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "components": [{"name": "a", "components": [{"name": "inside-a"}]}, {"name": "b"}],
}
KIND = "https://cyclonedx.org/bom"


def test_cyclonedx_counts_nested_components() -> None:
    found = read_cyclonedx(KIND, BOM)
    assert (found.version, found.components) == ("1.6", 3)
    assert read_cyclonedx(f"{KIND}/v1.6", {**BOM, "components": None}).components == 0


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (KIND, {"bomFormat": "SPDX"}),
        (KIND, {"specVersion": "latest"}),
        (KIND, {"components": [{}]}),
        (KIND, {"components": {}}),
        (f"{KIND}/v1.4", {}),
        ("https://cyclonedx.org/bomb", {}),
    ],
    ids=["another format", "no version", "no name", "no list", "another version than declared", "another type"],
)
def test_what_is_no_cyclonedx_is_refused(kind: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read_cyclonedx(kind, BOM | changes)


@pytest.mark.parametrize(
    ("kind", "known"),
    [(KIND, True), (f"{KIND}/v1.4", True), (f"{KIND}/v1.4/x", False), ("http://cyclonedx.org/bom", False)],
)
def test_the_type_of_cyclonedx_is_matched_whole(kind: str, *, known: bool) -> None:
    assert is_cyclonedx(kind) is known


VEX: dict[str, Any] = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "author": "acme",
    "timestamp": "2026-11-23T10:00:00Z",
    "statements": [
        {"vulnerability": {"name": "CVE-2026-1"}, "status": "not_affected", "justification": "component_not_present"},
        {"vulnerability": "CVE-2026-2", "status": "fixed"},
    ],
}


def test_openvex_is_read_in_both_spellings_of_a_vulnerability() -> None:
    found = read_openvex(VEX)
    assert (found.author, found.made) == ("acme", datetime(2026, 11, 23, 10, tzinfo=UTC))
    assert [(each.ids, each.status) for each in found.statements] == [
        (("CVE-2026-1",), "not_affected"),
        (("CVE-2026-2",), "fixed"),
    ]
    assert is_openvex("https://openvex.dev/ns")
    assert is_openvex("https://openvex.dev/ns/v0.2.0")
    assert not is_openvex("https://openvex.dev/nsx")


@pytest.mark.parametrize(
    "changes",
    [{"@context": "https://other.invalid"}, {"statements": [{"vulnerability": "x", "status": "fine"}]}, {"author": ""}],
    ids=["another context", "another status", "no author"],
)
def test_what_is_no_openvex_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read_openvex(VEX | changes)


COMMIT = "5" * 40
OLD: dict[str, Any] = {
    "builder": {"id": "https://github.com/slsa-framework/slsa-github-generator/x.yml@refs/tags/v2.0.0"},
    "buildType": "https://github.com/slsa-framework/slsa-github-generator/go@v1",
    "invocation": {
        "configSource": {
            "uri": "git+https://github.com/acme/shop@refs/tags/v1",
            "digest": {"sha1": COMMIT},
            "entryPoint": ".github/workflows/release.yml",
        },
        "parameters": {"inputs": {"debug": True}},
        "environment": {"github_actor": "alice"},
    },
    "metadata": {"buildStartedOn": "2026-11-23T09:00:00Z", "completeness": {"parameters": True}},
    "materials": [
        {"uri": "git+https://github.com/acme/shop@refs/tags/v1", "digest": {"sha1": COMMIT}},
        {"uri": "https://github.com/actions/virtual-environments"},
    ],
}


def changed(**invocation: Any) -> dict[str, Any]:
    return OLD | {"invocation": OLD["invocation"] | invocation}


def test_provenance_v0_2_becomes_what_v1_would_say() -> None:
    found = read_provenance_v02(OLD)
    assert (found.repository, found.ref, found.commit) == ("github.com/acme/shop", "refs/tags/v1", COMMIT)
    assert found.workflow == ".github/workflows/release.yml"
    assert found.parameters == ("entryPoint", "parameters.inputs.debug", "source")
    assert (found.dependencies, found.undigested) == (2, 1)
    assert found.started == datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert found.finished is None


CONTRADICTIONS: Mapping[str, tuple[dict[str, Any], str | None, str | None]] = {
    "another commit among the materials": (
        OLD | {"materials": [{"uri": "git+https://github.com/acme/shop@refs/tags/v1", "digest": {"sha1": "6" * 40}}]},
        "github.com/acme/shop",
        None,
    ),
    "no source": ({**OLD, "invocation": {}, "materials": []}, None, None),
    "a source that is no repository": (
        {**changed(configSource={"uri": "file:///x", "digest": {"sha1": COMMIT}}), "materials": []},
        None,
        None,
    ),
}


@pytest.mark.parametrize(("predicate", "repository", "commit"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_is_not_told_or_told_twice_is_unknown(
    predicate: dict[str, Any], repository: str | None, commit: str | None
) -> None:
    found = read_provenance_v02(predicate)
    assert (found.repository, found.commit) == (repository, commit)


def test_each_external_parameter_is_named() -> None:
    odd = read_provenance_v02(changed(configSource={"uri": "file:///x"}, parameters=["--flag"]))
    assert odd.parameters == ("configSource.uri", "parameters")


@pytest.mark.parametrize("key", ["builder", "buildType"])
def test_provenance_v0_2_names_builder_and_type(key: str) -> None:
    with pytest.raises(Malformed):
        read_provenance_v02({name: value for name, value in OLD.items() if name != key})


def test_statement_v0_1_is_read_when_asked_for() -> None:
    value = {
        "_type": OLD_TYPE,
        "subject": [{"name": "a", "digest": {"sha256": "a" * 64}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": OLD,
    }
    data = json.dumps(value).encode()
    assert parse_statement(data, old=True).predicate_type == PREDICATE_TYPE
    with pytest.raises(Malformed) as refused:
        parse_statement(data)
    assert refused.value.code == "statement-not-accepted"


def test_published_provenance_v0_2_is_read(vectors: Path) -> None:
    path = vectors / "slsa-verifier" / "binary-linux-amd64-multi-subject-first.intoto.jsonl"
    statement = parse_statement(parse_envelope(path.read_bytes().splitlines()[0]).payload, old=True)
    found = read_provenance_v02(statement.predicate)
    assert len(statement.subjects) == 3
    assert found.repository is not None
    assert found.repository.startswith("github.com/")
    assert found.commit is not None
    assert found.workflow is not None
