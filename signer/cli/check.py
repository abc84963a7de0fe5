# SPDX-License-Identifier: Apache-2.0
"""`signer check`: the same judgement as `sign`, with no leaf and no key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from signer.cli.options import READABLE, all_subjects, client_of, connection_options, settings_of, subject_options
from signer.cli.output import Result, colour, mode_option, warning_lines
from signer.cli.todo import render_todo
from signer.client.request import evidence_of_file, signing_request

EPILOG = """\b
Example:
  signer check --policy demo --environment release \\
    --subject-file dist/app.tar.gz --evidence provenance.json tests.json
"""


@click.command(epilog=EPILOG)
@click.option("--policy", required=True, help="Name of the policy to be judged by.")
@click.option("--environment", required=True, help="Environment to be judged for.")
@subject_options
@click.option("--evidence", "evidence", type=READABLE, multiple=True, help="An attestation; a .jsonl holds one a line.")
@click.argument("more_evidence", metavar="[EVIDENCE]...", type=READABLE, nargs=-1)
@connection_options
@mode_option
def check(
    *,
    policy: str,
    environment: str,
    subjects: Sequence[str],
    subject_files: Sequence[Path],
    evidence: Sequence[Path],
    more_evidence: Sequence[Path],
    **flags: str | None,
) -> Result:
    """Judge a request without signing: what is left to do before the release, who does it, and with which command.

    Nothing is recorded and no key is used. Exit codes are those of `signer sign`.
    """
    settings = settings_of(**flags)
    wanted = all_subjects(subjects, subject_files)
    items = [item for path in (*evidence, *more_evidence) for item in evidence_of_file(path)]
    request = signing_request(policy=policy, environment=environment, subjects=wanted, evidence=items)
    client = client_of(settings)
    decision = client.check(request)
    return Result(
        name="allowed",
        members={"decision": decision, "warnings": list(client.warnings)},
        story="\n".join([render_todo(decision, paint=colour), *warning_lines(client.warnings)]),
    )
