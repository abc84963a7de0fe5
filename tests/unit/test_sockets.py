# SPDX-License-Identifier: Apache-2.0
"""Unit tests cannot reach a network; this is the test of that."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture(scope="module")
def reached_from_a_fixture() -> bool:
    with pytest.warns(UserWarning, match=r"socket\.socket"), pytest.raises(RuntimeError):
        socket.socket()
    return False


def test_a_unit_test_cannot_make_a_network_socket() -> None:
    with pytest.warns(UserWarning, match="A test tried"), pytest.raises(RuntimeError, match="A test tried"):
        socket.create_connection(("127.0.0.1", 9))


def test_a_fixture_of_a_whole_module_cannot_either(reached_from_a_fixture: bool) -> None:
    assert not reached_from_a_fixture


def test_a_unix_socket_pair_is_allowed() -> None:
    for end in socket.socketpair():
        end.close()
