# SPDX-License-Identifier: Apache-2.0
"""`signer keys`: which keys sign, the making of one, and every later event in its life."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from signer.cli.key_report import signed_report
from signer.cli.operator import add_key, change_key, key_lives
from signer.cli.options import FILE, client_of, connection_options, instant, require_writable, settings_of
from signer.cli.output import Result, clean, colour, mode_option
from signer.cli.trust_draft import draft_trust

CONFIG = click.option("--config", help="The server's signer.toml, which names the key and its token.")
DRAFT = click.option(
    "--draft",
    type=FILE,
    default=Path("trust-document.json"),
    show_default=True,
    help="Write the next trust document here, for the owners to sign.",
)


@click.group()
def keys() -> None:
    """List the authority's keys, make one, and rotate, retire or report one."""


@keys.command("list")
@connection_options
@mode_option
def list_(**flags: str | None) -> Result:
    """List the keys of the authority: name, role, key id, purpose, algorithm, status, trust, how often used."""
    answer = client_of(settings_of(**flags)).keys()
    rows = [row for row in answer.get("keys", ()) if isinstance(row, Mapping)]
    return Result(name="listed", members=answer, answer="\n".join(map(_row, rows)))


@keys.command("create")
@click.argument("name")
@CONFIG
@click.option(
    "--generate/--existing",
    default=True,
    show_default=True,
    help="Make the key pair in the token when the token has none under that URI, or insist that it exists.",
)
@click.option("--succeeds", metavar="ROLE", help="Make it the next key of this role, which a policy names.")
@DRAFT
@mode_option
def create(*, name: str, config: str | None, generate: bool, succeeds: str | None, draft: Path) -> Result:
    """Record a key that the settings name, pin it by its public key, and write the trust document that lists it.

    It signs nothing before the owners have published that document; one that succeeds another waits for
    signer keys rotate as well.
    """
    path = _config(config)
    require_writable(draft, "--draft")
    leaf = add_key(path, name=name, generate=generate, succeeds=succeeds or "")
    drafted = draft_trust(path, out=draft)
    story = f"key {clean(name)} is recorded as leaf {leaf}\n{drafted.story()}"
    if succeeds is not None:
        story += f"\n          then: signer keys rotate {clean(name)}"
    return Result(name="created", members={"key": name, "leaf": leaf, "draft": drafted.members()}, story=story)


@keys.command("rotate")
@click.argument("name")
@CONFIG
@mode_option
def rotate(*, name: str, config: str | None) -> Result:
    """Let key NAME sign for its role from now on, instead of the key before it.

    Refused until the owners have published a trust document that lists it: verifiers must know a key before they
    meet it. What the key before signed stays valid.
    """
    path = _config(config)
    leaf = change_key(path, event="rotated", name=name)
    life = key_lives(path)[name]
    return Result(
        name="rotated",
        members={"key": name, "role": life.role, "kid": life.created.kid, "leaf": leaf},
        story=f"""ROTATED  {clean(name)} signs for {clean(life.role)}: leaf {leaf}
 next     signer keys retire OLD --reason TEXT        # once nothing needs to go back""",
    )


@keys.command("retire")
@click.argument("name")
@click.option("--reason", required=True, help="Why, in one line; it is recorded.")
@CONFIG
@DRAFT
@mode_option
def retire(*, name: str, reason: str, config: str | None, draft: Path) -> Result:
    """End key NAME: it never signs again, and what it signed stays valid."""
    path = _config(config)
    require_writable(draft, "--draft")
    leaf = change_key(path, event="retired", name=name, reason=reason)
    drafted = draft_trust(path, out=draft)
    return Result(
        name="retired",
        members={"key": name, "leaf": leaf, "draft": drafted.members()},
        story=f"RETIRED  {clean(name)}: leaf {leaf}\n{drafted.story()}",
    )


@keys.command("compromise")
@click.argument("name")
@click.option(
    "--since", "since_text", required=True, metavar="TIME", help="Since when: an RFC 3339 time, or 30d for so long ago."
)
@click.option("--reason", required=True, help="Why, in one line; it is recorded and published.")
@CONFIG
@DRAFT
@mode_option
def compromise(*, name: str, since_text: str, reason: str, config: str | None, draft: Path) -> Result:
    """Stop key NAME at once and for ever, publish its revocation, and list what it signed since TIME.

    Needs no owner: stopping is always allowed. A released signature that is listed must be taken as forged until the
    ledger proves it (signer verify --receipt --revocations).
    """
    path = _config(config)
    require_writable(draft, "--draft")
    now = datetime.now(UTC)
    since = instant(since_text, now=now) or now
    leaf = change_key(path, event="compromised", name=name, reason=reason, since=since)
    life = key_lives(path)[name]
    report = signed_report(path, kid=life.created.kid, since=life.since or since)
    drafted = draft_trust(path, out=draft)
    story = f"""{colour("COMPROMISED", "red")}  {clean(name)} signs no more: leaf {leaf}
{report.story()}
 next     publish /v1/revocations where deploy systems fetch it; signer verify --revocations refuses the key
{drafted.story()}"""
    members = {"key": name, "leaf": leaf, "signed": report.members(), "draft": drafted.members()}
    return Result(name="compromised", members=members, story=story)


def _config(config: str | None) -> Path:
    """Events of keys are recorded on the custodian's machine, by its settings."""
    return Path(settings_of(config=config).require("config"))


def _row(row: Mapping[str, Any]) -> str:
    names = ("name", "role", "kid", "purpose", "algorithm", "status", "trust", "uses")
    return "  ".join(clean(str(row.get(name, ""))) for name in names)
