# SPDX-License-Identifier: Apache-2.0
"""vulns.threshold: what a fresh scan of this digest found is within limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from policy.decision import Offender
from policy.facts import Vulnerability, VulnerabilityScan
from policy.identity import foreign, signature
from policy.rule import Case, Judgement, Parameter, RuleType, failed, latest, passed, unknown, worst
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Scanner, Trust
from policy.wording import listed, moment, quote, span

SEVERITIES: Final = ("critical", "high", "medium", "low")
"""The severities that a policy can limit, the worst first."""
UNRATED: Final = "unknown"

# Lower bounds of the CVSS v3.1 and v4.0 ratings, in tenths.
_BOUNDS: Final = ((90, "critical"), (70, "high"), (40, "medium"), (1, "low"))
_ORDER: Final = (*SEVERITIES, "none", UNRATED)


def rating(item: Vulnerability) -> str:
    """The worse of the stated severity and the one that the score means; `unknown` when neither says."""
    scored = UNRATED
    if item.score is not None:
        scored = next((severity for bound, severity in _BOUNDS if item.score >= bound), "none")
    return min(item.severity, scored, key=_ORDER.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanDemand:
    """Parameters of vulns.threshold."""

    scanners: tuple[str, ...]
    deny: Mapping[str, int]
    max_age: timedelta | None


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
    return ScanDemand(scanners=scanners, deny=deny, max_age=section.duration("maxAge"))


def _require_scan(demand: ScanDemand) -> str:
    limits = ", ".join(f"{count} {name}" for name, count in demand.deny.items())
    age = "" if demand.max_age is None else f", at most {span(demand.max_age)} old"
    return f"the latest scan of this digest by {' or '.join(demand.scanners)}{age}: at most {limits}"


def _judge_scan(demand: ScanDemand, case: Case) -> Judgement:
    items = case.evidence.scans
    if not items:
        return unknown("no verified scan of this digest")
    accepted = {name: case.trust.scanners[name] for name in demand.scanners}
    trusted = [item for item in items if any(scanner.made(item) for scanner in accepted.values())]
    if not trusted:
        found = dict.fromkeys(f"a scan by {quote(item.scanner_uri)} {signature(item.origin)}" for item in items)
        signers = (scanner.signer for scanner in accepted.values())
        cause = foreign((item.origin for item in items), signers, "the key is no accepted scanner's")
        return failed(cause, items, found=listed(found))
    return worst(_judge_one(demand, item, accepted[str(item.scanner)], case) for item in latest(trusted))


def _judge_one(demand: ScanDemand, item: VulnerabilityScan, scanner: Scanner, case: Case) -> Judgement:
    rated: dict[str, list[Vulnerability]] = {}
    for vulnerability in item.vulnerabilities:
        rated.setdefault(rating(vulnerability), []).append(vulnerability)
    counts = {name: [each.id for each in those] for name, those in rated.items()}
    finished = "at a time not stated" if item.finished is None else moment(item.finished)
    summary = ", ".join(f"{len(counts[name])} {name}" for name in _ORDER if name in counts)
    found = f"scan by {scanner.name} {finished}: {summary or 'no vulnerability'}"
    worst_ones = [
        name for name in SEVERITIES if name in counts and name in demand.deny and len(counts[name]) > demand.deny[name]
    ]
    over = [
        f"{len(counts[name])} {name} ({listed(map(quote, sorted(counts[name])))}), at most {demand.deny[name]}"
        for name in worst_ones
    ]
    late = dict(_time_faults(demand, item, scanner, case))
    faults = (*over, *late.values())
    if faults:
        return failed(
            listed(faults),
            [item],
            found=found,
            remedy=""
            if over
            else "the scan job scans this digest again with a current database: signer sign --evidence SCAN",
            offenders=_offenders((each for name in worst_ones for each in rated[name]), late),
        )
    times = {"scan-undated": item.finished, "database-undated": item.database_updated}
    undated = [name for name, time in times.items() if time is None]
    unrated = counts.get(UNRATED, [])
    if len(unrated) > demand.deny[UNRATED]:
        return unknown(
            f"{len(unrated)} vulnerabilities carry no severity ({listed(map(quote, sorted(unrated)))})",
            [item],
            found=found,
            bound="subject",
            remedy="the scan job scans this digest again with a database that rates them: signer sign --evidence SCAN",
            offenders=_offenders(rated[UNRATED], undated),
        )
    if undated:
        missing = "when it ended" if item.finished is None else "when its database was updated"
        return unknown(
            f"the scan does not say {missing}", [item], found=found, bound="subject", offenders=_offenders((), undated)
        )
    return passed([item], found=found)


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
        "Severity and score may differ: the worse one counts. What nobody rated is not known to be harmless."
    ),
    success="has no more known vulnerabilities than allowed",
    failure="needs a fresh scan within the limits",
    remedy="the developer updates the affected components; the pipeline builds and scans again: "
    "signer sign --evidence SCAN",
    supply="the scan job attaches its scan of this digest: signer evidence add SCAN",
    evidence="in-toto vulns v0.2 whose subject is the digest, by an accepted scanner; attested only.",
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
    ),
    example="{id: VUL-1, type: vulns.threshold, control: artifact, level: better, scanners: [grype], "
    "deny: {critical: 0, high: 0}, maxAge: 2d}",
    needs_provenance=False,
    reads_provenance=True,
    read=_read_scan,
    require=_require_scan,
    judge=_judge_scan,
)
