# SPDX-License-Identifier: Apache-2.0
"""`signer decision`: search and show what was decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from signer.cli.denial import short
from signer.cli.options import FILE, client_of, connection_options, instant, require_writable, settings_of
from signer.cli.output import Result, clean, mode_option
from signer.cli.records import Wanted, lines_of, write_lines

_FILTERS = (
    ("--digest", "sha256 of a subject."),
    ("--commit", "Source commit."),
    ("--principal", "Who asked, for example robot:ci."),
    ("--policy", "Name of the policy."),
    ("--environment", "Environment."),
    ("--verdict", "allow, deny or hold."),
    ("--since", "Not before this RFC 3339 time."),
    ("--until", "Not after this RFC 3339 time."),
    ("--before", "Leaf index: only older decisions (the next page)."),
    ("--limit", "At most this many."),
)
_CONNECTION = ("url", "ca", "client_cert", "client_key", "timeout")


@click.group()
def decision() -> None:
    """List and show recorded decisions."""


def _filters(command: Any) -> Any:
    for name, text in reversed(_FILTERS):
        command = click.option(name, help=text)(command)
    return command


@decision.command("list")
@_filters
@connection_options
@mode_option
def list_(**options: str | None) -> Result:
    """List decisions, newest first, one line each."""
    filters = {name: value for name, value in options.items() if name not in _CONNECTION and value is not None}
    if "digest" in filters:
        filters["digest"] = filters["digest"].removeprefix("sha256:")
    settings = settings_of(**{name: options[name] for name in _CONNECTION})
    answer = client_of(settings).decisions(filters)
    rows = [row for row in answer.get("decisions", ()) if isinstance(row, Mapping)]
    following = answer.get("next")
    story = "" if following is None else f" more with --before {clean(str(following))}"
    return Result(name="listed", members=answer, answer="\n".join(map(_row, rows)), story=story)


@decision.command("export")
@click.option("--policy", required=True, help="Name of the policy.")
@click.option("--environment", help="This environment only.")
@click.option("--since", help="Not before: 30d, or an RFC 3339 time.")
@click.option("--until", help="Before: 1d, or an RFC 3339 time.")
@click.option("--database", metavar="PATH", help="Read a ledger's database file or URL instead of asking over HTTPS.")
@click.option("--out", type=FILE, required=True, help="Write JSON Lines here.")
@connection_options
@mode_option
def export(
    *,
    policy: str,
    environment: str | None,
    since: str | None,
    until: str | None,
    database: str | None,
    out: Path,
    **flags: str | None,
) -> Result:
    """Write recorded decisions with their facts to a file, for `signer policy replay --export`.

    Over HTTPS the caller needs the audit grant for the policy. Persons stand in facts as pseudonyms.
    """
    require_writable(out, "--out")
    now = datetime.now(UTC)
    wanted = Wanted(
        policy=policy, environment=environment, since=instant(since, now=now), until=instant(until, now=now)
    )
    lines = lines_of(wanted, export=None, database=database, flags=flags)
    count = write_lines(out, lines)
    return Result(name="exported", members={"lines": count, "out": str(out)}, story=f"wrote {count} lines to {out}")


@decision.command("show")
@click.argument("request_id")
@connection_options
@mode_option
def show(request_id: str, **flags: str | None) -> Result:
    """Show one decision as the JSON document that the authority serves."""
    document = client_of(settings_of(**flags)).decision(request_id)
    return Result(name="shown", members={"decision": document}, answer=json.dumps(document, indent=2, sort_keys=True))


def _row(row: Mapping[str, Any]) -> str:
    cells = [clean(str(row.get(name, ""))) for name in ("time", "request_id", "verdict", "environment", "principal")]
    first = str(row.get("first") or "")
    return "  ".join([*cells, f"sha256:{short(first)}" if first else ""]).rstrip()
