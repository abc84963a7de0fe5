# SPDX-License-Identifier: Apache-2.0
"""`signer policy test`: the tests beside a policy, rule coverage and the mutation check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from policy.testing.report import Report, examine, junit, markdown, members, table
from signer.cli.options import FILE, READABLE, require_writable, write_file
from signer.cli.output import Result, clean, mode_option
from signer.cli.policy_documents import FAILED, read_policy_file, suites_of
from signer.errors import Malformed

EPILOG = """\b
Examples:
  signer policy test shop.yaml
  signer policy test shop.yaml --tests shop.test.yaml --junit junit.xml --markdown summary.md
"""


@click.command(epilog=EPILOG)
@click.argument("document", type=READABLE)
@click.option("--tests", "tests", type=READABLE, multiple=True, help="File of tests; DOCUMENT.test.yaml without it.")
@click.option("--junit", "junit_file", type=FILE, help="Write JUnit XML here.")
@click.option("--markdown", "markdown_file", type=FILE, help="Write a summary for a pull request here.")
@click.option("--mutants/--no-mutants", default=True, help="Whether to run the mutation check.")
@mode_option
def test(
    *, document: Path, tests: Sequence[Path], junit_file: Path | None, markdown_file: Path | None, mutants: bool
) -> Result:
    """Run the tests of a policy: 0 when all is well, 3 otherwise.

    Every trial must end as expected; every required rule needs a trial that expects it to pass, to fail and to miss
    its evidence; no mutant of a rule may survive.
    """
    require_writable(junit_file, "--junit")
    require_writable(markdown_file, "--markdown")
    file = read_policy_file(document)
    suites = suites_of(file, tests)
    if not suites:
        raise Malformed(
            "policy-tests-missing",
            f"no tests stand beside {document}",
            remedy=f"write {document.stem}.test{document.suffix}, or name a file with --tests",
        )
    report = examine(file.policy, file.data, suites, check_mutants=mutants)
    for path, text in ((junit_file, junit), (markdown_file, markdown)):
        if path is not None:
            write_file(path, text(report).encode())
    return Result(
        name="tests-passed" if report.good else "tests-failed",
        members=members(report),
        answer=_clean(report),
        code=0 if report.good else FAILED,
    )


def _clean(report: Report) -> str:
    return "\n".join(map(clean, table(report).splitlines()))
