# SPDX-License-Identifier: Apache-2.0
"""Abuse cases E: evidence that is genuine and still proves nothing, and evidence that is not genuine."""

from __future__ import annotations

import base64
import json
import select
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from policy.decision import Offender
from signer.custodian.commands import Activate, Failed, NotSigned
from signer.dev import attestations
from signer.dev.artifact_attestations import vex_statement
from signer.dev.attestations import BUILD_TYPE
from signer.domain.digest import Digest
from signer.domain.subject import Subject
from signer.formats.dsse import IN_TOTO, encode_envelope, parse_envelope
from signer.formats.statement import build_statement
from signer.formats.waiver import PAYLOAD_TYPE, WaiverStatement
from signer.ledger.leaves import Decision
from tests.abuse.policies import with_root
from tests.abuse.stack import Release, Stack, edited, signed_statement
from tests.unit.custodian.world import World as CustodianWorld
from tests.unit.evidence.private_instance import IDENTITY, PrivateInstance, certificate
from tests.unit.formats.keys import p256
from tests.waivers import signed, waiver

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def denied(stack: Stack, release: Release, evidence: list[bytes], rule: str, *, policy: str = "demo") -> str:
    """Judged, recorded and denied by one rule; what it found."""
    before = stack.size()
    answer = stack.ask(release, evidence, policy=policy)
    assert answer.said == (403, "denied"), answer.body[:600]
    assert stack.size() == before + 1, "a denial is one leaf and no outcome"
    finding = answer.finding(rule)
    assert finding["outcome"] == "fail"
    assert finding["required"]
    assert finding["remedy"]
    return f"{finding['title']}; {finding['found']}"


def missing(stack: Stack, release: Release, evidence: list[bytes], rule: str) -> str:
    """Judged, recorded and not decided for want of evidence."""
    answer = stack.ask(release, evidence)
    assert answer.said == (409, "evidence-missing"), answer.body[:600]
    finding = answer.finding(rule)
    assert finding["outcome"] == "unknown"
    return str(finding["title"])


def unjudged(stack: Stack, release: Release, evidence: list[bytes], code: str, status: int = 422) -> None:
    with stack.unrecorded():
        assert stack.ask(release, evidence).said == (status, code)


def test_E01_an_attestation_of_another_digest_is_not_judged(stack: Stack) -> None:
    mine, theirs = stack.release(), stack.release()
    for item in (theirs.provenance(), theirs.sbom(), theirs.tests(), theirs.scan()):
        unjudged(stack, mine, [item], "subject-mismatch")
    unjudged(stack, mine, [*mine.evidence(), theirs.sbom()], "subject-mismatch")


def test_E02_only_the_wanted_digest_is_signed(stack: Stack) -> None:
    mine, attackers = stack.release(), stack.release("evil.tar")
    both = (mine.subject, attackers.subject)
    answer = stack.ask(
        mine,
        [mine.provenance(*both), mine.source(), mine.review(), mine.tests(*both), mine.scan(*both), mine.sbom(*both)],
    )
    assert answer.status == 200
    assert signed_statement(answer)["subject"] == [{"name": "shop.tar", "digest": {"sha256": mine.subject.sha256}}]
    # Asked beside a digest of which nobody attested anything, neither is signed.
    assert stack.ask([mine.subject, stack.release("other.tar").subject], []).said == (409, "evidence-missing")


def with_digests(release: Release, **digests: str) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        value["subject"][0]["digest"].update(digests)

    return change


def test_E03_every_accepted_digest_must_agree(stack: Stack) -> None:
    release = stack.release()
    statement = attestations.sbom_statement([release.subject], created=release.finished)
    # sha256 differs; a weaker or stronger digest, or the commit, agrees.
    strong = {"sha512": "5" * 128}
    wanted = Subject("shop.tar", (*release.subject.digests, Digest("sha512", "5" * 128)))
    for extra in ({"sha1": "1" * 40}, {"gitCommit": release.commit}, strong, {"md5": "1" * 32}):
        item = release.by("builder", edited(statement, with_digests(release, sha256="f" * 64, **extra)))
        with stack.unrecorded():
            assert stack.ask([wanted], [item]).said == (422, "subject-mismatch")
    # sha256 agrees and sha512 does not.
    item = release.by("builder", edited(statement, with_digests(release, sha512="6" * 128)))
    with stack.unrecorded():
        assert stack.ask([wanted], [item]).said == (422, "subject-mismatch")


def test_E04_a_name_stands_for_one_digest(stack: Stack) -> None:
    release = stack.release()
    twin = Subject.of(release.subject.name, {"sha256": "e" * 64})
    unjudged(stack, release, [release.sbom(release.subject, twin)], "evidence-invalid")
    with stack.unrecorded():
        assert stack.ask([release.subject, twin], []).said == (400, "invalid-subject")


def test_E05_the_type_is_part_of_what_was_signed(stack: Stack) -> None:
    release = stack.release()
    statement = attestations.sbom_statement([release.subject], created=release.finished)

    def typed(kind: str) -> bytes:
        return release.by("builder", edited(statement, lambda value: value.update(predicateType=kind)))

    unjudged(stack, release, [typed("")], "evidence-invalid")
    # Declared as a test result or a scan, an SBOM does not parse as one.
    unjudged(stack, release, [typed("https://in-toto.io/attestation/test-result/v0.1")], "evidence-invalid")
    unjudged(stack, release, [typed("https://slsa.dev/provenance/v1")], "evidence-invalid")
    # Of an unknown type it is kept unread and satisfies nothing.
    missing(stack, release, release.evidence(sbom=typed("https://example.invalid/sbom")), "SBM-1")


@pytest.mark.parametrize("kind", ["text/plain", "application/vnd.in-toto+json ", "application/json", "APPLICATION/X"])
def test_E05_a_swapped_payload_type_breaks_the_signature(stack: Stack, kind: str) -> None:
    release = stack.release()
    envelope = json.loads(release.sbom())
    assert envelope["payloadType"] == IN_TOTO
    swapped = json.dumps({**envelope, "payloadType": kind}).encode()
    missing(stack, release, release.evidence(sbom=swapped), "SBM-1")
    # Signed under another type it is no statement, whatever its bytes say.
    statement = base64.b64decode(envelope["payload"])
    other = attestations.attest(statement, stack.authority.signers["builder"], payload_type=kind)
    unjudged(stack, release, [other], "evidence-invalid")


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "no statement type": lambda value: value.pop("_type"),
    "another statement type": lambda value: value.update(_type="https://in-toto.io/Statement/v2"),
    "no predicate": lambda value: value.pop("predicate"),
    "an empty predicate": lambda value: value.update(predicate={}),
    "a predicate that is text": lambda value: value.update(predicate="x"),
    "no builder": lambda value: value["predicate"]["runDetails"].pop("builder"),
    "a builder id that is a list": lambda value: value["predicate"]["runDetails"]["builder"].update(id=["x"]),
    "no external parameters": lambda value: value["predicate"]["buildDefinition"].pop("externalParameters"),
    "dependencies that are text": lambda value: value["predicate"]["buildDefinition"].update(resolvedDependencies="x"),
    "no subject": lambda value: value.update(subject=[]),
    "a subject without digest": lambda value: value.update(subject=[{"name": "a"}]),
    "a subject with an empty digest": lambda value: value.update(subject=[{"name": "a", "digest": {}}]),
    "a digest in upper case": lambda value: value["subject"][0]["digest"].update(sha256="A" * 64),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_E06_a_signed_statement_that_does_not_parse_is_never_passed_over(
    stack: Stack, change: Callable[[dict[str, Any]], object]
) -> None:
    release = stack.release()
    statement = attestations.provenance_statement([release.subject], finished=release.finished, commit=release.commit)
    broken = release.by("builder", edited(statement, change))
    unjudged(stack, release, [broken], "evidence-invalid")
    # Also beside everything that is good.
    unjudged(stack, release, [*release.evidence(), broken], "evidence-invalid")


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b"null", b"[]", b'"text"'])
def test_E06_signed_bytes_that_are_no_statement_are_never_passed_over(stack: Stack, payload: bytes) -> None:
    release = stack.release()
    unjudged(stack, release, [release.by("builder", payload)], "malformed-json", 400)


def test_E07_nothing_satisfies_nothing(stack: Stack) -> None:
    release = stack.release()
    answer = stack.ask(release, [])
    assert answer.said == (409, "evidence-missing")
    assert {each["outcome"] for each in answer.json["violations"]} == {"unknown"}
    envelope = json.loads(release.sbom())
    unjudged(stack, release, [json.dumps({**envelope, "signatures": []}).encode()], "evidence-invalid")
    unjudged(stack, release, [json.dumps({**envelope, "signatures": [{"sig": ""}]}).encode()], "evidence-invalid")
    # All but one kind, each in turn.
    for name, rule in (
        ("provenance", "BLD-1"),
        ("source", "SRC-2"),
        ("tests", "TST-1"),
        ("scan", "VUL-1"),
        ("sbom", "SBM-1"),
    ):
        fresh = stack.release()
        missing(stack, fresh, fresh.evidence(**{name: None}), rule)


def test_E08_a_key_counts_once_however_often_it_signed(stack: Stack) -> None:
    release = stack.release()
    envelope = json.loads(release.tests())
    (signature,) = envelope["signatures"]
    r, s = decode_dss_signature(base64.b64decode(signature["sig"]))
    twin = base64.b64encode(encode_dss_signature(r, P256_ORDER - s)).decode()
    envelope["signatures"] = [signature, {**signature, "keyid": "another"}, {"keyid": "a third", "sig": twin}]
    answer = stack.ask(release, release.evidence(tests=json.dumps(envelope).encode()))
    assert answer.status == 200
    decision = stack.request("GET", f"/v1/decisions/{answer.json['request_id']}").json
    (finding,) = [each for each in decision["findings"] if each["rule"] == "TST-1"]
    assert len(finding["evidence"]) == 1
    # By a builder who signs thrice, the tests are still the builder's.
    with_three = json.dumps(envelope).encode()
    denied(stack, release, [with_three], "TST-1", policy="independent")


def test_E08_no_policy_gives_one_key_two_names_and_no_owner_signs_twice(stack: Stack) -> None:
    policy = stack.authority.policy_bytes.replace(b"version: 1", b"version: 2", 1)
    head, _, rest = policy.partition(b"    scanner: |\n")
    builder = head.partition(b"    builder: |\n")[2]
    _, _, tail = rest.partition(b"-----END PUBLIC KEY-----\n")
    doubled = head + b"    scanner: |\n" + builder + tail
    reply: Any = stack.authority.activate("policy", policy, owners=1)
    assert (reply.family, reply.code) == ("refused", "owner-threshold")
    (one, _) = stack.authority.sign_act("policy", 2, Digest.of(policy).value)
    again = stack.authority.sign_act("policy", 2, Digest.of(policy).value, owners=1)
    for signatures in ((one, one), (one, *again)):
        reply = stack.authority.ask(
            Activate(principal="operator:0", document="policy", data=policy, signatures=signatures), admin=True
        )
        assert (reply.family, reply.code) == ("refused", "owner-threshold")
    reply = stack.authority.ask(
        Activate(
            principal="operator:0",
            document="policy",
            data=doubled,
            signatures=stack.authority.sign_act("policy", 2, Digest.of(doubled).value),
        ),
        admin=True,
    )
    assert (reply.family, reply.code) == ("malformed", "policy-invalid")
    assert "is the same as" in reply.detail


def test_E09_a_key_id_vouches_for_nothing(stack: Stack) -> None:
    release = stack.release()
    stranger = ec.generate_private_key(ec.SECP256R1())
    trusted = json.loads(release.tests())["signatures"][0]["keyid"]
    forged = json.loads(attestations.attest(attestations.suite_statement([release.subject]), stranger))
    forged["signatures"][0]["keyid"] = trusted
    missing(stack, release, release.evidence(tests=json.dumps(forged).encode()), "TST-1")
    # Nor does a foreign key id take anything from a good signature.
    good = json.loads(release.tests())
    for keyid in ("", "none", trusted[::-1], "HS256", "x" * 5000):
        good["signatures"][0]["keyid"] = keyid
        fresh = release.evidence(tests=json.dumps(good).encode())
        assert stack.ask(release, fresh, to="/v1/checks").status == 200


def test_E10_a_builder_is_key_and_id_together(stack: Stack) -> None:
    release = stack.release()
    named = release.provenance(builder_id="https://dev.invalid/hardened")
    assert "key is trusted, the builder id differs" in denied(
        stack, release, release.evidence(provenance=named), "BLD-1"
    )
    # Another trusted key under the builder's id: the scanner cannot build.
    other = stack.release()
    assert "builder id is trusted, the key differs" in denied(
        stack, other, other.evidence(provenance=other.provenance(by="scanner")), "BLD-1"
    )
    # A claim of isolation inside the provenance is nobody's business.
    boasting = stack.release()
    statement = attestations.provenance_statement(
        [boasting.subject], finished=boasting.finished, commit=boasting.commit
    )
    claimed = edited(
        statement, lambda value: value["predicate"]["runDetails"]["builder"].update(version={"isolation": "hardened"})
    )
    answer = stack.ask(boasting, boasting.evidence(provenance=boasting.by("builder", claimed)), to="/v1/checks")
    (finding,) = [each for each in answer.json["findings"] if each["rule"] == "BLD-2"]
    assert "isolation ephemeral" in finding["found"]


@pytest.mark.parametrize(
    ("changes", "rule", "told"),
    [
        pytest.param({"parameters": {"inputs": {"debug": True}}}, "BLD-1", "inputs.debug", id="an input"),
        pytest.param({"parameters": {"vars": {"A": "1"}}}, "BLD-1", "vars.A", id="a variable"),
        pytest.param({"parameters": {"workflow.ref": "x"}}, "BLD-1", '\\"workflow.ref\\"', id="a name with a dot"),
        pytest.param({"parameters": {"Workflow": {"ref": "x"}}}, "BLD-1", "Workflow.ref", id="a name in another case"),
        pytest.param({"build_type": "https://example.invalid/make"}, "BLD-1", "build type", id="another build type"),
        pytest.param({"ref": "refs/heads/hotfix"}, "SRC-1", "refs/heads/hotfix", id="another branch"),
        pytest.param({"ref": "refs/heads/main2"}, "SRC-1", "refs/heads/main2", id="a branch that begins alike"),
        pytest.param({"ref": "refs/tags/v1/x"}, "SRC-1", "refs/tags/v1/x", id="a tag in a folder"),
        pytest.param({"ref": "main"}, "SRC-1", "main", id="a short ref"),
        pytest.param({"ref": "refs/pull/1/merge"}, "SRC-1", "refs/pull/1/merge", id="a pull request"),
    ],
)
def test_E11_expectations_are_exhaustive(stack: Stack, changes: dict[str, Any], rule: str, told: str) -> None:
    release = stack.release()
    changed = dict(changes)
    found = denied(stack, release, release.evidence(provenance=release.provenance(**changed)), rule)
    assert told.replace("\\", "") in found.replace("\\", "")


BUILDERS = "https://github.com/acme/workflows/.github/workflows/build.yml"


def built_by(release: Release, revision: str, **changes: str) -> list[bytes]:
    """Evidence of a build by the shared workflow as it stood at a revision."""
    return [release.provenance(builder_id=f"{BUILDERS}@{revision}", build_type=BUILD_TYPE, **changes)]


def test_E11_a_shared_workflow_stands_at_a_commit(stack: Stack) -> None:
    release = stack.release()
    assert stack.ask(release, built_by(release, "5" * 40), policy="pinned").status == 200
    # Trusted by the same policy, under a name that moves.
    for revision in ("refs/heads/main", "v1"):
        other = stack.release()
        found = denied(stack, other, built_by(other, revision), "BLD-4", policy="pinned")
        assert f'"{revision}", which can move' in found


@pytest.mark.parametrize("path", [".github/workflows/other.yml", ".github/workflows/release.yml.yml", "release.yml"])
def test_E11_another_workflow_of_the_repository_is_another_pipeline(stack: Stack, path: str) -> None:
    release = stack.release()
    found = denied(stack, release, built_by(release, "5" * 40, workflow=path), "BLD-1", policy="pinned")
    assert f'the workflow "{path}" differs' in found


URIS = [
    "https://evil.invalid@github.com/acme/shop",
    "https://evil.invalid\\@github.com/acme/shop",
    "https://github.com\t/acme/shop",
    "https://github.com./acme/shop",
    "https://GitHub.com/acme/shop",
    "https://github.com/acme/%73hop",
    "https://github.com/acme/../acme/shop",
    "https://github.com/acme//shop",
    "https://github.com/acme/shop/",
    "https://github.com/acme/shop?x",
    "https://github.com/acme/shop#x",
    "https://github.com/acme/sh\u043ep",
    "https://github.com/acme/shop\u202e",
    "https://g\u0131thub.com/acme/shop",
    "https://github.com:443/acme/shop",
    "ssh://git@github.com/acme/shop",
    "http://github.com/acme/shop",
    "file:///acme/shop",
    "//github.com/acme/shop",
    "github.com/acme/shop",
]


@pytest.mark.parametrize("uri", URIS)
def test_E12_a_source_uri_has_one_reading(stack: Stack, uri: str) -> None:
    release = stack.release()
    statement = attestations.provenance_statement([release.subject], finished=release.finished, commit=release.commit)

    def change(value: dict[str, Any]) -> None:
        value["predicate"]["buildDefinition"]["externalParameters"]["workflow"]["repository"] = uri

    unjudged(stack, release, [release.by("builder", edited(statement, change))], "evidence-invalid")


@pytest.mark.parametrize(
    "repository",
    ["github.com/acme/shop-evil", "github.com/acme/shopping", "github.com/acme-shop/shop", "github.com/acme/shop/x",
     "github.com/acme/Shop", "github.com.evil.invalid/acme/shop", "github.community/acme/shop",
     "evil.invalid/github.com/acme/shop"],
)  # fmt: skip
def test_E14_a_neighbour_is_another_repository(stack: Stack, repository: str) -> None:
    release = stack.release()
    evidence = release.evidence(
        provenance=release.provenance(repository=repository), source=release.source(repository=repository)
    )
    assert repository in denied(stack, release, evidence, "SRC-1")


# Certificates of an instance of our own, pinned by the policy keyless.


@pytest.mark.parametrize(
    ("number", "value", "told"),
    [
        pytest.param(15, "632596898", "repository id", id="the same name, registered again"),
        pytest.param(17, "131804564", "owner id", id="the same owner's name, registered again"),
        pytest.param(8, "https://token.actions.githubusercontent.com/acme", "issuer", id="another issuer"),
        pytest.param(
            12,
            "https://github.com/acme-shop/shop",
            'the certificate names "github.com/acme-shop/shop"',
            id="a name that joins with a hyphen",
        ),
    ],
)
def test_E13_names_may_be_registered_again_and_ids_may_not(
    stack: Stack, instance: PrivateInstance, number: int, value: str, told: str
) -> None:
    release = stack.release()
    assert stack.ask(release, [instance.bundle(release.built_keyless())], policy="keyless").status == 200
    other = stack.release()
    recycled = instance.bundle(other.built_keyless(), identity={**IDENTITY, number: value})
    assert told in denied(stack, other, [recycled], "BLD-1", policy="keyless")


@pytest.mark.parametrize(
    "subject",
    [
        "https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main",
        "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v1/../x",
        "https://github.com/acme/shop-evil/.github/workflows/release.yml@refs/tags/v1.2.3",
        "https://github.com/acme/shop/.github/workflows/release.yml.yml@refs/tags/v1.2.3",
        "https://github.com.evil.invalid/acme/shop/.github/workflows/release.yml@refs/tags/v1.2.3",
    ],
)
def test_E14_a_workflow_is_compared_whole(stack: Stack, instance: PrivateInstance, subject: str) -> None:
    release = stack.release()
    denied(stack, release, [instance.bundle(release.built_keyless(), subject=subject)], "BLD-1", policy="keyless")


def entry_of(release: Release) -> dict[str, Any]:
    """A log entry that names the artifact, as its log would give it; no log of the root vouches for it."""
    return {
        "logIndex": "1",
        "logId": {"keyId": base64.b64encode(b"k" * 32).decode()},
        "kindVersion": {"kind": "dsse", "version": "0.0.1"},
        "integratedTime": "1795428000",
        "inclusionPromise": {"signedEntryTimestamp": base64.b64encode(b"s" * 70).decode()},
        "canonicalizedBody": base64.b64encode(release.subject.sha256.encode()).decode(),
    }


def test_E15_a_log_entry_that_no_pinned_log_vouches_for_proves_nothing(stack: Stack, instance: PrivateInstance) -> None:
    release, other = stack.release(), stack.release()
    cases: list[list[dict[str, Any]]] = [[entry_of(release)], [entry_of(other)], [{}], [entry_of(release)] * 40]
    for entries in cases:
        bundle = instance.bundle(release.built_keyless(), tlogEntries=entries)
        answer = stack.ask(release, [bundle], policy="keyless")
        assert answer.status in (409, 413, 422), answer.body[:300]
        assert answer.code in ("evidence-missing", "evidence-invalid", "too-large")
    # Nor does a root or a key that the bundle brings along.
    bundle = json.loads(instance.bundle(release.built_keyless()))
    bundle["trustedRoot"] = json.loads(instance.trusted_root())
    bundle["verificationMaterial"]["publicKey"] = {"hint": "release"}
    assert stack.ask(release, [json.dumps(bundle).encode()], policy="keyless").said == (422, "evidence-invalid")


def test_E15_the_genuine_entry_of_another_artifact_proves_nothing(stack: Stack, vectors: Path) -> None:
    # Real bundles under the real root: promise, proof and checkpoint of the entry all verify.
    stack.activate("policy", with_root("logged", (vectors / "sigstore-trusted-root-public-good.json").read_text()))
    release = stack.release()
    good, other = (
        json.loads(vectors.joinpath(*path).read_bytes())
        for path in (
            ("sigstore-conformance", "happy-path-intoto-in-dsse-v3", "bundle.sigstore.json"),
            ("github", "sigstore-js-2.1.0-bundle.json"),
        )
    )

    def said(bundle: dict[str, Any]) -> tuple[int, str]:
        return stack.ask(release, [json.dumps(bundle).encode()], policy="logged").said

    def with_entry(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        bundle: dict[str, Any] = json.loads(json.dumps(good))
        change(bundle["verificationMaterial"]["tlogEntries"][0])
        return bundle

    verified, absent = (422, "subject-mismatch"), (409, "evidence-missing")
    assert said(good) == verified
    theirs = other["verificationMaterial"]["tlogEntries"][0]
    assert said({**good, "verificationMaterial": {**good["verificationMaterial"], "tlogEntries": [theirs]}}) == absent
    # A body that names the artifact, under the promise and proof of another.
    body = json.loads(base64.b64decode(good["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"]))
    body["spec"]["payloadHash"]["value"] = release.subject.sha256
    named = base64.b64encode(json.dumps(body).encode()).decode()
    assert said(with_entry(lambda entry: entry.update(canonicalizedBody=named))) == absent
    root = base64.b64encode(b"r" * 32).decode()
    assert said(with_entry(lambda entry: entry["inclusionProof"].update(rootHash=root))) == absent
    # A log that nobody pinned, whose key the bundle would name.
    assert said(with_entry(lambda entry: entry["logId"].update(keyId=root))) == absent


OUT_OF_TIME: dict[str, dict[str, Any]] = {
    "a certificate that had expired when it signed": {"issued": timedelta(hours=-1)},
    "a certificate that was not valid yet": {"issued": timedelta(hours=1)},
    "a timestamp over another signature": {"stamped": b"another"},
    "no timestamp": {"timestampVerificationData": {}},
    "a certificate for another purpose": {"usage": "timestamp"},
}


@pytest.mark.parametrize("changes", OUT_OF_TIME.values(), ids=OUT_OF_TIME.keys())
def test_E16_a_signature_outside_its_times_counts_as_absent(
    stack: Stack, instance: PrivateInstance, changes: dict[str, Any]
) -> None:
    release = stack.release()
    answer = stack.ask(release, [instance.bundle(release.built_keyless(), **changes)], policy="keyless")
    assert answer.said == (409, "evidence-missing")


def test_E16_an_intermediate_outside_its_times_counts_as_absent(stack: Stack, instance: PrivateInstance) -> None:
    key = p256(45)
    above = (instance.root, p256(41))
    ended = certificate("ended", key, above, instance.now - timedelta(days=20), days=10, path_length=0)
    release = stack.release()
    answer = stack.ask(release, [instance.bundle(release.built_keyless(), issuer=(ended, key))], policy="keyless")
    assert answer.said == (409, "evidence-missing")


def test_E16_a_timestamp_of_another_authority_counts_as_absent(
    stack: Stack, instance: PrivateInstance, tmp_path: Path
) -> None:
    # It bears the name and the issuer of the one that the root lists; the key is another.
    other = PrivateInstance(tmp_path, now=instance.now, stamper=46)
    release = stack.release()
    assert other.tsa.subject == instance.tsa.subject
    answer = stack.ask(release, [other.bundle(release.built_keyless())], policy="keyless")
    assert answer.said == (409, "evidence-missing")


def test_E17_a_scan_is_of_this_digest_and_in_order(stack: Stack) -> None:
    now = datetime.now(UTC)
    release, retagged = stack.release("shop:1.0"), stack.release("shop:1.0")
    unjudged(stack, release, release.evidence(scan=retagged.scan()), "subject-mismatch")
    old = {"finished": now - timedelta(days=3)}
    stale = {"database_updated": now - timedelta(days=3)}
    early = {"finished": release.finished - timedelta(minutes=30)}
    ahead = {"database_updated": now + timedelta(minutes=30)}
    cases: list[tuple[dict[str, Any], str]] = [
        (old, "old"),
        (stale, "database"),
        (early, "before the build"),
        (ahead, "database"),
    ]
    for changes, told in cases:
        fresh = stack.release()
        assert told in denied(stack, fresh, fresh.evidence(scan=fresh.scan(**changes)), "VUL-1")


def test_E18_tests_by_the_builder_are_not_independent(stack: Stack) -> None:
    release = stack.release()
    assert "builder" in denied(stack, release, [release.tests(by="builder")], "TST-1", policy="independent")
    other = stack.release()
    assert stack.ask(other, [other.tests(by="scanner")], policy="independent").status == 200


def test_E19_no_word_about_a_vulnerability_turns_a_failing_scan(stack: Stack) -> None:
    # This policy listens to no author: whoever signs it, VEX is kept and changes nothing.
    release = stack.release()
    scan = release.scan(vulnerabilities=[("CVE-2026-7", "critical")])
    words = {"status": "not_affected", "justification": "vulnerable_code_not_present"}
    for products in ([], [{"@id": "*"}], [{"@id": "pkg:generic/shop"}]):
        vex = {
            "@context": "https://openvex.dev/ns/v0.2.0",
            "@id": "https://acme.invalid/vex/1",
            "author": "acme",
            "timestamp": "2026-11-23T10:00:00Z",
            "version": 1,
            "statements": [{"vulnerability": {"name": "CVE-2026-7"}, "products": products, **words}],
        }
        statement = build_statement([release.subject], predicate_type="https://openvex.dev/ns/v0.2.0", predicate=vex)
        for by in ("builder", "scanner"):
            evidence = [*release.evidence(scan=scan), release.by(by, statement)]
            assert "CVE-2026-7" in denied(stack, release, evidence, "VUL-1")


def vex(release: Release, *, by: str = "source", finished: datetime | None = None, **statement: Any) -> bytes:
    """The author's document about one vulnerability, as the policy "excused" accepts it, and with changes."""
    document = vex_statement([release.subject], made=finished or release.finished, vulnerability="CVE-2026-7")
    return release.by(by, edited(document, lambda value: value["predicate"]["statements"][0].update(statement)))


NO_EXCUSE: dict[str, dict[str, Any]] = {
    "a wildcard for the vulnerability": {"vulnerability": {"name": "CVE-2026-*"}},
    "every vulnerability": {"vulnerability": {"name": "*"}},
    "a vulnerability that begins alike": {"vulnerability": {"name": "CVE-2026-70"}},
    "another product": {"products": [{"hashes": {"sha-256": "0" * 64}}]},
    "another product by its identifier": {"products": [{"@id": f"pkg:oci/shop@sha256:{'0' * 64}"}]},
    "another package": {"products": [{"subcomponents": [{"@id": "pkg:pypi/other@1"}]}]},
    "every package": {"products": [{"subcomponents": [{"@id": "*"}]}]},
    "no justification": {"justification": None},
    "a justification of its own": {"justification": "trust_me"},
    "still looked at": {"status": "under_investigation"},
    "a builder who speaks for the author": {"by": "builder"},
    "a scanner who excuses what it found": {"by": "scanner"},
    "made tomorrow": {"finished": datetime.now(UTC) + timedelta(days=1)},
}


@pytest.mark.parametrize("changes", NO_EXCUSE.values(), ids=NO_EXCUSE.keys())
def test_E19_vex_excuses_one_vulnerability_in_one_artifact_by_one_author(stack: Stack, changes: dict[str, Any]) -> None:
    release = stack.release()
    scan = release.scan(vulnerabilities=[("CVE-2026-7", "critical")])
    assert "CVE-2026-7" in denied(stack, release, [scan, vex(release, **changes)], "VUL-1", policy="excused")
    good = stack.release()
    scan = good.scan(vulnerabilities=[("CVE-2026-7", "critical")])
    assert stack.ask(good, [scan, vex(good)], policy="excused").status == 200


def test_E19_a_later_word_of_the_author_cannot_be_withheld(stack: Stack) -> None:
    release = stack.release()
    scan, excuse = release.scan(vulnerabilities=[("CVE-2026-7", "critical")]), vex(release)
    assert stack.ask(release, [scan, excuse], policy="excused").status == 200
    assert stack.post("/v1/evidence", keeping(vex(release, status="affected"), policy="excused")).status == 201
    assert "CVE-2026-7" in denied(stack, release, [scan, excuse], "VUL-1", policy="excused")
    # What was said of another digest is no evidence about this one.
    other = stack.release()
    with stack.unrecorded():
        answer = stack.ask(other, [other.scan(vulnerabilities=[("CVE-2026-7", "high")]), excuse], policy="excused")
    assert answer.said == (422, "subject-mismatch")


def bring(stack: Stack, statement: WaiverStatement, *by: str, data: bytes | None = None) -> tuple[int, str]:
    envelope = signed(statement, *by) if data is None else data
    answer = stack.post("/v1/waivers", {"waiver": base64.b64encode(envelope).decode()}, by="alice")
    return (201, "") if answer.status == 201 else answer.said


def test_E19_a_waiver_excuses_what_it_names_and_nothing_beside_it(stack: Stack) -> None:
    release = stack.release()
    mine = (release.subject.sha256,)
    evidence = release.evidence(scan=release.scan(vulnerabilities=[("CVE-2026-7", "high")]))
    narrow = waiver(digests=mine, offenders=(Offender(id="CVE-2026-7"),))
    assert "CVE-2026-7" in denied(stack, release, evidence, "VUL-1")
    beside: list[dict[str, Any]] = [
        {"offenders": (Offender(id="CVE-*"),)},
        {"offenders": (Offender(id="CVE-2026-7", package="pkg:generic/shop"),)},
        {"offenders": (Offender(id="CVE-2026-70"),)},
        {"digests": (stack.release().subject.sha256,)},
    ]
    recorded = [replace(narrow, **changes) for changes in beside]
    for statement in recorded:
        assert bring(stack, statement) == (201, "")
    assert "CVE-2026-7" in denied(stack, release, evidence, "VUL-1")
    assert bring(stack, narrow) == (201, "")
    assert stack.ask(release, evidence).status == 200
    assert "is used up" in stack.ask(release, evidence).finding("VUL-1")["remedy"]
    for statement in (*recorded, narrow):
        ended = stack.post(f"/v1/waivers/{statement.digest}/end", {"reason": "mended"}, by="alice")
        assert ended.status == 200


def test_E19_a_waiver_by_the_wrong_people_or_in_other_bytes_is_not_recorded(stack: Stack) -> None:
    good = waiver(digests=(stack.release().subject.sha256,))
    signatures = [(each.keyid, each.sig) for each in parse_envelope(signed(good)).signatures]
    stretched = encode_envelope(PAYLOAD_TYPE, replace(good, max_uses=1000).payload(), signatures)
    with stack.unrecorded():
        assert bring(stack, replace(good, requested_by="alice")) == (403, "waiver-one-person")
        assert bring(stack, good, "bob") == (403, "waiver-unsigned")
        assert bring(stack, good, "bob", "mallory") == (403, "waiver-unsigned")
        assert bring(stack, good, data=stretched) == (403, "waiver-unsigned")
        assert bring(stack, replace(good, requested_by="alice", approved_by="bob")) == (403, "waiver-not-granted")
        assert bring(stack, replace(good, rules=("BLD-1",))) == (403, "rule-not-waivable")
        assert bring(stack, replace(good, origin="elsewhere.invalid/x")) == (403, "waiver-foreign")
        old = datetime.now(UTC) - timedelta(days=20)
        assert bring(stack, waiver(now=old, digests=good.digests)) == (409, "waiver-expired")
        assert bring(stack, replace(good, expires=good.not_before + timedelta(days=31))) == (409, "waiver-too-long")
        assert bring(stack, good, data=b"{}") == (422, "evidence-invalid")
    assert bring(stack, good) == (201, "")
    with stack.unrecorded():
        assert bring(stack, good) == (409, "waiver-recorded")
        assert bring(stack, replace(good, ticket="SEC-2")) == (409, "waiver-renewal")
    again = replace(good, ticket="SEC-2", renews=good.digest)
    assert bring(stack, again) == (201, "")
    with stack.unrecorded():
        assert bring(stack, replace(good, ticket="SEC-3", renews=again.digest)) == (409, "waiver-renewal")


def test_E20_evidence_from_the_future_is_refused(stack: Stack) -> None:
    future = datetime.now(UTC) + timedelta(minutes=10)
    release = stack.release()
    assert "future" in denied(stack, release, release.evidence(scan=release.scan(finished=future)), "VUL-1")
    built = stack.release()
    assert "future" in denied(stack, built, built.evidence(provenance=built.provenance(finished=future)), "BLD-1")


def test_E20_nothing_is_judged_while_the_clock_goes_backwards() -> None:
    # The machine's own clock cannot be turned in a test: the authority between fakes.
    world = CustodianWorld()
    assert isinstance(world.ask(world.denied()), NotSigned)
    world.clock.time -= timedelta(hours=1)
    reply = world.ask(world.decide())
    assert isinstance(reply, Failed)
    assert (reply.family, reply.code) == ("unavailable", "time-untrusted")
    assert world.tokens.jobs == []


def test_E21_a_newer_failing_result_cannot_be_withheld(stack: Stack) -> None:
    release = stack.release()
    good = release.evidence()
    assert stack.ask(release, good).status == 200
    bad = release.scan(finished=release.finished + timedelta(minutes=1), vulnerabilities=[("CVE-2026-1", "critical")])
    assert stack.post("/v1/evidence", keeping(bad)).status == 201
    assert "CVE-2026-1" in denied(stack, release, good, "VUL-1")
    # Nor by sending the older one again as other bytes: the statement is the same, and its receipt is no news.
    scan = good[3]
    r, s = decode_dss_signature(base64.b64decode(json.loads(scan)["signatures"][0]["sig"]))
    twin = json.loads(scan)
    twin["signatures"][0]["sig"] = base64.b64encode(encode_dss_signature(r, P256_ORDER - s)).decode()
    for again in (scan + b" ", json.dumps(twin).encode(), json.dumps({**json.loads(scan), "x": 1}).encode()):
        assert "CVE-2026-1" in denied(stack, release, [again], "VUL-1")
    # Nor by failing tests that somebody else withholds.
    failing = release.tests(failed=1, passed=2)
    assert stack.post("/v1/evidence", keeping(failing)).status == 201
    denied(stack, release, good, "TST-1")


def keeping(*items: bytes, policy: str = "demo") -> dict[str, Any]:
    return {"policy": policy, "evidence": [{"content": base64.b64encode(item).decode()} for item in items]}


def test_E22_one_good_item_many_times_is_one_item(stack: Stack) -> None:
    first, *rest = (stack.release(f"part-{number}") for number in range(4))
    provenance = first.provenance()
    respelled = [provenance, *(provenance + b" " * number for number in range(1, 10))]
    answer = stack.ask([each.subject for each in (first, *rest)], [*first.evidence(provenance=None), *respelled])
    assert answer.said == (409, "evidence-missing")
    for rule in ("BLD-1", "TST-1", "VUL-1", "SBM-1"):
        assert answer.finding(rule)["outcome"] == "unknown"
    (leaf,) = [each for each in stack.leaves(stack.size() - 1) if isinstance(each, Decision)]
    assert (leaf.verdict, leaf.count) == ("deny", 4)
    # Each subject with evidence of its own, and one that lacks one kind.
    for index in range(4):
        others = [stack.release(f"part-{number}") for number in range(4)]
        evidence = [
            item
            for number, each in enumerate(others)
            for item in each.evidence(**({"scan": None} if number == index else {}))
        ]
        answer = stack.ask([each.subject for each in others], evidence)
        assert answer.said == (409, "evidence-missing")
        assert [each["rule"] for each in answer.json["violations"]] == ["VUL-1"]


def test_E23_nothing_follows_a_url(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bait:
        host = f"127.0.0.1:{bait.getsockname()[1]}"
        release = stack.release()
        urls = [
            f"https://{host}/a",
            f"http://{host}/a",
            "http://169.254.169.254/latest/meta-data/",
            "file:///etc/passwd",
        ]
        before = outgoing(stack)
        for url in urls:
            provenance = attestations.provenance_statement(
                [release.subject], finished=release.finished, commit=release.commit, builder_id=url, build_type=url
            )
            repository = attestations.provenance_statement(
                [release.subject], finished=release.finished, repository=f"{host}/acme/shop"
            )
            scan = release.scan(scanner_uri=url)
            statement = edited(
                attestations.sbom_statement([release.subject], created=release.finished),
                lambda value, url=url: value["subject"][0].update(uri=url, downloadLocation=url),  # type: ignore[misc]  # mypy does not infer a lambda with a default
            )
            for item in (release.by("builder", provenance), release.by("builder", repository), scan,
                         release.by("builder", statement), release.source(verifier=url)):  # fmt: skip
                assert stack.ask(release, [item]).status in (403, 409, 422)
            assert outgoing(stack) <= before
        assert select.select([bait], [], [], 0.5)[0] == [], "somebody came"


def outgoing(stack: Stack) -> set[tuple[str, int]]:
    """Where the processes of the service are connected to, callers of the listeners left out."""
    ports = {stack.port, stack.public_port, stack.metrics_port}
    return {
        (each.raddr.ip, each.raddr.port)
        for process in stack.processes()
        for each in process.net_connections("inet")
        if each.status == psutil.CONN_ESTABLISHED and each.laddr.port not in ports
    }
