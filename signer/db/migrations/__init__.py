# SPDX-License-Identifier: Apache-2.0
"""Brings a ledger database to the schema of this version (Alembic, without a configuration file)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine


def upgrade(engine: Engine) -> None:
    """Run every migration that the database has not seen, in one transaction."""
    config = Config()
    # Alembic interpolates its options, so a percent sign in the path is doubled.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
