# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, strategies as st

from signer.dev.attestations import (
    DemoKey,
    approvals_statement,
    attest,
    provenance_statement,
    review_statement,
    sbom_statement,
    scan_statement,
    source_statement,
    suite_statement,
)
from signer.errors import Malformed, Unavailable
from signer.evidence.verifier import (
    TrustedKeys,
    UnverifiedAttestation,
    VerifiedAttestation,
    index_digests,
    verify_item,
)
from signer.formats import bundle, dsse, provenance
from signer.formats.canonical import sha256_hex
from signer.formats.opaque import opaque_document
from signer.formats.provenance import Provenance
from signer.formats.source_vsa import SourceVsa
from signer.formats.spdx import SpdxDocument
from signer.formats.spki import keyid, spki_der, spki_pem
from signer.formats.statement import build_statement
from signer.formats.test_result import TestReport
from signer.formats.vulns import ScanReport
from tests.unit.evidence.factory import BUILDER, DOCS, KEYS, NOW, SCANNER, SHOP, STRANGER, TRUST, verified
from tests.unit.formats.keys import ed25519, p384

STATEMENT = provenance_statement([SHOP], finished=NOW)
PROVENANCE = attest(STATEMENT, BUILDER)

KINDS = [
    pytest.param(STATEMENT, Provenance, id="provenance"),
    pytest.param(source_statement(verified=NOW), SourceVsa, id="source VSA"),
    pytest.param(suite_statement([SHOP]), TestReport, id="test result"),
    pytest.param(scan_statement([SHOP], finished=NOW), ScanReport, id="scan"),
    pytest.param(sbom_statement([SHOP], created=NOW), SpdxDocument, id="SPDX"),
]


@pytest.mark.parametrize(("statement", "kind"), KINDS)
def test_reads_each_kind_once_it_is_verified(statement: bytes, kind: type) -> None:
    data = attest(statement, BUILDER)
    item = verified(data)
    assert isinstance(item.predicate, kind)
    assert (item.keys, item.digest) == (("builder",), sha256_hex(data))


def in_bundle(statement: bytes, key: ec.EllipticCurvePrivateKey = BUILDER, *, hint: str = "any") -> bytes:
    signature = key.sign(dsse.pae(dsse.IN_TOTO, statement), ec.ECDSA(hashes.SHA256()))
    return bundle.build_bundle(payload_type=dsse.IN_TOTO, payload=statement, keyid=hint, signature=signature)


@pytest.mark.parametrize("hint", ["", "any", keyid(spki_der(SCANNER.public_key()))])
def test_a_bundle_verifies_whatever_its_hint_says(hint: str) -> None:
    item = verified(in_bundle(STATEMENT, hint=hint))
    assert (item.keys, item.media_type) == (("builder",), bundle.MEDIA_TYPE)


@pytest.mark.parametrize("key", [ed25519(9), p384(9)])
def test_other_kinds_of_keys_verify(key: DemoKey) -> None:
    item = verify_item(attest(STATEMENT, key), TrustedKeys.of({"k": spki_pem(key.public_key())}))
    assert isinstance(item, VerifiedAttestation)
    assert item.keys == ("k",)


def test_all_names_of_one_key_are_known() -> None:
    pem = spki_pem(BUILDER.public_key())
    item = verify_item(PROVENANCE, TrustedKeys.of({"b": pem, "a": pem, "c": TRUST.keys["scanner"]}))
    assert isinstance(item, VerifiedAttestation)
    assert item.keys == ("a", "b")


def changed(data: bytes, **changes: Any) -> bytes:
    return json.dumps({**json.loads(data), **changes}).encode()


def resigned(data: bytes, *, keyid: str) -> bytes:
    [signature] = json.loads(data)["signatures"]
    return changed(data, signatures=[{**signature, "keyid": keyid}])


ABSENT = [
    pytest.param(attest(STATEMENT, STRANGER), id="a key that nobody trusts"),
    pytest.param(
        resigned(attest(STATEMENT, STRANGER), keyid=keyid(spki_der(BUILDER.public_key()))),
        id="E09 the keyid of a trusted key over another's signature",
    ),
    pytest.param(changed(PROVENANCE, payloadType="text/plain"), id="E05 a swapped payload type"),
    pytest.param(
        changed(PROVENANCE, payload=b64encode(STATEMENT.replace(b"a" * 64, b"c" * 64)).decode()), id="a changed payload"
    ),
    pytest.param(attest(b"not JSON", STRANGER), id="junk by a stranger is absent, not malformed"),
]


@pytest.mark.parametrize("data", ABSENT)
def test_counts_as_absent(data: bytes) -> None:
    assert verify_item(data, KEYS) == UnverifiedAttestation(digest=sha256_hex(data), media_type=dsse.MEDIA_TYPE)


def test_a_bundle_with_a_certificate_counts_as_absent() -> None:
    data = changed(in_bundle(STATEMENT, STRANGER), verificationMaterial={"certificate": {"rawBytes": "AA=="}})
    assert isinstance(verify_item(data, KEYS), UnverifiedAttestation)


def test_under_no_trusted_key_everything_counts_as_absent() -> None:
    assert isinstance(verify_item(PROVENANCE, TrustedKeys.of({})), UnverifiedAttestation)


def statement(predicate_type: str, predicate: Any = None) -> bytes:
    return build_statement([SHOP], predicate_type=predicate_type, predicate=predicate or {})


MALFORMED = [
    pytest.param(attest(b"not JSON", BUILDER), "malformed-json", id="E06 a payload that is no JSON"),
    pytest.param(attest(b"{}", BUILDER), "evidence-invalid", id="E06 a payload that is no statement"),
    pytest.param(
        attest(STATEMENT, BUILDER, payload_type="application/json"),
        "evidence-invalid",
        id="E05 another payload type, signed",
    ),
    pytest.param(attest(statement(provenance.PREDICATE_TYPE), BUILDER), "evidence-invalid", id="E06 empty provenance"),
    pytest.param(
        attest(statement("https://in-toto.io/attestation/vulns/v0.2", {"scanner": {}}), BUILDER),
        "evidence-invalid",
        id="E06 a scan without its fields",
    ),
    pytest.param(
        attest(STATEMENT.replace(b'"_type"', b'"_type":"x","_type"', 1), BUILDER), "duplicate-key", id="P01 a key twice"
    ),
    pytest.param(
        attest(STATEMENT.replace(b"Statement/v1", b"Statement/v0.1"), BUILDER),
        "statement-not-accepted",
        id="trap 14: Statement v0.1",
    ),
    pytest.param(
        attest(STATEMENT.replace(b"a" * 64, b"A" * 64), BUILDER), "evidence-invalid", id="P06 upper-case digest"
    ),
    pytest.param(b"", "malformed-json", id="nothing"),
    pytest.param(b"{}", "evidence-invalid", id="no envelope"),
    pytest.param(b"[]", "malformed-json", id="a list"),
    pytest.param(changed(PROVENANCE, signatures=[]), "evidence-invalid", id="E07 no signatures"),
    pytest.param(STATEMENT, "evidence-invalid", id="a bare statement"),
    pytest.param(b" " * (dsse.MAX_ENVELOPE + 1), "too-large", id="P03 more bytes than the limit"),
]


@pytest.mark.parametrize(("data", "code"), MALFORMED)
def test_refuses(data: bytes, code: str) -> None:
    with pytest.raises(Malformed) as refused:
        verify_item(data, KEYS)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "kind", ["https://slsa.dev/provenance/v0.2", "https://example.com/own/v1", "https://example.invalid/bom"]
)
def test_unknown_predicate_types_are_kept_unread(kind: str) -> None:
    item = verified(attest(statement(kind, {"any": ["thing"]}), BUILDER))
    assert (item.kind, item.predicate) == (kind, None)


def test_a_summary_of_artifacts_is_kept_unread() -> None:
    item = verified(attest(statement("https://slsa.dev/verification_summary/v1", {"any": "thing"}), BUILDER))
    assert item.predicate is None


def test_what_is_parsed_is_what_was_verified() -> None:
    """Base64 of the verified bytes is decoded once; the digest is that of the envelope as it came."""
    padded = b" " + PROVENANCE + b"\n"
    item = verified(padded)
    assert item.digest == sha256_hex(padded) != sha256_hex(PROVENANCE)
    assert json.loads(b64decode(json.loads(padded)["payload"]))["predicateType"] == item.kind


def test_the_index_knows_artifacts_and_commits() -> None:
    both = build_statement([DOCS, SHOP, SHOP], predicate_type="https://example.com/x", predicate={})
    assert index_digests(verified(attest(both, BUILDER))) == (f"sha256:{SHOP.sha256}", f"sha256:{DOCS.sha256}")
    source = verified(attest(source_statement(verified=NOW, commit="d" * 40), BUILDER))
    assert index_digests(source) == (f"gitCommit:{'d' * 40}",)
    approvals = verified(attest(approvals_statement(tree="d" * 40, approvers=["a+1"]), BUILDER))
    assert index_digests(approvals) == (f"gitTree:{'d' * 40}",)
    record = verified(attest(review_statement(commit="c" * 40, tree="d" * 40), BUILDER))
    assert index_digests(record) == (f"gitCommit:{'c' * 40}",)
    document = opaque_document(b"x", kind="build-log", media_type="text/plain", subjects=[f"sha256:{'e' * 64}"])
    assert index_digests(document) == (f"sha256:{'e' * 64}",)


def test_a_key_that_cannot_be_loaded_is_the_policys_fault() -> None:
    with pytest.raises(Unavailable) as refused:
        TrustedKeys.of({"broken": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"})
    assert refused.value.code == "trust-unusable"
    assert "broken" in refused.value.detail


@given(st.data())
def test_signed_junk_is_malformed_and_never_a_crash(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(STATEMENT)))
    payload = (
        STATEMENT[:position] + data.draw(st.binary(max_size=6)) + STATEMENT[position + data.draw(st.integers(0, 6)) :]
    )
    with suppress(Malformed):
        verified(attest(payload, BUILDER))
