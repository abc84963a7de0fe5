# SPDX-License-Identifier: Apache-2.0
"""`signer trust`: the file that verifiers rely on, its renewal, and its publication by the owners."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from signer.cli.operator import publish_trust
from signer.cli.options import (
    FILE,
    READABLE,
    client_of,
    connection_options,
    read_file,
    require_writable,
    settings_of,
    write_file,
)
from signer.cli.output import Result, clean, mode_option
from signer.cli.trust_draft import NewAuthority, draft_trust
from signer.errors import Misconfigured
from signer.formats.canonical import sha256_hex
from signer.formats.owner_act import MAX_ACT
from signer.formats.rfc3339 import format_time
from signer.formats.spki import keyid
from signer.formats.trust import (
    MAX_TRUST,
    TrustDocument,
    TrustKey,
    parse_trust_document,
)
from signer.formats.trust_authority import TimestampAuthority
from signer.verify.checks import Checklist
from signer.verify.trust import verify_trust


@click.group()
def trust() -> None:
    """Show, update and publish the trust file."""


@trust.command("show")
@click.option("--trust", help="The trust file.")
@click.option("--fetch", is_flag=True, help="Show what the authority serves instead of the local file.")
@connection_options
@mode_option
def show(*, trust: str | None, fetch: bool, **flags: str | None) -> Result:
    """Show whom the trust file trusts: owners, ledger keys and signing keys."""
    settings = settings_of(trust=trust, **flags)
    data = client_of(settings).trust() if fetch else read_file(Path(settings.require("trust")), limit=MAX_TRUST)
    document = verify_trust(data, checks=Checklist(), allow_dev=True)
    return Result(name="shown", members={"trust": _members(document)}, answer=_text(document))


@trust.command("update")
@click.option("--trust", help="The trust file to bring up to date.")
@click.option("--from", "source", type=READABLE, help="Take the newer file from here instead of the authority.")
@connection_options
@mode_option
def update(*, trust: str | None, source: Path | None, **flags: str | None) -> Result:
    """Replace the local trust file by a newer one, when the owners of the local one signed it."""
    settings = settings_of(trust=trust, **flags)
    path = Path(settings.require("trust"))
    if not path.exists():
        raise Misconfigured(
            "trust-missing",
            f"{path} does not exist: a first trust file cannot be updated into being",
            remedy="get it from the owners by a way that you trust, and compare its genesis with theirs",
        )
    require_writable(path, "--trust")
    old = verify_trust(read_file(path, limit=MAX_TRUST), checks=Checklist(), allow_dev=True)
    data = client_of(settings).trust() if source is None else read_file(source, limit=MAX_TRUST)
    new = verify_trust(data, checks=Checklist(), allow_dev=True, previous=old)
    if new.version == old.version:
        return Result(name="current", members={"version": old.version}, story=f"{path} is current: {old.version}")
    # The next run has no older file to judge by, so the file must also stand on its own owners' signatures.
    verify_trust(data, checks=Checklist(), allow_dev=True)
    write_file(path, data)
    return Result(
        name="updated",
        members={"version": new.version, "previous": old.version, "trust": str(path)},
        story=f"{path} is now version {new.version} (was {old.version})",
    )


@trust.command("draft")
@click.option("--config", help="The server's signer.toml.")
@click.option("--out", type=FILE, required=True, help="Write the document here, for the owners to sign.")
@click.option(
    "--timestamp-authority",
    type=READABLE,
    metavar="PEM",
    help="Pin a timestamp authority: its certificate and its CAs, or its CAs alone. The file's name becomes its name.",
)
@mode_option
def draft(*, config: str | None, out: Path, timestamp_authority: Path | None) -> Result:
    """Write the next trust document: the one in force, with what happened to keys since.

    New keys are added, retired and compromised ones end. The first rests on genesis: its owners, threshold and ledger
    key.
    """
    authority = None
    if timestamp_authority is not None:
        pem = read_file(timestamp_authority, limit=MAX_TRUST)
        authority = NewAuthority(timestamp_authority.stem[:64], pem, datetime.now(UTC))
    drafted = draft_trust(Path(settings_of(config=config).require("config")), out=out, authority=authority)
    return Result(name="drafted", members=drafted.members(), story=drafted.story())


@trust.command("publish")
@click.argument("document", type=READABLE)
@click.option("--signature", "signatures", type=READABLE, multiple=True, required=True, help="An owner's signature.")
@click.option("--config", help="The server's signer.toml.")
@mode_option
def publish(*, document: Path, signatures: Sequence[Path], config: str | None) -> Result:
    """Put a trust document in force, with the owners' signatures over it."""
    data = read_file(document, limit=MAX_TRUST)
    version = parse_trust_document(data).version
    envelopes = tuple(read_file(path, limit=MAX_ACT) for path in signatures)
    config_path = Path(settings_of(config=config).require("config"))
    leaf = publish_trust(config_path, document=data, signatures=envelopes)
    return Result(
        name="published",
        members={"version": version, "leaf": leaf, "sha256": sha256_hex(data)},
        story=f"trust version {version} is in force: leaf {leaf}",
    )


def _members(document: TrustDocument) -> dict[str, object]:
    return {
        "version": document.version,
        "origin": document.origin,
        "genesis": document.genesis,
        "dev": document.dev,
        "verifier": document.verifier,
        "ledger_keys": list(document.ledger_keys),
        "owners": {"threshold": document.threshold, "keys": [keyid(der) for der in document.owners]},
        "keys": [
            {
                "name": key.name,
                "kid": key.kid,
                "purpose": key.purpose,
                "algorithm": key.algorithm,
                "status": key.status,
                "not_before": format_time(key.not_before),
                "not_after": None if key.not_after is None else format_time(key.not_after),
            }
            for key in document.keys
        ],
        "timestamp_authorities": [
            {
                "name": each.name,
                "certificates": [sha256_hex(der) for der in each.certificates],
                "not_before": format_time(each.not_before),
                "not_after": None if each.not_after is None else format_time(each.not_after),
            }
            for each in document.timestamp_authorities
        ],
    }


def _text(document: TrustDocument) -> str:
    now = datetime.now(UTC)
    rows = [
        ("origin", document.origin + ("  DEVELOPMENT: protects nothing" if document.dev else "")),
        ("version", str(document.version)),
        ("genesis", document.genesis),
        ("verifier", document.verifier),
        *(("ledger", vkey) for vkey in document.ledger_keys),
        ("owners", f"{document.threshold} of {len(document.owners)}"),
        *(("", keyid(der)) for der in document.owners),
        *(
            ("key", f"{key.name}  {key.kid}  {key.purpose}  {key.algorithm}  {_state(key, now)}")
            for key in document.keys
        ),
        *(
            ("tsa", f"{each.name}  {sha256_hex(each.certificates[0])}  {_window(each)}")
            for each in document.timestamp_authorities
        ),
    ]
    return "\n".join(f"{name:<9} {clean(value)}" for name, value in rows)


def _window(authority: TimestampAuthority) -> str:
    end = "" if authority.not_after is None else f" until {format_time(authority.not_after)}"
    return f"from {format_time(authority.not_before)}{end}"


def _state(key: TrustKey, now: datetime) -> str:
    if key.not_before > now:
        return f"{key.status} from {format_time(key.not_before)}"
    if key.not_after is not None:
        return f"{key.status} until {format_time(key.not_after)}"
    return key.status
