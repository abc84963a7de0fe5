# SPDX-License-Identifier: Apache-2.0
"""Events in a key's life after its making, and how often each key was called."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what later events say, empty for the events that stand; count the calls of recorded outcomes at a rebuild."""
    for name in ("succeeds", "since", "reason"):
        op.add_column("key_event", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "key_use",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kid", name="pk_key_use"),
    )
