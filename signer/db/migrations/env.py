# SPDX-License-Identifier: Apache-2.0
"""Alembic runs this file; the connection comes from `upgrade`."""

from __future__ import annotations

from alembic import context

from signer.db.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
