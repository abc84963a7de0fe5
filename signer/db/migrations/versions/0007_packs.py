# SPDX-License-Identifier: Apache-2.0
"""Signed manifests of evidence packs, and evidence by the name of what it speaks of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables; names of older evidence come with the next rebuild of the projections."""
    op.create_table(
        "evidence_name",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["evidence.digest"], name="fk_evidence_name_digest"),
        sa.PrimaryKeyConstraint("name", "digest", name="pk_evidence_name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pack",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", "size", name="pk_pack"),
    )


def downgrade() -> None:
    """Drop both tables; a manifest of the same size is signed again with the same bytes."""
    op.drop_table("pack")
    op.drop_table("evidence_name")
