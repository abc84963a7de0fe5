# SPDX-License-Identifier: Apache-2.0
"""vulns.threshold: what a fresh scan of this digest found is within limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from policy.decision import Offender
from policy.facts import EvidenceFacts, Item, Vulnerability, VulnerabilityScan
from policy.identity import foreign, signature
from policy.judgement import Judgement, failed, passed, unknown, worst
from policy.rule import Case, Parameter, RuleType, latest
from policy.rules.artifact.grace import Grace, since
from policy.rules.artifact.severity import ORDER, SEVERITIES, UNRATED
from policy.rules.artifact.weighing import dated, exceeded, weigh
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Scanner, Trust, made_by
from policy.wording import listed, moment, quote, span


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanDemand:
    """Parameters of vulns.threshold."""

    scanners: tuple[str, ...]
    deny: Mapping[str, int]
    max_age: timedelta | None
    grace: Mapping[str, timedelta]
    only_if_fixed: bool
    authors: tuple[str, ...]


def _read_scan(section: Section, trust: Trust) -> ScanDemand:
    scanners = section.references("scanners", trust.scanners, what="scanner")
    limits = section.section("deny")
    deny = {name: limits.integer(name, least=0) for name in SEVERITIES if limits.has(name)}
    if not deny:
        raise section.refuse("deny", "limits no severity", remedy="for example {critical: 0, high: 0}")
    for name in SEVERITIES[: SEVERITIES.index(tuple(deny)[-1])]:
        if name not in deny:
            raise section.refuse("deny", f"limits {tuple(deny)[-1]} and not {name}", remedy=f"add a limit for {name}")
    deny[UNRATED] = limits.integer(UNRATED, least=0, default=0)
    limits.close()
    return ScanDemand(
        scanners=scanners,
        deny=deny,
        max_age=section.duration("maxAge"),
        grace=_read_grace(section, deny),
        only_if_fixed=section.boolean("onlyIfFixed", default=False),
        authors=section.references("vex", trust.authors, what="author") if section.has("vex") else (),
    )


def _read_grace(section: Section, deny: Mapping[str, int]) -> dict[str, timedelta]:
    if not section.has("grace"):
        return {}
    lengths = section.section("grace")
    grace = {name: length for name in deny if (length := lengths.duration(name)) is not None}
    lengths.close()
    if not grace:
        raise section.refuse("grace", "gives no severity a time", remedy="for example {high: 7d}, or remove it")
    return grace


def _require_scan(demand: ScanDemand) -> str:
    limits = ", ".join(f"{count} {name}" for name, count in demand.deny.items())
    age = "" if demand.max_age is None else f", at most {span(demand.max_age)} old"
    parts = [f"the latest scan of this digest by {' or '.join(demand.scanners)}{age}: at most {limits}"]
    if demand.only_if_fixed:
        parts.append("without a fix not counted")
    if demand.grace:
        lengths = ", ".join(f"{name} {span(length)}" for name, length in demand.grace.items())
        parts.append(f"not counted from the first receipt on for {lengths}")
    if demand.authors:
        parts.append(f"dismissed by {' or '.join(demand.authors)} not counted")
    return "; ".join(parts)


def _judge_scan(demand: ScanDemand, case: Case) -> Judgement:
    items = case.evidence.scans
    if not items:
        return unknown("no verified scan of this digest")
    accepted = {name: case.trust.scanners[name] for name in demand.scanners}
    trusted = made_by(items, accepted.values())
    if not trusted:
        found = dict.fromkeys(f"a scan by {quote(item.scanner_uri)} {signature(item.origin)}" for item in items)
        signers = (scanner.signer for scanner in accepted.values())
        cause = foreign((item.origin for item in items), signers, "the key is no accepted scanner's")
        return failed(cause, items, found=listed(found))
    grace = since(trusted, demand.grace)
    return worst(_judge_one(demand, item, accepted[str(item.scanner)], grace, case) for item in latest(trusted))


def _judge_one(demand: ScanDemand, item: VulnerabilityScan, scanner: Scanner, grace: Grace, case: Case) -> Judgement:
    weighed = weigh(demand, item, grace, case)
    rated = weighed.rated
    finished = "at a time not stated" if item.finished is None else moment(item.finished)
    summary = ", ".join([f"{len(rated[name])} {name}" for name in ORDER if name in rated])
    found = f"scan by {scanner.name} {finished}: {summary or 'no vulnerability'}{weighed.aside}"
    items: tuple[Item, ...] = (item, *weighed.documents)
    exceeding = exceeded(demand.deny, rated)
    late = dict(_time_faults(demand, item, scanner, case))
    undated = [
        name
        for name, time in (("scan-undated", item.finished), ("database-undated", item.database_updated))
        if time is None
    ]
    if not (exceeding or late or undated):
        return passed(items, found=found)
    refusing = (*items, *weighed.against)
    worst_ones = [name for name in exceeding if name != UNRATED]
    over = [
        f"{len(rated[name])} {name} ({_dated(rated[name], name, grace)}), at most {demand.deny[name]}"
        for name in worst_ones
    ]
    faults = (*over, *late.values())
    # Also what would be unknown were there no failure: a waiver for the failure must not hide it.
    unsettled = rated[UNRATED] if UNRATED in exceeding else []
    if faults:
        return failed(
            listed(faults),
            refusing,
            found=found,
            remedy=""
            if over
            else "the scan job scans this digest again with a current database: signer sign --evidence SCAN",
            offenders=_offenders(
                (*(each for name in worst_ones for each in rated[name]), *unsettled), (*late, *undated)
            ),
        )
    if unsettled:
        return unknown(
            f"{len(unsettled)} vulnerabilities carry no severity ({_dated(unsettled, UNRATED, grace)})",
            refusing,
            found=found,
            bound="subject",
            remedy="the scan job scans this digest again with a database that rates them: signer sign --evidence SCAN",
            offenders=_offenders(unsettled, undated),
        )
    missing = "when it ended" if item.finished is None else "when its database was updated"
    return unknown(
        f"the scan does not say {missing}", items, found=found, bound="subject", offenders=_offenders((), undated)
    )


def _dated(vulnerabilities: Iterable[Vulnerability], severity: str, grace: Grace) -> str:
    return listed(sorted(dated(each, severity, grace) for each in vulnerabilities))


def _effort(demand: ScanDemand, evidence: EvidenceFacts) -> int:
    # What counts is rated in some quarter of a unit; grace and VEX look at each finding, VEX at each of its statements.
    found = [each.id for scan in evidence.scans for each in scan.vulnerabilities]
    if not (demand.grace or demand.authors):
        return 1 + len(found) // 4
    said: Counter[str] = Counter()
    for statement in [each for item in evidence.vex for each in item.statements]:
        said.update(dict.fromkeys(statement.ids, 1 + len(statement.packages)))
    return 1 + len(found) + sum(said.values()) // 8 + sum([said[name] for name in found]) // 8


def _ceiling(demand: ScanDemand) -> Literal["minimum", "better", "strong"]:
    return "better" if demand.only_if_fixed or demand.grace else "strong"


def _offenders(vulnerabilities: Iterable[Vulnerability], times: Iterable[str]) -> tuple[Offender, ...]:
    """Each vulnerability once, sorted, and the names of what is wrong with the times."""
    found = {(each.id, each.package or "") for each in vulnerabilities}
    return (
        *(Offender(id=name, package=package or None) for name, package in sorted(found)),
        *(Offender(id=name) for name in times),
    )


def _time_faults(
    demand: ScanDemand, item: VulnerabilityScan, scanner: Scanner, case: Case
) -> Iterator[tuple[str, str]]:
    """What is wrong with the times of a scan, each by a name of its own, so that one can be waived alone."""
    finished, database = item.finished, item.database_updated
    if finished is not None:
        fault = case.age_fault(finished, most=demand.max_age)
        if fault is not None:
            yield "scan-future" if finished > case.now else "scan-age", f"the scan {fault}"
        began = None if case.provenance is None else case.provenance.started
        if began is not None and finished < began - case.clock_skew:
            yield "scan-before-build", f"the scan ended before the build of this digest began ({moment(began)})"
    if database is not None:
        fault = case.age_fault(database, most=scanner.max_database_age)
        if fault is not None:
            yield "database-future" if database > case.now else "database-age", f"the scanner's database {fault}"
        if finished is not None and database > finished + case.clock_skew:
            yield "database-after-scan", "the scanner's database is newer than the scan"


VULNERABILITIES = RuleType(
    code="vulns.threshold",
    control="artifact",
    title="Known vulnerabilities within limits",
    description=(
        "A scan counts only for the very digest that it scanned, while it and its database are fresh. Among the scans "
        "of accepted scanners the one received last decides, so that an older clean scan cannot hide a newer finding. "
        "Severity and score may differ: the worse one counts. What nobody rated is not known to be harmless. "
        "What a rule sets aside stands in the finding: with `grace` what was first received not long ago, counted "
        "for this very digest; with `onlyIfFixed` what has no fix; with `vex` what a trusted author calls "
        "fixed, or not affected for one of OpenVEX's justifications. The first two make the level better at most."
    ),
    success="has no more known vulnerabilities than allowed",
    failure="needs a fresh scan within the limits",
    remedy="the developer updates the affected components; the pipeline builds and scans again: "
    "signer sign --evidence SCAN",
    supply="the scan job attaches its scan of this digest: signer evidence add SCAN",
    evidence="in-toto vulns v0.2 whose subject is the digest, by an accepted scanner; attested only. With "
    "`onlyIfFixed`, a scanner's own report, since nothing else tells fixes; with `vex`, OpenVEX documents whose "
    "subject is the digest, by an accepted author; attested only. The times of receipt are the ledger's.",
    parameters=(
        Parameter(
            name="scanners",
            sense=Sense(kind=Kind.ACCEPTS, latest=True),
            kind="list of scanners",
            required=True,
            meaning="the trusted scanners that are accepted",
        ),
        Parameter(
            name="deny",
            sense=Sense(kind=Kind.LIMITS),
            kind="limits by severity",
            required=True,
            meaning="how many vulnerabilities of each severity are still accepted; a limit for one severity needs a "
            "limit for every worse one; `unknown` limits unrated ones and is 0 without it",
        ),
        Parameter(
            name="maxAge",
            sense=Sense(kind=Kind.AGE),
            kind="duration",
            required=False,
            meaning="oldest scan that counts; without it, defaults.maxEvidenceAge. The database's age is limited by "
            "the scanner's maxDatabaseAge",
        ),
        Parameter(
            name="grace",
            sense=Sense(kind=Kind.GRACE),
            kind="durations by severity",
            required=False,
            meaning="how long a finding of a limited severity does not count, from the ledger's first receipt of a "
            "scan of this digest that has it; none without it",
        ),
        Parameter(
            name="onlyIfFixed",
            sense=Sense(kind=Kind.ALLOWS, absent=False),
            kind="boolean",
            required=False,
            meaning="whether only vulnerabilities with a known fix count; false without it",
        ),
        Parameter(
            name="vex",
            sense=Sense(kind=Kind.ACCEPTS, absent=(), latest=True),
            kind="list of authors",
            required=False,
            meaning="the trusted authors whose statements take a vulnerability out of account; nobody without it",
        ),
    ),
    example="{id: VUL-1, type: vulns.threshold, control: artifact, level: better, scanners: [grype], "
    "deny: {critical: 0, high: 0}, maxAge: 2d}",
    needs_provenance=False,
    reads_provenance=True,
    read=_read_scan,
    require=_require_scan,
    judge=_judge_scan,
    ceiling=_ceiling,
    effort=_effort,
)
