# SPDX-License-Identifier: Apache-2.0
"""A real GitHub attestation, signed with a certificate and logged by others, asks our authority for a signature."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from signer.custodian.client import CustodianClient
from signer.custodian.commands import Activate, Done
from tests.e2e.running import REQUEST, Ran, Running, running

BEACON = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows"
IDENTITY: Mapping[str, str] = {
    "root": "public-good",
    "issuer": "https://token.actions.githubusercontent.com",
    "subject": f"{BEACON}/*@refs/heads/main",
    "repositoryId": "632596897",
    "ownerId": "131804563",
}
BUILDER: Mapping[str, Any] = {
    "signer": "beacon",
    "id": "https://github.com/loosebazooka/aa-test/.github/workflows/provenance.yaml@refs/heads/main",
    "source": "statement",
    "isolation": "ephemeral",
    "network": "open",
    "identity": "workload",
    "broadAccess": False,
}


@pytest.fixture(scope="module")
def attested(vectors: Path) -> Path:
    return vectors / "sigstore-conformance" / "happy-path-intoto-in-dsse-v3" / "bundle.sigstore.json"


@pytest.fixture(scope="module")
def keyless_authority(vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("keyless") / "dev") as started:
        yield started


def policy(vectors: Path, version: int, *, identity: Mapping[str, str], builder: Mapping[str, Any]) -> bytes:
    """The policy `demo` that trusts one workflow; JSON is YAML."""
    root = (vectors / "sigstore-trusted-root-public-good.json").read_text()
    rules = [
        {
            "id": "BLD-1",
            "type": "build.provenance",
            "control": "build",
            "level": "minimum",
            "builders": ["beacon"],
            "buildTypes": ["https://actions.github.io/buildtypes/workflow/v1"],
            "parameters": {"allow": ["workflow.ref", "workflow.repository", "workflow.path"]},
        },
        {
            "id": "SRC-1",
            "type": "source.ref",
            "control": "source",
            "level": "minimum",
            "repositories": ["github.com/loosebazooka/aa-test"],
            "refs": ["refs/heads/main"],
        },
    ]
    document = {
        "schema": "signing-policy/v1",
        "metadata": {"name": "demo", "version": version, "owner": "appsec"},
        "trust": {
            "roots": {"public-good": {"trustedRoot": root}},
            "identities": {"beacon": dict(identity)},
            "builders": {"beacon": dict(builder)},
        },
        "rules": rules,
        "environments": {"release": {"require": ["*"], "key": "release", "formats": ["vsa"]}},
    }
    return json.dumps(document).encode()


def activate(authority: Running, document: bytes, folder: Path, *, sort: str = "policy") -> None:
    """Put a document in force as two owners agree, through the operator's socket."""
    path = folder / f"{sort}.yaml"
    path.write_bytes(document)
    signatures = [
        authority.owner_signs("--action", sort, "--document", path, owner=owner, out=folder / owner).read_bytes()
        for owner in ("owner-1", "owner-2")
    ]
    command = Activate(principal="person:owner-1", document=sort, data=document, signatures=tuple(signatures))
    with closing(CustodianClient(authority.directory.admin_socket, timeout=20)) as client:
        reply = client.ask(command)
    assert isinstance(reply, Done), reply


def ask(authority: Running, vectors: Path, attested: Path) -> Ran:
    artifact = vectors / "sigstore-conformance" / "a.txt"
    return authority.signer("sign", *REQUEST, "--subject-file", artifact, "--evidence", attested, "-o", "json")


CASES: Mapping[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "the workflow": ({}, {}, ""),
    "another workflow": (
        {"subject": "https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main"},
        {},
        "the workflow ",
    ),
    "another issuer": ({"issuer": "https://gitlab.com"}, {}, "the issuer "),
    "a repository that was registered again": (
        {"repositoryId": "632596898"},
        {},
        'the repository id is "632596897" and not "632596898"',
    ),
    "another owner": ({"ownerId": "1"}, {}, 'the owner id is "131804563" and not "1"'),
    "the workflow, for its own repository only": (
        {},
        {"source": "certificate"},
        'the repository is "github.com/loosebazooka/aa-test", the certificate names',
    ),
    "the workflow again": ({}, {}, ""),
}


def test_a_github_attestation_is_signed_for_its_workflow_and_denied_for_the_part_that_differs(
    keyless_authority: Running, vectors: Path, attested: Path, tmp_path: Path
) -> None:
    """One test, since each policy takes the place of the one before."""
    grants = yaml.safe_load(keyless_authority.directory.access.read_bytes())
    grants["metadata"]["version"] += 1
    for grant in grants["grants"]:
        grant["repositories"] = ["*"]
    activate(keyless_authority, json.dumps(grants).encode(), tmp_path, sort="access")
    for version, (name, (identity, builder, difference)) in enumerate(CASES.items(), start=2):
        document = policy(vectors, version, identity={**IDENTITY, **identity}, builder={**BUILDER, **builder})
        activate(keyless_authority, document, tmp_path)
        ran = ask(keyless_authority, vectors, attested)
        if not difference:
            assert ran.code == 0, f"{name}: {ran.err}"
            continue
        assert ran.code == 10, f"{name}: {ran.err}"
        (finding,) = [entry for entry in ran.json["decision"]["findings"] if entry["rule"] == "BLD-1"]
        assert difference in finding["title"], name
        assert "nothing was signed" in ran.err


def test_a_bundle_of_an_instance_that_nobody_pinned_counts_as_absent(keyless_authority: Running, vectors: Path) -> None:
    folder = vectors / "github"
    (digest, *_) = (folder / "github_provenance_demo-0.0.12-py3-none-any.whl.digests").read_text().split()
    bundle = folder / "github_provenance_demo-0.0.12-py3-none-any-bundle.jsonl"
    ran = keyless_authority.signer("sign", *REQUEST, "--subject", f"demo.whl@{digest}", "--evidence", bundle)
    assert ran.code == 12, ran.err
    assert "no verified provenance of this digest" in ran.err
