# SPDX-License-Identifier: Apache-2.0
"""Brings a ledger database to the schema of this version (Alembic, without a configuration file)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine

from signer.errors import Misconfigured


def upgrade(engine: Engine) -> None:
    """Run every migration that the database has not seen, in one transaction.

    Raises Misconfigured for a database that a newer version made.
    """
    config = Config()
    # Alembic interpolates its options, so a percent sign in the path is doubled.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as fault:
            raise Misconfigured(
                "ledger-schema",
                f"the database is at a revision that this version does not know: {fault}",
                remedy="run the version that made it, or a newer one",
            ) from None
