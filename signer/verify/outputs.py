# SPDX-License-Identifier: Apache-2.0
"""The other signatures of a release: of images and of artifacts, each by a key of its own purpose.

outcome leaf ── names ──▶ document about an image, bundle, key      the document names a judged subject and this request
             ── names ──▶ artifact's sha256, bundle, key            the sha256 is that of a judged subject
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from policy.outputs import ARTIFACT, COSIGN, VSA
from signer.domain.purpose import Purpose
from signer.errors import Malformed
from signer.formats.bundle import MAX_BUNDLE, MessageBundle, build_message_bundle, parse_message_bundle
from signer.formats.own_signature import verify_input, verify_own
from signer.formats.receipt import Receipt
from signer.formats.simple_signing import parse_simple_signing
from signer.formats.spki import load_spki
from signer.formats.strict_json import parse_json
from signer.formats.trust import TrustDocument, TrustKey
from signer.ledger.leaves import Outcome, SignatureEntry
from signer.verify.checks import Checklist, OneCheck
from signer.verify.keys import require_valid, trusted_key
from signer.verify.timestamps import require_timestamp


def check_outputs(
    receipt: Receipt,
    outcome: Outcome,
    *,
    trust: TrustDocument,
    subjects: Collection[tuple[str, str]],
    time: datetime,
    checks: Checklist,
) -> None:
    """Every signature that the receipt carries beside the statement's; raises CheckFailed.

    `subjects` are names and sha256 digests as judged, `time` is the judged instant. The receipt's bundles are those
    that the leaf names, in its order.
    """
    others = [
        (entry, carried.bundle)
        for entry, carried in zip(outcome.signatures, receipt.bundles, strict=True)
        if entry.format != VSA
    ]
    if not others:
        return
    optional = optional_of(
        trust, environment=receipt.environment, policy=receipt.policy.name, request=receipt.request_id
    )
    with checks.check("signatures of images and artifacts", code="signature-untrusted") as check:
        check_signatures(
            check,
            others,
            document=receipt.documents.__getitem__,
            optional=optional,
            trust=trust,
            subjects=subjects,
            time=time,
        )
        check.found = f"{len(others)} of {', '.join(dict.fromkeys(entry.format for entry, _ in others))}"


def optional_of(trust: TrustDocument, *, environment: str, policy: str, request: str) -> Mapping[str, str]:
    """What the document about an image says beside its digest."""
    return {"authority": trust.origin, "environment": environment, "policy": policy, "request": request}


def check_signatures(
    check: OneCheck,
    others: Sequence[tuple[SignatureEntry, bytes]],
    *,
    document: Callable[[str], bytes],
    optional: Mapping[str, str],
    trust: TrustDocument,
    subjects: Collection[tuple[str, str]],
    time: datetime,
) -> None:
    """The signatures of one decision beside the statement's, as (entry of the leaf, bundle); raises CheckFailed.

    `document` gives the bytes of a document by its sha256.
    """
    made: list[tuple[str, tuple[str, str]]] = []
    for entry, data in others:
        bundle = _closed(data, entry)
        match entry.format:
            case "cosign":
                payload = document(entry.payload)
                found = _image(check, payload, entry, bundle, optional=optional, trust=trust, time=time)
                made.append((COSIGN, found))
            case "artifact":
                made.append((ARTIFACT, _artifact(check, entry, bundle, trust=trust, time=time, subjects=subjects)))
            case _:
                raise check.failure(expected="a format of this version", found=repr(entry.format))
    for name in dict.fromkeys(each for each, _ in made):
        check.require(
            sorted(subject for each, subject in made if each == name) == sorted(subjects),
            expected=f"one {name} signature for each judged subject",
            found=", ".join(f"{reference} sha256:{digest}" for each, (reference, digest) in made if each == name),
        )


def _image(
    check: OneCheck,
    payload: bytes,
    entry: SignatureEntry,
    bundle: MessageBundle,
    *,
    optional: Mapping[str, str],
    trust: TrustDocument,
    time: datetime,
) -> tuple[str, str]:
    """What the document about an image names, once its signature holds."""
    key = trusted_key(check, trust, entry.kid, purpose=Purpose.IMAGE)
    require_valid(check, key, at=time)
    verify_own(key.algorithm, load_spki(key.spki), payload, bundle.signature)
    _check_timestamp(check, bundle, entry, key=key, trust=trust, time=time)
    document = parse_simple_signing(payload)
    check.require(document.optional == optional, expected=f"{dict(optional)}", found=f"{dict(document.optional)}")
    return document.reference, document.sha256


def _artifact(
    check: OneCheck,
    entry: SignatureEntry,
    bundle: MessageBundle,
    *,
    trust: TrustDocument,
    time: datetime,
    subjects: Collection[tuple[str, str]],
) -> tuple[str, str]:
    """The judged subject whose digest was signed."""
    key = trusted_key(check, trust, entry.kid, purpose=Purpose.ARTIFACT)
    require_valid(check, key, at=time)
    verify_input(key.algorithm, load_spki(key.spki), bytes.fromhex(entry.payload), bundle.signature)
    _check_timestamp(check, bundle, entry, key=key, trust=trust, time=time)
    return next(((name, sha256) for name, sha256 in subjects if sha256 == entry.payload), ("", entry.payload))


def _check_timestamp(
    check: OneCheck,
    bundle: MessageBundle,
    entry: SignatureEntry,
    *,
    key: TrustKey,
    trust: TrustDocument,
    time: datetime,
) -> None:
    """A timestamp that the leaf says was granted is there, and one that is there counts."""
    check.require(
        bool(bundle.timestamps) == (entry.timestamp == "granted"),
        expected=f"what the leaf says of the timestamp ({entry.timestamp or 'none'})",
        found=f"{len(bundle.timestamps)} timestamps",
    )
    if bundle.timestamps:
        require_timestamp(check, bundle.timestamps, signature=bundle.signature, judged=time, key=key, trust=trust)


def _closed(data: bytes, entry: SignatureEntry) -> MessageBundle:
    """The bundle, when it holds the entry's key id and digest and nothing that no check looks at."""
    bundle = parse_message_bundle(data)
    rebuilt = build_message_bundle(
        sha256=entry.payload, keyid=entry.kid, signature=bundle.signature, timestamps=bundle.timestamps
    )
    if parse_json(data, limit=MAX_BUNDLE, what="Sigstore bundle") != parse_json(
        rebuilt, limit=2 * MAX_BUNDLE, what="Sigstore bundle"
    ):
        raise Malformed("bundle-invalid", "the bundle says something else than the outcome leaf, or more")
    return bundle
