# SPDX-License-Identifier: Apache-2.0
"""Rules of the build control: who built it, in which isolation, and whether its tests passed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from policy.facts import Provenance, TestResult
from policy.identity import foreign, signature
from policy.patterns import matches
from policy.rule import Case, Judgement, Parameter, RuleType, failed, latest, passed, unknown, worst
from policy.schema import Section
from policy.sense import Kind, Sense, covers_name, covers_pattern
from policy.trust import ISOLATION, Trust
from policy.wording import listed, quote, span

CEILINGS: dict[str, Literal["minimum", "better", "strong"]] = {
    "shared": "minimum",
    "dedicated": "better",
    "ephemeral": "better",
    "hardened": "strong",
}
"""The highest level that a demand for this isolation class may claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceDemand:
    """Parameters of build.provenance."""

    builders: tuple[str, ...]
    build_types: tuple[str, ...]
    allow: tuple[str, ...]
    workflows: tuple[str, ...]
    max_age: timedelta | None


def no_trusted_provenance(case: Case, accepted: Iterable[str]) -> Judgement:
    """The judgement when no provenance of the subject is by an accepted builder: absent or another's."""
    items = case.evidence.provenance
    if not items:
        return unknown("no verified provenance of this digest")
    names = tuple(accepted)
    differences = dict.fromkeys(case.trust.difference(item, names) for item in items)
    found = dict.fromkeys(f"builder id {quote(item.builder_id)} {signature(item.origin)}" for item in items)
    return failed(listed(differences), items, found=listed(found))


def _read_provenance(section: Section, trust: Trust) -> ProvenanceDemand:
    parameters = section.section("parameters")
    allow = parameters.take("allow")
    if not isinstance(allow, list) or not all(isinstance(name, str) and name for name in allow):
        raise parameters.refuse(
            "allow", "must list names of external parameters", remedy="write [] to allow none, or their dotted names"
        )
    for name in allow:
        if "*" in name.removesuffix(".*"):
            raise parameters.refuse(
                "allow", f"{quote(name)} is no parameter name", remedy="write the name, or name.* for all below it"
            )
    parameters.close()
    return ProvenanceDemand(
        builders=section.references("builders", trust.builders, what="builder"),
        build_types=section.words("buildTypes"),
        allow=tuple(allow),
        workflows=section.patterns("workflows") if section.has("workflows") else (),
        max_age=section.duration("maxAge"),
    )


def _require_provenance(demand: ProvenanceDemand) -> str:
    parts = [
        f"provenance by {' or '.join(demand.builders)}",
        f"build type {' or '.join(map(quote, demand.build_types))}",
        f"no external parameter but {', '.join(demand.allow)}" if demand.allow else "no external parameter",
    ]
    if demand.workflows:
        parts.append(f"workflow {' or '.join(demand.workflows)}")
    if demand.max_age is not None:
        parts.append(f"at most {span(demand.max_age)} old")
    return "; ".join(parts)


def _judge_provenance(demand: ProvenanceDemand, case: Case) -> Judgement:
    item = case.provenance
    if item is None or item.builder not in demand.builders:
        return no_trusted_provenance(case, demand.builders)
    found = f"provenance by {item.builder}, build type {quote(item.build_type)}"
    faults = tuple(_provenance_faults(demand, item, case))
    if faults:
        return failed(listed(faults), [item], found=found)
    if demand.workflows and item.workflow is None:
        return unknown("the provenance does not name its workflow", [item], found=found, bound="subject")
    if demand.max_age is not None and item.finished is None and item.started is None:
        return unknown("the provenance does not say when the build ran", [item], found=found, bound="subject")
    return passed([item], found=found)


def _provenance_faults(demand: ProvenanceDemand, item: Provenance, case: Case) -> Iterator[str]:
    if item.build_type not in demand.build_types:
        yield f"the build type {quote(item.build_type)} differs"
    if demand.workflows and item.workflow is not None and not _any(demand.workflows, item.workflow):
        yield f"the workflow {quote(item.workflow)} differs"
    foreign = [name for name in item.parameters if not _allowed(name, demand.allow)]
    if foreign:
        yield f"external parameters outside the list: {listed(map(quote, foreign))}"
    # What a builder states of its times is always held against the clock; that it states them only with maxAge.
    at = item.finished or item.started
    fault = None if at is None else case.age_fault(at, most=demand.max_age)
    if fault is not None:
        yield f"the build {fault}"


def _allowed(name: str, allow: tuple[str, ...]) -> bool:
    return any(name.startswith(entry.removesuffix("*")) if entry.endswith(".*") else name == entry for entry in allow)


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(matches(pattern, text) for pattern in patterns)


PROVENANCE = RuleType(
    code="build.provenance",
    control="build",
    title="Provenance by a trusted builder",
    description=(
        "Only an expected build platform, running an expected kind of build with expected inputs, may have made the "
        "artifact. A builder is a pair of key and builder id; an external parameter that the list does not name could "
        "change what was built, so the list is exhaustive."
    ),
    success="has provenance by a trusted builder",
    failure="needs provenance by a trusted builder",
    remedy="the pipeline's owner builds this digest with an accepted builder, type and workflow, then asks again: "
    "signer sign --evidence PROVENANCE",
    supply="the pipeline's owner attaches the builder's provenance of this digest: signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest; attested only.",
    parameters=(
        Parameter(
            name="builders",
            sense=Sense(kind=Kind.ACCEPTS),
            kind="list of builders",
            required=True,
            meaning="the trusted builders that are accepted",
        ),
        Parameter(
            name="buildTypes",
            sense=Sense(kind=Kind.ACCEPTS),
            kind="list of URIs",
            required=True,
            meaning="the build types that are accepted",
        ),
        Parameter(
            name="parameters.allow",
            sense=Sense(kind=Kind.ACCEPTS, covers=covers_name),
            kind="list of names",
            required=True,
            meaning="every external parameter that a build may take, dotted; `inputs.*` means all below inputs; "
            "`[]` means none",
        ),
        Parameter(
            name="workflows",
            sense=Sense(kind=Kind.ACCEPTS, covers=covers_pattern),
            kind="list of patterns",
            required=False,
            meaning="paths of the workflow definition inside the source repository",
        ),
        Parameter(
            name="maxAge",
            sense=Sense(kind=Kind.AGE),
            kind="duration",
            required=False,
            meaning="the build must say when it ran and be no older; without it, defaults.maxEvidenceAge holds for "
            "provenance that says so",
        ),
    ),
    example="{id: BLD-1, type: build.provenance, control: build, level: minimum, builders: [ci], "
    'buildTypes: ["https://actions.github.io/buildtypes/workflow/v1"], '
    "parameters: {allow: [workflow.ref, workflow.repository, workflow.path]}, "
    "workflows: [.github/workflows/release.yml]}",
    needs_provenance=True,
    read=_read_provenance,
    require=_require_provenance,
    judge=_judge_provenance,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationDemand:
    """Parameters of build.isolation."""

    at_least: str


def _read_isolation(section: Section, _: Trust) -> IsolationDemand:
    return IsolationDemand(at_least=section.choice("atLeast", ISOLATION))


def _judge_isolation(demand: IsolationDemand, case: Case) -> Judgement:
    item = case.provenance
    builder = None if item is None else case.trust.builder_of(item)
    if item is None or builder is None:
        return no_trusted_provenance(case, case.trust.builders)
    # The class is what this policy says of the builder, never what the facts or the provenance say.
    found = f"builder {builder.name}, isolation {builder.isolation}"
    if ISOLATION.index(builder.isolation) < ISOLATION.index(demand.at_least):
        return failed(f"the builder is {builder.isolation}", [item], found=found)
    return passed([item], found=found)


ISOLATION_CLASS = RuleType(
    code="build.isolation",
    control="build",
    title="Isolation of the builder",
    description=(
        "A build that shares its machine with other work can be changed by that work. The class is what the security "
        "team states of the trusted builder, shared < dedicated < ephemeral < hardened; it is never read from the "
        "provenance. Level better needs dedicated or ephemeral, level strong needs hardened."
    ),
    success="was built in the required isolation",
    failure="needs a better isolated builder",
    remedy="the pipeline's owner moves the build to a builder of the required class and builds again: "
    "signer sign --evidence PROVENANCE",
    supply="the pipeline's owner attaches the builder's provenance of this digest: signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest, by a trusted builder; attested only.",
    parameters=(
        Parameter(
            name="atLeast",
            sense=Sense(kind=Kind.LEAST, order=ISOLATION, own=True),
            kind="shared, dedicated, ephemeral or hardened",
            required=True,
            meaning="the weakest class that is accepted",
        ),
    ),
    example="{id: BLD-2, type: build.isolation, control: build, level: better, atLeast: ephemeral}",
    needs_provenance=True,
    read=_read_isolation,
    require=lambda demand: f"a builder of isolation {demand.at_least} or better",
    judge=_judge_isolation,
    ceiling=lambda demand: CEILINGS[demand.at_least],
)


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
    trusted = [item for item in items if any(case.trust.testers[name].made(item) for name in demand.testers)]
    if not trusted:
        found = dict.fromkeys(f"a test result {signature(item.origin)}" for item in items)
        signers = (case.trust.testers[name].signer for name in demand.testers)
        cause = foreign((item.origin for item in items), signers, "the key is no accepted tester's")
        return failed(cause, items, found=listed(found))
    if not demand.suites:
        return worst(_judge_result(demand, item, None) for item in latest(trusted))
    return worst(_judge_suite(demand, trusted, suite) for suite in demand.suites)


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
)
