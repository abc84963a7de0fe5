# SPDX-License-Identifier: Apache-2.0
"""Attestations that others made and published, read in place."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from signer.errors import Malformed
from signer.formats.bundle import parse_bundle
from signer.formats.dsse import Envelope, encode_envelope, parse_envelope, verify_envelope
from signer.formats.jwks import thumbprint
from signer.formats.provenance import read_provenance
from signer.formats.source_uri import parse_source_uri
from signer.formats.spki import PublicKey, keyid, load_pem, spki_der
from signer.formats.statement import parse_statement
from signer.formats.vsa import parse_vsa


def key(path: Path) -> PublicKey:
    return load_pem(path.read_bytes())


def verifies(envelope: Envelope, trusted: PublicKey) -> bool:
    return bool(verify_envelope(envelope, {"published": trusted}))


def test_googles_summary_is_signed_raw_and_names_an_image_without_digest(vectors: Path) -> None:
    folder = vectors / "slsa-verifier" / "vsa" / "gce" / "v1"
    envelope = parse_envelope((folder / "gke-gce-pre.bcid-vsa.jsonl").read_bytes().splitlines()[0])
    assert verifies(envelope, key(folder / "vsa_signing_public_key.pem"))
    found = parse_vsa(envelope.payload)
    assert found.levels == ("BCID_L1", "SLSA_BUILD_LEVEL_2")
    assert (found.result, found.policy_digest) == ("PASSED", None)
    assert [dict(subject.artifact) for subject in found.subjects] == [{}], "gce_image_id identifies nothing"


def gcb_envelopes(vectors: Path) -> list[Any]:
    path = vectors / "slsa-verifier" / "gcb" / "gcloud-container-global-pae-signing-key-successful.json"
    provenance = json.loads(path.read_bytes())["provenance_summary"]["provenance"]
    return [entry["envelope"] for entry in provenance]


def test_google_cloud_build_signs_in_the_url_safe_alphabet(vectors: Path) -> None:
    trusted = key(vectors / "slsa-verifier" / "gcb" / "global-pae-provenanceSigner_1.key")
    results = [verifies(parse_envelope(json.dumps(envelope).encode()), trusted) for envelope in gcb_envelopes(vectors)]
    assert any(results)


@pytest.mark.parametrize(
    "name", ["binary-linux-amd64-multi-subject-first.intoto.jsonl", "binary-linux-amd64-untrusted-builder.intoto.jsonl"]
)
def test_statement_v0_1_is_read_as_an_envelope_and_refused_as_a_statement(vectors: Path, name: str) -> None:
    envelope = parse_envelope((vectors / "slsa-verifier" / name).read_bytes().splitlines()[0])
    with pytest.raises(Malformed):
        parse_statement(envelope.payload)


def test_github_provenance_of_a_private_instance_is_read(vectors: Path) -> None:
    path = vectors / "github" / "github_provenance_demo-0.0.12-py3-none-any-bundle.jsonl"
    bundle = parse_bundle(path.read_bytes().splitlines()[0])
    assert bundle.hint is None
    statement = parse_statement(bundle.envelope.payload)
    found = read_provenance(statement.predicate)
    assert found.repository is not None
    assert parse_source_uri(f"https://{found.repository}").repository == found.repository
    assert found.ref is not None
    assert found.commit is not None
    assert found.workflow is not None
    assert found.builder_id.startswith("https://github.com/")
    digests = (vectors / "github" / "github_provenance_demo-0.0.12-py3-none-any.whl.digests").read_text()
    assert statement.subjects[0].artifact["sha256"] in digests


@pytest.mark.parametrize("name", ["happy-path-intoto-in-dsse-v3", "rekor2-dsse-happy-path"])
def test_keyless_bundles_are_read(vectors: Path, name: str) -> None:
    bundle = parse_bundle((vectors / "sigstore-conformance" / name / "bundle.sigstore.json").read_bytes())
    assert (bundle.hint, len(bundle.envelope.signatures)) == (None, 1)


@pytest.mark.parametrize(
    "name", ["bundle-malformed-json_fail", "bundle-unknown-version_fail", "managed-key-no-key_fail"]
)
def test_bundles_that_must_be_refused(vectors: Path, name: str) -> None:
    with pytest.raises(Malformed):
        parse_bundle((vectors / "sigstore-conformance" / name / "bundle.sigstore.json").read_bytes())


def test_the_hint_of_a_managed_key_is_our_key_id(vectors: Path) -> None:
    folder = vectors / "sigstore-conformance" / "managed-key-happy-path"
    der = spki_der(key(folder / "key.pub"))
    hint = json.loads((folder / "bundle.sigstore.json").read_bytes())["verificationMaterial"]["publicKey"]["hint"]
    assert keyid(der) == hint
    assert thumbprint(der) == "l414cWoQbYPj2UVJXDj1NC6sjlH5PzaZHBF6_cbxPEo"


def test_a_published_envelope_survives_our_encoding(vectors: Path) -> None:
    folder = vectors / "slsa-verifier" / "vsa" / "gce" / "v1"
    data = (folder / "gke-gce-pre.bcid-vsa.jsonl").read_bytes().splitlines()[0]
    first = parse_envelope(data)
    again = encode_envelope(first.payload_type, first.payload, [(entry.keyid, entry.sig) for entry in first.signatures])
    assert parse_envelope(again) == first
    assert b64decode(json.loads(data)["payload"]) == first.payload
