# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from tests.unit.pack.world import KINDS, Release


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A pack in which nothing is missing but approvals, and the trust file to verify it with."""
    release = Release()
    for kind in KINDS:
        release.keep(kind, f"the {kind}\n".encode())
    release.deny()
    release.signed()
    release.deploy()
    release.deploy(sha256="", reference="shop.tar:1.2")
    return release.pack(tmp_path_factory.mktemp("whole")), release.trust
