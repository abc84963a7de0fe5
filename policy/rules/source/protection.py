# SPDX-License-Identifier: Apache-2.0
"""source.protection: the commit stands on a ref that nobody can push to, rewrite or delete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from policy.judgement import Judgement
from policy.patterns import matches_any
from policy.review_facts import ProtectedRef
from policy.rule import Case, Parameter, RuleType
from policy.rules.source.change import COLLECTORS, EVIDENCE, SUPPLY, Change, change_effort, read_change
from policy.schema import Section
from policy.sense import Kind, Sense, covers_pattern
from policy.trust import Trust
from policy.wording import listed, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionDemand:
    """Parameters of source.protection."""

    collectors: tuple[str, ...]
    refs: tuple[str, ...]
    includes_admins: bool


def _read(section: Section, trust: Trust) -> ProtectionDemand:
    return ProtectionDemand(
        collectors=section.references("collectors", trust.collectors, what="collector"),
        refs=section.patterns("refs", prefix="refs/"),
        includes_admins=section.boolean("includesAdmins", default=False),
    )


def _require(demand: ProtectionDemand) -> str:
    admins = "; for administrators too" if demand.includes_admins else ""
    return (
        f"a review record by {' or '.join(demand.collectors)}: the commit stands on ref {' or '.join(demand.refs)}, "
        f"which takes changes by request only and is never rewritten or deleted{admins}"
    )


def _judge(demand: ProtectionDemand, case: Case) -> Judgement:
    change = read_change(demand.collectors, case)
    if isinstance(change, Judgement):
        return change
    stated = _stated(change)
    if not stated:
        return change.unknown("no review record says that the ref is protected")
    wanted = {ref: each for ref, each in stated.items() if matches_any(demand.refs, ref)}
    found = f"protected: {listed(map(quote, stated))}"
    if not wanted:
        return change.failed(f"the protected ref {listed(map(quote, stated))} differs", found=found)
    faults = [tuple(dict.fromkeys(_faults(demand, each))) for each in wanted.values()]
    fewest = min(faults, key=len)
    if fewest:
        return change.failed(listed(fewest), found=found)
    return change.passed(found)


def _stated(change: Change) -> dict[str, list[ProtectedRef]]:
    """What all records say of each ref: it is as weak as any of them says."""
    stated: dict[str, list[ProtectedRef]] = {}
    for record in change.records:
        for each in record.protected:
            stated.setdefault(each.ref, []).append(each)
    return stated


def _faults(demand: ProtectionDemand, statements: list[ProtectedRef]) -> Iterator[str]:
    for each in statements:
        if not each.by_request:
            yield f"{quote(each.ref)} takes direct pushes"
        if each.force_push:
            yield f"{quote(each.ref)} can be rewritten"
        if each.deletion:
            yield f"{quote(each.ref)} can be deleted"
        if demand.includes_admins and not each.includes_admins:
            yield f"administrators are free of the protection of {quote(each.ref)}"


PROTECTION = RuleType(
    code="source.protection",
    control="source",
    title="Branch protection",
    description=(
        "Whoever can push to the release branch, or rewrite it, releases whatever they like and leaves no trace of it. "
        "The source platform must refuse both for the ref on which the commit that was built stands."
    ),
    success="was built from a protected ref",
    failure="needs a commit on a protected ref",
    remedy="the repository's administrator protects the ref: changes by request only, no force push, no deletion; then "
    "merge the change again and build: signer sign --evidence PROVENANCE --evidence RECORD",
    supply=SUPPLY,
    evidence=EVIDENCE,
    parameters=(
        COLLECTORS,
        Parameter(
            name="refs",
            sense=Sense(kind=Kind.ACCEPTS, covers=covers_pattern),
            kind="list of patterns",
            required=True,
            meaning="the commit must stand on one of these, each from refs/ on",
        ),
        Parameter(
            name="includesAdmins",
            sense=Sense(kind=Kind.INSISTS, absent=False),
            kind="boolean",
            required=False,
            meaning="true: the protection must bind administrators too",
        ),
    ),
    example="{id: SRC-2, type: source.protection, control: source, level: minimum, collectors: [forge], "
    "refs: [refs/heads/main]}",
    needs_provenance=True,
    read=_read,
    require=_require,
    judge=_judge,
    effort=change_effort,
    ceiling=lambda demand: "better" if demand.includes_admins else "minimum",
)
