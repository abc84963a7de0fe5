# SPDX-License-Identifier: Apache-2.0
"""From settings to running parts. The only file that names concrete adapters.

found_authority   an empty database → genesis, first documents, guard
run_custodian     the one writer: gate, recovery, tokens, two sockets, until told to stop
run_web           the listeners of web: readers of the same ledger, clients of the custodian's socket
web_application   what the views of one process need
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from signer import __version__
from signer.confinement import check_confined
from signer.custodian import administration, service
from signer.custodian.client import CustodianClient
from signer.custodian.commands import Activate, Command, Done, Failed, Status, StatusReport
from signer.custodian.revocations import Revocations
from signer.custodian.sealing import Sealing
from signer.custodian.standing import Standing
from signer.db.engine import open_engine, schema_revision
from signer.db.migrations import upgrade
from signer.devices import devices_of, timestamp_of
from signer.errors import Malformed, Misconfigured, Refused, Unavailable
from signer.formats.canonical import sha256_hex
from signer.formats.owner_act import parse_owner_act
from signer.formats.rfc3339 import format_time
from signer.formats.strict_base64 import encode_base64
from signer.ledger.credential import load_ledger_key, make_ledger_key
from signer.ledger.gate import genesis, ledger_vkey, open_ledger
from signer.ledger.guard import Guard
from signer.ledger.leaves import Genesis, decode_leaf
from signer.ledger.packs import Packs
from signer.ledger.persons import Persons
from signer.ledger.published import replace_file
from signer.ledger.reader import Reader, open_reader
from signer.ledger.receipts import Receipts
from signer.ledger.sequencer import Entry
from signer.ledger.store import DocumentStore, Intake
from signer.releases.source import Source
from signer.settings import Settings
from signer.telemetry.logs import Log, open_log

if TYPE_CHECKING:
    from signer.web.application import Application

ADMIN_TIMEOUT = 60.0
"""Seconds for one administrative command; making a key in a real device takes a while."""
CUSTODIAN_TIMEOUT = 30.0
"""Seconds that web waits for one answer: a key call may begin 5 s after judging and take the token's deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """What a new ledger begins with: its owners, and the documents that they signed for."""

    owners: tuple[bytes, ...]
    """DER SubjectPublicKeyInfo."""
    threshold: int
    dev: bool
    documents: tuple[tuple[str, bytes], ...]
    """(`policy` or `access`, bytes)."""
    signatures: tuple[bytes, ...]
    """Owner acts over these documents, in any order."""
    principal: str


def is_founded(settings: Settings) -> bool:
    """Whether the database holds a ledger."""
    with _writing(settings) as engine:
        return schema_revision(engine) is not None and Reader(engine).edge().size > 0


def found_authority(settings: Settings, founding: Founding, *, now: datetime) -> int:
    """Write leaf 0 and the first documents; the tree's size. Raises Misconfigured when a ledger stands there."""
    if is_founded(settings):
        raise Misconfigured(
            "ledger-exists",
            f"{settings.ledger.database} holds a ledger already; nothing was changed",
            remedy="name a new database, guard and ledger key for a new ledger",
        )
    key = make_ledger_key(settings.ledger.key)
    leaf = Genesis(
        time=format_time(now),
        origin=settings.origin,
        dev=founding.dev,
        threshold=founding.threshold,
        owners=tuple(encode_base64(owner) for owner in founding.owners),
        ledger_key=ledger_vkey(settings.origin, key),
    )
    with _writing(settings) as engine:
        upgrade(engine)
        reader = Reader(engine)
        entries = [_first_activation(founding, leaf, kind, data, reader=reader) for kind, data in founding.documents]
        # Its tables are made now, so that the first decision does not wait for them.
        persons = open_engine(settings.ledger.persons, read_only=False)
        Persons(persons)
        persons.dispose()
        batch = genesis(engine, leaf=leaf, then=entries, ledger_key=key, guard=Guard(settings.ledger.guard))
    return batch.size


def _first_activation(founding: Founding, leaf: Genesis, kind: str, data: bytes, *, reader: Reader) -> Entry:
    """The leaf that puts a document in force together with genesis: the owners' signatures are needed as ever."""
    standing = Standing(
        genesis=leaf,
        genesis_hash="",
        policies={},
        shadows={},
        access=None,
        personal_keys={},
        trust=None,
        lives={},
        pins={},
        halt=None,
    )
    digest = sha256_hex(data)
    command = Activate(
        principal=founding.principal,
        document=kind,
        data=data,
        signatures=tuple(each for each in founding.signatures if parse_owner_act(each).sha256 == digest),
    )
    return administration.activation(
        command, standing=standing, reader=reader, principal=founding.principal, time=leaf.time
    )


@contextmanager
def _writing(settings: Settings) -> Iterator[Engine]:
    engine = open_engine(settings.ledger.database, read_only=False)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_ledger_reader(settings: Settings) -> Iterator[Reader]:
    """A reader of the ledger for as long as the block lasts."""
    engine = open_engine(settings.ledger.database, read_only=True)
    try:
        yield open_reader(engine)
    finally:
        engine.dispose()


def custodian_status(socket: Path) -> StatusReport:
    """What the custodian behind `socket` says of itself; raises Unavailable when none answers."""
    client = CustodianClient(socket, timeout=ADMIN_TIMEOUT)
    try:
        reply = client.ask(Status())
    finally:
        client.close()
    if not isinstance(reply, StatusReport):
        raise Unavailable("custodian-unavailable", f"the custodian answered {type(reply).__name__}")
    return reply


def ask_admin(settings: Settings, command: Command) -> int:
    """Send an administrative command; the index of its leaf. Raises what the custodian answers."""
    client = CustodianClient(settings.custodian.admin_socket, timeout=ADMIN_TIMEOUT)
    try:
        reply = client.ask(command)
    finally:
        client.close()
    match reply:
        case Done(leaf=leaf):
            return leaf
        case Failed(family="malformed"):
            raise Malformed(reply.code, reply.detail, remedy=reply.remedy)
        case Failed(family="refused"):
            raise Refused(reply.code, reply.detail, remedy=reply.remedy)
        case Failed(family="misconfigured"):
            raise Misconfigured(reply.code, reply.detail, remedy=reply.remedy)
        case Failed():
            raise Unavailable(reply.code, reply.detail, remedy=reply.remedy)
        case _:
            raise Unavailable("answer-malformed", f"the custodian answered {type(reply).__name__}")


def run_custodian(settings: Settings, *, dev_supervisor: int | None) -> int:
    """Pass the gate, recover and serve until told to stop; the exit code. Raises Misconfigured."""
    _check_dev(settings, dev_supervisor=dev_supervisor)
    log = open_log(sys.stderr.buffer, room="custodian")
    documents = settings.documents
    persons = open_engine(settings.ledger.persons, read_only=False)
    with _writing(settings) as engine, closing(Guard(settings.ledger.guard)) as guard:
        key = load_ledger_key(settings.ledger.key)
        sequencer = open_ledger(engine, origin=settings.origin, ledger_key=key, guard=guard, now=datetime.now(UTC))
        reader = Reader(engine)
        service.serve(
            _service(settings),
            reader=reader,
            sequencer=sequencer,
            receipts=Receipts(reader, sequencer),
            persons=Persons(persons),
            intake=None if documents is None else Intake(documents.store, spool=documents.spool),
            revocations=Revocations(key=key, write=partial(replace_file, settings.ledger.revocations), log=log),
            sealing=Sealing(
                source=Source(reader, None if documents is None else DocumentStore(documents.store)),
                key=key,
                manifests=Packs(engine),
            ),
            log=log,
        )
    return 0


def _service(settings: Settings) -> service.Service:
    custodian = settings.custodian
    return service.Service(
        socket=custodian.socket,
        admin_socket=custodian.admin_socket,
        web_uids=custodian.web_uids,
        admin_uids=custodian.admin_uids,
        queue=custodian.queue,
        token_deadline=custodian.token_deadline,
        probe_interval=custodian.probe_interval,
        keys=tuple((key.name, key.uri, key.purpose, key.algorithm) for key in settings.keys),
        key_limits={key.name: key.limit for key in settings.keys if key.limit is not None},
        devices=devices_of(settings),
        timestamp=timestamp_of(settings),
        version=__version__,
    )


def run_web(settings: Settings, *, only: Collection[str], dev_supervisor: int | None) -> int:
    """Serve until told to stop; the exit code. Raises Misconfigured before anything is bound."""
    # Imported here: the custodian and `signer init` load neither Flask nor gunicorn.
    from signer.web.wsgi.server import ServerSettings, serve  # noqa: PLC0415 - loaded on use, so that others never load it

    web = settings.web
    _check_dev(settings, dev_supervisor=dev_supervisor)
    log = open_log(sys.stderr.buffer, room="web")
    metrics_directory = _metrics_directory(web.bind)
    listeners = ServerSettings(
        bind=web.bind,
        certificate=web.certificate,
        key=web.key,
        client_ca=web.client_ca,
        crl=web.crl,
        public_bind=web.public_bind,
        metrics_bind=web.metrics_bind,
        metrics_directory=metrics_directory,
        workers=web.workers,
        threads=web.threads,
    )
    # Each worker's own connections are made after the fork.
    return serve(listeners, build=partial(web_application, settings, log=log), log=log, only=only)


def web_application(settings: Settings, *, log: Log) -> Application:
    """What the views of one process need, with connections of its own."""
    from signer.web.application import open_application  # noqa: PLC0415 - loaded on use, so that others never load it
    from signer.web.expiry import TlsFiles  # noqa: PLC0415 - loaded on use, so that others never load it
    from signer.web.spool import Spool  # noqa: PLC0415 - loaded on use, so that others never load it

    web, documents = settings.web, settings.documents
    return open_application(
        reader=open_reader(open_engine(settings.ledger.database, read_only=True)),
        custodian=CustodianClient(settings.custodian.socket, timeout=CUSTODIAN_TIMEOUT),
        guard=Guard(settings.ledger.guard),
        revocations=settings.ledger.revocations,
        log=log,
        body_limit=web.body_limit,
        store=None if documents is None else DocumentStore(documents.store),
        spool=None
        if documents is None
        else Spool(documents.spool, limit=documents.limit, quota=documents.quota, total=documents.total),
        workers=web.workers,
        tls=TlsFiles(certificate=web.certificate, client_ca=web.client_ca, crl=web.crl),
        metrics_directory=_metrics_directory(web.bind),
    )


def _check_dev(settings: Settings, *, dev_supervisor: int | None) -> None:
    with open_ledger_reader(settings) as reader:
        check_confined(decode_leaf(reader.leaf(0)), settings, dev_supervisor=dev_supervisor)


def _metrics_directory(bind: str) -> Path:
    """One directory for each listener and user, in memory where there is such a place."""
    shared = Path("/dev/shm")  # noqa: S108 - its owner is checked before use
    base = shared if shared.is_dir() else Path(tempfile.gettempdir())
    return base / f"signer-metrics-{os.getuid()}-{hashlib.sha256(bind.encode()).hexdigest()[:12]}"
