# SPDX-License-Identifier: Apache-2.0
"""The judge alone: what one judgement costs, and a replay of 100,000 different recorded decisions on one core.

The policy is the ready one of level better with one more rule, fifteen in all. Every decision is about another digest,
by evidence of other digests, times and contents; each tenth is denied. They are made a batch at a time and only their
replay is timed: lines as `signer decision export` writes them, to a tally as `signer policy replay` shows it.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

from policy.document import Policy, load_document, parse_policy
from policy.engine import evaluate
from policy.facts import (
    EvidenceFacts,
    Facts,
    Item,
    Origin,
    Provenance,
    ReviewRecord,
    SourceSummary,
    Vulnerability,
    VulnerabilityScan,
)
from policy.library import render, render_tests
from policy.replay import Ending
from policy.testing.suite import no_files, parse_suite
from signer.cli.policy_replay import Tally, replayed
from signer.cli.records import Wanted, decisions_of
from signer.formats.canonical import canonical
from signer.formats.facts import encode_facts
from signer.formats.findings import encode_findings
from signer.formats.replay_record import DecisionRecord, PolicyRecord, RecordedPolicy, encode_decision, encode_policy

DECISIONS = 100_000
BATCH = 1000
JUDGEMENTS = 2000
REPOSITORY = "github.com/acme/shop"
MORE_RULES: tuple[dict[str, Any], ...] = (
    {
        "id": "VUL-2",
        "type": "vulns.threshold",
        "control": "artifact",
        "level": "better",
        "scanners": ["scanner"],
        "deny": {"critical": 0},
    },
)


@dataclass(frozen=True, slots=True)
class Case:
    """A policy, facts that it allows, and the instant at which it does."""

    policy: Policy
    data: bytes
    facts: Facts
    at: datetime


def pem(letter: str) -> str:
    """A key that nothing is verified by: the facts say what did."""
    return f"-----BEGIN PUBLIC KEY-----\n{letter * 60}\n-----END PUBLIC KEY-----\n"


def case() -> Case:
    """The policy of level better with fifteen rules, and the good release of its tests."""
    ready = render(
        "better",
        name="bench",
        builder_id="https://dev.invalid/builder",
        builder_key=pem("B"),
        scanner_key=pem("C"),
        source_key=pem("S"),
        source_verifier="https://dev.invalid/source",
        repository=REPOSITORY,
    )
    value = load_document(ready)
    value["rules"] += MORE_RULES
    data = canonical(value)
    policy = parse_policy(data)
    suite = parse_suite(
        render_tests("better", repository=REPOSITORY), name="better", policy=policy, load_facts=no_files
    )
    trial = suite.trials[0]
    return Case(policy, data, trial.facts, trial.at)


def different(facts: Facts, number: int) -> Facts:
    """The release with another digest, and other evidence at other times; each tenth has what denies it."""
    later = timedelta(seconds=number)
    commit = sha256(b"commit %d" % number).hexdigest()[:40]

    def item(each: Item, place: int) -> Item:
        changes: dict[str, Any] = {
            "origin": _origin(each.origin, f"{place} {number}"),
            **{
                name: getattr(each, name) + later
                for name in ("started", "finished", "verified", "database_updated")
                if getattr(each, name, None) is not None
            },
        }
        match each:
            case Provenance() | SourceSummary():
                changes["commit"] = commit
            case ReviewRecord():
                changes["commit"] = commit
                changes["reviews"] = tuple(replace(review, commit=commit) for review in each.reviews)
            case VulnerabilityScan():
                severity: Literal["critical", "low"] = "critical" if number % 10 == 0 else "low"
                changes["vulnerabilities"] = (Vulnerability(id=f"CVE-2026-{number}", severity=severity, score=None),)
            case _:
                pass
        return replace(each, **changes)

    evidence: dict[str, Any] = {
        name: tuple(item(each, place) for place, each in enumerate(getattr(facts.evidence, name)))
        for name in EvidenceFacts.__dataclass_fields__
    }
    subjects = tuple(
        replace(each, sha256=sha256(b"%d %d" % (place, number)).hexdigest())
        for place, each in enumerate(facts.request.subjects)
    )
    request = replace(facts.request, subjects=subjects)
    return replace(facts, request=request, evidence=EvidenceFacts(**evidence))


def _origin(origin: Origin, text: str) -> Origin:
    return replace(origin, digest=sha256(f"{origin.digest} {text}".encode()).hexdigest())


def lines(known: Case, start: int, count: int) -> Iterator[bytes]:
    """Recorded decisions as an export holds them."""
    yield encode_policy(PolicyRecord(digest=known.policy.digest, data=known.data))
    for number in range(start, start + count):
        facts, at = different(known.facts, number), known.at + timedelta(seconds=number)
        decision = evaluate(known.policy, facts, now=at)
        yield encode_decision(
            DecisionRecord(
                leaf=number,
                request_id=f"{number:032x}",
                time=at,
                principal=facts.request.submitter,
                policy=RecordedPolicy(known.policy.name, known.policy.version, known.policy.digest),
                environment=facts.request.environment,
                verdict=decision.verdict.value,
                facts=encode_facts(facts),
                findings=encode_findings(decision),
            )
        )


def judgement_us(known: Case) -> float:
    """CPU microseconds of one judgement, over different facts; the fastest of five runs."""
    releases = [(different(known.facts, number), known.at + timedelta(seconds=number)) for number in range(JUDGEMENTS)]
    best = float("inf")
    for _ in range(5):
        begun = time.process_time()
        for facts, at in releases:
            evaluate(known.policy, facts, now=at)
        best = min(best, (time.process_time() - begun) / JUDGEMENTS * 1e6)
    return best


def replay_seconds(known: Case, count: int) -> tuple[float, Tally, list[int]]:
    """CPU seconds of the replay, what it found, and the memory at its peak (KiB) after each tenth."""
    wanted = Wanted(policy=known.policy.name, environment=None, since=None, until=None)
    tally, spent, memory = Tally(), 0.0, []
    for start in range(0, count, BATCH):
        batch = list(lines(known, start, min(BATCH, count - start)))
        begun = time.process_time()
        for found in replayed(known.policy, decisions_of(iter(batch), wanted), now=None):
            tally.add(found, names=frozenset())
        spent += time.process_time() - begun
        if (start // BATCH + 1) % max(1, count // BATCH // 10) == 0:
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            print(f"replayed {start + BATCH} of {count}", file=sys.stderr, flush=True)
    return spent, tally, memory


def report(count: int = DECISIONS) -> None:
    """Print both."""
    known = case()
    rules = len(known.policy.rules)
    print(f"one judgement, {rules} rules: {judgement_us(known):.0f} us of CPU")
    spent, tally, memory = replay_seconds(known, count)
    total = sum(tally.counts.values())
    print(
        f"replay of {total} different decisions, {rules} rules: {spent:.1f} s of CPU on one core "
        f"({spent / total * 1e6:.0f} us each); {tally.counts[Ending.SAME]} same; "
        f"peak memory {memory[0] // 1024} MiB after a tenth, {memory[-1] // 1024} MiB at the end"
    )


if __name__ == "__main__":
    report(int(sys.argv[1]) if sys.argv[1:] else DECISIONS)
