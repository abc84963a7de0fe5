# SPDX-License-Identifier: Apache-2.0
"""Holds, approvals, their revocations and their uses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the four tables; they start empty, since nobody could approve before."""
    op.create_table(
        "hold",
        sa.Column("leaf", _INDEX, autoincrement=False, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("policy_digest", sa.Text(), nullable=False),
        sa.Column("cited", sa.Text(), nullable=False),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["leaf"], ["decision.leaf"], name="fk_hold_leaf"),
        sa.PrimaryKeyConstraint("leaf", name="pk_hold"),
    )
    op.create_index("ix_hold_sha256_environment_policy_leaf", "hold", ["sha256", "environment", "policy", "leaf"])
    op.create_table(
        "approval",
        sa.Column("leaf", _INDEX, autoincrement=False, nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("hold", _INDEX, nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["document.digest"], name="fk_approval_digest"),
        sa.ForeignKeyConstraint(["hold"], ["hold.leaf"], name="fk_approval_hold"),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_approval_leaf"),
        sa.PrimaryKeyConstraint("leaf", name="pk_approval"),
        sa.UniqueConstraint("digest", name="uq_approval_digest"),
    )
    op.create_index("ix_approval_hold", "approval", ["hold"])
    op.create_table(
        "approval_revocation",
        sa.Column("approval", sa.Text(), nullable=False),
        sa.Column("leaf", _INDEX, nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["approval"], ["approval.digest"], name="fk_approval_revocation_approval"),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_approval_revocation_leaf"),
        sa.PrimaryKeyConstraint("approval", name="pk_approval_revocation"),
    )
    op.create_table(
        "approval_use",
        sa.Column("approval", sa.Text(), nullable=False),
        sa.Column("decision", _INDEX, nullable=False),
        sa.ForeignKeyConstraint(["approval"], ["approval.digest"], name="fk_approval_use_approval"),
        sa.ForeignKeyConstraint(["decision"], ["decision.leaf"], name="fk_approval_use_decision"),
        sa.PrimaryKeyConstraint("approval", "decision", name="pk_approval_use"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the tables: they can be folded again."""
    for name in ("approval_use", "approval_revocation", "approval", "hold"):
        op.drop_table(name)
