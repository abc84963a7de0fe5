# SPDX-License-Identifier: Apache-2.0
"""Recording a waiver and ending one: each becomes a leaf, or is refused with its reason. Nothing here writes.

Recording needs two people of the access document, each with a registered key over the very same statement, of whom
the approver may waive here. Ending needs only the grant: taking an exception back is always allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from policy.document import Policy
from signer.custodian.administration import require_reason
from signer.custodian.commands import Done, EndWaiver, RecordWaiver
from signer.custodian.judging import out_of_reach
from signer.custodian.protocols import Persons, Reader
from signer.custodian.standing import Standing
from signer.domain.principal import Principal
from signer.errors import Refused
from signer.formats.dsse import MEDIA_TYPE, Envelope, verify_envelope
from signer.formats.rfc3339 import format_time
from signer.formats.spki import PublicKey, keyid, spki_der
from signer.formats.waiver import PAYLOAD_TYPE, WaiverStatement, parse_waiver, read_waiver
from signer.identity.grants import Access
from signer.ledger import leaves
from signer.ledger.documents import StoredDocument
from signer.ledger.rows import WaiverRow
from signer.ledger.sequencer import Entry


def recording(
    command: RecordWaiver,
    *,
    by: Principal,
    who: str,
    standing: Standing,
    reader: Reader,
    persons: Persons,
    now: datetime,
) -> Entry:
    """The leaf of a waiver that `by` brought, who stands in leaves as `who`; raises Malformed or Refused."""
    envelope, waiver = read_waiver(command.envelope)
    access, policy = standing.access, standing.policies.get(waiver.policy)
    if access is None or policy is None or waiver.environment not in policy.environments:
        raise out_of_reach()
    if not may_waive(access, by, waiver):
        raise out_of_reach()
    if waiver.origin != standing.genesis.origin:
        raise Refused(
            "waiver-foreign", f"the waiver is for the ledger {waiver.origin}", remedy="request it for this one"
        )
    recorded = reader.waivers()
    digest = waiver.digest
    for row in recorded:
        if row.digest == digest:
            raise Refused("waiver-recorded", f"this waiver is recorded at leaf {row.leaf} already")
    _require_two_people(envelope, waiver, access)
    _require_waivable(waiver, policy)
    _require_times(waiver, policy, now)
    renewal = _renewal(waiver, recorded, policy)
    _require_room(recorded, policy, now)
    statement = StoredDocument.of(envelope.payload, media_type=PAYLOAD_TYPE)
    whole = StoredDocument.of(command.envelope, media_type=MEDIA_TYPE)
    leaf = leaves.WaiverLeaf(
        time=format_time(now),
        digest=statement.digest,
        envelope=whole.digest,
        policy=waiver.policy,
        environment=waiver.environment,
        requester=persons.pseudonym(waiver.requested_by),
        approver=persons.pseudonym(waiver.approved_by),
        renewal=renewal,
        principal=who,
    )
    return Entry(leaf, (statement, whole))


def ending(
    command: EndWaiver, *, by: Principal, who: str, standing: Standing, reader: Reader, now: datetime
) -> Entry | Done:
    """The leaf that ends a waiver, or the answer when it is ended already; raises Malformed or Refused."""
    require_reason(command.reason)
    row = next((row for row in reader.waivers() if row.digest == command.waiver), None)
    if row is None or standing.access is None or not may_waive(standing.access, by, parse_waiver(row.statement)):
        raise out_of_reach()
    if row.end is not None:
        return Done(leaf=row.end.leaf)
    return Entry(leaves.WaiverEndLeaf(time=format_time(now), waiver=row.digest, reason=command.reason, principal=who))


def may_waive(access: Access, principal: Principal, waiver: WaiverStatement) -> bool:
    """Whether the grants reach the whole scope; digests alone may be of any repository, which only `*` reaches."""
    return all(
        access.allows(
            principal, action="waive", policy=waiver.policy, environment=waiver.environment, repository=repository
        )
        for repository in waiver.repositories or ("",)
    )


def _require_two_people(envelope: Envelope, waiver: WaiverStatement, access: Access) -> None:
    if waiver.requested_by == waiver.approved_by:
        raise Refused(
            "waiver-one-person",
            "the waiver was requested and approved by one person",
            remedy="ask somebody else who may waive to approve it",
        )
    for role, person in (("requester", waiver.requested_by), ("approver", waiver.approved_by)):
        keys = _keys(access.approval_keys.get(person, ()))
        if not verify_envelope(envelope, keys, hints={name: name for name in keys}):
            raise Refused(
                "waiver-unsigned",
                f"no registered key of the {role}, {person}, signed this waiver",
                remedy=f"{person} signs exactly this statement with a key under approvalKeys of the access document",
            )
    if not may_waive(access, Principal("person", waiver.approved_by), waiver):
        raise Refused(
            "waiver-not-granted",
            f"{waiver.approved_by} may not waive for this policy, environment and scope",
            remedy="ask somebody with the grant `waive`; where it names repositories, the scope has to name one too",
        )


def _keys(keys: Sequence[PublicKey]) -> Mapping[str, PublicKey]:
    return {keyid(spki_der(key)): key for key in keys}


def _require_waivable(waiver: WaiverStatement, policy: Policy) -> None:
    required = policy.environments[waiver.environment].require
    for name in waiver.rules:
        rule = policy.rule(name)
        if rule is None or name not in required:
            raise Refused("rule-not-required", f"{waiver.environment} requires no rule {name} under {policy.name}")
        if not rule.waivable:
            raise Refused(
                "rule-not-waivable",
                f"{name} of policy {policy.name} v{policy.version} is not waivable",
                remedy="satisfy the rule; the owners decide which rules are waivable",
            )


def _require_times(waiver: WaiverStatement, policy: Policy, now: datetime) -> None:
    most = timedelta(days=policy.limits.max_waiver_days)
    if now >= waiver.expires:
        raise Refused("waiver-expired", f"the waiver expired at {format_time(waiver.expires)}")
    if waiver.expires - waiver.not_before > most or waiver.not_before > now + most:
        raise Refused(
            "waiver-too-long",
            f"a waiver under {policy.name} lasts {most.days} days at most, and begins within as many",
            remedy="request a shorter one",
        )


def _renewal(waiver: WaiverStatement, recorded: Sequence[WaiverRow], policy: Policy) -> int:
    """How many times before this was waived; raises Refused beyond the cap, and for a renewal that is not named so."""
    before = list(_alike(waiver, recorded))
    if not before:
        if waiver.renews is not None:
            raise Refused("waiver-renewal", "the waiver renews none that excuses the same", remedy="leave out --renews")
        return 0
    newest = before[-1]
    if waiver.renews != newest.digest:
        raise Refused(
            "waiver-renewal",
            f"the waiver sha256:{newest.digest} at leaf {newest.leaf} excused the same: this one is its renewal",
            remedy=f"request it with --renews {newest.digest}",
        )
    renewal = 1 + max(row.renewal for row in before)
    most = policy.limits.max_renewals
    if renewal > most:
        raise Refused(
            "waiver-renewal",
            f"this would be renewal {renewal} of what was waived; {policy.name} allows {most}",
            remedy="mend what is wrong, or let the owners change the policy",
        )
    return renewal


def _alike(waiver: WaiverStatement, recorded: Sequence[WaiverRow]) -> Iterator[WaiverRow]:
    """Earlier waivers that excuse some of the same for some of the same."""
    for row in recorded:
        if (row.policy, row.environment) != (waiver.policy, waiver.environment):
            continue
        other = parse_waiver(row.statement)
        same = (other.outcome, other.found) == (waiver.outcome, waiver.found) and (
            waiver.found is not None or _meet(other.offenders, waiver.offenders)
        )
        if same and _meet(other.rules, waiver.rules) and _overlap(other, waiver):
            yield row


def _overlap(one: WaiverStatement, other: WaiverStatement) -> bool:
    """Whether a subject may be in scope of both: a side that does not name digests, or repositories, takes any."""
    digests = not one.digests or not other.digests or _meet(one.digests, other.digests)
    repositories = not one.repositories or not other.repositories or _meet(one.repositories, other.repositories)
    return digests and repositories


def _meet(one: Sequence[object], other: Sequence[object]) -> bool:
    return not set(one).isdisjoint(other)


def _require_room(recorded: Sequence[WaiverRow], policy: Policy, now: datetime) -> None:
    standing = sum(
        row.policy == policy.name and row.end is None and now < parse_waiver(row.statement).expires for row in recorded
    )
    if standing >= policy.limits.max_open_waivers:
        raise Refused(
            "waiver-limit",
            f"{standing} waivers stand under {policy.name}, which allows {policy.limits.max_open_waivers}",
            remedy="end one that is no longer needed: signer waiver end",
        )
