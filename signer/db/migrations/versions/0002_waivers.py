# SPDX-License-Identifier: Apache-2.0
"""Waivers, their ends and their uses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "waiver",
        sa.Column("leaf", _INDEX, autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("approver", sa.Text(), nullable=False),
        sa.Column("renewal", sa.Integer(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["document.digest"], name="fk_waiver_digest"),
        sa.ForeignKeyConstraint(["envelope"], ["document.digest"], name="fk_waiver_envelope"),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_waiver_leaf"),
        sa.PrimaryKeyConstraint("leaf", name="pk_waiver"),
        sa.UniqueConstraint("digest", name="uq_waiver_digest"),
    )
    op.create_table(
        "waiver_end",
        sa.Column("waiver", sa.Text(), nullable=False),
        sa.Column("leaf", _INDEX, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_waiver_end_leaf"),
        sa.ForeignKeyConstraint(["waiver"], ["waiver.digest"], name="fk_waiver_end_waiver"),
        sa.PrimaryKeyConstraint("waiver", name="pk_waiver_end"),
    )
    op.create_table(
        "waiver_use",
        sa.Column("waiver", sa.Text(), nullable=False),
        sa.Column("decision", _INDEX, nullable=False),
        sa.ForeignKeyConstraint(["decision"], ["decision.leaf"], name="fk_waiver_use_decision"),
        sa.ForeignKeyConstraint(["waiver"], ["waiver.digest"], name="fk_waiver_use_waiver"),
        sa.PrimaryKeyConstraint("waiver", "decision", name="pk_waiver_use"),
        sqlite_with_rowid=False,
    )
