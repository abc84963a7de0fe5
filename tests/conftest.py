# SPDX-License-Identifier: Apache-2.0
"""What every suite shares: who may open a socket, how hypothesis runs, and where published vectors lie."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
VECTORS = Path(os.environ.get("SIGNER_TEST_VECTORS", ROOT.parent / "shared" / "vectors"))

NO_SOCKET = ("tests/unit", "tests/policy")
"""Folders whose tests open no socket but Unix ones."""

LOOPBACK: Mapping[str, str] = {
    "tests/unit/client": "the HTTP client is tested against a server in the same process",
}
"""Folders below them that may speak to this machine, and why."""

# No deadline: a shared machine may stop for a second. In CI the examples are the same each time.
settings.register_profile("signer", deadline=None, max_examples=100, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("signer")


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of vectors that others published; they are read in place and never copied into the project."""
    if not VECTORS.is_dir():
        pytest.skip("published vectors are not beside the checkout (SIGNER_TEST_VECTORS names another folder)")
    return VECTORS


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        folder = item.path.parent.relative_to(ROOT).as_posix() if item.path.is_relative_to(ROOT) else ""
        if folder in LOOPBACK:
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1"]))
        elif folder.startswith(NO_SOCKET):
            item.add_marker(pytest.mark.disable_socket)
