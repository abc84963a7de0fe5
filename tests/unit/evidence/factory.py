# SPDX-License-Identifier: Apache-2.0
"""A small world of trusted keys, and evidence about two artifacts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from policy.facts import EvidenceFacts
from policy.trust import Author, Builder, Collector, Producer, Scanner, Signer, Tester, Trust
from signer.dev.attestations import BUILDER_ID, VERIFIER_ID
from signer.domain.subject import Subject
from signer.evidence.facts import Stored, evidence_facts
from signer.evidence.verifier import Evidence, TrustedKeys, VerifiedAttestation, verify_item
from signer.formats.spki import spki_pem
from tests.unit.formats.keys import p256

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
BUILDER, SCANNER, SOURCE, OTHER_BUILDER, STRANGER = (p256(number) for number in range(11, 16))
OTHER_BUILDER_ID = "https://dev.invalid/other-builder"

SHOP = Subject.parse(f"shop@sha256:{'a' * 64}")
DOCS = Subject.parse(f"docs@sha256:{'b' * 64}")
ELSE = Subject.parse(f"else@sha256:{'c' * 64}")

TRUST = Trust(
    keys={
        "builder": spki_pem(BUILDER.public_key()),
        "other": spki_pem(OTHER_BUILDER.public_key()),
        "scanner": spki_pem(SCANNER.public_key()),
        "source": spki_pem(SOURCE.public_key()),
    },
    builders={
        "demo-builder": Builder(
            name="demo-builder",
            key="builder",
            id=BUILDER_ID,
            isolation="ephemeral",
            network="restricted",
            identity="workload",
            broad_access=False,
        ),
        "other-builder": Builder(
            name="other-builder",
            key="other",
            id=OTHER_BUILDER_ID,
            isolation="shared",
            network="open",
            identity="workload",
            broad_access=True,
        ),
    },
    scanners={"demo-scanner": Scanner(name="demo-scanner", key="scanner", max_database_age=None)},
    testers={"demo-tester": Tester(name="demo-tester", key="builder")},
    collectors={"demo-source": Collector(name="demo-source", key="source", verifier=VERIFIER_ID)},
    producers={"demo-sbom": Producer(name="demo-sbom", key="builder")},
    signers={"demo-signer": Signer(name="demo-signer", key="builder")},
    authors={"demo-author": Author(name="demo-author", key="source")},
)
KEYS = TrustedKeys.of(TRUST.keys)


@dataclass(frozen=True)
class JudgedPolicy:
    trust: Trust = field(default=TRUST)


def verified(data: bytes) -> VerifiedAttestation:
    item = verify_item(data, KEYS)
    assert isinstance(item, VerifiedAttestation)
    return item


def facts_of(
    *evidence: bytes | Evidence,
    subjects: tuple[Subject, ...] = (SHOP,),
    stored: dict[str, Stored] | None = None,
    offered: tuple[str, ...] = (),
    trust: Trust = TRUST,
) -> EvidenceFacts:
    items = [verify_item(item, KEYS) if isinstance(item, bytes) else item for item in evidence]
    return evidence_facts(items, policy=JudgedPolicy(trust), subjects=subjects, stored=stored, offered=offered)
