# SPDX-License-Identifier: Apache-2.0
"""What `signer doctor --config` looks at on the authority's machine."""

from __future__ import annotations

import os
import shutil
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from policy.document import SOON, parse_policy
from signer.cli.checkup import Expectation, Line, certificate_lines, load_chain, run_check, secret_line
from signer.custodian.device_place import DevicePlace
from signer.devices import devices_of
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.strict_json import parse_json
from signer.identity.authorities import load_authorities
from signer.ledger.continuity import verify_guard, verify_storage
from signer.ledger.credential import load_ledger_key
from signer.ledger.guard import Guard
from signer.ledger.leaves import Genesis, decode_leaf
from signer.settings import Settings, load_settings
from signer.tlog.note import VerifierKey
from signer.wiring import custodian_status, open_ledger_reader

TOKEN_TIMEOUT = 60
MAX_LOOK = 64 * 1024
MIB = 1024 * 1024
STEP = timedelta(seconds=1)


def examine_server(path: Path, *, now: datetime) -> list[Line]:
    """All checks of the authority on this machine, each on its own; those that need the settings stop without them."""
    loaded: list[Settings] = []

    def settings() -> tuple[bool, str]:
        loaded.append(load_settings(path))
        return True, f"{path}: origin {loaded[0].origin}"

    first = run_check(Expectation("settings", "known keys, absolute paths, no secret", f"correct {path}"), settings)
    if not loaded:
        return [first]
    return [
        first,
        *_web_lines(loaded[0], now=now),
        *_ledger_lines(loaded[0], now=now),
        *_document_lines(loaded[0]),
        *_custodian_lines(loaded[0]),
        *_device_lines(path, loaded[0]),
    ]


def _web_lines(settings: Settings, *, now: datetime) -> Iterator[Line]:
    web = settings.web
    yield from certificate_lines(
        "server",
        chain=web.certificate,
        key=web.key,
        usage=ExtendedKeyUsageOID.SERVER_AUTH,
        san="the names that clients use",
        now=now,
    )
    yield secret_line("server key", web.key)

    def clients() -> tuple[bool, str]:
        load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), web.client_ca)
        authorities = load_chain(web.client_ca)
        names = [each.subject.rfc4514_string() for each in authorities]
        return all(each.not_valid_before_utc <= now < each.not_valid_after_utc for each in authorities), "; ".join(
            names
        )

    yield run_check(
        Expectation("client CA", "valid CA certificates of your own", f"put the clients' CA into {web.client_ca}"),
        clients,
    )
    if web.crl is not None:
        crl = web.crl

        def revocations() -> tuple[bool, str]:
            held = x509.load_pem_x509_crl(crl.read_bytes())
            until = held.next_update_utc
            return until is None or until > now, f"{len(held)} entries, next update {until}"

        yield run_check(Expectation("CRL", "not past its next update", f"fetch the newest into {crl}"), revocations)


def _ledger_lines(settings: Settings, *, now: datetime) -> Iterator[Line]:
    ledger = settings.ledger

    def credential() -> tuple[bool, str]:
        load_ledger_key(ledger.key)
        return True, f"{ledger.key}: Ed25519, private"

    yield run_check(
        Expectation("ledger key", "an Ed25519 key of the custodian's user, 0600", f"restore {ledger.key}"), credential
    )

    def storage() -> tuple[bool, str]:
        with open_ledger_reader(settings) as reader:
            verify_storage(reader, origin=settings.origin, keys=[_verifier(settings)])
            return True, f"{reader.head().size} leaves, durable settings, newest leaves hash to the signed root"

    yield run_check(
        Expectation("database", "this version's schema, a head that its leaves and checkpoint agree on", "signer init"),
        storage,
    )

    def guard() -> tuple[bool, str]:
        with open_ledger_reader(settings) as reader:
            published = verify_guard(
                reader, guard=Guard(ledger.guard), origin=settings.origin, keys=[_verifier(settings)]
            )
        return True, f"published size {published.size}"

    yield run_check(Expectation("guard", "not ahead of the database", "restore the newest database"), guard)

    def genesis() -> tuple[bool, str]:
        with open_ledger_reader(settings) as reader:
            leaf = decode_leaf(reader.leaf(0))
        if not isinstance(leaf, Genesis):
            return False, type(leaf).__name__
        kind = "DEV: worth nothing" if leaf.dev else "production"
        same = leaf.origin == settings.origin and leaf.ledger_key == str(_verifier(settings))
        return same, f"{leaf.origin}, {leaf.threshold} of {len(leaf.owners)} owners, {kind}"

    yield run_check(
        Expectation("genesis", "the origin and ledger key of the settings", "point the settings at the right ledger"),
        genesis,
    )

    def clock() -> tuple[bool, str]:
        with open_ledger_reader(settings) as reader:
            newest = parse_time(decode_leaf(reader.leaf(reader.head().size - 1)).time, what="time of the newest leaf")
        return now > newest - STEP, f"it is {format_time(now)}, the newest leaf is of {format_time(newest)}"

    yield run_check(Expectation("clock", "not before the newest leaf", "synchronise this machine's clock"), clock)

    def documents() -> tuple[bool, str]:
        with open_ledger_reader(settings) as reader:
            policies, access, trust = reader.active_all("policy"), reader.active_all("access"), reader.trust()
        names = ", ".join(f"{each.name} v{each.version}" for each in (*policies, *access))
        version = "none" if trust is None else f"v{trust.version}"
        return bool(policies and access and trust), f"{names or 'none'}; trust {version}"

    yield run_check(
        Expectation("documents", "a policy, an access and a trust document in force", "see `signer init --help`"),
        documents,
    )

    def reviews() -> tuple[bool, str]:
        with open_ledger_reader(settings) as reader:
            policies = [parse_policy(each.data) for each in reader.active_all("policy")]
        dated = [(each, each.expires) for each in policies if each.expires is not None]
        found = ", ".join(f"{each.name} v{each.version} until {format_time(until)}" for each, until in dated)
        return all(now + SOON < until for _, until in dated), found or "no policy in force has a date"

    yield run_check(
        Expectation(
            "policy expiry",
            f"more than {SOON.days} days until any policy in force expires",
            "its owner reviews it, raises version and expires, and the owners sign it: signer policy activate",
        ),
        reviews,
    )


def _document_lines(settings: Settings) -> Iterator[Line]:
    documents = settings.documents
    if documents is None:
        return

    def spool() -> tuple[bool, str]:
        status = documents.spool.stat()
        free = shutil.disk_usage(documents.spool).free
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        closed = not status.st_mode & (stat.S_IRWXO | stat.S_IWGRP)
        return closed and free > documents.limit, f"{documents.spool}: mode {mode}, {free // MIB} MiB free"

    yield run_check(
        Expectation(
            "spool",
            f"a folder that web's user alone writes, room for a document of {documents.limit // MIB} MiB",
            f"install -d -o signer-web -g signer-web -m 0750 {documents.spool}, or free its disk",
        ),
        spool,
    )

    def store() -> tuple[bool, str]:
        incoming = documents.store / "incoming"
        kept, waiting = len(list(documents.store.iterdir())) - 1, len(list(incoming.iterdir()))
        free = shutil.disk_usage(documents.store).free
        found = f"{documents.store}: {kept} documents, {waiting} coming in, {free // MIB} MiB free"
        return free > documents.limit, found

    yield run_check(
        Expectation(
            "documents store",
            f"a folder of the custodian's user, room for a document of {documents.limit // MIB} MiB",
            "start `signer custodian`, which makes it; free or enlarge its disk",
        ),
        store,
    )


def _custodian_lines(settings: Settings) -> Iterator[Line]:
    custodian = settings.custodian
    doors = (
        ("socket", custodian.socket, custodian.web_uids),
        ("admin socket", custodian.admin_socket, custodian.admin_uids),
    )
    for name, path, uids in doors:

        def answers(path: Path = path) -> tuple[bool, str]:
            report = custodian_status(path)
            return report.ready, "; ".join(report.problems) or f"{path}: ready, {report.tree_size} leaves"

        def stands(path: Path = path, uids: tuple[int, ...] = uids) -> tuple[bool, str]:
            # The custodian turns every other user away: asking as one would tell nothing of it.
            return path.is_socket(), f"{path}; answers uid {', '.join(map(str, uids))} and not uid {os.geteuid()}"

        ready = Expectation(name, "a custodian that is ready", "start `signer custodian`, and do what it asks for")
        yield run_check(ready, answers if os.geteuid() in uids else stands)


def _device_lines(path: Path, settings: Settings) -> Iterator[Line]:
    places: list[DevicePlace] = []

    def read() -> tuple[bool, str]:
        places.extend(devices_of(settings))
        return True, ", ".join(place.name for place in places) or "none"

    yield run_check(Expectation("devices", "tokens and regions that the settings name", "correct [[tokens]]"), read)
    for place in places:
        if place.pin_file is not None:
            yield secret_line(f"PIN of {place.name}", place.pin_file)
        found: list[Line] = []

        def look(place: DevicePlace = place, found: list[Line] = found) -> tuple[bool, str]:
            argv = [sys.executable, "-P", "-m", "signer.cli.checkup_token", str(path), place.name]
            done = subprocess.run(  # noqa: S603 - no shell; the arguments are made here
                argv,
                env={**os.environ, **place.environment},
                capture_output=True,
                check=False,
                timeout=TOKEN_TIMEOUT,
            )
            if done.returncode != 0:
                return False, f"the look ended with {done.returncode}"
            found.extend(Line(**line) for line in parse_json(done.stdout, limit=MAX_LOOK, what="look at a device"))
            return True, "loads and answers"

        yield run_check(
            Expectation(f"library of {place.name}", "loads and answers", "install the vendor's module, or boto3"), look
        )
        yield from found


def _verifier(settings: Settings) -> VerifierKey:
    return VerifierKey(settings.origin, load_ledger_key(settings.ledger.key).public_key().public_bytes_raw())
