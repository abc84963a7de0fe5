# SPDX-License-Identifier: Apache-2.0
"""Two people who waive, their access document, and waivers as they sign them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from policy.decision import Offender
from signer.formats.dsse import PrivateKey
from signer.formats.spki import spki_pem
from signer.formats.waiver import WaiverStatement, join_waivers, sign_waiver
from tests.authority import ENVIRONMENT, ORIGIN, POLICY, SUBJECT, TEAM
from tests.unit.formats.keys import ed25519, p256

CVE = "CVE-2026-40021"
KEYS: dict[str, PrivateKey] = {"alice": p256(41), "bob": ed25519(42), "carol": p256(43), "mallory": p256(44)}
"""alice may waive everything, bob for one repository, carol nothing; mallory is nobody."""
REPOSITORY = "github.com/acme/shop"


def access_document(*, version: int = 2, repository: str = REPOSITORY) -> bytes:
    def person(name: str) -> str:
        pem = spki_pem(KEYS[name].public_key()).replace("\n", "\\n")
        return f'  - {{id: {name}, sans: ["spiffe://test.invalid/person/{name}"], approvalKeys: ["{pem}"]}}\n'

    return (
        f"schema: signing-access/v1\nmetadata: {{name: access, version: {version}}}\n"
        f"people:\n{''.join(map(person, ('alice', 'bob', 'carol')))}{TEAM}"
        'robots:\n  - {id: ci, sans: ["spiffe://test.invalid/robot/ci"]}\n'
        "grants:\n"
        '  - {to: "robot:ci", actions: [sign, check, evidence, read], policies: ["*"], environments: ["*"],'
        ' repositories: ["*"]}\n'
        '  - {to: "person:alice", actions: [waive, read], policies: ["*"], environments: ["*"], repositories: ["*"]}\n'
        f'  - {{to: "person:bob", actions: [waive], policies: [{POLICY}], environments: [{ENVIRONMENT}],'
        f' repositories: ["{repository}"]}}\n'
    ).encode()


def waiver(*, now: datetime | None = None, **changes: Any) -> WaiverStatement:
    """One vulnerability for one digest, requested by bob and approved by alice."""
    begins = (datetime.now(UTC) if now is None else now) - timedelta(minutes=1)
    made = WaiverStatement(
        origin=ORIGIN,
        policy=POLICY,
        environment=ENVIRONMENT,
        rules=("VUL-1",),
        outcome="fail",
        offenders=(Offender(id=CVE),),
        found=None,
        digests=(SUBJECT.sha256,),
        repositories=(),
        reason="not reachable from our code",
        ticket="SEC-4411",
        requested_by="bob",
        approved_by="alice",
        not_before=begins,
        expires=begins + timedelta(days=14),
        max_uses=1,
        renews=None,
    )
    return replace(made, **changes)


def signed(statement: WaiverStatement, *by: str) -> bytes:
    """The envelope with the signatures of `by`, or of requester and approver."""
    people = by or (statement.requested_by, statement.approved_by)
    return join_waivers(sign_waiver(statement, KEYS[name]) for name in people)
