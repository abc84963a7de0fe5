# SPDX-License-Identifier: Apache-2.0
"""Every value that a label of a metric may have. What is not here fails a test: no caller's text becomes a label."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families

from docs.pages.http_api import routes
from signer.web.problems import STATUS

ALLOWED: Mapping[str, frozenset[str] | re.Pattern[str]] = {
    "route": frozenset(route.path for route in routes()) | {"none"},
    "method": frozenset({"GET", "HEAD", "POST", "other"}),
    "status": re.compile(r"[2-5][0-9]{2}"),
    "code": frozenset(STATUS) | {"signed"},
    "reason": frozenset(STATUS)
    | {"unverified", "no-certificate", "certificate-refused", "old-protocol", "plain-http", "protocol", "connection"},
    "verdict": frozenset({"allow", "deny", "hold"}),
    "reason_class": frozenset(STATUS) | {"none"},
    "stage": frozenset({"verify", "custodian"}),
    "result": frozenset({"hit", "miss"}),
    "le": re.compile(r"[0-9.]+|\+Inf"),
    "key": re.compile(r"[a-z0-9][a-z0-9.-]{0,62}"),
    "version": re.compile(r"[0-9]+\.[0-9]+\.[0-9]+[0-9a-z.+]*"),
}


def strange_labels(exposition: str) -> Iterator[str]:
    """Labels in the text format that are not in the table."""
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            for label, value in sample.labels.items():
                known = ALLOWED.get(label, frozenset())
                if not (known.fullmatch(value) if isinstance(known, re.Pattern) else value in known):
                    yield f"{sample.name}: {label}={value[:80]!r}"
