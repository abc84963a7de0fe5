# SPDX-License-Identifier: Apache-2.0
"""The offline verifier: the good release passes, and every single alteration is refused under its own code."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from policy.decision import Outcome as RuleOutcome
from signer.domain.digest import Digest
from signer.domain.purpose import Purpose
from signer.domain.subject import Subject
from signer.formats.bundle import build_bundle, parse_bundle
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.dsse import pae
from signer.formats.receipt import PolicyVersion
from signer.formats.strict_json import parse_object
from signer.verify.answer import VerifiedRelease, verify_release
from signer.verify.bundle import Expectation
from signer.verify.checks import CheckFailed, render_failure
from tests.unit.verify.authority import (
    ARTIFACT,
    NOW,
    OWNERS,
    REQUEST,
    SUBJECT,
    Authority,
    Release,
    changed,
    edited,
    other_digest,
    p256,
    predicate,
    trust_key,
)

EXPECT = Expectation(subjects=(SUBJECT,), policy="demo", environment="release")


def verify(
    release: Release, *, expect: Expectation = EXPECT, allow_dev: bool = False, receipt: bool = True
) -> VerifiedRelease:
    return verify_release(
        release.trust,
        bundle=release.bundle,
        receipt=release.receipt if receipt else None,
        expect=expect,
        allow_dev=allow_dev,
    )


def test_a_release_verifies_and_says_what_was_found() -> None:
    verified = verify(Authority().release())
    assert (verified.bundle.policy, verified.bundle.environment) == ("demo", "release")
    assert verified.bundle.request_id == REQUEST
    assert verified.receipt is not None
    assert verified.receipt.checkpoint.size == 3
    assert [check.number for check in verified.checks] == list(range(1, len(verified.checks) + 1))
    assert all(check.found for check in verified.checks)


def test_a_bundle_verifies_without_a_receipt() -> None:
    assert verify(Authority().release(), receipt=False).receipt is None


def test_a_bundle_in_another_layout_is_the_same_bundle() -> None:
    release = Authority().release()
    spaced = release.bundle.replace(b'":', b'" : ')
    assert verify(replace(release, bundle=spaced), receipt=False).bundle.request_id == REQUEST


def test_one_of_several_subjects_is_enough_to_ask_for() -> None:
    second = Subject("other", (Digest("sha256", other_digest()),))
    release = Authority().release(subjects=(SUBJECT, second))
    assert verify(release).bundle.vsa.subjects[1].name == "other"
    assert verify(release, expect=replace(EXPECT, subjects=(second, SUBJECT))).receipt is not None


def forged(release: Release) -> Release:
    """The same bundle, signed by a stranger who claims the trusted key's id."""
    envelope = parse_bundle(release.bundle).envelope
    signature = p256(99).sign(pae(envelope.payload_type, envelope.payload), ec.ECDSA(hashes.SHA256()))
    bundle = build_bundle(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        keyid=envelope.signatures[0].keyid,
        signature=signature,
    )
    return replace(release, bundle=bundle)


ALTERED: dict[str, tuple[Callable[[], Release], str]] = {
    # trust
    "one owner signed the trust file": (
        lambda: replace(Authority().release(), trust=Authority().trust(signers=OWNERS[:1])),
        "owner-threshold",
    ),
    "one owner signed the trust file twice": (
        lambda: replace(Authority().release(), trust=Authority().trust(signers=(OWNERS[0], OWNERS[0]))),
        "owner-threshold",
    ),
    "a stranger signed the trust file": (
        lambda: replace(Authority().release(), trust=Authority().trust(signers=(OWNERS[0], p256(99)))),
        "owner-threshold",
    ),
    "the authority is for development": (lambda: Authority(dev=True).release(), "dev-untrusted"),
    # the seven steps
    "the key is in no trust file": (lambda: Authority().release(key=p256(11)), "key-untrusted"),
    "another key signed under the id of the trusted one": (lambda: forged(Authority().release()), "signature-invalid"),
    "the key has another purpose": (
        lambda: replace(Authority().release(), trust=Authority().trust(keys=(trust_key(purpose=Purpose.ARTIFACT),))),
        "key-untrusted",
    ),
    "the key is compromised": (
        lambda: replace(Authority().release(), trust=Authority().trust(keys=(trust_key(status="compromised"),))),
        "key-not-valid",
    ),
    "the key was not valid yet": (
        lambda: replace(
            Authority().release(), trust=Authority().trust(keys=(trust_key(not_before=NOW + timedelta(seconds=1)),))
        ),
        "key-not-valid",
    ),
    "the key was retired before it signed": (
        lambda: replace(
            Authority().release(),
            trust=Authority().trust(keys=(trust_key(status="retired", not_after=NOW - timedelta(seconds=1)),)),
        ),
        "key-not-valid",
    ),
    "the key is retired without a date": (
        lambda: replace(Authority().release(), trust=Authority().trust(keys=(trust_key(status="retired"),))),
        "key-not-valid",
    ),
    "the subject is another": (
        lambda: Authority().release(subjects=(Subject("shop.tar.gz", (Digest("sha256", other_digest()),)),)),
        "subject-mismatch",
    ),
    "the payload is no statement": (lambda: Authority().release(payload_type="text/plain"), "payload-unexpected"),
    "the predicate is of another type": (
        lambda: Authority().release(payload=edited(lambda value: value.update(predicateType="https://x.example/v1"))),
        "predicate-unexpected",
    ),
    "the verifier is another": (lambda: Authority().release(verifier="https://evil.example"), "verifier-mismatch"),
    "the environment is another": (
        lambda: Authority().release(resource_uri="https://sign.example/authority/demo/staging"),
        "environment-mismatch",
    ),
    "the policy is another": (
        lambda: Authority().release(
            resource_uri="https://sign.example/authority/lax/release",
            policy_uri="https://sign.example/authority/policies/lax",
        ),
        "policy-mismatch",
    ),
    "the resource is of another authority": (
        lambda: Authority().release(resource_uri="https://sign.example/authority-2/demo/release"),
        "environment-mismatch",
    ),
    "the result is FAILED": (
        lambda: Authority().release(payload=predicate(verificationResult="FAILED")),
        "not-passed",
    ),
    "two levels of one track are stated": (
        lambda: Authority().release(payload=predicate(verifiedLevels=["SLSA_BUILD_LEVEL_1", "SLSA_BUILD_LEVEL_3"])),
        "evidence-invalid",
    ),
    "the release is break-glass": (
        lambda: Authority().release(levels=("BREAK_GLASS",)),
        "break-glass",
    ),
    "a development summary under a production authority": (lambda: Authority().release(dev=True), "dev-untrusted"),
    "the summary has no time": (lambda: Authority().release(payload=predicate(timeVerified=None)), "bundle-invalid"),
    # the receipt
    "the decision denies": (lambda: Authority().release(decision=changed(verdict="deny")), "decision-mismatch"),
    "the decision is of another request": (
        lambda: Authority().release(decision=changed(request="00" * 16)),
        "decision-mismatch",
    ),
    "the decision is for another environment": (
        lambda: Authority().release(decision=changed(environment="staging")),
        "decision-mismatch",
    ),
    "the decision is under another policy": (
        lambda: Authority().release(payload=predicate(policy={"uri": "https://sign.example/authority/policies/demo"})),
        "decision-mismatch",
    ),
    "the decision fell at another time": (
        lambda: Authority().release(decision=changed(time="2026-11-23T09:00:00.000001Z")),
        "decision-mismatch",
    ),
    "the receipt names another policy version": (
        lambda: Authority().release(receipt=changed(policy=PolicyVersion("demo", 2, "ab" * 32))),
        "decision-mismatch",
    ),
    "the receipt names another environment": (
        lambda: Authority().release(receipt=changed(environment="staging")),
        "decision-mismatch",
    ),
    "the receipt names another request": (
        lambda: Authority().release(receipt=changed(request_id="00" * 16)),
        "decision-mismatch",
    ),
    "a finding blocks": (lambda: Authority().release(finding=RuleOutcome.UNKNOWN), "findings-mismatch"),
    "a document is missing": (
        lambda: Authority().release(receipt=lambda kept: replace(kept, documents={})),
        "subjects-mismatch",
    ),
    "a document that no leaf names": (
        lambda: Authority().release(
            receipt=lambda kept: replace(kept, documents={**kept.documents, sha256_hex(b"more"): b"more"})
        ),
        "subjects-mismatch",
    ),
    "the judged subjects are others": (
        lambda: Authority().release(payload=edited(lambda value: value["subject"][0].update(name="renamed"))),
        "subjects-mismatch",
    ),
    "the outcome failed": (lambda: Authority().release(outcome=changed(status="failed")), "outcome-mismatch"),
    "the outcome is of another decision": (
        lambda: Authority().release(outcome=changed(decision=0)),
        "outcome-mismatch",
    ),
    "the outcome lists no signature": (lambda: Authority().release(outcome=changed(signatures=())), "outcome-mismatch"),
    "the receipt carries another bundle": (
        lambda: Authority().release(receipt=lambda kept: replace(kept, bundles=())),
        "outcome-mismatch",
    ),
    "the decision leaf is not a decision": (
        lambda: Authority().release(receipt=lambda kept: replace(kept, decision=kept.outcome)),
        "decision-mismatch",
    ),
    "the outcome leaf is not an outcome": (
        lambda: Authority().release(receipt=lambda kept: replace(kept, outcome=kept.decision)),
        "outcome-mismatch",
    ),
    "a leaf is filed under another index": (
        lambda: Authority().release(receipt=lambda kept: replace(kept, decision=replace(kept.decision, index=2))),
        "proof-invalid",
    ),
    "a leaf that is not in the ledger": (
        lambda: Authority().release(
            receipt=lambda kept: replace(
                kept, decision=replace(kept.decision, leaf=kept.decision.leaf.replace(b"robot:ci", b"robot:xx"))
            )
        ),
        "proof-invalid",
    ),
    "a proof with data that nobody signed": (
        lambda: Authority().release(
            receipt=lambda kept: replace(
                kept,
                decision=replace(kept.decision, proof=kept.decision.proof.replace("index 1", "extra YWJj\nindex 1", 1)),
            )
        ),
        "proof-invalid",
    ),
    "the ledger is another's": (
        lambda: replace(Authority().release(), receipt=Authority(origin="evil.example/authority").release().receipt),
        "checkpoint-foreign",
    ),
}


@pytest.mark.parametrize(("make", "code"), ALTERED.values(), ids=ALTERED)
def test_an_altered_release_is_refused(make: Callable[[], Release], code: str) -> None:
    with pytest.raises(CheckFailed) as refused:
        verify(make())
    assert refused.value.code == code
    assert refused.value.expected
    assert refused.value.found
    assert len(refused.value.passed) == refused.value.number - 1


EXPECTED: dict[str, tuple[Expectation, str]] = {
    "another artifact": (replace(EXPECT, subjects=(Subject("x", (Digest.of(b"x"),)),)), "subject-mismatch"),
    "one of two artifacts is not signed": (
        replace(EXPECT, subjects=(SUBJECT, Subject("x", (Digest.of(b"x"),)))),
        "subject-mismatch",
    ),
    "another environment": (replace(EXPECT, environment="production"), "environment-mismatch"),
    "another policy": (replace(EXPECT, policy="strict"), "policy-mismatch"),
    "a level that is not stated": (replace(EXPECT, levels=("SLSA_BUILD_LEVEL_3",)), "levels-missing"),
    "a younger judgement": (
        replace(EXPECT, max_age=timedelta(hours=1), now=NOW + timedelta(hours=1, seconds=1)),
        "too-old",
    ),
    "a judgement that is not in the future": (
        replace(EXPECT, max_age=timedelta(hours=1), now=NOW - timedelta(minutes=3)),
        "time-in-future",
    ),
}


@pytest.mark.parametrize(("expect", "code"), EXPECTED.values(), ids=EXPECTED)
def test_a_release_is_refused_when_something_else_was_expected(expect: Expectation, code: str) -> None:
    with pytest.raises(CheckFailed) as refused:
        verify(Authority().release(), expect=expect)
    assert refused.value.code == code


def test_every_stated_digest_of_a_subject_must_agree() -> None:
    both = Subject("shop", (SUBJECT.digests[0], Digest("sha512", "ab" * 64)))
    other = Subject("shop", (SUBJECT.digests[0], Digest("sha512", "cd" * 64)))
    release = Authority().release(subjects=(both,))
    assert verify(release, expect=replace(EXPECT, subjects=(both,))).receipt is not None
    with pytest.raises(CheckFailed) as refused:
        verify(release, expect=replace(EXPECT, subjects=(other,)))
    assert refused.value.code == "subject-mismatch"


def test_a_judgement_within_its_age_verifies() -> None:
    at_the_limit = replace(EXPECT, max_age=timedelta(hours=1), now=NOW + timedelta(hours=1))
    assert verify(Authority().release(), expect=at_the_limit).bundle.time == NOW


def test_a_retired_key_still_verifies_what_it_signed_before() -> None:
    keys = (trust_key(status="retired", not_after=NOW),)
    assert verify(replace(Authority().release(), trust=Authority().trust(keys=keys))).bundle.key.status == "retired"


def test_a_development_release_verifies_only_when_that_is_allowed() -> None:
    release = Authority(dev=True).release()
    assert verify(release, allow_dev=True).trust.dev
    with pytest.raises(CheckFailed):
        verify(release)


def test_a_receipt_proves_only_its_own_bundle() -> None:
    authority = Authority()
    first, second = authority.release(), authority.release(levels=("SLSA_BUILD_LEVEL_1",))
    with pytest.raises(CheckFailed) as refused:
        verify(replace(second, receipt=first.receipt))
    assert refused.value.code == "outcome-mismatch"


def test_a_bundle_with_something_unsigned_in_it_is_refused() -> None:
    release = Authority().release()
    value = parse_object(release.bundle, limit=10**6)
    value["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": []}
    with pytest.raises(CheckFailed) as refused:
        verify(replace(release, bundle=canonical(value)), receipt=False)
    assert refused.value.code == "bundle-invalid"


def test_the_hint_of_a_bundle_is_the_id_of_the_key() -> None:
    release = Authority().release()
    value = parse_object(release.bundle, limit=10**6)
    value["verificationMaterial"]["publicKey"]["hint"] = "another"
    with pytest.raises(CheckFailed) as refused:
        verify(replace(release, bundle=canonical(value)), receipt=False)
    assert refused.value.code == "bundle-invalid"


@pytest.mark.parametrize(
    ("part", "receipt"),
    [
        # Without the receipt nothing but the signature and the closed shape protect the bundle.
        pytest.param("bundle", False, id="bundle alone"),
        pytest.param("bundle", True, id="bundle with receipt"),
        pytest.param("receipt", True, id="receipt"),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_no_altered_byte_goes_unnoticed(part: str, seed: int, *, receipt: bool) -> None:
    release = Authority().release()
    for altered in flips(getattr(release, part), seed=f"{part} {seed}"):
        with pytest.raises(CheckFailed):
            verify(replace(release, **{part: altered}), receipt=receipt)


@pytest.mark.parametrize("seed", range(4))
def test_no_altered_byte_of_the_trust_file_changes_what_is_trusted(seed: int) -> None:
    release = Authority().release()
    trusted = verify(release).trust
    for altered in flips(release.trust, seed=f"trust {seed}"):
        try:
            # The key id of an owner's signature is a hint that nobody signs: altering it changes nothing.
            assert verify(replace(release, trust=altered)).trust == trusted
        except CheckFailed:
            continue


def flips(data: bytes, *, seed: str) -> Iterator[bytes]:
    """`data` with one bit of one byte flipped, at 60 places."""
    chance = random.Random(seed)
    for place in chance.sample(range(len(data)), k=60):
        yield data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


@pytest.mark.parametrize("part", ["trust", "bundle", "receipt"])
@pytest.mark.parametrize("junk", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"{" * 5000], ids=repr)
def test_junk_is_refused_and_never_crashes(part: str, junk: bytes) -> None:
    with pytest.raises(CheckFailed):
        verify(replace(Authority().release(), **{part: junk}))


def test_a_failed_check_says_what_was_expected_and_found() -> None:
    with pytest.raises(CheckFailed) as refused:
        verify(Authority().release(), expect=replace(EXPECT, subjects=(Subject("x", (Digest.of(b"x"),)),)))
    text = render_failure(refused.value, paint=lambda text, _: text)
    assert f"sha256:{Digest.of(b'x').value}" in text
    assert f"sha256:{Digest.of(ARTIFACT).value}" in text
    assert "expected" in text
    assert refused.value.report()[-1]["ok"] is False


def test_what_was_found_cannot_draw_on_a_terminal() -> None:
    with pytest.raises(CheckFailed) as refused:
        verify(Authority().release(verifier="https://evil.example/\x1b[2J\n ok"))
    assert "\x1b" not in render_failure(refused.value, paint=lambda text, _: text)
