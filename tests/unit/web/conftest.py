# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.web.world import Keys, World, build_world


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys.make()


@pytest.fixture
def world(tmp_path: Path, keys: Keys) -> World:
    return build_world(tmp_path, keys=keys)


@pytest.fixture(scope="session")
def lasting_world(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> World:
    """One for tests that leave nothing behind, since making one costs more than they do."""
    return build_world(tmp_path_factory.mktemp("world"), keys=keys)


@pytest.fixture
def make_world(tmp_path: Path, keys: Keys) -> Callable[..., World]:
    def make(**options: object) -> World:
        return build_world(tmp_path, keys=keys, **options)  # type: ignore[arg-type]  # forwarded as given

    return make
