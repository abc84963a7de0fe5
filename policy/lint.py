# SPDX-License-Identifier: Apache-2.0
"""What is lawful in a policy document and still likely to be a mistake.

A document that breaks the schema has no remarks: reading it raises PolicyError with path and remedy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from policy.document import SOON, Limits, Policy
from policy.rule import Rule
from policy.rules.build.identity import BUILD_IDENTITY
from policy.rules.build.isolation import ISOLATION_CLASS
from policy.rules.build.provenance import PROVENANCE
from policy.testing.fixture import ENTRIES
from policy.testing.run import Coverage
from policy.trust import ISOLATION
from policy.wording import moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One finding of the linter; an error denies every request or passes no review."""

    severity: Literal["error", "warning"]
    path: str
    what: str
    remedy: str


def lint(policy: Policy, *, now: datetime, covered: Iterable[Coverage] | None, failed: int = 0) -> tuple[Remark, ...]:
    """Every remark; `covered` is the coverage by the tests beside the policy, None when there are none; `failed` says
    how many of their trials did not end as expected.
    """
    return (
        *_expiry(policy, now),
        *_trust(policy),
        *_rules(policy, now),
        *_limits(policy),
        *(_failing(failed) if failed else _untested(policy, covered)),
    )


def _expiry(policy: Policy, now: datetime) -> Iterator[Remark]:
    if policy.expires is None or now + SOON < policy.expires:
        return
    gone = now >= policy.expires
    yield Remark(
        severity="error" if gone else "warning",
        path="metadata.expires",
        what=f"the policy {'expired' if gone else 'expires'} at {moment(policy.expires)}",
        remedy=f"{policy.owner} reviews it, raises version and expires, and the owners activate it",
    )


def _trust(policy: Policy) -> Iterator[Remark]:
    entries = {part: getattr(policy.trust, part) for part in ENTRIES.values()}
    used = {entry.key for part in entries.values() for entry in part.values()}
    for part, named in (("keys", policy.trust.keys), ("identities", policy.trust.identities)):
        for name in named:
            if name not in used:
                yield _unused(f"trust.{part}.{name}", "no trust entry names it")
    pinned = {identity.root for identity in policy.trust.identities.values()}
    for name in policy.trust.roots:
        if name not in pinned:
            yield _unused(f"trust.roots.{name}", "no identity names it")
    for part, those in entries.items():
        referring = [names for rule in policy.rules if (names := getattr(rule.parameters, part, None)) is not None]
        # Where no rule names builders, each of them answers for the rules that need provenance.
        everyone = part == "builders" and not referring and any(rule.kind.needs_provenance for rule in policy.rules)
        wanted = {name for names in referring for name in names}
        for name in those:
            if name not in wanted and not everyone:
                yield _unused(f"trust.{part}.{name}", "no rule accepts this entry by name")


def _unused(path: str, what: str) -> Remark:
    return Remark(severity="warning", path=path, what=what, remedy="remove it: what nobody needs should not be trusted")


def _rules(policy: Policy, now: datetime) -> Iterator[Remark]:
    required = {name for environment in policy.environments.values() for name in environment.require}
    for rule in policy.rules:
        path = f"rules.{rule.id}"
        if rule.id not in required:
            yield Remark(
                severity="warning",
                path=path,
                what="no environment requires this rule",
                remedy="add it to `require` of an environment, or remove it",
            )
        if rule.effective_on is not None and rule.effective_on <= now:
            yield Remark(
                severity="warning",
                path=f"{path}.effectiveOn",
                what=f"the rule is in force since {moment(rule.effective_on)}",
                remedy="write mode: enforce, without effectiveOn",
            )
        if rule.waivable and rule.kind is PROVENANCE:
            yield Remark(
                severity="warning",
                path=f"{path}.waivable",
                what="where this rule is waived nothing says who built the digest, and every other rule about the "
                "build and its source rests on that",
                remedy="remove `waivable` here, and waive the rule about what is really excused",
            )
        hopeless = _hopeless(policy, rule)
        if hopeless:
            yield Remark(severity="error", path=path, what=f"the rule can never pass: {hopeless}", remedy="lower it")


def _limits(policy: Policy) -> Iterator[Remark]:
    if policy.limits != Limits() and not any(rule.waivable for rule in policy.rules):
        yield Remark(
            severity="warning",
            path="limits",
            what="limits of waivers, and no rule is waivable",
            remedy="write `waivable: true` at the rules that two people may waive, or remove the limits",
        )


def _hopeless(policy: Policy, rule: Rule) -> str:
    if rule.kind is ISOLATION_CLASS:
        wanted = ISOLATION.index(rule.parameters.at_least)
        if all(ISOLATION.index(builder.isolation) < wanted for builder in policy.trust.builders.values()):
            return f"no trusted builder is {rule.parameters.at_least} or better"
    if rule.kind is BUILD_IDENTITY and all(
        builder.identity != "workload" for builder in policy.trust.builders.values()
    ):
        return "no trusted builder signs as a workload"
    return ""


def _failing(count: int) -> Iterator[Remark]:
    # What such a trial covers nobody can say.
    yield Remark(
        severity="error",
        path="tests",
        what=f"{count} trial{'' if count == 1 else 's'} beside the policy did not end as expected",
        remedy="correct the policy or the trials: `signer policy test` shows them",
    )


def _untested(policy: Policy, covered: Iterable[Coverage] | None) -> Iterator[Remark]:
    if covered is None:
        yield Remark(
            severity="warning",
            path="tests",
            what="no tests stand beside the policy",
            remedy="`signer policy init` writes a policy with its tests; see docs/how-to/test-and-replay-a-policy.md",
        )
        return
    for each in covered:
        if each.missing:
            yield Remark(
                severity="warning",
                path=f"rules.{each.rule}",
                what=f"no trial expects {', '.join(each.missing)} of {policy.name}'s rule",
                remedy="add the trial: `signer policy test` shows the table",
            )
