# SPDX-License-Identifier: Apache-2.0
"""Bundles and envelopes that other hands made, good and bad, and a corpus of our own where those are absent.

Evidence has to be a statement: a bundle that signs an artifact's own bytes is read by its own function and is no
evidence, whoever signed it. Folders of the published conformance suite that end in `_fail` must be refused.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from signer.domain.subject import Subject
from signer.errors import Malformed, SignerError, Unavailable
from signer.evidence.facts import evidence_facts
from signer.evidence.verifier import PinnedRoot, TrustedKeys, VerifiedAttestation, verify_item
from signer.formats.bundle import MEDIA_TYPE, build_bundle, parse_message_bundle
from signer.formats.dsse import IN_TOTO, pae
from signer.formats.spki import keyid, load_pem, spki_der, spki_pem
from signer.formats.statement import build_statement
from tests.unit.evidence.factory import SHOP, JudgedPolicy
from tests.unit.formats.keys import p256

PUBLIC_GOOD = "sigstore-trusted-root-public-good.json"
MESSAGES = {"happy-path-v0.3", "managed-key-and-trusted-root", "managed-key-happy-path", "rekor2-happy-path"}
"""Folders with good bundles over an artifact's bytes."""
STATEMENTS = {"happy-path-intoto-in-dsse-v3", "intoto-with-custom-trust-root", "rekor2-dsse-happy-path"}


def trusted(folder: Path, vectors: Path) -> TrustedKeys:
    """The key and the root that the conformance suite gives with a bundle."""
    own = folder / "trusted_root.json"
    root = own if own.exists() else vectors / PUBLIC_GOOD
    key = folder / "key.pub"
    keys = TrustedKeys.of({"key": key.read_text()} if key.exists() else {})
    return TrustedKeys(keys.keys, keys.names, {"root": PinnedRoot("root", root.read_text())})


def evidence(folder: Path, vectors: Path) -> str:
    """How our verifier ends: `verified`, or why not."""
    try:
        keys = trusted(folder, vectors)
    except Unavailable:
        return "the key is of no kind that signs evidence"
    return ended((folder / "bundle.sigstore.json").read_bytes(), keys)


def ended(data: bytes, keys: TrustedKeys) -> str:
    try:
        item = verify_item(data, keys)
    except Malformed as fault:
        return fault.detail
    return "verified" if isinstance(item, VerifiedAttestation) else "does not verify"


def message(folder: Path, vectors: Path) -> bool:
    """Whether the bundle's signature over the artifact verifies with the managed key beside it."""
    artifact = folder / "artifact"
    data = (artifact if artifact.exists() else vectors / "sigstore-conformance" / "a.txt").read_bytes()
    try:
        parsed = parse_message_bundle((folder / "bundle.sigstore.json").read_bytes())
        parsed.verify(data, load_pem((folder / "key.pub").read_text()))
    except (SignerError, FileNotFoundError):
        return False
    return True


def test_every_published_bundle_that_must_fail_is_refused(vectors: Path) -> None:
    folders = sorted((vectors / "sigstore-conformance").glob("*_fail"))
    reasons = {folder.name: evidence(folder, vectors) for folder in folders}
    sys.stdout.write(f"bundles that must fail: {len(folders)}, {dict(Counter(reasons.values()))}\n")
    assert len(folders) >= 13
    assert [name for name, reason in reasons.items() if reason == "verified"] == []
    assert [folder.name for folder in folders if message(folder, vectors)] == []


def test_published_statements_are_verified_and_blobs_are_no_evidence(vectors: Path) -> None:
    ends = {name: evidence(vectors / "sigstore-conformance" / name, vectors) for name in STATEMENTS | MESSAGES}
    sys.stdout.write(f"good bundles: {dict(Counter(ends.values()))}\n")
    # The predicate of this one has no externalParameters: it verifies, and is then no SLSA provenance.
    assert "provenance has a wrong shape" in ends.pop("rekor2-dsse-happy-path")
    assert {name for name, end in ends.items() if end == "verified"} == STATEMENTS - {"rekor2-dsse-happy-path"}
    assert {ends[name] for name in MESSAGES} == {"the bundle holds no DSSE envelope"}


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("managed-key-happy-path", True),
        ("managed-key-and-trusted-root", True),
        ("managed-key-wrong-key_fail", False),
        ("managed-key-no-key_fail", False),
    ],
)
def test_a_managed_key_signs_for_its_own_artifact(vectors: Path, name: str, accepted: bool) -> None:
    assert message(vectors / "sigstore-conformance" / name, vectors) is accepted


@pytest.mark.parametrize(
    ("name", "owner", "repository"),
    [
        ("sigstore-js-2.1.0-bundle.json", "71096353", "495574555"),
        ("github_provenance_demo-0.0.12-py3-none-any-bundle.jsonl", None, None),
        ("sigstoreBundle-invalid-signature.json", None, None),
    ],
    ids=["of the npm era", "of a private instance whose root nobody pinned", "with a broken signature"],
)
def test_a_bundle_of_github_is_as_good_as_its_root(
    vectors: Path, name: str, owner: str | None, repository: str | None
) -> None:
    text = (vectors / "github" / "trusted_root.json").read_text()
    keys = TrustedKeys({}, {}, {"github": PinnedRoot("github", text)})
    item = verify_item((vectors / "github" / name).read_bytes(), keys)
    identity = item.identity if isinstance(item, VerifiedAttestation) else None
    assert (owner is None) is (identity is None)
    if identity is not None:
        assert (identity.owner_id, identity.repository_id) == (owner, repository)
        assert identity.repository == "github.com/sigstore/sigstore-js"


def flipped(text: str, *, at: int = -1) -> str:
    data = bytearray(b64decode(text))
    data[at] ^= 1
    return b64encode(data).decode()


def entry(value: dict[str, Any]) -> dict[str, Any]:
    (found,) = value["verificationMaterial"]["tlogEntries"]
    assert isinstance(found, dict)
    return found


def in_body(value: dict[str, Any]) -> None:
    entry(value)["canonicalizedBody"] = flipped(entry(value)["canonicalizedBody"], at=-30)


def in_promise(value: dict[str, Any]) -> None:
    promise = entry(value)["inclusionPromise"]
    promise["signedEntryTimestamp"] = flipped(promise["signedEntryTimestamp"])


def in_time(value: dict[str, Any]) -> None:
    entry(value)["integratedTime"] = str(int(entry(value)["integratedTime"]) + 1)


def in_root_hash(value: dict[str, Any]) -> None:
    proof = entry(value)["inclusionProof"]
    proof["rootHash"] = flipped(proof["rootHash"])


def in_proof(value: dict[str, Any]) -> None:
    proof = entry(value)["inclusionProof"]
    proof["hashes"][0] = flipped(proof["hashes"][0])


def in_checkpoint(value: dict[str, Any]) -> None:
    checkpoint = entry(value)["inclusionProof"]["checkpoint"]
    checkpoint["envelope"] = checkpoint["envelope"].replace("\n", "\n1", 1)


def in_certificate(value: dict[str, Any]) -> None:
    certificate = value["verificationMaterial"]["certificate"]
    # Within the identity, so that it still parses.
    data = b64decode(certificate["rawBytes"])
    certificate["rawBytes"] = flipped(certificate["rawBytes"], at=data.index(b"refs/heads/main") + 14)


def in_payload(value: dict[str, Any]) -> None:
    value["dsseEnvelope"]["payload"] = flipped(value["dsseEnvelope"]["payload"], at=20)


def in_signature(value: dict[str, Any]) -> None:
    (signature,) = value["dsseEnvelope"]["signatures"]
    signature["sig"] = flipped(signature["sig"])


def without_entry(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["tlogEntries"] = []


def without_promise(value: dict[str, Any]) -> None:
    del entry(value)["inclusionPromise"]


def with_two_entries(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["tlogEntries"] *= 2


TAMPERED = (
    in_body,
    in_promise,
    in_time,
    in_root_hash,
    in_proof,
    in_checkpoint,
    in_certificate,
    in_payload,
    in_signature,
    without_entry,
    without_promise,
    with_two_entries,
)
LOGGED = {
    "dsse": ("sigstore-conformance", "happy-path-intoto-in-dsse-v3", "bundle.sigstore.json"),
    "intoto": ("github", "sigstore-js-2.1.0-bundle.json"),
}


@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda tamper: tamper.__name__)
@pytest.mark.parametrize("kind", LOGGED)
def test_a_logged_bundle_is_refused_when_any_part_is_changed(
    vectors: Path, kind: str, tamper: Callable[[dict[str, Any]], None]
) -> None:
    keys = TrustedKeys({}, {}, {"root": PinnedRoot("root", (vectors / PUBLIC_GOOD).read_text())})
    value = json.loads(vectors.joinpath(*LOGGED[kind]).read_bytes())
    assert ended(json.dumps(value).encode(), keys) == "verified"
    tamper(value)
    assert ended(json.dumps(value).encode(), keys) == "does not verify"


@pytest.mark.parametrize("kind", LOGGED)
def test_the_entry_of_another_envelope_proves_nothing(vectors: Path, kind: str) -> None:
    keys = TrustedKeys({}, {}, {"root": PinnedRoot("root", (vectors / PUBLIC_GOOD).read_text())})
    value, other = (
        json.loads(vectors.joinpath(*LOGGED[name]).read_bytes()) for name in (kind, *LOGGED.keys() - {kind})
    )
    value["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
    assert ended(json.dumps(value).encode(), keys) == "does not verify"


def test_provenance_that_names_only_a_sha512_speaks_of_no_requested_digest(vectors: Path) -> None:
    folder = vectors / "github"
    keys = TrustedKeys({}, {}, {"github": PinnedRoot("github", (folder / "trusted_root.json").read_text())})
    item = verify_item((folder / "sigstore-js-2.1.0-bundle.json").read_bytes(), keys)
    digests = dict(line.split(":") for line in (folder / "sigstore-js-2.1.0.tgz.digests").read_text().split())
    subject = Subject.parse(f"sigstore.tgz@sha256:{digests['sha256']}")
    with pytest.raises(Malformed) as refused:
        evidence_facts([item], policy=JudgedPolicy(), subjects=[subject], offered=[item.digest])
    assert refused.value.code == "subject-mismatch"


def test_googles_summary_is_evidence_about_no_artifact(vectors: Path) -> None:
    folder = vectors / "slsa-verifier" / "vsa" / "gce" / "v1"
    keys = TrustedKeys.of({"google": (folder / "vsa_signing_public_key.pem").read_text()})
    item = verify_item((folder / "gke-gce-pre.bcid-vsa.jsonl").read_bytes().splitlines()[0], keys)
    assert isinstance(item, VerifiedAttestation), "a raw signature r||s in an envelope is accepted"
    assert [dict(subject.artifact) for subject in item.statement.subjects] == [{}], "gce_image_id identifies nothing"
    with pytest.raises(Malformed) as refused:
        evidence_facts([item], policy=JudgedPolicy(), subjects=[SHOP], offered=[item.digest])
    assert refused.value.code == "subject-mismatch"


def test_google_cloud_build_is_read_in_the_url_safe_alphabet(vectors: Path) -> None:
    folder = vectors / "slsa-verifier" / "gcb"
    summary = json.loads((folder / "gcloud-container-global-pae-signing-key-successful.json").read_bytes())
    keys = TrustedKeys.of({"gcb": (folder / "global-pae-provenanceSigner_1.key").read_text()})
    ends: Counter[str] = Counter()
    for entry in summary["provenance_summary"]["provenance"]:
        try:
            item = verify_item(json.dumps(entry["envelope"]).encode(), keys)
            ends[type(item).__name__] += 1
        except Malformed as fault:
            # It verified: only then is the payload read, and an older statement refused.
            ends[fault.detail] += 1
    sys.stdout.write(f"Google Cloud Build envelopes: {dict(ends)}\n")
    assert sum(ends.values()) - ends["UnverifiedAttestation"] >= 1


SIGNER, STRANGER = p256(31), p256(32)
STATEMENT = build_statement([SHOP], predicate_type="https://example.invalid/claim", predicate={"says": "?>~" * 7})


def ecdsa(key: ec.EllipticCurvePrivateKey, *, raw: bool = False) -> bytes:
    signature = key.sign(pae(IN_TOTO, STATEMENT), ec.ECDSA(hashes.SHA256()))
    parts = utils.decode_dss_signature(signature)
    return b"".join(part.to_bytes(32, "big") for part in parts) if raw else signature


def envelope(signature: bytes, *, keyid: str = "", url_safe: bool = False) -> dict[str, Any]:
    encode = urlsafe_b64encode if url_safe else b64encode
    return {
        "payload": encode(STATEMENT).decode(),
        "payloadType": IN_TOTO,
        "signatures": [{"keyid": keyid, "sig": encode(signature).decode()}],
    }


def bundled(signature: bytes, *, media_type: str, **material: Any) -> dict[str, Any]:
    return {
        "mediaType": media_type,
        "verificationMaterial": material or {"publicKey": {"hint": "any"}},
        "dsseEnvelope": envelope(signature),
    }


GOOD, BAD = ecdsa(SIGNER), ecdsa(STRANGER)
OLD = "application/vnd.dev.sigstore.bundle+json;version=0."
OWN: Mapping[str, tuple[dict[str, Any], str]] = {
    "an envelope": (envelope(GOOD), "verified"),
    "an envelope with another's key id": (envelope(GOOD, keyid="of-another"), "verified"),
    "an envelope in the URL-safe alphabet": (envelope(GOOD, url_safe=True), "verified"),
    "a raw signature": (envelope(ecdsa(SIGNER, raw=True)), "verified"),
    "a stranger's envelope": (envelope(BAD), "does not verify"),
    "a stranger's envelope under the key's id": (
        envelope(BAD, keyid=keyid(spki_der(SIGNER.public_key()))),
        "does not verify",
    ),
    "a signature with a flipped bit": (envelope(GOOD[:-1] + bytes([GOOD[-1] ^ 1])), "does not verify"),
    "a bundle of version 0.1": (bundled(GOOD, media_type=f"{OLD}1"), "verified"),
    "a bundle of version 0.2": (bundled(GOOD, media_type=f"{OLD}2"), "verified"),
    "a bundle of version 0.3": (bundled(GOOD, media_type=MEDIA_TYPE), "verified"),
    "a stranger's bundle": (bundled(BAD, media_type=MEDIA_TYPE), "does not verify"),
    "a bundle of another version": (bundled(GOOD, media_type=f"{OLD}9"), "the media type is not"),
    "a bundle without material": (
        bundled(GOOD, media_type=MEDIA_TYPE, tlogEntries=[]),
        "names no key and no certificate",
    ),
    "a bundle with a key and a certificate": (
        bundled(GOOD, media_type=MEDIA_TYPE, publicKey={"hint": ""}, certificate={"rawBytes": ""}),
        "names no key and no certificate, or more than one",
    ),
    "a bundle over a blob": (
        {"mediaType": MEDIA_TYPE, "verificationMaterial": {"publicKey": {}}, "messageSignature": {"signature": ""}},
        "holds no DSSE envelope",
    ),
    "a certificate that is none": (
        bundled(BAD, media_type=MEDIA_TYPE, certificate={"rawBytes": "AAAA"}),
        "does not verify",
    ),
}


@pytest.mark.parametrize(("value", "end"), OWN.values(), ids=OWN)
def test_our_own_corpus_ends_as_listed(value: dict[str, Any], end: str) -> None:
    keys = TrustedKeys.of({"key": spki_pem(SIGNER.public_key())})
    assert end in ended(json.dumps(value).encode(), keys)


def test_our_own_bundles_are_evidence_too() -> None:
    keys = TrustedKeys.of({"key": spki_pem(SIGNER.public_key())})
    kid = keyid(spki_der(SIGNER.public_key()))
    made = build_bundle(payload_type=IN_TOTO, payload=STATEMENT, keyid=kid, signature=GOOD)
    assert isinstance(verify_item(made, keys), VerifiedAttestation)
