# SPDX-License-Identifier: Apache-2.0
"""People who approve, their access document, a policy with an environment that waits for them, and what they sign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from policy.document import parse_policy
from policy.facts import SubjectFact
from policy.ledger_facts import LedgerFacts
from policy.questions import answers, digest_of
from policy.release import Release
from signer.formats.approval import ApprovalStatement, RevocationStatement, Verb, sign_approval
from signer.formats.dsse import PrivateKey
from signer.formats.findings import decode_decision
from signer.formats.spki import spki_pem
from signer.ledger.leaves import Decision
from tests.authority import ORIGIN, POLICY, SUBJECT, demo_policy
from tests.unit.formats.keys import ed25519, p256

PRODUCTION = "production"
AUTHOR = "email:developer@dev.invalid"
"""The developer, as the provenance and the review record of the demo pipeline name them."""
KEYS: dict[str, PrivateKey] = {
    "kim": p256(51),
    "lee": ed25519(52),
    "omar": p256(53),
    "developer": p256(54),
    "guest": p256(55),
    "mallory": p256(56),
}
"""kim is of both groups, lee of release-managers, omar of sre; the developer of both, and writes the change; the guest
may approve and is of no group; mallory is nobody."""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "release-managers": ("kim", "lee", "developer"),
    "sre": ("kim", "omar", "developer"),
}
APPROVAL = (
    "{id: APR-1, type: approval.human, control: deployment, level: minimum, groups: {release-managers: 1, sre: 1}, "
    "ttl: 72h}"
)
CHECKLIST = (
    "{id: APR-1, type: approval.checklist, control: deployment, level: better, "
    "groups: {release-managers: 1, sre: 1}, ttl: 72h, checklist: [TST-1]}"
)


def access_document(
    *,
    version: int = 2,
    groups: Mapping[str, tuple[str, ...]] = GROUPS,
    without: tuple[str, ...] = (),
    keys: Mapping[str, PrivateKey] = KEYS,
) -> bytes:
    """`without` are people who may not approve any more."""

    def person(name: str) -> str:
        pem = spki_pem(keys[name].public_key()).replace("\n", "\\n")
        number = 100 + list(KEYS).index(name)
        emails = f"emails: [{name}@dev.invalid], logins: [{{issuer: 'https://github.com', id: {number}}}]"
        return f'  - {{id: {name}, sans: ["spiffe://test.invalid/person/{name}"], {emails}, approvalKeys: ["{pem}"]}}\n'

    def grant(to: str, actions: str) -> str:
        return f'  - {{to: "{to}", actions: [{actions}], policies: ["*"], environments: ["*"], repositories: ["*"]}}\n'

    people = [name for name in KEYS if name != "mallory"]
    listed = "".join(f"  - {{id: {name}, kind: release, members: [{', '.join(of)}]}}\n" for name, of in groups.items())
    return (
        f"schema: signing-access/v1\nmetadata: {{name: access, version: {version}}}\n"
        f"people:\n{''.join(map(person, people))}"
        '  - {id: alice, sans: ["spiffe://test.invalid/person/alice"], emails: [alice@test.invalid]}\n'
        "  - {id: reviewer, emails: [reviewer@dev.invalid]}\n  - {id: maintainer, emails: [maintainer@dev.invalid]}\n"
        'robots:\n  - {id: ci, sans: ["spiffe://test.invalid/robot/ci"]}\n'
        f"groups:\n{listed}"
        "grants:\n"
        f"{grant('robot:ci', 'sign, check, evidence, read')}{grant('person:alice', 'sign, read')}"
        f"{''.join(grant(f'person:{name}', 'approve, read') for name in people if name not in without)}"
    ).encode()


def policy_document(
    signers: Mapping[str, ec.EllipticCurvePrivateKey], *, version: int = 2, rule: str = APPROVAL
) -> bytes:
    """The demo policy with an environment `production` that asks for people beside everything else."""
    data = demo_policy(signers, version=version).decode()
    ids = ", ".join(each.id for each in parse_policy(data.encode()).rules)
    data = data.replace("environments:\n", f"  - {rule}\nenvironments:\n")
    data = data.replace('require: ["*"]', f"require: [{ids}]")
    return f"{data}  {PRODUCTION}: {{require: [{ids}, APR-1], key: release, formats: [vsa]}}\n".encode()


def statement(
    held: Decision, documents: Mapping[str, bytes], by: str, /, *, verb: Verb = "approve", at: datetime, **changes: Any
) -> ApprovalStatement:
    """What `by` says of a hold, as the console shows it; `documents` are those that the leaf names."""
    findings = decode_decision(documents[held.findings]).findings
    release = Release(
        policy=held.policy.name,
        environment=held.environment,
        submitter=held.principal,
        subjects=(SubjectFact(name=SUBJECT.name, sha256=held.first),),
        ledger=LedgerFacts(policy_digest=held.policy.digest, access_digest=held.access),
        findings=findings,
    )
    answered = answers(release)
    made = ApprovalStatement(
        verb=verb,
        origin=ORIGIN,
        hold=held.request,
        subject=SUBJECT,
        environment=held.environment,
        policy=POLICY,
        policy_digest=held.policy.digest,
        cited=held.cited,
        answers=digest_of(answered, release),
        answered={each.id: each.answer for each in answered},
        reasons={each.id: "the last release stands by" for each in answered if not each.good},
        reason="" if verb in ("approve", "cosign") else "not on a Friday",
        approver=by,
        at=at,
    )
    return replace(made, **changes)


def revocation(of: ApprovalStatement, /, *, at: datetime, **changes: Any) -> RevocationStatement:
    made = RevocationStatement(approval=of.digest, origin=ORIGIN, reason="a mistake", approver=of.approver, at=at)
    return replace(made, **changes)


def signed(said: ApprovalStatement | RevocationStatement, by: str | None = None) -> bytes:
    """The envelope with the signature of `by`, or of whoever it names."""
    return sign_approval(said, KEYS[by or said.approver])


def an_approval() -> bytes:
    """A signed approval of a hold that nobody knows, as bytes."""
    made = ApprovalStatement(
        verb="approve",
        origin=ORIGIN,
        hold="ab" * 16,
        subject=SUBJECT,
        environment=PRODUCTION,
        policy=POLICY,
        policy_digest="1" * 64,
        cited="2" * 64,
        answers="3" * 64,
        answered={"digest": "yes"},
        reasons={},
        reason="",
        approver="kim",
        at=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
    )
    return signed(made)
