# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.running import Running, running


@dataclass(frozen=True, slots=True)
class Release:
    """What one signed request left: its bundle and its receipt."""

    bundle: Path
    receipt: Path
    request_id: str


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One authority for all tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("e2e") / "dev") as started:
        yield started


@pytest.fixture(scope="module")
def own_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An authority for tests that halt it or kill its parts; each leaves it in service."""
    with running(tmp_path_factory.mktemp("own") / "dev") as started:
        yield started


@pytest.fixture(scope="session")
def release(authority: Running, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A signed release of the good artifact."""
    folder = tmp_path_factory.mktemp("release")
    bundle, receipt = folder / "bundle.json", folder / "receipt.json"
    ran = authority.sign("--bundle", bundle, "--receipt", receipt, "-o", "json")
    assert ran.code == 0, ran.err
    return Release(bundle, receipt, ran.json["request_id"])
