# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policy.facts import CertificateIdentity
from policy.identity import TrustedIdentity
from policy.trust import Builder, Trust
from signer.errors import Malformed, Unavailable
from signer.evidence.facts import evidence_facts
from signer.evidence.verifier import PinnedRoot, TrustedKeys, UnverifiedAttestation, VerifiedAttestation, verify_item
from signer.formats.statement import build_statement
from tests.unit.evidence.factory import SHOP, JudgedPolicy
from tests.unit.evidence.private_instance import COMMIT, IDENTITY, ISSUER, WORKFLOW, PrivateInstance, certificate
from tests.unit.formats.keys import p256

BUILD_TYPE = "https://actions.github.io/buildtypes/workflow/v1"


def provenance(repository: str = "https://github.com/acme/shop", commit: str = COMMIT) -> bytes:
    workflow = {"ref": "refs/tags/v1.2.3", "repository": repository, "path": ".github/workflows/release.yml"}
    source = {"uri": f"git+{repository}@refs/tags/v1.2.3", "digest": {"gitCommit": commit}}
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"workflow": workflow},
            "resolvedDependencies": [source],
        },
        "runDetails": {"builder": {"id": WORKFLOW}},
    }
    return build_statement([SHOP], predicate_type="https://slsa.dev/provenance/v1", predicate=predicate)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> PrivateInstance:
    return PrivateInstance(tmp_path_factory.mktemp("instance"))


def keys(text: str) -> TrustedKeys:
    return TrustedKeys({}, {}, {"own": PinnedRoot("own", text)})


def identity_of(instance: PrivateInstance, data: bytes) -> CertificateIdentity | None:
    item = verify_item(data, keys(instance.trusted_root()))
    return item.identity if isinstance(item, VerifiedAttestation) else None


def test_a_bundle_with_a_timestamp_and_no_log_entry_is_verified_where_the_root_lists_no_log(
    instance: PrivateInstance,
) -> None:
    assert identity_of(instance, instance.bundle(provenance())) == CertificateIdentity(
        root="own",
        issuer=ISSUER,
        subject=WORKFLOW,
        workflow=WORKFLOW,
        repository="github.com/acme/shop",
        repository_id="632596897",
        owner_id="131804563",
        commit=COMMIT,
        ref="refs/tags/v1.2.3",
    )


def test_an_extension_below_a_known_one_says_nothing(instance: PrivateInstance) -> None:
    deeper = {**IDENTITY, "8.1": "https://evil.invalid"}
    found = identity_of(instance, instance.bundle(provenance(), identity=deeper))
    assert found is not None
    assert found.issuer == ISSUER


STRANGER = p256(44)


def of_a_stranger(instance: PrivateInstance) -> bytes:
    root = certificate("root", STRANGER, None, instance.now - timedelta(days=9), days=90, path_length=1)
    return instance.bundle(provenance(), issuer=(root, STRANGER))


def flipped(instance: PrivateInstance) -> bytes:
    data = instance.bundle(provenance())
    at = data.index(b'"payload": "') + 40
    return data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :]


HOSTILE: dict[str, Callable[[PrivateInstance], bytes]] = {
    "a payload with a flipped character": flipped,
    "a certificate of another authority": of_a_stranger,
    "a certificate that had expired when it signed": lambda own: own.bundle(provenance(), issued=timedelta(hours=-1)),
    "a certificate that was not valid yet": lambda own: own.bundle(provenance(), issued=timedelta(hours=1)),
    "a certificate for another purpose": lambda own: own.bundle(provenance(), usage="timestamp"),
    "a certificate for no purpose": lambda own: own.bundle(provenance(), usage="none"),
    "a timestamp over another signature": lambda own: own.bundle(provenance(), stamped=b"another"),
    "no timestamp": lambda own: own.bundle(provenance(), timestampVerificationData={}),
    "a timestamp that is none": lambda own: own.bundle(
        provenance(), timestampVerificationData={"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]}
    ),
    "the certificate of a person's e-mail address": lambda own: own.bundle(provenance(), subject="alice@acme.example"),
    "a log entry that nobody can check": lambda own: own.bundle(provenance(), tlogEntries=[{}]),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_whatever_does_not_verify_counts_as_absent(
    instance: PrivateInstance, make: Callable[[PrivateInstance], bytes]
) -> None:
    assert isinstance(verify_item(make(instance), keys(instance.trusted_root())), UnverifiedAttestation)


def test_a_root_with_a_log_demands_an_entry(instance: PrivateInstance) -> None:
    log = {
        "baseUrl": "https://log.invalid",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": "",
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": "2020-01-01T00:00:00Z"},
        },
        "logId": {"keyId": ""},
    }
    logged = keys(instance.trusted_root(tlogs=[log]))
    assert isinstance(verify_item(instance.bundle(provenance()), logged), UnverifiedAttestation)


def test_without_a_pinned_root_a_certificate_proves_nothing(instance: PrivateInstance) -> None:
    assert isinstance(verify_item(instance.bundle(provenance()), TrustedKeys({}, {})), UnverifiedAttestation)


TWO_MEANINGS: dict[str, dict[str, Any]] = {
    "no issuer": {"identity": {number: value for number, value in IDENTITY.items() if number != 8}},
    "a repository that is no repository": {"identity": {**IDENTITY, 12: "https://github.com/acme/../shop"}},
    "a commit that is none": {"identity": {**IDENTITY, 13: "main"}},
    "an issuer with a space": {"identity": {**IDENTITY, 8: "https://token.invalid /"}},
}


@pytest.mark.parametrize("changes", TWO_MEANINGS.values(), ids=TWO_MEANINGS)
def test_a_verified_certificate_must_say_who_it_is(instance: PrivateInstance, changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refused:
        identity_of(instance, instance.bundle(provenance(), **changes))
    assert refused.value.code == "evidence-invalid"


@pytest.mark.parametrize(
    "text", ["{}", "{", '{"mediaType":"text/plain"}', "[]"], ids=["empty", "broken", "of another type", "a list"]
)
def test_a_root_that_cannot_be_used_decides_nothing(instance: PrivateInstance, text: str) -> None:
    with pytest.raises(Unavailable) as refused:
        verify_item(instance.bundle(provenance()), keys(text))
    assert refused.value.code == "trust-unusable"


def test_a_root_that_vouches_for_no_time_cannot_be_used(instance: PrivateInstance) -> None:
    with pytest.raises(Unavailable):
        verify_item(instance.bundle(provenance()), keys(instance.trusted_root(timestampAuthorities=[])))


def trust(**changes: Any) -> Trust:
    identity = TrustedIdentity(
        name="release",
        root="own",
        issuer=ISSUER,
        subject="https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v*",
        repository_id="632596897",
        owner_id=None,
    )
    builder: dict[str, Any] = {
        "name": "ci",
        "key": "release",
        "signer": identity,
        "id": "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v*",
        "isolation": "ephemeral",
        "network": "open",
        "identity": "workload",
        "broad_access": False,
    }
    made = Builder(**(builder | changes))
    return Trust(identities={"release": identity}, builders={"ci": made})


SOURCES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the same source": ({}, {}, ""),
    "another repository": ({"repository": "https://github.com/acme/fork"}, {}, "the repository is"),
    "another commit": ({"commit": "6" * 40}, {}, "the commit is"),
    "another repository where statements may differ": (
        {"repository": "https://github.com/acme/fork"},
        {"source": "statement"},
        "",
    ),
    "another builder id": ({}, {"id": "https://github.com/acme/builders/x.yml@refs/heads/main"}, "the builder id"),
}


@pytest.mark.parametrize(("stated", "entry", "difference"), SOURCES.values(), ids=SOURCES)
def test_a_builder_is_an_identity_an_id_and_one_source(
    instance: PrivateInstance, stated: dict[str, str], entry: dict[str, Any], difference: str
) -> None:
    item = verify_item(instance.bundle(provenance(**stated)), keys(instance.trusted_root()))
    trusted = trust(**entry)
    (fact,) = evidence_facts([item], policy=JudgedPolicy(trusted), subjects=[SHOP]).provenance
    assert fact.origin.attested
    assert fact.origin.identity is not None
    assert (fact.builder is None) is bool(difference)
    assert (trusted.builder_of(fact) is None) is bool(difference)
    if difference:
        assert difference in trusted.difference(fact, ["ci"])


def test_the_library_is_loaded_by_the_first_certificate_and_not_before() -> None:
    modules = "signer.evidence.verifier, signer.evidence.facts, signer.verify, signer.web"
    program = f"import sys, {modules}\nassert not {{'sigstore', 'rfc3161_client', 'pydantic'}} & set(sys.modules)"
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
