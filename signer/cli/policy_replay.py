# SPDX-License-Identifier: Apache-2.0
"""`signer policy replay`: what a draft would have decided of the recorded past. Nothing here can sign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import click

from policy.document import Policy, parse_policy
from policy.replay import Ending, Recorded, Replayed, acknowledged, replay as replay_one
from policy.schema import PolicyError
from signer.cli.options import READABLE, instant
from signer.cli.output import Result, clean, colour, mode_option
from signer.cli.policy_documents import FAILED, read_policy_file
from signer.cli.records import Wanted, decisions_of, lines_of, source_options
from signer.errors import Malformed
from signer.formats.facts import decode_facts
from signer.formats.findings import decode_decision
from signer.formats.replay_record import DecisionRecord

SHOWN = 20
"""How many decisions of each ending stand in the text; the JSON object names 1000."""
LISTED = 1000

EPILOG = """\b
Examples:
  signer policy replay --policy draft.yaml --since 30d
  signer policy replay --policy draft.yaml --export decisions.jsonl --acknowledge VUL-1
"""


@dataclass(slots=True)
class Tally:
    """What a replay found so far."""

    counts: Counter[Ending] = field(default_factory=Counter)
    shown: dict[Ending, list[Replayed]] = field(default_factory=lambda: {ending: [] for ending in Ending})
    by_rule: Counter[str] = field(default_factory=Counter)
    """allow → deny, by rule and repository."""
    open: Counter[str] = field(default_factory=Counter)
    """deny → allow that nobody acknowledged, by the rules that stopped them then."""

    def add(self, found: Replayed, *, names: frozenset[str]) -> None:
        """Count one decision."""
        self.counts[found.ending] += 1
        if found.ending is not Ending.SAME and len(self.shown[found.ending]) < LISTED:
            self.shown[found.ending].append(found)
        if found.ending is Ending.DENIED:
            self.by_rule.update(f"{rule} in {found.repository or 'no repository'}" for rule in found.rules)
        if found.ending is Ending.ALLOWED and not acknowledged(found, names):
            self.open.update([" ".join(f"--acknowledge {rule}" for rule in found.rules)])


@click.command(epilog=EPILOG)
@click.option("--policy", "draft", type=READABLE, required=True, help="The draft.")
@click.option("--since", help="Decisions not before: 30d, or an RFC 3339 time.")
@click.option("--until", help="Decisions before: 1d, or an RFC 3339 time.")
@click.option("--environment", help="This environment only.")
@click.option("--now", "as_of_now", is_flag=True, help="Judge at this moment instead of the recorded one.")
@click.option(
    "--acknowledge", "names", multiple=True, metavar="NAME", help="Rule (or request id) whose loosening is meant."
)
@source_options
@mode_option
def replay(
    *,
    draft: Path,
    since: str | None,
    until: str | None,
    environment: str | None,
    as_of_now: bool,
    names: Sequence[str],
    export: Path | None,
    database: str | None,
    **flags: str | None,
) -> Result:
    """Judge recorded decisions again under a draft, from their stored facts and at their recorded instants.

    Ends with 3 when the draft allows what was denied, until each rule that stopped it is acknowledged by name.
    """
    file = read_policy_file(draft)
    now = datetime.now(UTC)
    wanted = Wanted(
        policy=file.policy.name,
        environment=environment,
        since=instant(since, now=now),
        until=instant(until, now=now),
    )
    tally = Tally()
    lines = lines_of(wanted, export=export, database=database, flags=flags)
    for found in replayed(file.policy, decisions_of(lines, wanted), now=now if as_of_now else None):
        tally.add(found, names=frozenset(names))
    return Result(
        name="loosened" if tally.open else "replayed",
        members=_members(tally),
        answer="\n".join(_text(tally)),
        story=_headline(file.policy, tally),
        code=FAILED if tally.open else 0,
    )


def replayed(
    draft: Policy, records: Iterable[tuple[DecisionRecord, bytes]], *, now: datetime | None
) -> Iterator[Replayed]:
    """Each record under the draft, one at a time; what this version cannot read is named and never guessed."""

    @cache
    def policy_of(data: bytes) -> Policy:
        return parse_policy(data)

    for record, data in records:
        try:
            recorded = Recorded(
                leaf=record.leaf,
                request_id=record.request_id,
                time=record.time,
                principal=record.principal,
                version=record.policy.version,
                decision=decode_decision(record.findings),
                facts=decode_facts(record.facts),
                trust=policy_of(data).trust,
            )
        except (Malformed, PolicyError) as fault:
            # Recorded by a release that wrote other facts: what they do not hold is named, never guessed.
            yield _unreadable(record, fault.detail)
            continue
        yield replay_one(draft, recorded, now=now)


def _unreadable(record: DecisionRecord, missing: str) -> Replayed:
    return Replayed(
        leaf=record.leaf,
        request_id=record.request_id,
        environment=record.environment,
        principal=record.principal,
        repository="",
        ending=Ending.MISSING,
        rules=(),
        findings=(),
        missing=missing,
    )


def _members(tally: Tally) -> dict[str, Any]:
    return {
        "counts": {ending.value: tally.counts[ending] for ending in Ending},
        "by_rule": dict(tally.by_rule.most_common()),
        "unacknowledged": sum(tally.open.values()),
        "decisions": {
            ending.value: [_object(found) for found in those] for ending, those in tally.shown.items() if those
        },
    }


def _object(found: Replayed) -> dict[str, Any]:
    value: dict[str, Any] = {
        name: getattr(found, name) for name in ("leaf", "request_id", "environment", "principal", "repository")
    }
    value["rules"] = list(found.rules)
    if found.missing:
        value["missing"] = found.missing
    value["findings"] = [
        {
            name: getattr(finding, name)
            for name in ("rule", "outcome", "title", "required", "found", "evidence", "remedy")
        }
        for finding in found.findings
    ]
    return value


def _headline(policy: Policy, tally: Tally) -> str:
    total = sum(tally.counts.values())
    parts = ", ".join(f"{tally.counts[ending]} {ending}" for ending in Ending)
    story = f"{policy.name} v{policy.version} over {total} decisions: {parts}"
    if total == 0:
        story += "\n  nothing was replayed: no decision of this policy stands there"
    for names, count in tally.open.most_common(SHOWN):
        story += f"\n  {colour(str(count), 'red')} would be allowed; when that is meant: {clean(names)}"
    return story


def _text(tally: Tally) -> Iterator[str]:
    for ending, those in tally.shown.items():
        if not those:
            continue
        yield f"{ending} ({tally.counts[ending]})"
        if ending is Ending.DENIED:
            for place, count in tally.by_rule.most_common(SHOWN):
                yield f"  {count} by {clean(place)}"
        for found in those[:SHOWN]:
            yield from _lines(found)
        if tally.counts[ending] > SHOWN:
            yield f"  … and {tally.counts[ending] - SHOWN} more"
        yield ""


def _lines(found: Replayed) -> Iterator[str]:
    where = " ".join(part for part in (found.environment, found.repository, found.principal) if part)
    yield clean(f"  {found.request_id} leaf {found.leaf} {where}")
    if found.ending is Ending.ALLOWED:
        yield clean(f"    was stopped by {', '.join(found.rules)}")
    if found.missing:
        yield clean(f"    missing: {found.missing}")
        return
    if found.ending is Ending.REASONS and not found.findings:
        yield "    fewer rules stop it"
    for finding in found.findings:
        yield clean(f"    {finding.rule} {finding.title}")
        yield clean(f"      required  {finding.required}")
        yield clean(f"      found     {finding.found}")
        yield clean(f"      fix       {finding.remedy}")
