# SPDX-License-Identifier: Apache-2.0
"""tests.passed: the tests that ran on this very digest."""

from __future__ import annotations

from dataclasses import dataclass

from policy.facts import EvidenceFacts, TestResult
from policy.identity import foreign, signature
from policy.judgement import Judgement, failed, passed, unknown, worst
from policy.rule import Case, Parameter, RuleType, latest
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust, made_by
from policy.wording import listed, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class TestDemand:
    """Parameters of tests.passed."""

    __test__ = False

    testers: tuple[str, ...]
    suites: tuple[str, ...]
    max_failed: int
    min_passed: int
    accept_warned: bool


def _read_tests(section: Section, trust: Trust) -> TestDemand:
    return TestDemand(
        testers=section.references("testers", trust.testers, what="tester"),
        suites=section.words("suites") if section.has("suites") else (),
        max_failed=section.integer("maxFailed", least=0),
        min_passed=section.integer("minPassed", least=0, default=1),
        accept_warned=section.boolean("acceptWarned", default=False),
    )


def _require_tests(demand: TestDemand) -> str:
    suites = f" of {', '.join(map(quote, demand.suites))}" if demand.suites else ""
    return (
        f"the latest test result{suites} by {' or '.join(demand.testers)}: at least {demand.min_passed} passed, "
        f"at most {demand.max_failed} failed"
    )


def _judge_tests(demand: TestDemand, case: Case) -> Judgement:
    items = case.evidence.tests
    if not items:
        return unknown("no verified test result of this digest")
    accepted = [case.trust.testers[name] for name in demand.testers]
    trusted = made_by(items, accepted)
    if not trusted:
        found = dict.fromkeys(f"a test result {signature(item.origin)}" for item in items)
        signers = (tester.signer for tester in accepted)
        cause = foreign((item.origin for item in items), signers, "the key is no accepted tester's")
        return failed(cause, items, found=listed(found))
    if not demand.suites:
        return worst(_judge_result(demand, item, None) for item in latest(trusted))
    return worst(_judge_suite(demand, trusted, suite) for suite in demand.suites)


def _effort(demand: TestDemand, evidence: EvidenceFacts) -> int:
    return 1 + sum([1 + len(item.suites) for item in evidence.tests]) * (1 + len(demand.suites)) // 64


def _judge_suite(demand: TestDemand, trusted: list[TestResult], suite: str) -> Judgement:
    # A result that names no suite may speak of any: it can take the place of an older one, and proves nothing.
    speaking = [item for item in trusted if suite in item.suites or not item.suites]
    if not speaking:
        ran = sorted({name for item in trusted for name in item.suites})
        return unknown(
            f"no test result for suite {quote(suite)}",
            trusted,
            found=f"results of {listed(map(quote, ran))}",
            bound="subject",
        )
    return worst(_judge_result(demand, item, suite) for item in latest(speaking))


def _judge_result(demand: TestDemand, item: TestResult, suite: str | None) -> Judgement:
    found = f"{quote(item.result)} by {item.tester}: {item.passed} passed, {item.failed} failed"
    if item.suites:
        found += f" in {listed(map(quote, item.suites))}"
    accepted = (
        item.result == "PASSED"
        or (item.result == "WARNED" and demand.accept_warned)
        # FAILED without a count of failures cannot be within maxFailed.
        or (item.result == "FAILED" and 0 < item.failed <= demand.max_failed)
    )
    if item.failed > demand.max_failed:
        return failed(f"{item.failed} failed", [item], found=found)
    if not accepted:
        return failed(f"the result is {quote(item.result)}", [item], found=found)
    if suite is not None and not item.suites:
        return unknown(
            f"the latest test result does not say that suite {quote(suite)} ran", [item], found=found, bound="subject"
        )
    if item.passed < demand.min_passed:
        cause = f"the test result lists {item.passed} passed tests"
        if item.passed:
            return failed(cause, [item], found=found)
        return unknown(cause, [item], found=found, bound="subject")
    return passed([item], found=found)


TESTS = RuleType(
    code="tests.passed",
    control="build",
    title="Tests that passed on this digest",
    description=(
        "Tests that ran on another build prove nothing about this one. Among the results of accepted testers the one "
        "received last decides, for each suite, so that an older pass cannot hide a newer failure. A run of no test "
        "is no pass."
    ),
    success="passed its tests",
    failure="needs tests that pass on this digest",
    remedy="the developer corrects the failing tests; the pipeline builds and tests again: "
    "signer sign --evidence TEST-RESULT",
    supply="the test job attaches its test result for this digest: signer evidence add TEST-RESULT",
    evidence="in-toto test-result v0.1 whose subject is the digest, by an accepted tester; attested only.",
    parameters=(
        Parameter(
            name="testers",
            sense=Sense(kind=Kind.ACCEPTS, latest=True),
            kind="list of testers",
            required=True,
            meaning="the trusted testers that are accepted",
        ),
        Parameter(
            name="suites",
            sense=Sense(kind=Kind.DEMANDS, vague_absence=True),
            kind="list of names",
            required=False,
            meaning="each of these must have run, named as a configuration of the result; without it, the latest "
            "result alone decides",
        ),
        Parameter(
            name="maxFailed",
            sense=Sense(kind=Kind.MOST),
            kind="integer",
            required=True,
            meaning="how many failed tests are accepted",
        ),
        Parameter(
            name="minPassed",
            sense=Sense(kind=Kind.LEAST, absent=1),
            kind="integer",
            required=False,
            meaning="how many passed tests the result must list; 1 without it",
        ),
        Parameter(
            name="acceptWarned",
            sense=Sense(kind=Kind.ALLOWS, absent=False),
            kind="boolean",
            required=False,
            meaning="whether the result WARNED is accepted; false without it",
        ),
    ),
    example="{id: TST-1, type: tests.passed, control: build, level: minimum, testers: [ci], "
    "suites: [unit, integration], maxFailed: 0}",
    needs_provenance=False,
    read=_read_tests,
    require=_require_tests,
    judge=_judge_tests,
    effort=_effort,
)
