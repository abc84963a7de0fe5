# SPDX-License-Identifier: Apache-2.0
"""`signer log monitor|export`: what is new in the ledger, proven, once or for as long as it runs.

One leaf is one line of JSON on stdout, what is said about the run goes to stderr:

    {"index":4711,"leaf":{"kind":"decision",…},"leaf_hash":"<hex>","schema":"signer-leaf/v1"}
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from signer.cli.log_source import source_of, source_options, trust_of
from signer.cli.options import (
    FILE,
    connection_options,
    duration,
    instant,
    read_file,
    require_writable,
    settings_of,
    write_file,
)
from signer.cli.output import Result, mode_option
from signer.errors import Unavailable
from signer.formats.canonical import canonical
from signer.formats.strict_json import parse_object
from signer.formats.trust import TrustDocument
from signer.tlog.merkle import leaf_hash
from signer.tlog.note import MAX_NOTE
from signer.tlog.tiles import MAX_ENTRY
from signer.verify.checks import Checklist
from signer.verify.following import Inconsistent, Step, take_step
from signer.verify.proven import LogSource
from signer.verify.selecting import Selection, parse_selection

SCHEMA = "signer-leaf/v1"

MATCH = click.option(
    "--match", "matches", multiple=True, metavar="FIELD=VALUE", help="Only leaves with this field; repeatable."
)
EVERY = click.option("--every", default="60s", show_default=True, help="How long to wait between two looks.")

MONITOR_EPILOG = """\b
Examples:
  signer log monitor --trust trust.json --state seen.checkpoint
  signer log monitor --trust trust.json --state seen.checkpoint --match kind=key
  signer log monitor --trust trust.json --state seen.checkpoint --directory /srv/log --once
"""
EXPORT_EPILOG = """\b
Examples:
  signer log export --trust trust.json --since 7d > week.jsonl
  signer log export --trust trust.json --state exported.checkpoint --follow | siem-forwarder
  signer log export --trust trust.json --since 0 --match kind=decision --match verdict=deny
"""


@click.command("monitor", epilog=MONITOR_EPILOG)
@click.option("--state", type=FILE, required=True, help="The newest checkpoint is kept here; made at the first look.")
@MATCH
@EVERY
@click.option("--once", is_flag=True, help="Look once and end.")
@source_options
@connection_options
@mode_option
def monitor(
    *,
    state: Path,
    matches: Sequence[str],
    every: str,
    once: bool,
    trust: str | None,
    database: str | None,
    directory: Path | None,
    **flags: str | None,
) -> Result:
    """Watch that the ledger only grows, and print the new leaves that match; exit code 3 when it does not.

    Without --match no leaf is read, so the public listener is enough. The contradicting checkpoint is kept beside the
    state, as FILE.conflict: the two of them prove what happened.
    """
    settings = settings_of(trust=trust, **flags)
    require_writable(state, "--state")
    document, source = trust_of(settings, Checklist()), source_of(settings, database=database, directory=directory)
    selection = parse_selection(matches) if matches else None

    def look() -> Step:
        step = _step(source, document, state=state)
        if selection is not None:
            _print_leaves(step, start=step.before, selection=selection)
        write_file(state, step.note)
        _tell(f"{step.head.size} leaves, {step.head.size - step.before} new, consistent with what was seen before")
        return step

    step = _repeat(look, every=duration(every).total_seconds(), once=once)
    return _ended("watched", step)


@click.command("export", epilog=EXPORT_EPILOG)
@click.option("--since", default="0", show_default=True, help="Begin with this leaf, or with 7d or an RFC 3339 time.")
@click.option("--state", type=FILE, help="Keep here how far it came, and go on from there the next time.")
@click.option("--follow", is_flag=True, help="Go on as the ledger grows.")
@MATCH
@EVERY
@source_options
@connection_options
@mode_option
def export(
    *,
    since: str,
    state: Path | None,
    follow: bool,
    matches: Sequence[str],
    every: str,
    trust: str | None,
    database: str | None,
    directory: Path | None,
    **flags: str | None,
) -> Result:
    """Write leaves to stdout as JSON Lines, each proven; over HTTPS this asks for an audit grant.

    With --state a run goes on where the last one ended. A leaf may then come twice after a crash, and never not at all.
    """
    settings = settings_of(trust=trust, **flags)
    require_writable(state, "--state")
    document, source = trust_of(settings, Checklist()), source_of(settings, database=database, directory=directory)
    selection = parse_selection(matches)
    held: list[bytes] = []

    def look() -> Step:
        step = _step(source, document, state=state, held=held[-1] if held else None)
        first = not step.before
        _print_leaves(step, start=_start(since, step) if first else step.before, selection=selection)
        held[:] = [step.note]
        if state is not None:
            write_file(state, step.note)
        return step

    step = _repeat(look, every=duration(every).total_seconds(), once=not follow)
    return _ended("exported", step)


def _step(source: LogSource, trust: TrustDocument, *, state: Path | None, held: bytes | None = None) -> Step:
    """The newest state; what contradicts the one that was kept is kept as well."""
    if held is None and state is not None and state.exists():
        held = read_file(state, limit=MAX_NOTE)
    try:
        return take_step(source, trust=trust, held=held)
    except Inconsistent as alarm:
        if state is not None:
            write_file(state.with_name(f"{state.name}.conflict"), alarm.note)
        raise


def _start(since: str, step: Step) -> int:
    if since.isascii() and since.isdigit():
        return min(int(since), step.head.size)
    when = instant(since, now=datetime.now(UTC))
    assert when is not None
    return step.first_since(when)


def _print_leaves(step: Step, *, start: int, selection: Selection) -> None:
    for index, body in step.leaves(start):
        leaf = parse_object(body, limit=MAX_ENTRY, what="leaf")
        if selection.takes(leaf):
            line = {"schema": SCHEMA, "index": index, "leaf_hash": leaf_hash(body).hex(), "leaf": leaf}
            sys.stdout.write(canonical(line).decode() + "\n")
    sys.stdout.flush()


def _repeat(look: Callable[[], Step], *, every: float, once: bool) -> Step | None:
    """Look once, or until interrupted; an authority that does not answer is asked again, a contradiction ends it."""
    step: Step | None = None
    while True:
        try:
            step = look()
        except Unavailable as fault:
            if once:
                raise
            _tell(f"no answer ({fault.code}: {fault.detail}); asking again in {every:.0f} s")
        if once:
            return step
        try:
            time.sleep(every)
        except KeyboardInterrupt:
            return step


def _ended(name: str, step: Step | None) -> Result:
    """Leaves have been printed one by one, so nothing more belongs on stdout, in either mode."""
    _tell(f"{name} " + ("nothing" if step is None else f"up to {step.head.size} leaves"))
    return Result.silent(0)


def _tell(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")
        sys.stderr.flush()
