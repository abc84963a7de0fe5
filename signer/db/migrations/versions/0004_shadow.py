# SPDX-License-Identifier: Apache-2.0
"""What rules and policies in shadow would have said of each decision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table; it starts empty, since nothing was in shadow before."""
    op.create_table(
        "shadow",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("decision", _INDEX, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("flip", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["decision"], ["decision.leaf"], name="fk_shadow_decision"),
        sa.PrimaryKeyConstraint("digest", "rule", "decision", name="pk_shadow"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_shadow_decision", "shadow", ["decision"])


def downgrade() -> None:
    """Drop the table: it can be folded again."""
    op.drop_table("shadow")
