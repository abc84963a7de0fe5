# SPDX-License-Identifier: Apache-2.0
"""What scanners write themselves: the JSON reports of grype, trivy and osv-scanner.

    grype  {"matches":[{"vulnerability":{"id":"CVE-…","severity":"High","fix":{"versions":["1.2"]},
                                         "cvss":[{"metrics":{"baseScore":8.1}}]},
                        "artifact":{"name":"a","version":"1.0","purl":"pkg:pypi/a@1.0"}}],
            "descriptor":{"name":"grype","db":{"built":"2026-11-22T00:00:00Z"}}}
    trivy  {"SchemaVersion":2,"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-…","PkgName":"a",
            "InstalledVersion":"1.0","FixedVersion":"1.2","Severity":"HIGH","CVSS":{"nvd":{"V3Score":8.1}}}]}]}
    osv    {"results":[{"packages":[{"package":{"name":"a","version":"1.0","ecosystem":"PyPI"},
            "vulnerabilities":[{"id":"GHSA-…","database_specific":{"severity":"HIGH"}}],
            "groups":[{"ids":["GHSA-…"],"max_severity":"8.1"}]}]}]}

The severity is the scanner's own word; where it says none, the band of the highest CVSS score. What a scanner was told
to ignore is not in the lists that are read: exceptions are the policy's matter, so scan without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from policy.facts import Vulnerability
from signer.errors import Malformed
from signer.formats.rfc3339 import parse_time
from signer.formats.shape import read_shape, require_printable
from signer.formats.vulns import read_ratings

UNSET_CLOCK = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class RawReport:
    """What one report says."""

    scanner: str
    database_updated: datetime | None
    vulnerabilities: tuple[Vulnerability, ...]


class _Fix(msgspec.Struct):
    versions: list[str] | None = None


class _GrypeMetrics(msgspec.Struct, rename="camel"):
    base_score: float | None = None


class _GrypeCvss(msgspec.Struct):
    metrics: _GrypeMetrics | None = None


class _GrypeVulnerability(msgspec.Struct):
    id: str
    severity: str = ""
    fix: _Fix | None = None
    cvss: list[_GrypeCvss] | None = None


class _GrypeArtifact(msgspec.Struct):
    name: str
    version: str = ""
    purl: str = ""


class _Match(msgspec.Struct):
    vulnerability: _GrypeVulnerability
    artifact: _GrypeArtifact


class _GrypeStatus(msgspec.Struct):
    built: str | None = None


class _GrypeDatabase(msgspec.Struct):
    built: str | None = None
    status: _GrypeStatus | None = None


class _Descriptor(msgspec.Struct):
    db: _GrypeDatabase | None = None


class _Grype(msgspec.Struct):
    matches: list[_Match]
    descriptor: _Descriptor


def _read_grype(value: Mapping[str, Any]) -> RawReport:
    wire = read_shape(value, _Grype, what="report of grype")
    database = wire.descriptor.db or _GrypeDatabase()
    built = database.built or (database.status.built if database.status is not None else None)
    return RawReport(
        "grype",
        None if built in (None, "", UNSET_CLOCK) else parse_time(str(built), what="time of grype's database"),
        tuple(
            _found(
                match.vulnerability.id,
                word=match.vulnerability.severity,
                scores=[entry.metrics.base_score for entry in match.vulnerability.cvss or () if entry.metrics],
                package=match.artifact.purl or _at(match.artifact.name, match.artifact.version),
                fixes=match.vulnerability.fix.versions if match.vulnerability.fix is not None else None,
            )
            for match in wire.matches
        ),
    )


class _TrivyScore(msgspec.Struct):
    v3: float | None = msgspec.field(default=None, name="V3Score")
    v4: float | None = msgspec.field(default=None, name="V40Score")


class _TrivyIdentifier(msgspec.Struct):
    purl: str = msgspec.field(default="", name="PURL")


class _TrivyVulnerability(msgspec.Struct, rename="pascal"):
    id: str = msgspec.field(name="VulnerabilityID")
    pkg_name: str
    installed_version: str = ""
    fixed_version: str = ""
    severity: str = ""
    pkg_identifier: _TrivyIdentifier | None = None
    cvss: dict[str, _TrivyScore] | None = msgspec.field(default=None, name="CVSS")


class _TrivyResult(msgspec.Struct, rename="pascal"):
    vulnerabilities: list[_TrivyVulnerability] | None = None


class _Trivy(msgspec.Struct, rename="pascal"):
    schema_version: int
    results: list[_TrivyResult]


def _read_trivy(value: Mapping[str, Any]) -> RawReport:
    wire = read_shape(value, _Trivy, what="report of trivy")
    if not wire.results:
        raise Malformed("evidence-invalid", "the report of trivy lists nothing that it scanned")
    return RawReport(
        "trivy",
        None,  # the report does not say
        tuple(
            _found(
                entry.id,
                word=entry.severity,
                scores=[score for each in (entry.cvss or {}).values() for score in (each.v3, each.v4)],
                package=(entry.pkg_identifier.purl if entry.pkg_identifier is not None else "")
                or _at(entry.pkg_name, entry.installed_version),
                fixes=[part.strip() for part in entry.fixed_version.split(",")],
            )
            for result in wire.results
            for entry in result.vulnerabilities or ()
        ),
    )


class _OsvPackage(msgspec.Struct):
    name: str
    version: str = ""
    ecosystem: str = ""
    purl: str = ""


class _OsvEvent(msgspec.Struct):
    fixed: str | None = None


class _OsvRange(msgspec.Struct):
    type: str = ""
    events: list[_OsvEvent] | None = None


class _OsvAffectedPackage(msgspec.Struct):
    name: str = ""


class _OsvAffected(msgspec.Struct):
    package: _OsvAffectedPackage | None = None
    ranges: list[_OsvRange] | None = None


class _OsvOwn(msgspec.Struct):
    severity: Any = None


class _OsvVulnerability(msgspec.Struct):
    id: str
    database_specific: _OsvOwn | None = None
    affected: list[_OsvAffected] | None = None


class _OsvGroup(msgspec.Struct):
    ids: list[str]
    max_severity: str = ""


class _OsvEntry(msgspec.Struct):
    package: _OsvPackage
    vulnerabilities: list[_OsvVulnerability] | None = None
    groups: list[_OsvGroup] | None = None


class _OsvResult(msgspec.Struct):
    packages: list[_OsvEntry] | None = None


class _Osv(msgspec.Struct):
    results: list[_OsvResult]


def _read_osv(value: Mapping[str, Any]) -> RawReport:
    wire = read_shape(value, _Osv, what="report of osv-scanner")
    entries = (entry for result in wire.results for entry in result.packages or ())
    return RawReport("osv-scanner", None, tuple(found for entry in entries for found in _osv_entry(entry)))


def _osv_entry(entry: _OsvEntry) -> Iterator[Vulnerability]:
    scores = {name: group.max_severity for group in entry.groups or () for name in group.ids}
    for each in entry.vulnerabilities or ():
        word = each.database_specific.severity if each.database_specific is not None else None
        score = scores.get(each.id, "")
        yield _found(
            each.id,
            word=word if isinstance(word, str) else "",
            scores=[float(score)]
            if score.replace(".", "", 1).isascii() and score.replace(".", "", 1).isdigit()
            else [],
            package=entry.package.purl or _at(entry.package.name, entry.package.version),
            fixes=[
                event.fixed or ""
                for affected in each.affected or ()
                if affected.package is None or affected.package.name == entry.package.name
                for span in affected.ranges or ()
                if span.type != "GIT"
                for event in span.events or ()
            ],
        )


READERS: Mapping[str, tuple[frozenset[str], Callable[[Mapping[str, Any]], RawReport]]] = {
    "grype": (frozenset({"matches", "descriptor"}), _read_grype),
    "trivy": (frozenset({"SchemaVersion"}), _read_trivy),
    "osv-scanner": (frozenset({"results"}), _read_osv),
}
"""The scanners whose reports are read, each with the keys that tell its report."""


def read_report(value: Any) -> RawReport | None:
    """Read a scanner's own report; None when it is by none of the known scanners; raises Malformed."""
    keys = value.keys() if isinstance(value, dict) else frozenset()
    return next((read(value) for marks, read in READERS.values() if marks <= keys), None)


def _found(
    name: str, *, word: str, scores: Iterable[float | None], package: str, fixes: Iterable[str] | None
) -> Vulnerability:
    severity, score = read_ratings(word, [score for score in scores if score is not None])
    fix = next((text for text in fixes or () if text), None)
    return Vulnerability(
        id=require_printable(name, what="id of a vulnerability"),
        severity=severity,
        score=score,
        package=require_printable(package, what="package of a vulnerability", limit=1024),
        fix=None if fix is None else require_printable(fix, what="fix of a vulnerability"),
    )


def _at(name: str, version: str) -> str:
    return f"{name}@{version}" if version else name
