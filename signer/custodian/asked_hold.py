# SPDX-License-Identifier: Apache-2.0
"""A hold as people are asked about it, and what a statement about it has to fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from policy.document import Policy
from policy.facts import Facts
from policy.questions import recorded_answers
from signer.custodian.judging import out_of_reach
from signer.custodian.protocols import Reader
from signer.custodian.standing import Standing
from signer.domain.principal import Principal
from signer.domain.subject import Subject
from signer.errors import Malformed, Refused
from signer.formats.approval import ApprovalStatement
from signer.formats.facts import decode_facts
from signer.formats.findings import decode_decision
from signer.formats.rfc3339 import format_time
from signer.formats.strict_json import parse_object
from signer.identity.access import Access
from signer.ledger.documents import MAX_DOCUMENT
from signer.ledger.rows import ApprovalRow, HoldRow

MAX_AGE = timedelta(days=1)
"""How old a statement may be when it is brought."""
_AGAIN = "the pipeline sends the request again, and people approve what it is held on then"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedHold:
    """A hold as people are asked about it: the recorded decision, and what is in force now."""

    row: HoldRow
    subject: Subject
    facts: Facts
    answered: Mapping[str, str]
    against: frozenset[str]
    """Ids of the questions whose answers speak against the release."""
    policy: Policy
    access: Access

    def may_approve(self, principal: Principal) -> bool:
        """Whether the grants reach this hold, with every repository that trusted provenance names."""
        built = {item.repository or "" for item in self.facts.evidence.provenance if item.builder is not None}
        return all(
            self.access.allows(
                principal,
                action="approve",
                policy=self.row.policy,
                environment=self.row.environment,
                repository=repository,
            )
            for repository in built or {""}
        )


def ask_about(request_id: str, *, standing: Standing, reader: Reader) -> AskedHold:
    """The hold of a request id; raises Refused when there is none, or none that can be approved any more."""
    row, decision = reader.hold(request_id), reader.decision(request_id)
    if row is None or decision is None or standing.access is None:
        raise out_of_reach()
    policy = standing.policies.get(row.policy)
    if policy is None or row.environment not in policy.environments:
        raise out_of_reach()
    found = reader.contents([decision.facts, decision.findings, decision.subjects])
    (entry,) = parse_object(found[decision.subjects], limit=MAX_DOCUMENT, what="subjects document")["subjects"]
    subject = Subject.of(entry["name"], entry["digest"])
    answered, digest = recorded_answers(
        decode_decision(found[decision.findings]).findings,
        policy_digest=row.policy_digest,
        environment=row.environment,
        subjects=((subject.name, subject.sha256),),
    )
    if digest != row.answers:
        # Another version of this program answers otherwise: nobody can approve what is not shown any more.
        raise Refused("hold-superseded", "the questions were answered otherwise when this was held", remedy=_AGAIN)
    return AskedHold(
        row=row,
        subject=subject,
        facts=decode_facts(found[decision.facts]),
        answered={each.id: each.answer for each in answered},
        against=frozenset(each.id for each in answered if not each.good),
        policy=policy,
        access=standing.access,
    )


def require_bound(statement: ApprovalStatement, asked: AskedHold) -> None:
    """Digest, environment, policy, evidence and answers: the very ones of the hold."""
    row = asked.row
    bound = (
        ("the subject", statement.subject, asked.subject),
        ("the environment", statement.environment, row.environment),
        ("the policy", (statement.policy, statement.policy_digest), (row.policy, row.policy_digest)),
        ("the cited evidence", statement.cited, row.cited),
        ("the answers", (statement.answers, dict(statement.answered)), (row.answers, dict(asked.answered))),
    )
    for what, stated, held in bound:
        if stated != held:
            raise Refused(
                "approval-mismatch",
                f"{what} of the approval is not that of the hold {row.request_id}",
                remedy="look at the hold again and approve what it shows: signer approve",
            )


def require_fresh(statement: ApprovalStatement, asked: AskedHold, now: datetime) -> None:
    """Neither from before the hold nor from the future, and brought within a day."""
    skew = asked.policy.clock_skew
    if statement.at > now + skew or statement.at < asked.row.time - skew or now - statement.at > MAX_AGE:
        raise Refused(
            "approval-stale",
            f"the approval says {format_time(statement.at)}, and the hold is of {format_time(asked.row.time)}",
            remedy="approve it again, with a clock that is right",
        )


def require_open(statement: ApprovalStatement, asked: AskedHold, said: Iterable[ApprovalRow]) -> None:
    """The hold still waits for such a word, and nobody rejected what is to be approved."""
    row = asked.row
    if statement.verb in ("cosign", "review"):
        # These belong to a break-glass hold, and no request can ask for one: kept here, they would count for nothing.
        raise Refused(
            "approval-mismatch",
            f"the hold {row.request_id} is no break-glass hold, and {statement.verb} says something about one",
            remedy="approve or reject it: signer approve, signer reject",
        )
    if row.superseded or row.policy_digest != asked.policy.digest:
        what = "another version of the policy is in force" if not row.superseded else "other evidence decides now"
        raise Refused("hold-superseded", f"the hold {row.request_id} lapsed: {what}", remedy=_AGAIN)
    if row.closed:
        raise Refused("hold-closed", f"the hold {row.request_id} was answered by a release", remedy=_AGAIN)
    rejected = any(each.verb == "reject" and each.revocation is None for each in said)
    if rejected and statement.verb == "approve":
        raise Refused(
            "hold-rejected",
            f"the hold {row.request_id} was rejected",
            remedy="whoever rejected it takes that back: signer approval revoke",
        )


def require_reasons(statement: ApprovalStatement, asked: AskedHold) -> None:
    """Whoever approves against an answer says why."""
    missing = sorted(asked.against - statement.reasons.keys()) if statement.verb == "approve" else []
    if missing:
        raise Malformed(
            "reason-missing",
            f"the answers to {', '.join(missing)} speak against the release, and no reason is given",
            remedy="write why it is approved all the same: signer approve --template FILE, then --reasons FILE",
        )
