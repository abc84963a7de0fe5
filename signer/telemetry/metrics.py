# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics of the web processes. Every label takes its values from a list fixed in code.

Workers write counters to files of one directory; the operations listener adds them up. The directory is wiped
at each start, and a dead worker's gauges are removed by `forget_worker`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess, values
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from signer.errors import Misconfigured

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What one worker counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "signer_http_requests_total",
            "Answers by route, method and status.",
            ["route", "method", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "signer_http_request_duration_seconds",
            "Time from the parsed head of a request to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.problems = Counter("signer_problems_total", "Problems answered, by code.", ["code"], registry=registry)
        self.decisions = Counter(
            "signer_decisions_total",
            "Judged requests, by verdict and class of reason.",
            ["verdict", "reason_class"],
            registry=registry,
        )
        self.sign_requests = Counter(
            "signer_sign_requests_total",
            "Requests for a signature, by code of the answer.",
            ["code"],
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "signer_sign_duration_seconds",
            "Time of one stage of a judged request.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.evidence_rejected = Counter(
            "signer_evidence_rejected_total", "Evidence refused, by code.", ["reason"], registry=registry
        )
        self.evidence_cache = Counter(
            "signer_evidence_cache_total",
            "Attestations looked up among those verified before, by result.",
            ["result"],
            registry=registry,
        )
        self.handshake_failures = Counter(
            "signer_mtls_handshake_failures_total", "TLS handshakes that failed.", ["reason"], registry=registry
        )

    def count_cached(self, hit: bool) -> None:  # noqa: FBT001 - the one thing that is counted
        """Count one look at the cache of verified attestations."""
        self.evidence_cache.labels("hit" if hit else "miss").inc()


def share_directory(directory: Path) -> None:
    """Make every metric built after this a file of `directory`, which is emptied here.

    Raises Misconfigured when the directory belongs to somebody else: its files would be theirs to write.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    entry = directory.lstat()
    if directory.is_symlink() or entry.st_uid != os.geteuid():
        raise Misconfigured(
            "metrics-directory", f"{directory} is not a directory of this user", remedy="name a directory of its own"
        )
    directory.chmod(0o700)
    for stale in directory.glob("*.db"):
        stale.unlink()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    # The library chooses between memory and files when it is first imported; choose again now that we know.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]  # ships partly typed


def forget_worker(pid: int, directory: Path) -> None:
    """Drop what only made sense while worker `pid` lived."""
    multiprocess.mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]  # ships partly typed


Reading: TypeAlias = float | Mapping[str, float]


class StateCollector:
    """Gauges that are read when somebody looks: `read` answers (name, help, value), names fixed in code.

    A value is a number, or one for each key by the key's name.
    """

    def __init__(self, read: Callable[[], Iterable[tuple[str, str, Reading]]], *, version: str) -> None:
        self._read = read
        self._version = version

    def describe(self) -> Iterable[Metric]:
        """Nothing is read at registration."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The gauges of this instant."""
        yield InfoMetricFamily("signer_build", "What runs here.", value={"version": self._version})
        for name, text, value in self._read():
            if not isinstance(value, Mapping):
                yield GaugeMetricFamily(name, text, value=value)
                continue
            family = GaugeMetricFamily(name, text, labels=["key"])
            for key, each in value.items():
                family.add_metric([key], each)
            yield family


def exposition(directory: Path, state: StateCollector) -> bytes:
    """The text format of all workers' metrics and the state of this instant."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]  # ships partly typed
    registry.register(state)
    return generate_latest(registry)
