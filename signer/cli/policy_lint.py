# SPDX-License-Identifier: Apache-2.0
"""`signer policy lint`: mistakes that the schema lets pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from policy.lint import Remark, lint as remarks_of
from policy.testing.run import coverage, run
from signer.cli.options import READABLE
from signer.cli.output import Result, clean, colour, mode_option
from signer.cli.policy_documents import FAILED, read_policy_file, suites_of


@click.command()
@click.argument("document", type=READABLE)
@click.option("--tests", "tests", type=READABLE, multiple=True, help="File of tests; DOCUMENT.test.yaml without it.")
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@mode_option
def lint(*, document: Path, tests: Sequence[Path], strict: bool) -> Result:
    """Find mistakes in a policy: 2 for one that breaks the schema, 3 for an error, 0 with warnings alone.

    Remarks: expired or expiring within 30 days, trust that nobody needs, rules that no environment requires or that
    can never pass, rules without tests, tests that fail.
    """
    file = read_policy_file(document)
    suites = suites_of(file, tests)
    ran = [each for suite in suites for each in run(file.policy, suite.trials)]
    remarks = remarks_of(
        file.policy,
        now=datetime.now(UTC),
        covered=coverage(file.policy, ran) if suites else None,
        failed=sum(bool(each.faults) for each in ran),
    )
    bad = [remark for remark in remarks if strict or remark.severity == "error"]
    count = f"{len(remarks)} remark{'' if len(remarks) == 1 else 's'}" if remarks else "no remarks"
    return Result(
        name="remarks" if remarks else "clean",
        members={"policy": file.policy.name, "remarks": [asdict(remark) for remark in remarks]},
        answer="\n".join(map(_line, remarks)),
        story=f"{document}: {file.policy.name} v{file.policy.version}, {count}",
        code=FAILED if bad else 0,
    )


def _line(remark: Remark) -> str:
    head = colour(remark.severity, "red" if remark.severity == "error" else "yellow")
    return f"{head}: {clean(remark.path)}: {clean(remark.what)}\n  hint: {clean(remark.remedy)}"
