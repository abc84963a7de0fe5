# SPDX-License-Identifier: Apache-2.0
"""What reached which environment, and which releases were taken back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create both tables; they start empty, since neither kind of leaf existed before."""
    op.create_table(
        "deployment",
        sa.Column("leaf", _INDEX, autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_deployment_leaf"),
        sa.PrimaryKeyConstraint("leaf", name="pk_deployment"),
        sa.UniqueConstraint("id", name="uq_deployment_id"),
    )
    op.create_index("ix_deployment_sha256", "deployment", ["sha256"])
    op.create_index("ix_deployment_name", "deployment", ["name"])
    op.create_table(
        "revocation",
        sa.Column("leaf", _INDEX, autoincrement=False, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("time", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["leaf"], ["leaf.idx"], name="fk_revocation_leaf"),
        sa.PrimaryKeyConstraint("leaf", name="pk_revocation"),
    )
    op.create_index("ix_revocation_sha256", "revocation", ["sha256"])


def downgrade() -> None:
    """Drop both tables: they can be folded again."""
    op.drop_table("revocation")
    op.drop_table("deployment")
