# SPDX-License-Identifier: Apache-2.0
"""The mutation check: is every rule held up by its evidence, and every condition by a trial?

Two sorts of mutants, each of one rule:

evidence  a trial that is allowed, with what the rule counted dropped, about a digest that differs in one nibble, only
          submitted, signed by another key, by another identity, or judged before or after its time. It survives when
          the rule still passes or the release is still allowed.
document  the rule is no longer required, one of its conditions is deleted, or a comparison moved or inverted. It
          survives when every trial still ends as expected. What the schema refuses is no mutant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final

from policy.decision import Outcome, Verdict
from policy.document import POLICY_RULE, Policy, read_policy
from policy.engine import evaluate
from policy.facts import Document, EvidenceFacts, Facts, Item, SourceItem
from policy.rule import Rule
from policy.rules.deployment.break_glass import BREAK_GLASS
from policy.schema import PolicyError
from policy.sense import Kind, Sense
from policy.testing.fixture import ENTRIES, NOBODY
from policy.testing.holds import as_held, break_glass_mutants, ledger_mutants
from policy.testing.run import Ran, outcomes, run_trial
from policy.testing.suite import Trial
from policy.trust import ISOLATION
from policy.weakened import weakened

_MOMENT: Final = timedelta(seconds=1)
_AGE: Final = Sense(kind=Kind.AGE)
_HEX: Final = frozenset("0123456789abcdef")

ItemChange = Callable[[Item], Item | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change and who noticed it; a survivor was noticed by nobody."""

    rule: str
    what: str
    killed_by: str | None

    @property
    def survived(self) -> bool:
        """Whether nobody noticed."""
        return self.killed_by is None


def mutants(policy: Policy, value: Mapping[str, Any], ran: Sequence[Ran]) -> tuple[Mutant, ...]:
    """Every mutant of every required rule; `value` are the document's plain values, `ran` trials that passed."""
    required = {name for environment in policy.environments.values() for name in environment.require}
    trials = [each.trial for each in ran]
    # What is changed in the facts below is changed in approvals that count.
    held = [replace(each, trial=_as_held(policy, each.trial)) for each in ran]
    found: list[Mutant] = []
    for rule in policy.rules:
        if rule.id in required and rule.mode == "enforce":
            found.extend(_evidence_mutants(policy, rule, held))
            found.extend(_document_mutants(value, rule, trials))
    for name, what, mutated in (*_trust_documents(value), *_default_documents(value)):
        found.extend(_noticed(name, what, mutated, trials))
    found.extend(_expiry_mutants(policy, held))
    return tuple(found)


# Evidence


def _evidence_mutants(policy: Policy, rule: Rule, ran: Sequence[Ran]) -> Iterator[Mutant]:
    for each in ran:
        if each.trial.expect is not Verdict.ALLOW:
            continue
        counted = {digest for finding in each.decision.of(rule.id) for digest in finding.evidence}
        items = [item for item in each.trial.facts.evidence.items() if item.origin.digest in counted]
        for kind in sorted({type(item) for item in items}, key=lambda shape: shape.__name__):
            for what, change in _changes(rule, kind, items):
                facts = _changed(each.trial.facts, counted, kind, change)
                told = f"{kind.__name__} {what}"
                yield _judged(policy, rule.id, told, each.trial, facts=facts, at=each.trial.at)
        known = ledger_mutants(each.trial.facts, counted)
        if rule.kind is BREAK_GLASS and rule.id in outcomes(each.decision):
            since = each.trial.at - rule.parameters.review_within - _MOMENT
            known = break_glass_mutants(each.trial.facts, since=since)
        for what, facts in known:
            yield _judged(policy, rule.id, what, each.trial, facts=facts, at=each.trial.at)
        if any(getattr(parameter.sense, "kind", None) is Kind.AGE for parameter in rule.kind.parameters):
            for what, at in _instants(policy, rule, each.trial, counted):
                yield _judged(policy, rule.id, what, each.trial, facts=each.trial.facts, at=at)


def _as_held(policy: Policy, trial: Trial) -> Trial:
    return replace(trial, facts=as_held(policy, trial.facts, now=trial.at))


def _changes(rule: Rule, kind: type[Item], items: Sequence[Item]) -> Iterator[tuple[str, ItemChange]]:
    yield from _DOCUMENT if kind is Document else _CHANGES
    # A rule that names nobody takes a document from everybody who may bring one.
    if kind is Document and getattr(rule.parameters, "submitters", True):
        yield from _SUBMITTED
    if any(isinstance(item, kind) and item.origin.identity is not None for item in items):
        yield from _CERTIFIED
    if issubclass(kind, SourceItem):
        yield from _JOINED


def _judged(policy: Policy, rule: str, what: str, trial: Trial, *, facts: Facts, at: datetime) -> Mutant:
    decision = evaluate(policy, facts, now=at)
    noticed = decision.verdict is not Verdict.ALLOW and outcomes(decision).get(rule) is not Outcome.PASS
    return Mutant(rule=rule, what=f"{what}, in {trial.name!r}", killed_by="the judge" if noticed else None)


def _changed(facts: Facts, counted: set[str], kind: type[Item], change: ItemChange) -> Facts:
    def apply(items: tuple[Any, ...]) -> tuple[Any, ...]:
        changed = (change(item) if isinstance(item, kind) and item.origin.digest in counted else item for item in items)
        return tuple(item for item in changed if item is not None)

    kept = {field.name: apply(getattr(facts.evidence, field.name)) for field in fields(EvidenceFacts)}
    return replace(facts, evidence=EvidenceFacts(**kept))


def _unbound(item: Item) -> Item:
    # The translator binds an attestation of another digest to nothing.
    return replace(item, origin=replace(item.origin, covers=(), bound="none"))


def _submitted(item: Item) -> Item:
    return replace(item, origin=replace(item.origin, attested=False, key=None))


def _of_another_key(item: Item) -> Item:
    return replace(item, origin=replace(item.origin, key=NOBODY))


def _of_another_identity(item: Item) -> Item | None:
    """A certificate of the same root for somebody else."""
    identity = item.origin.identity
    if identity is None:
        return item
    return replace(item, origin=replace(item.origin, identity=replace(identity, subject=f"not-{identity.subject}")))


def _of_nobody(item: Item) -> Item | None:
    """Evidence whose signer's trust entry is no longer there; kinds without entries are dropped."""
    named: dict[str, Any] = {field.name: None for field in fields(item) if field.name in ENTRIES}
    return replace(item, **named) if named else None


def _of_another_submitter(item: Item) -> Item:
    return replace(item, origin=replace(item.origin, submitter=f"robot:{NOBODY}"))


def _of_another_commit(item: Item) -> Item:
    assert isinstance(item, SourceItem)
    first = f"{int(item.commit[:1], 16) ^ 1:x}" if item.commit[:1] in _HEX else "0"
    return replace(item, commit=f"{first}{item.commit[1:]}")


_CHANGES: Final[tuple[tuple[str, ItemChange], ...]] = (
    ("is dropped", lambda _: None),
    ("is about a digest that differs in one nibble", _unbound),
    ("is submitted, not attested", _submitted),
    ("is signed by another key", _of_another_key),
    ("is by nobody whom the policy trusts", _of_nobody),
)
_DOCUMENT: Final[tuple[tuple[str, ItemChange], ...]] = _CHANGES[:2]
_SUBMITTED: Final[tuple[tuple[str, ItemChange], ...]] = (("is submitted by somebody else", _of_another_submitter),)
_CERTIFIED: Final[tuple[tuple[str, ItemChange], ...]] = (("is signed by another identity", _of_another_identity),)
_JOINED: Final[tuple[tuple[str, ItemChange], ...]] = (
    ("is about a commit that differs in one nibble", _of_another_commit),
)


def _instants(policy: Policy, rule: Rule, trial: Trial, counted: set[str]) -> Iterator[tuple[str, datetime]]:
    times = [
        value
        for item in trial.facts.evidence.items()
        if item.origin.digest in counted
        for field in fields(item)
        if isinstance(value := getattr(item, field.name), datetime)
    ]
    if times:
        limit = getattr(rule.parameters, "max_age", None) or policy.max_evidence_age
        yield "the evidence is past its age", max(times) + limit + policy.clock_skew + _MOMENT
        yield "the evidence is from the future", min(times) - policy.clock_skew - _MOMENT


def _expiry_mutants(policy: Policy, ran: Sequence[Ran]) -> Iterator[Mutant]:
    if policy.expires is not None:
        for each in ran:
            if each.trial.expect is Verdict.ALLOW:
                decision = evaluate(policy, each.trial.facts, now=policy.expires)
                noticed = "the judge" if decision.verdict is not Verdict.ALLOW else None
                yield Mutant(rule=POLICY_RULE, what=f"the policy is expired, in {each.trial.name!r}", killed_by=noticed)


# Document


def _document_mutants(value: Mapping[str, Any], rule: Rule, trials: Sequence[Trial]) -> Iterator[Mutant]:
    for what, mutated in _documents(value, rule):
        yield from _noticed(rule.id, what, mutated, trials)


def _noticed(rule: str, what: str, mutated: Mapping[str, Any], trials: Sequence[Trial]) -> Iterator[Mutant]:
    try:
        policy = read_policy(mutated, digest="0" * 64)
    except PolicyError:
        return
    # The trials that speak of the rule come first: one of them most likely notices.
    ordered = sorted(trials, key=lambda trial: rule not in (trial.rules or ()))
    killed_by = next((trial.name for trial in ordered if run_trial(policy, trial).faults), None)
    yield Mutant(rule=rule, what=what, killed_by=killed_by)


def _trust_documents(value: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every trust entry weakened: a builder one class lower, an identity changed, a limit of age doubled or gone."""
    trust = value["trust"]
    for part in ENTRIES.values():
        for name, entry in trust.get(part, {}).items():
            for what, changed in _weaker_entries(entry):
                parts = {**trust, part: {**trust[part], name: changed}}
                yield f"trust.{part}.{name}", what, {**value, "trust": parts}


def _weaker_entries(entry: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("id", "verifier"):
        if name in entry:
            yield f"{name} differs", {**entry, name: f"{entry[name]}x"}
    lower = ISOLATION[: ISOLATION.index(entry["isolation"])][-1:] if "isolation" in entry else ()
    for word in lower:
        yield f"isolation becomes {word}", {**entry, "isolation": word}
    for what, weaker in weakened(_AGE, entry["maxDatabaseAge"], required=False) if "maxDatabaseAge" in entry else ():
        yield f"maxDatabaseAge {what}", _put(entry, ["maxDatabaseAge"], weaker)


def _default_documents(value: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    defaults = value.get("defaults", {})
    for name, written in defaults.items():
        for what, weaker in weakened(_AGE, written, required=True):
            yield "defaults", f"{name} {what}", {**value, "defaults": {**defaults, name: weaker}}


def _documents(value: Mapping[str, Any], rule: Rule) -> Iterator[tuple[str, dict[str, Any]]]:
    everyone = [each["id"] for each in value["rules"]]
    for name, environment in value["environments"].items():
        require = everyone if environment["require"] == ["*"] else environment["require"]
        if rule.id in require:
            fewer = {**environment, "require": [each for each in require if each != rule.id]}
            yield (
                f"{name} no longer requires it",
                {
                    **value,
                    "environments": {**value["environments"], name: fewer},
                },
            )
    place = everyone.index(rule.id)
    raw = value["rules"][place]
    for parameter in rule.kind.parameters:
        path = parameter.name.split(".")
        found = _at(raw, path)
        if parameter.sense is None or found is None:
            continue
        for what, weaker in weakened(parameter.sense, found, required=parameter.required):
            rules = [*value["rules"]]
            rules[place] = _put(raw, path, weaker)
            yield f"{parameter.name} {what}", {**value, "rules": rules}


def _at(raw: Any, path: Sequence[str]) -> Any:
    for name in path:
        raw = raw.get(name) if isinstance(raw, Mapping) else None
    return raw


def _put(raw: Mapping[str, Any], path: Sequence[str], new: Any) -> dict[str, Any]:
    """The mapping with the value at `path` replaced, or removed where `new` is None."""
    name, *rest = path
    if rest:
        return {**raw, name: _put(raw[name], rest, new)}
    return {**raw, name: new} if new is not None else {each: item for each, item in raw.items() if each != name}
