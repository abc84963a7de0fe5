# SPDX-License-Identifier: Apache-2.0
"""`signer release show` and `signer findings`: where a digest stands, and what is wrong over the whole ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from signer.cli.options import all_subjects, client_of, connection_options, instant, settings_of
from signer.cli.output import Result, clean, colour, mode_option
from signer.client.http import answer_malformed
from signer.errors import Malformed
from signer.formats.rfc3339 import format_time

FOUND = 10
"""Exit code when something is found."""


@click.group()
def release() -> None:
    """Show what is known of a digest."""


@release.command()
@click.argument("digest", metavar="[NAME@]sha256:HEX")
@connection_options
@mode_option
def show(*, digest: str, **flags: str | None) -> Result:
    """Show timeline, matrix, six questions, findings, approvals, deployments and what was taken back."""
    (subject,) = all_subjects([digest], ())
    view = client_of(settings_of(**flags)).release(subject.sha256)
    return Result(name="shown", members={"release": view}, answer="\n".join(_lines(view)))


@click.command()
@click.option("--since", metavar="TIME", help="Only of what was judged or deployed since: 30d, or an RFC 3339 time.")
@click.option("--environment", help="Only of this environment.")
@click.option("--policy", help="Only under this policy.")
@connection_options
@mode_option
def findings(*, since: str | None, environment: str | None, policy: str | None, **flags: str | None) -> Result:
    """List what an auditor would find: F1 to F8, each with its evidence and what to do.

    Exits 0 when nothing is found and 10 when something is. What nobody can tell is shown and is not clean.
    """
    begin = instant(since, now=datetime.now(UTC))
    given = {
        "since": None if begin is None else format_time(begin),
        "environment": environment,
        "policy": policy,
    }
    filters = {name: value for name, value in given.items() if value is not None}
    client = client_of(settings_of(**flags))
    found: dict[str, Mapping[str, Any]] = {}
    unknown: Sequence[Any] = ()
    while True:
        page = client.findings(filters)
        # A release that stands on two pages is told once.
        found |= {repr(sorted(each.items())): each for each in _rows(page, "findings")}
        unknown = _rows(page, "unknown")
        if type(page.get("next")) is not int:
            break
        filters = {**filters, "before": str(page["next"])}
    rows = list(found.values())
    lines = [line for each in rows for line in _finding(each)]
    lines += [
        f" {clean(str(each.get('id')))} {colour('UNKNOWN', 'yellow')}  {clean(str(each.get('detail')))}"
        for each in unknown
    ]
    head = f"{colour('FOUND', 'red')}  {len(rows)} findings" if rows else f"{colour('CLEAN', 'green')}  nothing found"
    return Result(
        name="found" if rows else "clean",
        code=FOUND if rows else 0,
        members={"findings": rows, "unknown": list(unknown)},
        answer="\n".join(lines),
        story=head,
    )


def _rows(page: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = page.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise answer_malformed(Malformed("malformed-json", f"the answer has no list of {name}"))
    return rows


def _finding(each: Mapping[str, Any]) -> Iterator[str]:
    status = str(each.get("status"))
    paint = colour(status.upper(), "red" if status == "found" else "yellow")
    where = f" -> {each['environment']}" if each.get("environment") else ""
    head = clean(f"{each.get('title')}{where}: {each.get('detail')}")
    yield f" {clean(str(each.get('id')))} {paint}  {head}"
    leaves = ", ".join(map(str, each.get("leaves", ())))
    evidence = "".join(f", sha256:{digest}" for digest in each.get("evidence", ()))
    yield clean(f"    seen {each.get('digest') or 'no digest'}: leaf {leaves}{evidence}")
    yield clean(f"    fix  {each.get('remedy')}")


def _lines(view: Mapping[str, Any]) -> Iterator[str]:
    yield clean(f"{view.get('digest')}  {', '.join(map(str, view.get('names', ())))}")
    for each in _rows(view, "environments"):
        yield ""
        yield clean(f"{each.get('environment')}, by {each.get('policy')} v{each.get('version')}: {each.get('status')}")
        levels, needs = each.get("levels", {}), each.get("needs", {})
        for control, level in levels.items():
            need = f"  next {needs[control]}" if control in needs else ""
            yield clean(f"  {control:<11} {level or 'none':<8}{need}")
        for question in each.get("questions", ()):
            mark = "ok" if question.get("good") else "!!"
            yield clean(f"  {mark} {question.get('question')} {question.get('answer')}: {question.get('why')}")
    yield ""
    for each in _rows(view, "timeline"):
        yield clean(f"leaf {each.get('leaf'):>6}  {each.get('time')}  {each.get('what'):<20} {each.get('detail')}")
    found = _rows(view, "findings")
    for each in found:
        yield from _finding({**each, "digest": view.get("digest")})
