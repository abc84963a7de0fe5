# SPDX-License-Identifier: Apache-2.0
"""Several servers, one fate: each runs in a child process; when one ends, all end."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Mapping
from types import FrameType

from signer.telemetry.logs import Log, failure

_PR_SET_PDEATHSIG = 1
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def supervise(servers: Mapping[str, Callable[[], None]], *, log: Log) -> int:
    """Run all servers and wait; returns 0 after an asked-for stop and 1 when a server ended by itself.

    A single server runs in this process. The children die with the supervisor, so that a killed one leaves no
    port taken.
    """
    if len(servers) == 1:
        return max(_run(server, log=log) for server in servers.values())
    stopping = False
    children: dict[int, str] = {}

    def forward(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = stopping or number != signal.SIGHUP
        for pid in children:
            os.kill(pid, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    for name, server in servers.items():
        children[_spawn(server, log=log.bind(listener=name))] = name
    failed = False
    while children:
        pid, status = os.wait()
        name = children.pop(pid, "")
        if not stopping:
            failed = stopping = True
            log.error("listener ended", listener=name, status=os.waitstatus_to_exitcode(status))
            for other in children:
                os.kill(other, signal.SIGTERM)
    return 1 if failed else 0


def _spawn(server: Callable[[], None], *, log: Log) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    for number in _FORWARDED:
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # The parent may have died before the line above: then nobody would tell us.
    code = _run(server, log=log) if os.getppid() == parent else 1
    os._exit(code)


def _run(server: Callable[[], None], *, log: Log) -> int:
    try:
        server()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1 if end.code else 0
    except Exception as error:  # noqa: BLE001 - the last frame of a process: log what ended it
        log.critical("listener failed", **failure(error))
        return 1
    return 0
