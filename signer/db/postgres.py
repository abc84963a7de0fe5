# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL: durability asserted on every connection, transactions begun by hand, every wait bounded.

The head row is the lock: whoever moves it first holds it until its commit, and the next one then finds a size that it
did not expect. So READ COMMITTED is enough, and no index comes from a sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from signer.errors import Misconfigured

BEGIN = "BEGIN"

_CONNECT_SECONDS = 5
_SESSION: Mapping[str, str] = {
    "default_transaction_isolation": r"read\ committed",
    # A writer that waits longer for the head answers 503 and looks again.
    "lock_timeout": "2000",
    "statement_timeout": "10000",
    "idle_in_transaction_session_timeout": "10000",
    "client_encoding": "UTF8",
}
_DURABLE: Mapping[str, tuple[str, ...]] = {
    # setting: (what may be read back). A standby is waited for as the server's own settings say.
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply"),
    "server_encoding": ("UTF8",),
}


def open_postgres(url: URL, *, read_only: bool) -> Engine:
    """An engine for one database; connecting raises Misconfigured where a committed transaction could be lost."""
    session = {**_SESSION, "default_transaction_read_only": "on" if read_only else "off"}
    options = " ".join(f"-c {name}={value}" for name, value in session.items())
    engine = create_engine(url, connect_args={"options": options, "connect_timeout": _CONNECT_SECONDS})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: ConnectionPoolEntry) -> None:
        # The driver would begin a transaction before our BEGIN; each read alone sees one committed state.
        connection.autocommit = True
        for name, expected in _DURABLE.items():
            found = connection.execute(f"SHOW {name}").fetchone()[0]
            if found not in expected:
                raise Misconfigured(
                    "database-unsafe",
                    f"the database keeps {name}={found!r} where {' or '.join(expected)} is needed",
                    remedy="correct the server's settings: a committed transaction must survive a power loss",
                )

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(BEGIN)

    return engine
