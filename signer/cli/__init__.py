# SPDX-License-Identifier: Apache-2.0
"""The `signer` command: every command loads its own module, and `run` is the one way out.

A command returns a `Result` (or nothing) or raises; only `run` prints, flushes and chooses the exit code, so that
zero is reached on one path alone: the command returned a success and both streams took every byte.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn

import click

from signer.cli.exits import result_of
from signer.cli.lazy import LazyGroup
from signer.cli.output import Mode, Result, emit, mode_option, requested_mode

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "sign": ("signer.cli.sign:sign", "Ask for a signature over one or more digests."),
        "check": ("signer.cli.check:check", "Judge a request without signing: what is satisfied, what is missing."),
        "explain": ("signer.cli.explain:explain", "Say why a request was allowed or denied."),
        "verify": ("signer.cli.verify:verify", "Verify a bundle and its receipt offline."),
        "gate": ("signer.cli.gate:gate", "Verify before a deployment, and record what was verified."),
        "deployment": ("signer.cli.deployment:deployment", "Record and list what reached which environment."),
        "revoke": ("signer.cli.revoke:revoke", "Take back what was signed for a digest."),
        "release": ("signer.cli.release:release", "Show what is known of a digest."),
        "findings": ("signer.cli.release:findings", "List what an auditor would find, over the whole ledger."),
        "pack": ("signer.cli.pack:pack", "Export the evidence pack of a release, and verify one offline."),
        "evidence": ("signer.cli.evidence:evidence", "Make evidence, keep it at the authority, or fetch it."),
        "decision": ("signer.cli.decision:decision", "List and show recorded decisions."),
        "policy": ("signer.cli.policy:policy", "Write, test, compare, replay and activate policies."),
        "access": ("signer.cli.access:access", "Check, activate and show the access document."),
        "approve": ("signer.cli.approve:approve", "Say yes to one hold, over the answers as they are shown."),
        "reject": ("signer.cli.approve:reject", "Say no to one hold, with a reason."),
        "approval": ("signer.cli.approval:approval", "List what waits for people, and take back what you said."),
        "waiver": ("signer.cli.waiver:waiver", "Excuse for a while, by two people, what a rule found wrong."),
        "keys": ("signer.cli.keys:keys", "List the authority's keys, or create one."),
        "owner": ("signer.cli.owner:owner", "Sign an owner act offline."),
        "trust": ("signer.cli.trust:trust", "Show, update and publish the trust file."),
        "log": ("signer.cli.log:log", "Verify, watch and export the ledger."),
        "halt": ("signer.cli.halt:halt", "Stop all signing at once."),
        "resume": ("signer.cli.halt:resume", "Sign again after a halt, with the owners' signatures."),
        "init": ("signer.cli.init:init", "Make a new authority: genesis, owners, ledger key, guard."),
        "serve": ("signer.cli.serve:serve", "Run the web processes."),
        "custodian": ("signer.cli.custodian:custodian", "Run the custodian."),
        "publish": ("signer.cli.publish:publish", "Write what the public listener serves into a folder."),
        "dev": ("signer.cli.dev:dev", "Run a whole throwaway authority on this machine."),
        "doctor": ("signer.cli.doctor:doctor", "Find what is wrong with an installation."),
        "config": ("signer.cli.config:config", "Show the client's settings and where each comes from."),
        "completion": ("signer.cli.completion:completion", "Print the completion script of a shell."),
        "version": ("signer.cli.version:version", "Print the version."),
    }
)
"""Command name -> (module:attribute, one line of help). Help and completion never import a command."""

EPILOG = """\b
Exit codes: 0 done or allowed, 1 unexpected, 2 usage, 3 verification failed,
4 not authorised, 10 denied, 11 waiting for approval, 12 evidence missing or
unverifiable, 13 halted, 20 could not decide (retry), 78 bad configuration.
"""


@click.group(cls=LazyGroup, table=COMMANDS, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@mode_option
def cli() -> None:
    """Sign software artifacts only when it can later be defended."""


def run(arguments: Sequence[str], *, environ: Mapping[str, str]) -> int:
    """Run one command and return its exit code (design of the codes: `signer.cli.exits`)."""
    mode = requested_mode(arguments, environ)
    session = Mode(mode)
    try:
        result = cli.main(list(arguments), prog_name="signer", standalone_mode=False, obj=session)
        if isinstance(result, int) and not isinstance(result, bool):
            result = Result.silent(result)  # click returns the code of ctx.exit(), for example after --help
    except BaseException as fault:  # noqa: BLE001 - the one place where every error becomes an exit code
        result = result_of(fault, debug=bool(environ.get("SIGNER_DEBUG")))
    if result is None:
        result = Result.silent(0)
    return emit(result, session.name)


def main() -> NoReturn:
    """Entry point of the console script."""
    code = run(sys.argv[1:], environ=os.environ)
    # A reader that has gone (SIGPIPE) would make the interpreter print a traceback while it closes stdout.
    if sys.stdout is not None and code != 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)
