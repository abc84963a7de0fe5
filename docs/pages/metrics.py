# SPDX-License-Identifier: Apache-2.0
"""The catalogue of metrics."""

from __future__ import annotations

import ast

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from docs.pages.source import ROOT, table
from signer.telemetry.metrics import Metrics

HEAD = """\
# Metrics

Prometheus text format at `/metrics` on the operations listener (`web.metrics_bind`), never on the listener of callers.
Every label takes its values from a list fixed in code, and `key` from the names of keys in the custodian's settings; no
caller's text becomes a label.
"""


KEY_GAUGES = frozenset({"signer_key_proved_timestamp_seconds", "signer_key_probes", "signer_key_probes_failed"})


def counted() -> list[tuple[str, str, str, str]]:
    """(name, type, labels, meaning) of what the workers count."""
    metrics = Metrics(CollectorRegistry())
    rows = []
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            family = next(iter(metric.describe()))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            rows.append((name, family.type, ", ".join(metric._labelnames), family.documentation))  # noqa: SLF001 - the library shows label names nowhere else
    return rows


def gauges() -> list[tuple[str, str]]:
    """(name, meaning) of what is read when somebody looks: tuples of text in the operations listener."""
    rows = []
    for path in sorted((ROOT / "signer").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Tuple(elts=[ast.Constant(value=str(name)), ast.Constant(value=str(text)), _]) if (
                    name.startswith("signer_")
                ):
                    rows.append((name, text))
                case _:
                    pass
    return rows


def render() -> str:
    """The whole page."""
    rows = [(f"`{name}`", kind, labels, text) for name, kind, labels, text in counted()]
    rows.append(("`signer_build_info`", "gauge", "version", "What runs here."))
    rows += [(f"`{name}`", "gauge", "key" if name in KEY_GAUGES else "", text) for name, text in gauges()]
    return HEAD + "\n" + table(("metric", "type", "labels", "meaning"), rows)
