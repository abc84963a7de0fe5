# SPDX-License-Identifier: Apache-2.0
"""What people read first: Markdown, made of the pack's own leaves and documents.

Words that came with evidence stand as text: no markup of theirs, no line break, no escape code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from policy.facts import ReviewRecord
from signer.formats.facts import decode_facts
from signer.pack.text import inert
from signer.releases.contents import Contents
from signer.releases.findings import find
from signer.releases.posture import postures, status_of


def render_summary(contents: Contents, missing: Sequence[tuple[str, str]]) -> bytes:
    """The whole page."""
    lines = [
        "# Release evidence",
        "",
        f"- digest: `sha256:{contents.sha256}`",
        *(f"- name: {inert(name)}" for name in contents.names()),
        f"- ledger: {inert(contents.origin)}, cut at {contents.size} leaves",
        "",
        "Nothing on this page has to be believed: `signer pack verify` makes it again from the files beside it.",
        "",
        "## Decisions",
        "",
        *_table(("leaf", "time", "policy", "environment", "verdict", "outcome"), _decisions(contents)),
        "",
        *_postures(contents),
        "## Deployments",
        "",
        *_table(("leaf", "recorded", "what", "environment", "gate"), _deployments(contents)),
        "",
        "## Taken back",
        "",
        *_table(("leaf", "time", "policy", "environment", "reason"), _revocations(contents)),
        "",
        "## Findings",
        "",
        *_table(("finding", "", "environment", "what", "remedy"), _findings(contents)),
        "",
        "## Missing",
        "",
        *([f"- {path}: {why}" for path, why in missing] or ["Nothing."]),
        "",
    ]
    return "\n".join(lines).encode()


def render_reviews(contents: Contents) -> bytes:
    """What review records say, below the submitted summary; empty when there is none."""
    records: dict[str, ReviewRecord] = {}
    for _, leaf in contents.decisions():
        for record in decode_facts(contents.read(leaf.facts)).evidence.reviews:
            records.setdefault(record.origin.digest, record)
    if not records:
        return b""
    lines = ["", "---", "", "Reviews, as recorded by source collectors:", ""]
    for digest, record in records.items():
        commit = f"{inert(record.repository)} at `{inert(record.commit)}`"
        lines.append(f"- {commit}, by {inert(record.collector or 'nobody trusted')} (evidence `sha256:{digest}`)")
        lines += [f"  - {inert(each.reviewer)}: {inert(each.decision)}" for each in record.reviews]
    return "".join(f"{line}\n" for line in lines).encode()


def _decisions(contents: Contents) -> Iterator[Sequence[str]]:
    for index, leaf in contents.decisions():
        policy = f"{inert(leaf.policy.name)} v{leaf.policy.version}"
        status = status_of(contents, index, leaf)
        yield str(index), leaf.time, policy, inert(leaf.environment), leaf.verdict, status


def _postures(contents: Contents) -> Iterator[str]:
    for each in postures(contents):
        yield f"## {inert(each.decision.environment)}, by {inert(each.decision.policy.name)}"
        yield ""
        rows = (
            (control, level or "none", inert(each.needs.get(control, ""))) for control, level in each.levels.items()
        )
        yield from _table(("control", "level", "the next needs"), rows)
        yield ""
        yield from (
            f"{place}. {one.question} **{one.answer}**: {inert(one.why)}" for place, one in enumerate(each.questions, 1)
        )
        yield ""


def _deployments(contents: Contents) -> Iterator[Sequence[str]]:
    for index, leaf in contents.deployments():
        gate = "none" if leaf.gate is None else f"{leaf.gate.result} {leaf.gate.reason}".rstrip()
        yield str(index), leaf.time, f"{leaf.status}: {inert(leaf.reference)}", inert(leaf.environment), inert(gate)


def _revocations(contents: Contents) -> Iterator[Sequence[str]]:
    for index, leaf in contents.revocations():
        yield str(index), leaf.time, inert(leaf.policy), inert(leaf.environment), inert(leaf.reason)


def _findings(contents: Contents) -> Iterator[Sequence[str]]:
    for each in find(contents):
        yield each.id, each.status, inert(each.environment), inert(each.detail), inert(each.remedy)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    listed = [f"| {' | '.join(row)} |" for row in rows]
    if not listed:
        return ["None."]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *listed]
