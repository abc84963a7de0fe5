# SPDX-License-Identifier: Apache-2.0
"""`signer dev`: a whole authority under one directory, from nothing to an answer, and back to nothing running.

    prepare   keys, certificates, token, documents and settings on disk
    found     genesis, guard and the first documents, once
    run       custodian ▸ release key ▸ trust document ▸ samples ▸ web ▸ `ready`; then tend both until told to stop

A second start on the same directory continues the same ledger.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from signer.custodian.commands import StatusReport
from signer.dev.announce import exports, render_exports, three_commands
from signer.dev.directory import DevDirectory, write_public
from signer.dev.endorsement import endorse, founding
from signer.dev.installation import Installation, install
from signer.dev.probe import answers
from signer.dev.samples import GOOD, ensure_samples, subject_of
from signer.dev.supervisor import Program, Supervisor
from signer.errors import Misconfigured, Unavailable
from signer.settings import Settings
from signer.wiring import custodian_status, found_authority

START_TIMEOUT = 60.0
TICK = 0.1
SAMPLES_EVERY = 3600.0
"""Seconds between two looks at the age of the samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line asked for."""

    directory: Path
    port: int
    policy: Path | None
    access: Path | None


class Stop(Exception):
    """SIGTERM, SIGINT or SIGHUP arrived."""


class StopSignals:
    """Remembers a signal until a point where nothing is half done."""

    def __init__(self) -> None:
        self._arrived = False

    def check(self) -> None:
        """Raise Stop when a signal arrived."""
        if self._arrived:
            raise Stop

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Catch the signals for a while; the handlers from before come back."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self._arrive) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _arrive(self, _number: int, _frame: object) -> None:
        self._arrived = True


def run_dev(wishes: Wishes, *, tell: Callable[[str], None]) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP; raises Misconfigured when only a person can help."""
    directory = DevDirectory.prepare(wishes.directory)
    stop = StopSignals()
    with _alone(directory), stop.watched():
        # A killed predecessor may have left it.
        directory.ready.unlink(missing_ok=True)
        supervisor = Supervisor()
        try:
            _run(wishes, directory, supervisor, stop, tell=tell)
        except Stop:
            tell("stopping")
        finally:
            directory.ready.unlink(missing_ok=True)
            supervisor.stop()


def _run(
    wishes: Wishes, directory: DevDirectory, supervisor: Supervisor, stop: StopSignals, *, tell: Callable[[str], None]
) -> None:
    now = datetime.now(UTC)
    installation = install(directory, port=wishes.port, policy=wishes.policy, access=wishes.access, now=now)
    settings = installation.settings
    _found(directory, installation, now=now)
    # Both at once: web answers 503 until the custodian is there, and that is what `ready` waits for.
    supervisor.start(_program(directory, "custodian"))
    supervisor.start(_program(directory, "serve"))
    _await(supervisor, stop, lambda: _custodian(settings) is not None, what="the custodian")
    endorse(installation)
    ensure_samples(directory, now=now)
    _await(supervisor, stop, lambda: answers(directory, installation.url), what="the web server")
    _await(supervisor, stop, lambda: _can_sign(settings), what="the key")
    _announce(directory, installation, tell=tell)
    looked = time.monotonic()
    while True:
        stop.check()
        for name in supervisor.tend():
            tell(f"{name} ended and is started again")
        if time.monotonic() - looked > SAMPLES_EVERY:
            looked = time.monotonic()
            ensure_samples(directory, now=datetime.now(UTC))
        time.sleep(TICK)


def _found(directory: DevDirectory, installation: Installation, *, now: datetime) -> None:
    """Begin the ledger, once; what an interrupted beginning left is thrown away, for nobody has seen it."""
    mark = directory.state / "founded"
    if mark.exists():
        return
    for path in directory.state.iterdir():
        path.unlink()
    found_authority(installation.settings, founding(installation), now=now)
    # A crash right here founds another ledger at the next start; no key was recorded and nothing was served yet.
    write_public(mark, b"The ledger of this directory has begun.\n")


def _program(directory: DevDirectory, command: str) -> Program:
    # -P: modules come from the installation, never from the working directory.
    argv = (sys.executable, "-P", "-m", "signer.cli", command, "--config", str(directory.settings))
    return Program(
        name=command, argv=(*argv, "--dev-supervisor", str(os.getpid())), log=directory.log / f"{command}.log"
    )


def _await(supervisor: Supervisor, stop: StopSignals, ready: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not ready():
        stop.check()
        supervisor.tend()
        if time.monotonic() > deadline:
            raise Unavailable("dev-start", f"{what} did not answer within {START_TIMEOUT:.0f} s", remedy="see DIR/log")
        time.sleep(0.02)


def _custodian(settings: Settings) -> StatusReport | None:
    try:
        return custodian_status(settings.custodian.admin_socket)
    except Unavailable:
        return None


def _can_sign(settings: Settings) -> bool:
    """Whether signing works, or only waits for its owners: a halted ledger is served, so that they can end the halt."""
    report = _custodian(settings)
    return report is not None and (report.ready or report.halted)


def _announce(directory: DevDirectory, installation: Installation, *, tell: Callable[[str], None]) -> None:
    policy, environment = installation.policy.name, installation.environment
    artifact = subject_of(directory.samples / GOOD)
    subject = f"{artifact.name}@sha256:{artifact.sha256}"
    web = installation.settings.web
    values = exports(directory, web=web, policy=policy, environment=environment, subject=subject)
    write_public(directory.env, render_exports(values))
    signed, denied, verified = three_commands(directory, policy=policy, environment=environment)
    tell(
        f"Signing Authority for development answers at {installation.url}\n"
        "DEV: throwaway keys, this machine only. Nothing that it signs is to be trusted.\n"
        f"\n  # signed\n  {signed}\n\n  # denied, with reasons\n  {denied}\n\n  # verified, offline\n  {verified}\n"
        f"\nOther identities: {directory.env}   Logs: {directory.log}   Stop: Ctrl-C"
    )
    write_public(directory.ready, f"{installation.url}\n{os.getpid()}\n".encode())


@contextmanager
def _alone(directory: DevDirectory) -> Iterator[None]:
    """Hold the directory; raises Misconfigured when another process does."""
    with (directory.run / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Misconfigured(
                "directory-busy", f"another signer dev runs in {directory.root}", remedy="stop it or use another --dir"
            ) from None
        yield
