# SPDX-License-Identifier: Apache-2.0
"""What keeps a development authority where it belongs: one supervisor, loopback, and the end of both together.

The genesis leaf says that a ledger is a development one, and nothing changes that leaf.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import signal
import sys

from signer.errors import Misconfigured
from signer.ledger.leaves import Genesis, Leaf
from signer.settings import Settings, split_bind

_PR_SET_PDEATHSIG = 1


def check_confined(leaf: Leaf, settings: Settings, *, dev_supervisor: int | None) -> None:
    """Refuse to run a development ledger unless `signer dev` started this process, and then on loopback alone.

    `leaf` is leaf 0, `dev_supervisor` the process that claims to be `signer dev`: it must be the parent of this one,
    which ends with it. Raises Misconfigured; an authority of real owners is refused to `signer dev` likewise.
    """
    if not (isinstance(leaf, Genesis) and leaf.dev):
        if dev_supervisor is not None:
            raise Misconfigured("not-dev", "signer dev runs only ledgers that it founded itself")
        return
    if dev_supervisor is None or not _dies_with(dev_supervisor):
        raise Misconfigured(
            "dev-ledger",
            f"{settings.ledger.database} is a development ledger: only `signer dev` runs it",
            remedy="found a real authority with `signer init`; a development ledger never becomes one",
        )
    for bind in (settings.web.bind, settings.web.public_bind, settings.web.metrics_bind):
        if bind is not None and not _is_loopback(split_bind(bind)[0]):
            raise Misconfigured(
                "dev-exposed",
                f"a development ledger is served on loopback alone, not on {bind}",
                remedy="bind 127.0.0.1",
            )


def _dies_with(supervisor: int) -> bool:
    """Whether `supervisor` is the parent of this process, which from now on ends with it."""
    if os.getppid() != supervisor:
        return False
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have ended before the line above: then nobody would tell us.
    return os.getppid() == supervisor


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
