# SPDX-License-Identifier: Apache-2.0
"""The reader's SQL, compiled once per engine. Every query is found through a key or an index."""

from __future__ import annotations

from sqlalchemy import Engine, bindparam, func, literal_column, select

from signer.db import tables
from signer.db.statements import Statement

SEVERAL = 64
"""Subjects that one statement asks for; the last stands again in the places that are left."""


class Queries:
    """One statement per question; each takes its values in the order of its names."""

    def __init__(self, engine: Engine) -> None:
        t = tables
        evidence, subject = t.evidence.c, t.evidence_subject.c
        active = select(t.activation, t.document.c.data).join(t.document)
        newest = select(func.max(t.activation.c.leaf)).where(t.activation.c.document == bindparam("document"))

        self.head = Statement(engine, select(t.head.c.size, t.head.c.edge, t.head.c.root), [])
        self.leaf = Statement(
            engine, select(t.leaf.c.hash, t.leaf.c.body).where(t.leaf.c.idx == bindparam("index")), ["index"]
        )
        self.leaves = Statement(
            engine,
            select(t.leaf.c.idx, t.leaf.c.hash, t.leaf.c.body)
            .where(t.leaf.c.idx >= bindparam("start"), t.leaf.c.idx < bindparam("stop"))
            .order_by(t.leaf.c.idx),
            ["start", "stop"],
        )
        self.document = Statement(
            engine,
            select(t.document.c.media_type, t.document.c.data).where(t.document.c.digest == bindparam("digest")),
            ["digest"],
        )
        self.active = Statement(
            engine,
            active.where(
                t.activation.c.leaf == newest.where(t.activation.c.name == bindparam("name")).scalar_subquery()
            ),
            ["document", "name"],
        )
        self.active_all = Statement(
            engine,
            active.where(t.activation.c.leaf.in_(newest.group_by(t.activation.c.name))).order_by(t.activation.c.name),
            ["document"],
        )
        self.trust = Statement(
            engine,
            select(t.trust.c.leaf, t.leaf.c.body, t.document.c.data)
            .join(t.leaf, t.leaf.c.idx == t.trust.c.leaf)
            .join(t.document, t.document.c.digest == t.trust.c.digest)
            .where(t.trust.c.leaf == select(func.max(t.trust.c.leaf)).scalar_subquery()),
            [],
        )
        self.evidence = Statement(engine, select(t.evidence).where(evidence.digest == bindparam("digest")), ["digest"])
        self.evidence_of = Statement(
            engine,
            select(t.evidence).join(t.evidence_subject).where(subject.subject == bindparam("subject")),
            ["subject"],
        )
        several = [f"subject_{number}" for number in range(SEVERAL)]
        self.evidence_of_several = Statement(
            engine,
            select(t.evidence)
            .distinct()
            .join(t.evidence_subject)
            .where(subject.subject.in_([bindparam(name) for name in several])),
            several,
        )
        self.evidence_subjects = Statement(
            engine,
            select(subject.subject).where(subject.digest == bindparam("digest")).order_by(subject.subject),
            ["digest"],
        )
        self.decision = Statement(
            engine, select(t.decision).where(t.decision.c.request == bindparam("request")), ["request"]
        )
        self.decision_at = Statement(engine, select(t.decision).where(t.decision.c.leaf == bindparam("leaf")), ["leaf"])
        self.open = Statement(engine, select(t.decision).join(t.open_decision).order_by(t.decision.c.leaf), [])
        shadow = t.shadow.c
        self.last_shadowed = Statement(
            engine,
            select(func.max(shadow.decision)).where(
                shadow.digest == bindparam("digest"), shadow.rule == literal_column("''")
            ),
            ["digest"],
        )
        self.shadow_counts = Statement(
            engine,
            select(shadow.rule, shadow.outcome, shadow.flip, func.count(), func.min(t.decision.c.time))
            .join(t.decision, t.decision.c.leaf == shadow.decision)
            .where(shadow.digest == bindparam("digest"))
            .group_by(shadow.rule, shadow.outcome, shadow.flip),
            ["digest"],
        )
        self.shadow_of = Statement(
            engine,
            select(t.shadow).where(shadow.decision == bindparam("decision")).order_by(shadow.digest, shadow.rule),
            ["decision"],
        )
        self.outcome = Statement(
            engine,
            select(t.outcome.c.leaf, t.leaf.c.hash, t.leaf.c.body)
            .join(t.leaf, t.leaf.c.idx == t.outcome.c.leaf)
            .where(t.outcome.c.decision == bindparam("decision")),
            ["decision"],
        )
        first = (
            select(func.min(t.decision.c.leaf))
            .join(t.decision_subject, t.decision_subject.c.leaf == t.decision.c.leaf)
            .join(t.outcome, t.outcome.c.decision == t.decision.c.leaf)
            .where(
                t.decision_subject.c.digest == bindparam("subject"),
                t.decision.c.policy == bindparam("policy"),
                t.outcome.c.status == bindparam("status"),
            )
            .group_by(t.decision.c.environment)
        )
        self.first_signed = Statement(
            engine,
            select(t.decision.c.environment, t.decision.c.time, t.leaf.c.hash)
            .join(t.leaf, t.leaf.c.idx == t.decision.c.leaf)
            .where(t.decision.c.leaf.in_(first))
            .order_by(t.decision.c.leaf),
            ["subject", "policy", "status"],
        )
        ended = t.leaf.alias("ended")
        self.concluded = Statement(
            engine,
            select(t.decision.c.leaf, t.leaf.c.hash, t.leaf.c.body, t.outcome.c.leaf, ended.c.hash, ended.c.body)
            .join(t.leaf, t.leaf.c.idx == t.decision.c.leaf)
            .join(t.outcome, t.outcome.c.decision == t.decision.c.leaf)
            .join(ended, ended.c.idx == t.outcome.c.leaf)
            .where(t.decision.c.request == bindparam("request")),
            ["request"],
        )
        self.replay = Statement(
            engine,
            select(t.idempotency.c.body, t.idempotency.c.request, t.idempotency.c.decision).where(
                t.idempotency.c.principal == bindparam("principal"), t.idempotency.c.key == bindparam("key")
            ),
            ["principal", "key"],
        )
        self.keys = Statement(engine, select(t.key_event).order_by(t.key_event.c.leaf), [])
        ending = t.waiver_end.c
        self.waivers = Statement(
            engine,
            select(t.waiver, t.document.c.data, ending.leaf, ending.reason, ending.principal, ending.time)
            .join(t.document, t.document.c.digest == t.waiver.c.digest)
            .outerjoin(t.waiver_end, ending.waiver == t.waiver.c.digest)
            .order_by(t.waiver.c.leaf),
            [],
        )
        used = t.decision.c
        uses = (
            select(used.leaf, used.subjects, used.environment, used.policy_digest, used.evidence, t.outcome.c.status)
            .outerjoin(t.outcome, t.outcome.c.decision == used.leaf)
            .order_by(used.leaf)
        )
        self.waiver_uses = Statement(
            engine,
            uses.join(t.waiver_use, t.waiver_use.c.decision == used.leaf).where(
                t.waiver_use.c.waiver == bindparam("waiver")
            ),
            ["waiver"],
        )
        deployed = t.deployment.c
        earliest = (
            select(func.min(deployed.leaf))
            .where(
                deployed.sha256 == bindparam("sha256"),
                deployed.policy == bindparam("policy"),
                deployed.status == literal_column("'deployed'"),
            )
            .group_by(deployed.environment)
        )
        self.first_deployed = Statement(
            engine,
            select(deployed.environment, deployed.time, t.leaf.c.hash)
            .join(t.leaf, t.leaf.c.idx == deployed.leaf)
            .where(deployed.leaf.in_(earliest))
            .order_by(deployed.leaf),
            ["sha256", "policy"],
        )
        self.evidence_named = Statement(
            engine,
            select(t.evidence_name.c.digest)
            .where(t.evidence_name.c.name == bindparam("name"))
            .order_by(t.evidence_name.c.digest),
            ["name"],
        )
        self.activation_leaf = Statement(
            engine,
            select(func.min(t.activation.c.leaf)).where(
                t.activation.c.digest == bindparam("digest"), t.activation.c.document != literal_column("'shadow'")
            ),
            ["digest"],
        )
        self.trust_leaf = Statement(
            engine, select(func.max(t.trust.c.leaf)).where(t.trust.c.leaf < bindparam("before")), ["before"]
        )
        self.deployment = Statement(engine, select(deployed.leaf).where(deployed.id == bindparam("id")), ["id"])
        self.revocations = Statement(engine, select(t.revocation).order_by(t.revocation.c.leaf), [])
        self.repositories = Statement(
            engine,
            select(t.decision_source.c.repository)
            .distinct()
            .join(t.decision_subject, t.decision_subject.c.leaf == t.decision_source.c.leaf)
            .join(t.decision, t.decision.c.leaf == t.decision_source.c.leaf)
            .where(t.decision.c.policy == bindparam("policy"), t.decision_subject.c.digest == bindparam("subject"))
            .order_by(t.decision_source.c.repository),
            ["policy", "subject"],
        )
        self.approval_uses = Statement(
            engine,
            uses.join(t.approval_use, t.approval_use.c.decision == used.leaf).where(
                t.approval_use.c.approval == bindparam("approval")
            ),
            ["approval"],
        )
        self._ask_for_holds(engine)
        self.key_use = Statement(engine, select(t.key_use), [])
        self.halted = Statement(
            engine,
            select(t.halt).where(
                t.halt.c.leaf == select(func.max(t.halt.c.leaf)).where(t.halt.c.resumed.is_(None)).scalar_subquery()
            ),
            [],
        )
        self.covering = Statement(
            engine,
            select(t.checkpoint).where(
                t.checkpoint.c.size
                == select(func.min(t.checkpoint.c.size))
                .where(t.checkpoint.c.size > bindparam("leaf"))
                .scalar_subquery()
            ),
            ["leaf"],
        )
        self.latest = Statement(
            engine,
            select(t.checkpoint).where(t.checkpoint.c.size == select(func.max(t.checkpoint.c.size)).scalar_subquery()),
            [],
        )

    def _ask_for_holds(self, engine: Engine) -> None:
        """Statements about holds and what people say of them."""
        t = tables
        hold, decision, approval, revoked = t.hold.c, t.decision.c, t.approval.c, t.approval_revocation.c
        allowed = t.decision.alias("allowed").c
        closed = (
            select(literal_column("1"))
            .where(
                t.decision_subject.c.leaf == allowed.leaf,
                t.decision_subject.c.digest == literal_column("'sha256:'").concat(hold.sha256),
                t.decision_subject.c.leaf > hold.leaf,
                allowed.environment == hold.environment,
                allowed.policy == hold.policy,
                allowed.verdict == literal_column("'allow'"),
            )
            .exists()
        )
        later = t.hold.alias("later").c
        superseded = (
            select(literal_column("1"))
            .where(
                later.sha256 == hold.sha256,
                later.environment == hold.environment,
                later.policy == hold.policy,
                later.leaf > hold.leaf,
            )
            .exists()
        )
        self.hold_rows = (
            select(
                hold.leaf,
                decision.request,
                decision.time,
                decision.principal,
                hold.sha256,
                hold.environment,
                hold.policy,
                hold.policy_digest,
                hold.cited,
                hold.answers,
                closed,
                superseded,
            )
            .join_from(t.hold, t.decision, decision.leaf == hold.leaf)
            .order_by(hold.leaf.desc())
        )
        self.hold = Statement(engine, self.hold_rows.where(decision.request == bindparam("request")), ["request"])
        newest = select(func.max(later.leaf)).where(
            later.sha256 == bindparam("sha256"),
            later.environment == bindparam("environment"),
            later.policy == bindparam("policy"),
        )
        self.newest_hold = Statement(
            engine,
            self.hold_rows.where(hold.leaf == newest.scalar_subquery()),
            ["sha256", "environment", "policy"],
        )
        rows = (
            select(t.approval, t.document.c.data, revoked.leaf, revoked.reason, revoked.principal, revoked.time)
            .join(t.document, t.document.c.digest == approval.digest)
            .outerjoin(t.approval_revocation, revoked.approval == approval.digest)
            .order_by(approval.leaf)
        )
        self.approvals_of = Statement(engine, rows.where(approval.hold == bindparam("hold")), ["hold"])
        self.approval = Statement(engine, rows.where(approval.digest == bindparam("digest")), ["digest"])
