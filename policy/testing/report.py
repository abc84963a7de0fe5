# SPDX-License-Identifier: Apache-2.0
"""The result of a test run, as a value and for people, for CI (JUnit XML) and for a pull request (Markdown)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from policy.document import Policy, load_document
from policy.testing.mutants import Mutant, mutants
from policy.testing.run import Coverage, Ran, coverage, run
from policy.testing.suite import Suite

MARK = {True: "yes", False: "-", None: "n/a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run of all suites of a policy."""

    policy: Policy
    suites: tuple[tuple[Suite, tuple[Ran, ...]], ...]
    coverage: tuple[Coverage, ...]
    mutants: tuple[Mutant, ...]
    """Empty where the check was not asked for, or where a trial failed: then there is nothing to compare with."""

    @property
    def ran(self) -> tuple[Ran, ...]:
        """Every trial."""
        return tuple(ran for _, every in self.suites for ran in every)

    @property
    def failed(self) -> tuple[Ran, ...]:
        """The trials that did not end as expected."""
        return tuple(ran for ran in self.ran if ran.faults)

    @property
    def uncovered(self) -> tuple[Coverage, ...]:
        """The rules that lack a trial."""
        return tuple(each for each in self.coverage if each.missing)

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        """The mutants that nobody noticed."""
        return tuple(mutant for mutant in self.mutants if mutant.survived)

    @property
    def good(self) -> bool:
        """Every trial passed, every rule is covered, no mutant survived."""
        return bool(self.ran) and not (self.failed or self.uncovered or self.survivors)


def examine(policy: Policy, data: bytes, suites: Sequence[Suite], *, check_mutants: bool = True) -> Report:
    """Run all suites over `policy`, whose document is `data`."""
    done = tuple((suite, run(policy, suite.trials)) for suite in suites)
    ran = [each for _, every in done for each in every]
    whole = bool(ran) and not any(each.faults for each in ran)
    found = mutants(policy, load_document(data), ran) if check_mutants and whole else ()
    return Report(policy=policy, suites=done, coverage=coverage(policy, ran), mutants=found)


def members(report: Report) -> dict[str, Any]:
    """The run as JSON values."""
    return {
        "policy": {
            "name": report.policy.name,
            "version": report.policy.version,
            "digest": report.policy.digest,
        },
        "good": report.good,
        "trials": [
            {"suite": suite.name, "name": ran.trial.name, "verdict": ran.decision.verdict, "faults": list(ran.faults)}
            for suite, every in report.suites
            for ran in every
        ],
        "coverage": [
            {"rule": each.rule, "pass": each.passes, "fail": each.fails, "absent": each.absent}
            for each in report.coverage
        ],
        "mutants": {
            rule: {
                "count": len(those),
                "survivors": [mutant.what for mutant in those if mutant.survived],
            }
            for rule, those in by_rule(report.mutants).items()
        },
    }


def by_rule(found: Sequence[Mutant]) -> dict[str, list[Mutant]]:
    """The mutants of each rule, in the order found."""
    parted: dict[str, list[Mutant]] = {}
    for mutant in found:
        parted.setdefault(mutant.rule, []).append(mutant)
    return parted


def headline(report: Report) -> str:
    """The counts in one line."""
    passed = len(report.ran) - len(report.failed)
    line = f"{passed} of {len(report.ran)} trials passed; "
    line += f"{len(report.coverage) - len(report.uncovered)} of {len(report.coverage)} rules covered"
    if report.mutants:
        line += f"; {len(report.survivors)} of {len(report.mutants)} mutants survived"
    return line


def table(report: Report) -> str:
    """The run as text: one line for each rule, then what is wrong."""
    parted = by_rule(report.mutants)
    width = max([4, *(len(each.rule) for each in report.coverage)])
    lines = [f"{'rule':<{width}}  pass  fail  absent  mutants  survived"]
    for each in report.coverage:
        those = parted.get(each.rule, [])
        marks = f"{MARK[each.passes]:<4}  {MARK[each.fails]:<4}  {MARK[each.absent]:<6}"
        lines.append(f"{each.rule:<{width}}  {marks}  {len(those):<7}  {sum(m.survived for m in those)}")
    return "\n".join([*lines, *_troubles(report), headline(report)])


def _troubles(report: Report) -> Iterator[str]:
    yield ""
    for suite, every in report.suites:
        for fault, names in _together(every).items():
            more = f" and {len(names) - 1} more" if names[1:] else ""
            yield f"FAILED    {suite.name}: {names[0]}{more}: {fault}"
    # A trial that failed pins down nothing, so what it covers is told when it passes.
    for each in () if report.failed else report.uncovered:
        yield f"UNCOVERED {each.rule}: no trial expects {', '.join(each.missing)}"
    for mutant in report.survivors:
        yield f"SURVIVED  {mutant.rule}: {mutant.what}"


def _together(every: Sequence[Ran]) -> dict[str, list[str]]:
    """The trials of each fault: one mistake in a policy often fails many of them in the same way."""
    found: dict[str, list[str]] = {}
    for ran in every:
        for fault in ran.faults:
            found.setdefault(fault, []).append(ran.trial.name)
    return found


def markdown(report: Report) -> str:
    """The run as a comment for a pull request."""
    parted = by_rule(report.mutants)
    head = (
        f"### {'✅' if report.good else '❌'} policy {report.policy.name} v{report.policy.version}: {headline(report)}"
    )
    rows = [
        f"| {each.rule} | {MARK[each.passes]} | {MARK[each.fails]} | {MARK[each.absent]} | "
        f"{len(parted.get(each.rule, []))} | {sum(m.survived for m in parted.get(each.rule, []))} |"
        for each in report.coverage
    ]
    troubles = [f"- {escape(line)}" for line in _troubles(report) if line]
    return "\n".join(
        [
            head,
            "",
            "| rule | pass | fail | absent | mutants | survived |",
            "|---|---|---|---|---|---|",
            *rows,
            *([""] if troubles else []),
            *troubles,
            "",
        ]
    )


def junit(report: Report) -> str:
    """The run as JUnit XML: trials, one case for the coverage of each rule and one for its mutants."""
    suites = [
        _junit_suite(suite.name, [(ran.trial.name, list(ran.faults)) for ran in every])
        for suite, every in report.suites
    ]
    covered = [(each.rule, [f"no trial expects {name}" for name in each.missing]) for each in report.coverage]
    suites.append(_junit_suite("rule coverage", covered))
    if report.mutants:
        killed = [
            (rule, [mutant.what for mutant in those if mutant.survived])
            for rule, those in by_rule(report.mutants).items()
        ]
        suites.append(_junit_suite("surviving mutants", killed))
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", *suites, "</testsuites>", ""])


def _junit_suite(name: str, cases: Sequence[tuple[str, Sequence[str]]]) -> str:
    failures = sum(bool(faults) for _, faults in cases)
    lines = [f'<testsuite name="{_text(name)}" tests="{len(cases)}" failures="{failures}">']
    for title, faults in cases:
        inner = "".join(f'<failure message="{_text(fault)}">{_text(fault)}</failure>' for fault in faults)
        lines.append(f'<testcase classname="{_text(name)}" name="{_text(title)}">{inner}</testcase>')
    return "\n".join([*lines, "</testsuite>"])


def _text(text: str) -> str:
    """Text for XML 1.0, which has no place for control characters."""
    return escape("".join(each if each.isprintable() else "?" for each in text))
