# SPDX-License-Identifier: Apache-2.0
"""Recording what a person says of a hold, and taking it back: each becomes a leaf, or is refused with its reason.

A statement fits one hold, by everything that fixes it, and is signed by the registered approval key of whoever says it.
Without a signature the caller's certificate vouches, for that caller alone: such an approval is `recorded`, and a
policy may refuse it. Nothing here writes.
"""

from __future__ import annotations

from datetime import datetime

from policy.rules.deployment.approval import approving_groups
from policy.separation import involved
from signer.custodian.administration import require_reason
from signer.custodian.asked_hold import (
    MAX_AGE,
    AskedHold,
    ask_about,
    require_bound,
    require_fresh,
    require_open,
    require_reasons,
)
from signer.custodian.commands import Done, RecordApproval, RevokeApproval
from signer.custodian.judging import out_of_reach
from signer.custodian.protocols import Persons, Reader
from signer.custodian.standing import Standing
from signer.domain.principal import Principal
from signer.errors import Refused
from signer.formats.approval import (
    PAYLOAD_TYPE,
    ApprovalStatement,
    RevocationStatement,
    parse_approval,
    read_approval,
    read_revocation,
)
from signer.formats.dsse import MEDIA_TYPE, Envelope, verify_envelope
from signer.formats.rfc3339 import format_time
from signer.formats.spki import keyid, spki_der
from signer.identity.access import Access
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.documents import StoredDocument
from signer.ledger.rows import ApprovalRow
from signer.ledger.sequencer import Entry


def recording(
    command: RecordApproval,
    *,
    by: Principal,
    who: str,
    standing: Standing,
    reader: Reader,
    persons: Persons,
    now: datetime,
) -> Entry:
    """The leaf of what a person says, brought by `by`, who stands in leaves as `who`; raises Malformed or Refused."""
    envelope, statement = _read(command)
    asked = ask_about(statement.hold, standing=standing, reader=reader)
    if not asked.may_approve(by):
        raise out_of_reach()
    if statement.origin != standing.genesis.origin:
        raise Refused("approval-foreign", f"the approval is for the ledger {statement.origin}", remedy="approve here")
    require_bound(statement, asked)
    require_fresh(statement, asked, now)
    kid = _require_approver(envelope, statement, asked, by=by)
    person = persons.pseudonym(statement.approver)
    said = reader.approvals_of(asked.row.leaf)
    require_open(statement, asked, said)
    _require_first(statement, person, said)
    groups = _groups(statement, person, asked)
    require_reasons(statement, asked)
    document = StoredDocument.of(statement.payload(), media_type=PAYLOAD_TYPE)
    whole = () if envelope is None else (StoredDocument.of(command.statement, media_type=MEDIA_TYPE),)
    row = asked.row
    leaf = ApprovalLeaf(
        time=format_time(now),
        verb=statement.verb,
        digest=document.digest,
        envelope="".join(each.digest for each in whole),
        kid=kid,
        hold=row.request_id,
        decision=row.leaf,
        sha256=row.sha256,
        environment=row.environment,
        policy=row.policy,
        policy_digest=row.policy_digest,
        cited=row.cited,
        answers=row.answers,
        person=person,
        groups=groups,
        at=format_time(statement.at),
        principal=who,
    )
    return Entry(leaf, (document, *whole))


def revoking(
    command: RevokeApproval, *, by: Principal, who: str, standing: Standing, reader: Reader, now: datetime
) -> Entry | Done:
    """The leaf that takes an approval back, or the answer when it is taken back already; raises Malformed or Refused.

    Only whoever said it may; a signed rejection needs a signature again, since taking it back lets a release go on.
    """
    row = reader.approval(command.approval)
    if row is None or standing.access is None:
        raise out_of_reach()
    said = parse_approval(row.statement)
    if by != Principal("person", said.approver) and not command.statement:
        raise out_of_reach()
    whole: tuple[StoredDocument, ...] = ()
    reason = command.reason
    if command.statement:
        envelope, statement = read_revocation(command.statement)
        _require_revocation(envelope, statement, row, said, standing=standing, access=standing.access, now=now)
        whole, reason = (StoredDocument.of(command.statement, media_type=MEDIA_TYPE),), statement.reason
    elif row.verb == "reject" and row.kid:
        raise Refused(
            "approval-unsigned",
            "a signed rejection is taken back by a signature of whoever rejected",
            remedy="signer approval revoke DIGEST --reason TEXT --key FILE",
        )
    require_reason(reason)
    if row.revocation is not None:
        return Done(leaf=row.revocation.leaf)
    if any(use.status not in ("failed", "unknown") for use in reader.approval_uses(row.digest)):
        raise Refused(
            "approval-used",
            "a release rests on this approval already",
            remedy="take the release back instead: signer revoke",
        )
    leaf = ApprovalRevocationLeaf(
        time=format_time(now),
        approval=row.digest,
        envelope="".join(each.digest for each in whole),
        reason=reason,
        principal=who,
    )
    return Entry(leaf, whole)


def _read(command: RecordApproval) -> tuple[Envelope | None, ApprovalStatement]:
    if command.signed:
        return read_approval(command.statement)
    return None, parse_approval(command.statement)


def _require_approver(
    envelope: Envelope | None, statement: ApprovalStatement, asked: AskedHold, *, by: Principal
) -> str:
    """The id of the registered key that signed; empty when the caller's certificate vouches."""
    approver = Principal("person", statement.approver)
    kid = ""
    if envelope is None:
        if by != approver:
            raise Refused(
                "approval-unsigned", "nobody approves for somebody else", remedy="sign it with your approval key: --key"
            )
    else:
        kid = _signer(envelope, asked.access, statement.approver)
    if not asked.may_approve(approver):
        raise _not_eligible(f"{statement.approver} has no grant to approve this")
    return kid


def _signer(envelope: Envelope, access: Access, person: str) -> str:
    keys = {keyid(spki_der(key)): key for key in access.approval_keys.get(person, ())}
    verified = verify_envelope(envelope, keys, hints={name: name for name in keys})
    if not verified:
        raise Refused(
            "approval-unsigned",
            f"no registered key of {person} signed this",
            remedy=f"{person} signs it with a key under approvalKeys of the access document",
        )
    return min(verified)


def _require_first(statement: ApprovalStatement, person: str, said: tuple[ApprovalRow, ...]) -> None:
    for each in said:
        again = each.person == person and each.verb == statement.verb and each.revocation is None
        if again or each.digest == statement.digest:
            raise Refused(
                "approval-recorded",
                f"{statement.approver} said so already, at leaf {each.leaf}",
                remedy="nothing to do",
            )


def _groups(statement: ApprovalStatement, person: str, asked: AskedHold) -> tuple[str, ...]:
    """The groups for which this counts; nobody approves outside of them, nor their own work."""
    demanded = approving_groups(asked.policy.environments[asked.row.environment].rules)
    mine = tuple(
        sorted(
            name
            for name, group in asked.access.groups.items()
            if name in demanded and statement.approver in group.members
        )
    )
    if statement.verb == "approve":
        role = involved(asked.facts).get(person)
        if role is not None:
            raise _not_eligible(f"{statement.approver} is the release's {role}")
        if not mine:
            raise _not_eligible(f"{statement.approver} is in none of the groups {', '.join(sorted(demanded))}")
    return mine


def _require_revocation(
    envelope: Envelope,
    statement: RevocationStatement,
    row: ApprovalRow,
    said: ApprovalStatement,
    *,
    standing: Standing,
    access: Access,
    now: datetime,
) -> None:
    same = (statement.approval, statement.approver, statement.origin)
    if same != (row.digest, said.approver, standing.genesis.origin):
        raise Refused("approval-mismatch", "the revocation is of another approval", remedy="sign it for this one")
    if now - statement.at > MAX_AGE or statement.at < row.at:
        raise Refused("approval-stale", f"the revocation says {format_time(statement.at)}", remedy="sign it again")
    _signer(envelope, access, said.approver)


def _not_eligible(why: str) -> Refused:
    return Refused(
        "approver-not-eligible", why, remedy="somebody else of the groups approves, with no part in the change"
    )
