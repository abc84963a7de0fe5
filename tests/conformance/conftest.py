# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from tests.conformance.sigstore_js import SigstoreJs


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> SigstoreJs:
    """npm's @sigstore/verify."""
    return SigstoreJs.install(tmp_path_factory.mktemp("npm"))
