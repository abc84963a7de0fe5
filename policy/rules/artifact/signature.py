# SPDX-License-Identifier: Apache-2.0
"""artifact.signature: who makes the artifact has signed it, beside all that others say of it."""

from __future__ import annotations

from dataclasses import dataclass

from policy.identity import foreign, signature
from policy.judgement import Judgement, failed, passed, unknown
from policy.rule import Case, Parameter, RuleType
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust, made_by
from policy.wording import listed


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureDemand:
    """Parameters of artifact.signature."""

    signers: tuple[str, ...]


def _read_signature(section: Section, trust: Trust) -> SignatureDemand:
    return SignatureDemand(signers=section.references("signers", trust.signers, what="signer"))


def _judge_signature(demand: SignatureDemand, case: Case) -> Judgement:
    items = case.evidence.signatures
    if not items:
        return unknown("no verified signature of this digest")
    accepted = [case.trust.signers[name] for name in demand.signers]
    good = made_by(items, accepted)
    found = listed(dict.fromkeys(f"a signature, {signature(item.origin)}" for item in good or items))
    if good:
        return passed(good, found=found)
    signers = (entry.signer for entry in accepted)
    cause = foreign((item.origin for item in items), signers, "the key is no accepted signer's")
    return failed(cause, items, found=found)


SIGNATURE = RuleType(
    code="artifact.signature",
    control="artifact",
    title="A signature of the artifact",
    description=(
        "Attestations say something about an artifact; its maker's signature says that this digest is the one "
        "meant for release. The build may make many artifacts, and only those that are signed leave it."
    ),
    success="is signed by its maker",
    failure="needs a signature by an accepted signer",
    remedy="the release job signs this digest with an accepted key: signer sign --evidence SIGNATURE",
    supply="the release job attaches its signature of this digest: signer evidence add SIGNATURE",
    evidence="The statement that cosign v3 signs (`https://sigstore.dev/cosign/sign/v1`) whose subject is the digest, "
    "by an accepted signer; attested only.",
    parameters=(
        Parameter(
            name="signers",
            sense=Sense(kind=Kind.ACCEPTS),
            kind="list of signers",
            required=True,
            meaning="the trusted signers of artifacts that are accepted",
        ),
    ),
    example="{id: ART-3, type: artifact.signature, control: artifact, level: strong, signers: [release]}",
    needs_provenance=False,
    read=_read_signature,
    require=lambda demand: f"a signature of this digest by {' or '.join(demand.signers)}",
    judge=_judge_signature,
)
