# SPDX-License-Identifier: Apache-2.0
"""The doctor looks ahead: a policy that expires within thirty days is work for a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from signer.cli import checkup_server
from signer.cli.checkup import Line
from signer.ledger.rows import ActiveDocument
from tests.policy.factory import document, encode

EXPIRES = datetime(2027, 6, 30, tzinfo=UTC)
SETTINGS: Any = SimpleNamespace(ledger=SimpleNamespace(key="/nowhere", guard="/nowhere"), origin="o", token=None)


def looked_at(monkeypatch: pytest.MonkeyPatch, now: datetime, value: dict[str, Any]) -> Line:
    @contextmanager
    def reader(settings: Any) -> Iterator[Any]:
        assert settings is SETTINGS
        yield SimpleNamespace(active_all=lambda _: (ActiveDocument("demo", 1, "d", encode(value), 3),))

    monkeypatch.setattr(checkup_server, "open_ledger_reader", reader)
    (line,) = (each for each in checkup_server._ledger_lines(SETTINGS, now=now) if each.what == "policy expiry")
    return line


@pytest.mark.parametrize(
    ("before", "ok"),
    [
        pytest.param(timedelta(days=31), True, id="in 31 days"),
        pytest.param(timedelta(days=30), False, id="in 30 days"),
        pytest.param(timedelta(days=-1), False, id="yesterday"),
    ],
)
def test_a_policy_that_expires_within_thirty_days_is_told(
    before: timedelta, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = looked_at(monkeypatch, EXPIRES - before, document())
    assert line.ok is ok
    assert "demo v1 until 2027-06-30T00:00:00" in line.found
    assert "signer policy activate" in line.remedy


def test_a_policy_without_a_date_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    value = document()
    del value["metadata"]["expires"]
    assert looked_at(monkeypatch, EXPIRES, value).ok
