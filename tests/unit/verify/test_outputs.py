# SPDX-License-Identifier: Apache-2.0
"""Signatures of images and artifacts in a receipt: each by a key of its purpose, each about a judged subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from signer.domain.purpose import Purpose
from signer.domain.subject import Subject
from signer.formats.bundle import build_bundle, build_message_bundle
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import IN_TOTO, pae
from signer.formats.receipt import Receipt, ReceiptBundle
from signer.formats.simple_signing import build_simple_signing
from signer.formats.spki import keyid
from signer.formats.trust import TrustKey
from signer.ledger.leaves import Outcome, SignatureEntry
from signer.verify.answer import VerifiedRelease, verify_release
from signer.verify.bundle import Expectation
from signer.verify.checks import CheckFailed
from tests.unit.verify.authority import NOW, ORIGIN, RELEASE_KEY, REQUEST, Authority, Release, p256, spki, trust_key

IMAGE = Subject.of("registry.example.com/shop/api", {"sha256": "9c" * 32})
IMAGES, FILES, EMERGENCY = p256(20), p256(21), p256(22)
OPTIONAL = {"authority": ORIGIN, "environment": "release", "policy": "demo", "request": REQUEST}
KEYS = (
    trust_key(),
    trust_key(IMAGES, name="images", purpose=Purpose.IMAGE),
    trust_key(FILES, name="files", purpose=Purpose.ARTIFACT),
    trust_key(EMERGENCY, name="emergency", purpose=Purpose.BREAK_GLASS),
)


class Made:
    """What a custodian made beside the statement; every test spoils one thing of it."""

    def __init__(self) -> None:
        self.image_key = IMAGES
        self.artifact_key = FILES
        self.payload = build_simple_signing(reference=IMAGE.name, sha256=IMAGE.sha256, optional=OPTIONAL)
        self.artifact = IMAGE.sha256
        self.signed_artifact: str | None = None
        self.keys: tuple[TrustKey, ...] = KEYS
        self.formats: tuple[str, ...] = ("cosign", "artifact")
        self.keep_document = True
        self.extra: bytes = b""

    def make(self) -> Release:
        """A release with these signatures."""
        signed = {"cosign": (self.image_key, sha256_hex(self.payload)), "artifact": (self.artifact_key, self.artifact)}
        bundles, entries = [], []
        for name in self.formats:
            key, digest = signed[name]
            over = self.signed_artifact or digest if name == "artifact" else digest
            signature = key.sign(bytes.fromhex(over), ec.ECDSA(Prehashed(hashes.SHA256())))
            bundle = build_message_bundle(sha256=digest, keyid=keyid(spki(key)), signature=signature)
            bundle = bundle[:-1] + self.extra + b"}" if self.extra else bundle
            bundles.append(ReceiptBundle(name, bundle))
            entries.append(
                SignatureEntry(
                    format=name,
                    payload=digest,
                    kid=keyid(spki(key)),
                    attempts=1,
                    result="signed",
                    bundle=sha256_hex(bundle),
                )
            )

        def outcome(leaf: Outcome) -> Outcome:
            return msgspec.structs.replace(leaf, signatures=(*leaf.signatures, *entries))

        def receipt(kept: Receipt) -> Receipt:
            documents = dict(kept.documents)
            if self.keep_document and "cosign" in self.formats:
                documents[sha256_hex(self.payload)] = self.payload
            return replace(kept, bundles=(*kept.bundles, *bundles), documents=documents)

        authority = Authority()
        made = authority.release(subjects=(IMAGE,), outcome=outcome, receipt=receipt)
        return replace(made, trust=authority.trust(keys=self.keys))

    def release(self) -> VerifiedRelease:
        """The same, verified."""
        made, expect = self.make(), Expectation(subjects=(IMAGE,))
        return verify_release(made.trust, bundle=made.bundle, receipt=made.receipt, expect=expect, allow_dev=False)


def test_signatures_of_the_right_purposes_about_the_judged_subject_verify() -> None:
    verified = Made().release()
    (check,) = (each for each in verified.checks if each.title == "signatures of images and artifacts")
    assert check.found == "2 of cosign, artifact"


def test_a_receipt_without_them_has_no_such_check() -> None:
    made = Made()
    made.formats = ()
    assert "signatures of images and artifacts" not in [check.title for check in made.release().checks]


def document(**changes: Any) -> bytes:
    return build_simple_signing(**({"reference": IMAGE.name, "sha256": IMAGE.sha256, "optional": OPTIONAL} | changes))


SPOILT: dict[str, tuple[Callable[[Made], object], str]] = {
    "an image signed with the key of statements": (lambda m: setattr(m, "image_key", RELEASE_KEY), "untrusted"),
    "an image signed with the key of artifacts": (lambda m: setattr(m, "image_key", FILES), "untrusted"),
    "an image signed with the key of emergencies": (lambda m: setattr(m, "image_key", EMERGENCY), "untrusted"),
    "an artifact signed with the key of statements": (lambda m: setattr(m, "artifact_key", RELEASE_KEY), "untrusted"),
    "an artifact signed with the key of images": (lambda m: setattr(m, "artifact_key", IMAGES), "untrusted"),
    "a key that nobody lists": (lambda m: setattr(m, "artifact_key", p256(30)), "untrusted"),
    "a key that was not valid yet": (
        lambda m: setattr(m, "keys", (KEYS[0], replace(KEYS[1], not_before=NOW + timedelta(days=1)), *KEYS[2:])),
        "key-not-valid",
    ),
    "a compromised key": (
        lambda m: setattr(m, "keys", (*KEYS[:2], replace(KEYS[2], status="compromised", not_after=NOW), KEYS[3])),
        "key-not-valid",
    ),
    "a signature over another digest": (lambda m: setattr(m, "signed_artifact", "ab" * 32), "signature-invalid"),
    "an artifact that was not judged": (lambda m: setattr(m, "artifact", "ab" * 32), "signature-untrusted"),
    "a document about another image": (
        lambda m: setattr(m, "payload", document(sha256="ab" * 32)),
        "signature-untrusted",
    ),
    "a document about another repository": (
        lambda m: setattr(m, "payload", document(reference="registry.example.com/shop/web")),
        "signature-untrusted",
    ),
    "a document of another request": (
        lambda m: setattr(m, "payload", document(optional=OPTIONAL | {"request": "0" * 32})),
        "signature-untrusted",
    ),
    "a document for another environment": (
        lambda m: setattr(m, "payload", document(optional=OPTIONAL | {"environment": "production"})),
        "signature-untrusted",
    ),
    "a document that is not in the receipt": (lambda m: setattr(m, "keep_document", False), "subjects-mismatch"),
    "one subject signed twice": (lambda m: setattr(m, "formats", ("artifact", "artifact")), "signature-untrusted"),
    "a bundle with a member that nobody checks": (lambda m: setattr(m, "extra", b',"more":1'), "bundle-invalid"),
}


@pytest.mark.parametrize(("spoil", "code"), SPOILT.values(), ids=SPOILT)
def test_anything_else_is_refused(spoil: Callable[[Made], object], code: str) -> None:
    made = Made()
    spoil(made)
    with pytest.raises(CheckFailed) as caught:
        made.release()
    assert code in caught.value.code


@pytest.mark.parametrize("key", [IMAGES, FILES, EMERGENCY], ids=["image", "artifact", "break-glass"])
def test_no_statement_is_believed_by_a_key_of_another_purpose(key: ec.EllipticCurvePrivateKey) -> None:
    authority = Authority()
    made = authority.release(key=key)
    with pytest.raises(CheckFailed) as caught:
        verify_release(
            authority.trust(keys=KEYS),
            bundle=made.bundle,
            receipt=None,
            expect=Expectation(subjects=(Subject.of("shop.tar.gz", {"sha256": "00" * 32}),)),
            allow_dev=False,
        )
    assert (caught.value.code, "with the purpose" in caught.value.found) == ("key-untrusted", True)


def test_a_callers_digest_that_is_the_pae_of_a_forged_statement_makes_no_statement() -> None:
    """The key of artifacts signs any digest; what a caller gets that way is refused for its purpose."""
    authority = Authority()
    honest = authority.release()
    forged = b'{"_type":"https://in-toto.io/Statement/v1"}'
    digest = sha256_hex(pae(IN_TOTO, forged))
    signature = FILES.sign(bytes.fromhex(digest), ec.ECDSA(Prehashed(hashes.SHA256())))
    FILES.public_key().verify(signature, pae(IN_TOTO, forged), ec.ECDSA(hashes.SHA256()))
    made = replace(honest, bundle=_envelope(forged, signature))
    with pytest.raises(CheckFailed) as caught:
        verify_release(
            authority.trust(keys=KEYS),
            bundle=made.bundle,
            receipt=None,
            expect=Expectation(subjects=(IMAGE,)),
            allow_dev=False,
        )
    assert caught.value.code == "key-untrusted"


def _envelope(payload: bytes, signature: bytes) -> bytes:
    return build_bundle(payload_type=IN_TOTO, payload=payload, keyid=keyid(spki(FILES)), signature=signature)
