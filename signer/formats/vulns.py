# SPDX-License-Identifier: Apache-2.0
"""in-toto vulns v0.2: what a scanner found in an artifact.

    {"scanner":{"uri":"https://github.com/anchore/grype","db":{"lastUpdate":"2026-11-22T00:00:00Z"},
       "result":[{"id":"CVE-2026-31337","severity":[{"method":"nvd","score":"high"},
                                                    {"method":"cvss_score","score":"8.1"}]}]},
     "metadata":{"scanStartedOn":"2026-11-23T09:06:00Z","scanFinishedOn":"2026-11-23T09:07:00Z"}}

An empty result says that nothing was found; an absent one does not parse. Of several severities for one
finding the worst counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import msgspec

from policy.facts import Vulnerability
from signer.formats.rfc3339 import parse_time
from signer.formats.shape import read_shape, require_printable, require_visible

PREDICATE_TYPE = "https://in-toto.io/attestation/vulns/v0.2"

Severity: TypeAlias = Literal["critical", "high", "medium", "low", "none", "unknown"]

_WORDS: Mapping[str, Severity] = {
    "critical": "critical",
    "high": "high",
    "important": "high",
    "medium": "medium",
    "moderate": "medium",
    "low": "low",
    "negligible": "low",
    "none": "none",
}
# "unknown" stands above "low": a rating that cannot be read must not be hidden by a mild one.
_ORDER: tuple[Severity, ...] = ("none", "low", "unknown", "medium", "high", "critical")
_SCORE = re.compile(r"(10|[0-9])(?:\.([0-9])[0-9]*)?")
_MAX_SCORE = 100
_BANDS: tuple[tuple[int, Severity], ...] = ((90, "critical"), (70, "high"), (40, "medium"), (1, "low"), (0, "none"))
"""CVSS v3.1 §5 and v4.0: lowest score of each rating, in tenths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """One scan."""

    scanner_uri: str
    database_updated: datetime | None
    started: datetime | None
    finished: datetime | None
    vulnerabilities: tuple[Vulnerability, ...]
    tells_fixes: bool = False
    """Whether a vulnerability without a fix has none; this format has no place for one."""


class _Rating(msgspec.Struct):
    score: str
    method: str = ""


class _Result(msgspec.Struct):
    id: str
    severity: list[_Rating] | _Rating | None = None


class _Database(msgspec.Struct, rename="camel"):
    last_update: str


class _Scanner(msgspec.Struct):
    uri: str
    db: _Database
    result: list[_Result]


class _Metadata(msgspec.Struct, rename="camel"):
    scan_started_on: str
    scan_finished_on: str


class _Predicate(msgspec.Struct):
    scanner: _Scanner
    metadata: _Metadata


def read_scan(predicate: Mapping[str, Any]) -> ScanReport:
    """Read the predicate of a verified statement; raises Malformed."""
    wire = read_shape(dict(predicate), _Predicate, what="vulnerability scan")
    return ScanReport(
        scanner_uri=require_visible(wire.scanner.uri, what="scanner uri"),
        database_updated=parse_time(wire.scanner.db.last_update, what="scanner.db.lastUpdate"),
        started=parse_time(wire.metadata.scan_started_on, what="metadata.scanStartedOn"),
        finished=parse_time(wire.metadata.scan_finished_on, what="metadata.scanFinishedOn"),
        vulnerabilities=tuple(_vulnerability(result) for result in wire.scanner.result),
    )


def _vulnerability(wire: _Result) -> Vulnerability:
    name = require_printable(wire.id, what="id of a vulnerability")
    stated = [wire.severity] if isinstance(wire.severity, _Rating) else wire.severity or []
    ratings = [(_cached_rating if len(rating.score) <= _SHORT else _read_rating)(rating.score) for rating in stated]
    if len(ratings) == 1:
        severity, score = ratings[0]
    else:
        severity = max((severity for severity, _ in ratings), key=_ORDER.index, default="unknown")
        score = max((score for _, score in ratings if score is not None), default=None)
    return Vulnerability(id=name, severity=severity, score=score)


def read_ratings(word: str, scores: Sequence[float]) -> tuple[Severity, int | None]:
    """The rating that a scanner's word and CVSS scores make: the word, or else the band of the highest score."""
    tenths = [round(score * 10) for score in scores if 0 <= score <= _MAX_SCORE / 10]
    highest = max(tenths, default=None)
    stated = _WORDS.get(word.strip().lower())
    if stated is not None or highest is None:
        return stated or "unknown", highest
    return _band(highest), highest


def _band(tenths: int) -> Severity:
    return next(word for lowest, word in _BANDS if tenths >= lowest)


def _read_rating(score: str) -> tuple[Severity, int | None]:
    """The rating and the CVSS score in tenths: a word has no score; a vector or a number beyond 10 has no rating."""
    word = _WORDS.get(score.strip().lower())
    if word is not None:
        return word, None
    parts = _SCORE.fullmatch(score)
    tenths = int(parts[1]) * 10 + int(parts[2] or 0) if parts is not None else _MAX_SCORE + 1
    if tenths > _MAX_SCORE:
        return "unknown", None
    return _band(tenths), tenths


_cached_rating = lru_cache(maxsize=1024)(_read_rating)
_SHORT = 16
"""Characters of a score that is remembered: there are few such scores, and a report has thousands of findings."""
