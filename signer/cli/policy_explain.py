# SPDX-License-Identifier: Apache-2.0
"""`signer policy explain`: what a policy demands, in sentences."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from policy.explain import explain as sentences_of, heading
from signer.cli.options import READABLE
from signer.cli.output import Result, clean, mode_option
from signer.cli.policy_documents import read_policy_file


@click.command()
@click.argument("document", type=READABLE)
@click.option("--environment", help="This environment only.")
@mode_option
def explain(*, document: Path, environment: str | None) -> Result:
    """Say in one sentence for each rule of each environment what a policy demands, with its patterns compiled."""
    file = read_policy_file(document)
    if environment is not None and environment not in file.policy.environments:
        known = ", ".join(file.policy.environments)
        raise click.BadParameter(f"the policy knows {known}", param_hint="--environment")
    sentences = sentences_of(file.policy, file.value, environment=environment)
    lines: list[str] = []
    for stage in dict.fromkeys(each.environment for each in sentences):
        lines += [heading(file.policy, stage), ""]
        for each in sentences:
            if each.environment == stage:
                lines.append(f"  {each.rule:<8} [{each.control}/{each.level}] {clean(each.text)}")
                lines += [f"           {pattern} means {regex}" for pattern, regex in each.patterns]
        lines.append("")
    return Result(
        name="explained",
        members={"policy": file.policy.name, "rules": [asdict(each) for each in sentences]},
        answer="\n".join(lines).rstrip(),
    )
