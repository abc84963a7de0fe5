# SPDX-License-Identifier: Apache-2.0
"""All tables of the first version.

A migration stands as it was written: it repeats `signer.db.tables` of its day and never imports it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "checkpoint",
        sa.Column("size", _INDEX, autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_checkpoint"),
    )
    op.create_table(
        "document",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_document"),
    )
    op.create_table(
        "head",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("edge", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_head"),
    )
    op.create_table(
        "leaf",
        sa.Column("idx", _INDEX, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("idx", name="pk_leaf"),
    )
    op.create_table(
        "subtree",
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "n", name="pk_subtree"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "activation",
        sa.Column("leaf", _INDEX, autoincrement=False, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["document.digest"], name="fk_activation_digest"),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_activation_leaf"),
        sa.PrimaryKeyConstraint("leaf", name="pk_activation"),
        sa.UniqueConstraint("document", "name", "version", name="uq_activation_document_name_version"),
    )
    op.create_table(
        "decision",
        sa.Column("leaf", _INDEX, autoincrement=False, nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("policy_version", sa.BigInteger(), nullable=False),
        sa.Column("policy_digest", sa.Text(), nullable=False),
        sa.Column("access", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("subjects", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("first", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_decision_leaf"),
        sa.PrimaryKeyConstraint("leaf", name="pk_decision"),
        sa.UniqueConstraint("request", name="uq_decision_request"),
    )
    op.create_index("ix_decision_environment_leaf", "decision", ["environment", "leaf"])
    op.create_index("ix_decision_policy_leaf", "decision", ["policy", "leaf"])
    op.create_index("ix_decision_principal_leaf", "decision", ["principal", "leaf"])
    op.create_index("ix_decision_time", "decision", ["time"])
    op.create_index("ix_decision_verdict_leaf", "decision", ["verdict", "leaf"])
    op.create_table(
        "evidence",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("leaf", _INDEX, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_evidence_leaf"),
        sa.PrimaryKeyConstraint("digest", name="pk_evidence"),
    )
    op.create_table(
        "halt",
        sa.Column("leaf", _INDEX, autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.Column("resumed", _INDEX, nullable=True),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_halt_leaf"),
        sa.ForeignKeyConstraint(["resumed"], ["leaf.idx"], name="fk_halt_resumed"),
        sa.PrimaryKeyConstraint("leaf", name="pk_halt"),
    )
    op.create_table(
        "key_event",
        sa.Column("leaf", _INDEX, autoincrement=False, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("spki", sa.LargeBinary(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_key_event_leaf"),
        sa.PrimaryKeyConstraint("leaf", name="pk_key_event"),
    )
    op.create_table(
        "trust",
        sa.Column("leaf", _INDEX, autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["document.digest"], name="fk_trust_digest"),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_trust_leaf"),
        sa.PrimaryKeyConstraint("leaf", name="pk_trust"),
        sa.UniqueConstraint("version", name="uq_trust_version"),
    )
    op.create_table(
        "decision_source",
        sa.Column("leaf", _INDEX, nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("commit", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["leaf"], ["decision.leaf"], name="fk_decision_source_leaf"),
        sa.PrimaryKeyConstraint("leaf", "repository", "commit", name="pk_decision_source"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_decision_source_commit_leaf", "decision_source", ["commit", "leaf"])
    op.create_index("ix_decision_source_repository_leaf", "decision_source", ["repository", "leaf"])
    op.create_table(
        "decision_subject",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("leaf", _INDEX, nullable=False),
        sa.ForeignKeyConstraint(["leaf"], ["decision.leaf"], name="fk_decision_subject_leaf"),
        sa.PrimaryKeyConstraint("digest", "leaf", name="pk_decision_subject"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "evidence_subject",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["evidence.digest"], name="fk_evidence_subject_digest"),
        sa.PrimaryKeyConstraint("digest", "subject", name="pk_evidence_subject"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_evidence_subject_subject", "evidence_subject", ["subject"])
    op.create_table(
        "idempotency",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("decision", _INDEX, nullable=False),
        sa.ForeignKeyConstraint(["decision"], ["decision.leaf"], name="fk_idempotency_decision"),
        sa.PrimaryKeyConstraint("principal", "key", name="pk_idempotency"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "open_decision",
        sa.Column("decision", _INDEX, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["decision"], ["decision.leaf"], name="fk_open_decision_decision"),
        sa.PrimaryKeyConstraint("decision", name="pk_open_decision"),
    )
    op.create_table(
        "outcome",
        sa.Column("decision", _INDEX, autoincrement=False, nullable=False),
        sa.Column("leaf", _INDEX, nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["decision"], ["decision.leaf"], name="fk_outcome_decision"),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_outcome_leaf"),
        sa.PrimaryKeyConstraint("decision", name="pk_outcome"),
    )
