# SPDX-License-Identifier: Apache-2.0
"""The way to the authority on its own machine: the admin socket, and the ledger's database.

These commands need the server's libraries, so everything here is imported when it is called.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from signer.domain.algorithm import parse_algorithm
from signer.domain.purpose import parse_purpose
from signer.errors import Malformed, Misconfigured, Refused, Unavailable
from signer.formats.replay_record import (
    DecisionRecord,
    PolicyRecord,
    RecordedPolicy,
    encode_decision,
    encode_policy,
)
from signer.formats.rfc3339 import format_time
from signer.formats.trust import KeyStatus, TrustKey
from signer.tlog.tiles import Tile

if TYPE_CHECKING:
    from signer.custodian.commands import Command, Failed
    from signer.ledger.key_calls import KeyCall
    from signer.ledger.key_life import KeyLife
    from signer.ledger.reader import Reader

TIMEOUT = 60.0
_PAGE = 200
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def add_key(config: Path, *, name: str, generate: bool, succeeds: str) -> int:
    """Record a key of the settings; the index of its leaf."""
    from signer.custodian.commands import AddKey  # noqa: PLC0415 - see the module

    return _ask(config, AddKey(principal=_principal(), name=name, generate=generate, succeeds=succeeds))


def change_key(config: Path, *, event: str, name: str, reason: str = "", since: datetime | None = None) -> int:
    """Rotate, retire or report a recorded key; the index of the leaf that says so."""
    from signer.custodian.commands import KeyEvent  # noqa: PLC0415 - see the module

    when = "" if since is None else format_time(since)
    return _ask(config, KeyEvent(principal=_principal(), event=event, name=name, since=when, reason=reason))


def key_lives(config: Path) -> Mapping[str, KeyLife]:
    """Every recorded key by its name, as the ledger's database has it."""
    from signer.ledger.key_life import key_lives  # noqa: PLC0415 - see the module
    from signer.settings import load_settings  # noqa: PLC0415 - see the module

    return key_lives(_reader(load_settings(config).ledger.database).keys())


def calls_since(config: Path, *, kid: str, since: datetime) -> tuple[KeyCall, ...]:
    """What the key `kid` was called for since an instant, the newest first."""
    from signer.ledger.key_calls import key_calls  # noqa: PLC0415 - see the module
    from signer.settings import load_settings  # noqa: PLC0415 - see the module

    return tuple(key_calls(_reader(load_settings(config).ledger.database), kid=kid, since=since))


def publish_trust(config: Path, *, document: bytes, signatures: tuple[bytes, ...]) -> int:
    """Put a trust document in force; the index of its leaf."""
    from signer.custodian.commands import UpdateTrust  # noqa: PLC0415 - see the module

    return _ask(config, UpdateTrust(principal=_principal(), data=document, signatures=signatures))


def activate_document(
    config: Path, *, document: str, data: bytes, signatures: tuple[bytes, ...], acknowledged: tuple[str, ...] = ()
) -> int:
    """Put a `policy` or `access` document in force, or a policy in `shadow`; the index of its leaf."""
    from signer.custodian.commands import Activate  # noqa: PLC0415 - see the module

    command = Activate(
        principal=_principal(), document=document, data=data, signatures=signatures, acknowledged=acknowledged
    )
    return _ask(config, command)


def halt_signing(config: Path, *, reason: str) -> int:
    """Stop all signing; the index of the halt leaf."""
    from signer.custodian.commands import Halt  # noqa: PLC0415 - see the module

    return _ask(config, Halt(principal=_principal(), reason=reason))


def resume_signing(config: Path, *, halt_index: int, signatures: tuple[bytes, ...]) -> int:
    """Sign again; the index of the resume leaf."""
    from signer.custodian.commands import Resume  # noqa: PLC0415 - see the module

    return _ask(config, Resume(principal=_principal(), halt_index=halt_index, signatures=signatures))


def recorded(config: Path) -> tuple[bytes | None, bytes, tuple[TrustKey, ...]]:
    """The trust file in force (None before the first), the genesis leaf, and every key as its life stands."""
    from signer.settings import load_settings  # noqa: PLC0415 - see the module

    reader = _reader(load_settings(config).ledger.database)
    row = reader.trust()
    keys = tuple(_trust_key(life) for life in key_lives(config).values())
    return None if row is None else row.file, reader.leaf(0), keys


def _trust_key(life: KeyLife) -> TrustKey:
    row = life.created
    statuses: dict[str, KeyStatus] = {"retired": "retired", "compromised": "compromised"}
    return TrustKey(
        name=row.name,
        kid=row.kid,
        spki=row.spki,
        purpose=parse_purpose(row.purpose),
        algorithm=parse_algorithm(row.algorithm),
        status=statuses.get(life.status, "active"),
        not_before=row.time,
        not_after=None if life.ended is None else life.since or life.ended.time,
    )


def recorded_decisions(
    database: str, *, policy: str, environment: str | None, since: datetime | None, until: datetime | None
) -> Iterator[bytes]:
    """Recorded decisions of one policy with their facts, newest first, as lines of `signer.formats.replay_record`."""
    reader = _database(database)
    before: int | None = None
    known: set[str] = set()
    while True:
        rows = reader.decisions(
            policy=policy, environment=environment, since=since, until=until, before=before, limit=_PAGE
        )
        for row in rows:
            if row.policy.digest not in known:
                known.add(row.policy.digest)
                data = reader.contents([row.policy.digest])[row.policy.digest]
                yield encode_policy(PolicyRecord(digest=row.policy.digest, data=data))
            found = reader.contents([row.facts, row.findings])
            yield encode_decision(
                DecisionRecord(
                    leaf=row.leaf,
                    request_id=row.request_id,
                    time=row.time,
                    principal=row.principal,
                    policy=RecordedPolicy(row.policy.name, row.policy.version, row.policy.digest),
                    environment=row.environment,
                    verdict=row.verdict,
                    facts=found[row.facts],
                    findings=found[row.findings],
                )
            )
        if len(rows) < _PAGE:
            return
        before = rows[-1].leaf


class DatabaseLog:
    """A ledger read from its database; what the reader finds damaged counts as altered."""

    def __init__(self, database: str) -> None:
        self._reader = _database(database)

    def checkpoint(self) -> bytes:
        """The newest committed checkpoint."""
        newest = self._reader.latest_checkpoint()
        if newest is None:
            raise Refused("checkpoint-missing", "the database holds no checkpoint")
        return newest.text.encode()

    def tile(self, tile: Tile) -> bytes:
        """One tile or entry bundle."""
        try:
            if tile.level is None:
                return self._reader.entry_bundle(tile.n, tile.width)
            return self._reader.hash_tile(tile.level, tile.n, tile.width)
        except (Misconfigured, Malformed) as fault:
            raise Refused("leaf-altered", fault.detail) from None


def _principal() -> str:
    """Who acts: the login of this process's uid, of which the leaf shows a pseudonym alone."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = ""
    return f"person:{name if _ID.fullmatch(name) else f'uid-{uid}'}"


def _ask(config: Path, command: Command) -> int:
    """Send an administrative command and return the index of its leaf; raises what the custodian answered."""
    from signer.custodian.client import CustodianClient  # noqa: PLC0415 - see the module
    from signer.custodian.commands import Done, Failed  # noqa: PLC0415 - see the module
    from signer.settings import load_settings  # noqa: PLC0415 - see the module

    socket = load_settings(config).custodian.admin_socket
    if not os.access(socket, os.W_OK):
        raise Misconfigured(
            "admin-socket-missing",
            f"{socket} does not exist or is not open to uid {os.getuid()}",
            remedy="start `signer custodian`, and run this as a user of admin_uids",
        )
    reply = CustodianClient(socket, timeout=TIMEOUT).ask(command)
    match reply:
        case Done(leaf=leaf):
            return leaf
        case Failed():
            raise _failed(reply)
        case _:
            raise Unavailable("answer-malformed", f"the custodian answered {type(reply).__name__}")


def _database(database: str) -> Reader:
    return _reader(database if ":" in database else f"sqlite:///{Path(database).absolute()}")


def _reader(url: str) -> Reader:
    from signer.db.engine import open_engine  # noqa: PLC0415 - see the module
    from signer.ledger.reader import Reader  # noqa: PLC0415 - loaded on use, so that others never load it

    return Reader(open_engine(url, read_only=True))


def _failed(reply: Failed) -> Malformed | Refused | Unavailable | Misconfigured:
    match reply.family:
        case "malformed":
            return Malformed(reply.code, reply.detail, remedy=reply.remedy)
        case "refused":
            return Refused(reply.code, reply.detail, remedy=reply.remedy)
        case "misconfigured":
            return Misconfigured(reply.code, reply.detail, remedy=reply.remedy)
        case _:
            return Unavailable(reply.code, reply.detail, remedy=reply.remedy, retry_after=reply.retry_after)
