# SPDX-License-Identifier: Apache-2.0
"""What differs between two releases, in the words of an approver: from facts, not from names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from policy.facts import Facts, Provenance, Sbom, VulnerabilityScan

SEVERITIES = ("critical", "high", "medium", "low", "unknown")


def differences(before: Facts, now: Facts) -> list[dict[str, Any]]:
    """Each line that differs: {"what", "before", "now"}; the digest always does."""
    lines = [
        {"what": what, "before": _told(was), "now": _told(new)}
        for (what, was), (_, new) in zip(_lines(before), _lines(now), strict=True)
        if was != new
    ]
    return [line for line in lines if line["before"] or line["now"]]


def _lines(facts: Facts) -> list[tuple[str, tuple[str, ...]]]:
    built = [item for item in facts.evidence.provenance if item.builder is not None]
    newest = max(facts.evidence.scans, key=lambda item: item.origin.received, default=None)
    return [
        ("digest", tuple(f"sha256:{subject.sha256}" for subject in facts.request.subjects)),
        ("repository", _of(item.repository for item in built)),
        ("ref", _of(item.ref for item in built)),
        ("commit", _of(item.commit for item in built)),
        ("builder", _of(item.builder for item in built)),
        ("workflow", _of(map(_workflow, built))),
        ("parameters", _of(name for item in built for name in item.parameters)),
        ("dependencies", _of(str(item.dependencies) for item in built)),
        ("components", _of(map(_components, facts.evidence.sboms))),
        ("vulnerabilities", () if newest is None else _vulnerabilities(newest)),
        ("tests", _of(f"{item.result}: {item.passed} passed, {item.failed} failed" for item in facts.evidence.tests)),
    ]


def _of(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))


def _told(values: tuple[str, ...]) -> str:
    return ", ".join(values)


def _workflow(item: Provenance) -> str:
    return f"{item.workflow or ''}@{item.definition or ''}".strip("@")


def _components(item: Sbom) -> str:
    return f"{item.components} in {item.format}"


def _vulnerabilities(scan: VulnerabilityScan) -> tuple[str, ...]:
    counts: Counter[str] = Counter(each.severity for each in scan.vulnerabilities)
    return tuple(f"{counts[name]} {name}" for name in SEVERITIES if counts[name]) or ("none",)
