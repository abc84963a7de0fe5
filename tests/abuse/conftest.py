# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.abuse.policies import with_root
from tests.abuse.stack import Stack
from tests.unit.evidence.private_instance import PrivateInstance


@pytest.fixture(scope="session")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    started = Stack.start(tmp_path_factory.mktemp("abuse"))
    yield started
    started.stop()


@pytest.fixture
def stack(running_stack: Stack) -> Iterator[Stack]:
    """The attacked stack: after every attack the next good request is signed, and nothing was answered 5xx."""
    running_stack.failures.clear()
    yield running_stack
    assert running_stack.failures == []
    assert running_stack.sign_good().status == 200


@pytest.fixture(scope="session")
def instance(running_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> PrivateInstance:
    """A Sigstore instance of our own, pinned by the policy keyless."""
    made = PrivateInstance(tmp_path_factory.mktemp("instance"))
    running_stack.activate("policy", with_root("keyless", made.trusted_root()))
    return made
