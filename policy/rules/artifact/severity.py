# SPDX-License-Identifier: Apache-2.0
"""How bad a vulnerability is: its stated severity, or the one that its CVSS score means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from policy.facts import Vulnerability

SEVERITIES: Final = ("critical", "high", "medium", "low")
"""The severities that a policy can limit, the worst first."""
UNRATED: Final = "unknown"

# Lower bounds of the CVSS v3.1 and v4.0 ratings, in tenths.
_BOUNDS: Final = ((90, "critical"), (70, "high"), (40, "medium"), (1, "low"))
ORDER: Final = (*SEVERITIES, "none", UNRATED)
"""All ratings, the worst first; what nobody rated stands last and is judged apart."""


def rating(item: Vulnerability) -> str:
    """The worse of the stated severity and the one that the score means; `unknown` when neither says."""
    if item.score is None:
        return item.severity
    scored = next((severity for bound, severity in _BOUNDS if item.score >= bound), "none")
    return min(item.severity, scored, key=ORDER.index)


def by_rating(vulnerabilities: Iterable[Vulnerability]) -> dict[str, list[Vulnerability]]:
    """The vulnerabilities of each rating."""
    rated: dict[str, list[Vulnerability]] = {}
    for vulnerability in vulnerabilities:
        rated.setdefault(rating(vulnerability), []).append(vulnerability)
    return rated
