# SPDX-License-Identifier: Apache-2.0
"""/v1/holds/{request}: one hold as it is to be approved: answers, evidence, what was said, what differs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response

from policy.facts import Facts
from signer.errors import Unavailable
from signer.formats.approval import parse_approval
from signer.formats.canonical import canonical
from signer.formats.facts import decode_facts
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.strict_json import parse_object
from signer.ledger.documents import MAX_DOCUMENT
from signer.ledger.leaves import Genesis, decode_leaf
from signer.ledger.rows import ApprovalRow, DecisionRow, HoldRow
from signer.web.admission import Caller, caller, out_of_reach
from signer.web.answers import JSON
from signer.web.application import Application
from signer.web.decisions import document_of, stored
from signer.web.differences import differences
from signer.web.resource import Answer, Resource

MAX_LOOKED_AT = 50
"""Earlier decisions among which the last release is looked for."""
_REQUEST = re.compile(r"[0-9a-f]{32}")


def holds(application: Application) -> Blueprint:
    """The resource of holds."""
    resource = Resource("holds", "What waits for people, as they have to see it.")

    @resource.get("/v1/holds/<string:request>", Answer(schema={"type": "object"}, description="Everything about it"))
    def show(request: str) -> Response:
        """Show one hold: the decision, each piece of evidence and when it came, what was said, and what is new."""
        row = application.reader.hold(request) if _REQUEST.fullmatch(request) else None
        decision = None if row is None else application.reader.decision(request)
        if row is None or decision is None or not may_see(caller(), row):
            raise out_of_reach()
        shown = {"caller": caller().principal.id, **_sheet(row, decision, application)}
        return Response(canonical(shown), mimetype=JSON)

    return resource.blueprint


def may_see(asking: Caller, row: HoldRow) -> bool:
    """Whether a grant lets the caller see this hold."""
    return any(
        asking.allows(action, policy=row.policy, environment=row.environment)
        for action in ("approve", "read", "audit", "sign")
    )


def hold_object(row: HoldRow, application: Application) -> dict[str, Any]:
    """A hold as a JSON object, with what people said of it."""
    said = application.reader.approvals_of(row.leaf)
    return {
        "request_id": row.request_id,
        "leaf": row.leaf,
        "time": format_time(row.time),
        "state": _state(row, said, application),
        "principal": row.principal,
        "sha256": row.sha256,
        "environment": row.environment,
        "policy": {"name": row.policy, "digest": row.policy_digest},
        "cited": row.cited,
        "answers": row.answers,
        "approvals": [_approval(each) for each in said],
    }


def _state(row: HoldRow, said: tuple[ApprovalRow, ...], application: Application) -> str:
    in_force = application.documents.policy(row.policy)
    if row.closed:
        return "released"
    if row.superseded or in_force is None or in_force.policy.digest != row.policy_digest:
        return "superseded"
    rejected = any(each.verb == "reject" and each.revocation is None for each in said)
    return "rejected" if rejected else "waiting"


def _approval(row: ApprovalRow) -> dict[str, Any]:
    statement = parse_approval(row.statement)
    revoked = row.revocation
    return {
        "digest": row.digest,
        "leaf": row.leaf,
        "verb": row.verb,
        "approver": statement.approver,
        "person": row.person,
        "groups": list(row.groups),
        "at": format_time(row.at),
        "form": "signed" if row.kid else "recorded",
        "reason": statement.reason,
        "reasons": dict(statement.reasons),
        "revoked": None
        if revoked is None
        else {"leaf": revoked.leaf, "reason": revoked.reason, "time": format_time(revoked.time)},
    }


def _sheet(row: HoldRow, decision: DecisionRow, application: Application) -> dict[str, Any]:
    genesis = decode_leaf(application.reader.leaf(0))
    if not isinstance(genesis, Genesis):
        raise Unavailable("ledger-unavailable", "leaf 0 is not a genesis leaf")
    facts = _facts(decision, application)
    return {
        "origin": genesis.origin,
        "hold": hold_object(row, application),
        "decision": parse_object(document_of(application, decision), limit=4 * MAX_DOCUMENT),
        "evidence": list(_evidence(facts, application)),
        "compared": _compared(row, facts, application),
    }


def _facts(row: DecisionRow, application: Application) -> Facts:
    return decode_facts(stored(application, row.facts))


def _compared(row: HoldRow, facts: Facts, application: Application) -> dict[str, Any] | None:
    """What runs there now, by the last recorded deployment, else the last release; and what differs from it."""
    deployed = next(
        (
            each
            for each in application.reader.deployments(
                policy=row.policy, environment=row.environment, limit=MAX_LOOKED_AT
            )
            if each.body.status == "deployed" and each.body.digest
        ),
        None,
    )
    if deployed is None:
        before = _last_release(row, application)
        what, sha256, time = ("released", before.first, format_time(before.time)) if before else ("", "", "")
    else:
        what, sha256, time = "deployed", deployed.body.digest, deployed.body.time
        before = _release_of(sha256, row, application)
    if not what:
        return None
    told = [] if before is None else differences(_facts(before, application), facts)
    return {"as": what, "sha256": sha256, "time": time, "known": before is not None, "differences": told}


def _release_of(sha256: str, row: HoldRow, application: Application) -> DecisionRow | None:
    """The last decision that allowed a digest for the same environment."""
    found = application.reader.decisions(
        digest=f"sha256:{sha256}", policy=row.policy, environment=row.environment, verdict="allow", limit=1
    )
    return found[0] if found else None


def _last_release(row: HoldRow, application: Application) -> DecisionRow | None:
    """The last signed release of another digest for this environment; None when there is none of late."""
    allowed = application.reader.decisions(
        policy=row.policy, environment=row.environment, verdict="allow", before=row.leaf, limit=MAX_LOOKED_AT
    )
    for each in allowed:
        outcome = application.reader.outcome(each.leaf) if each.first != row.sha256 and each.count == 1 else None
        if outcome is not None and outcome.status == "signed":
            return each
    return None


def _evidence(facts: Facts, application: Application) -> Iterator[dict[str, Any]]:
    """Each piece of evidence that was considered, and when the ledger received it."""
    seen: set[str] = set()
    for item in facts.evidence.items():
        held = None if item.origin.digest in seen else application.reader.evidence(item.origin.digest)
        seen.add(item.origin.digest)
        if held is not None:
            leaf = decode_leaf(application.reader.leaf(held.leaf))
            yield {
                "digest": held.digest,
                "kind": held.kind,
                "by": item.origin.key or item.origin.submitter,
                "received": format_time(parse_time(leaf.time, what="time of the leaf")),
            }
