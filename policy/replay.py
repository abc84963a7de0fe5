# SPDX-License-Identifier: Apache-2.0
"""Replay: what a draft would have decided, from recorded facts and the recorded instant (or another one).

Facts name keys and trust entries as the policy of their time did; `retrust` reads them anew by what the draft trusts.
What no recorded fact can say is never guessed: evidence by a key that was not trusted then stands in no facts, so a
verdict that such evidence could turn is not replayable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from policy.decision import LETS_THROUGH, Decision, Finding, Verdict
from policy.document import Policy
from policy.engine import evaluate
from policy.facts import Bound, EvidenceFacts, Facts, Item, Origin, Provenance, ReviewRecord, SourceSummary
from policy.rule import Rule
from policy.shadow import in_force
from policy.testing.fixture import ENTRIES
from policy.trust import Trust

_Source = TypeVar("_Source", SourceSummary, ReviewRecord)


class Ending(StrEnum):
    """How the draft's verdict compares with the recorded one, what needs attention first."""

    ALLOWED = "deny-to-allow"
    DENIED = "allow-to-deny"
    REASONS = "other-reasons"
    MISSING = "not-replayable"
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One recorded decision: who asked, what was decided, and everything that it rested on."""

    leaf: int
    request_id: str
    time: datetime
    principal: str
    version: int
    """The policy's version at that time."""
    decision: Decision
    facts: Facts
    trust: Trust
    """What the policy of that time trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One decision under the draft."""

    leaf: int
    request_id: str
    environment: str
    principal: str
    repository: str
    """As the provenance names it; empty when none does."""
    ending: Ending
    rules: tuple[str, ...]
    """deny-to-allow: the rules that stopped it then; other-reasons: those that stop it for another reason, none where
    fewer do; else those that stop it now."""
    findings: tuple[Finding, ...]
    """What the developer would have read: the findings of these rules."""
    missing: str = ""
    """Why it cannot be replayed."""


def replay(draft: Policy, recorded: Recorded, *, now: datetime | None = None) -> Replayed:
    """Judge the recorded facts under `draft`, at the recorded instant unless `now` is given."""
    facts = recorded.facts
    missing = ""
    if draft.trust != recorded.trust:
        facts, missing = retrust(recorded.facts, old=recorded.trust, new=draft.trust)
    instant = recorded.time if now is None else now
    decision = evaluate(draft, facts, now=instant)
    if not missing and draft.trust != recorded.trust:
        missing = _not_firm(draft, decision, facts, old=recorded.trust, now=instant)
    stopped_then, stops_now = _stopping(recorded.decision), _stopping(decision)
    allowed_then, allows_now = (each.verdict is Verdict.ALLOW for each in (recorded.decision, decision))
    if missing:
        ending = Ending.MISSING
    elif allowed_then != allows_now:
        ending = Ending.ALLOWED if allows_now else Ending.DENIED
    else:
        same = recorded.decision.verdict is decision.verdict and _reasons(stopped_then) == _reasons(stops_now)
        ending = Ending.SAME if same else Ending.REASONS
    if ending is Ending.REASONS:
        # What stood in the way before stands there still, and nobody has to read it again.
        known = _reasons(stopped_then)
        stops_now = tuple(finding for finding in stops_now if not _reasons((finding,)) <= known)
    named = stopped_then if ending is Ending.ALLOWED else stops_now
    return Replayed(
        leaf=recorded.leaf,
        request_id=recorded.request_id,
        environment=recorded.facts.request.environment,
        principal=recorded.principal,
        repository=next((item.repository for item in facts.evidence.provenance if item.repository), ""),
        ending=ending,
        rules=tuple(dict.fromkeys(finding.rule for finding in named)),
        findings=() if ending in (Ending.SAME, Ending.ALLOWED) else stops_now,
        missing=missing,
    )


def acknowledged(replayed: Replayed, names: frozenset[str]) -> bool:
    """Whether each rule that once stopped this decision, or the decision itself, is named."""
    return replayed.request_id in names or (bool(replayed.rules) and set(replayed.rules) <= names)


def _stopping(decision: Decision) -> tuple[Finding, ...]:
    return tuple(finding for finding in decision.findings if finding.outcome not in LETS_THROUGH)


def _reasons(findings: tuple[Finding, ...]) -> set[tuple[object, ...]]:
    """What stood in the way, whatever sentences said so."""
    return {(finding.rule, finding.type, finding.outcome, finding.evidence, finding.offenders) for finding in findings}


# Facts under other trust


def retrust(facts: Facts, *, old: Trust, new: Trust) -> tuple[Facts, str]:
    """The facts as evidence verified under `new` would state them, and what is missing for that; "" when nothing."""
    names = _Names(
        keys={name: _name_of(pem, new.keys) for name, pem in old.keys.items()},
        roots={name: _name_of(root, new.roots) for name, root in old.roots.items()},
    )
    missing: list[str] = []
    kept: dict[str, Any] = {}
    for field in fields(EvidenceFacts):
        items = []
        for item in getattr(facts.evidence, field.name):
            read = _reread(item, names, new)
            if read is None:
                continue  # under the new trust it verifies by no key or root, and counts as absent
            if isinstance(read, Provenance) and read.builder is not None and item.builder is None:
                missing.append(
                    f"source attestations that provenance {item.origin.digest} joins: its builder was not trusted then"
                )
            items.append(read)
        kept[field.name] = tuple(items)
    joined = EvidenceFacts(**kept)
    rebound = replace(
        joined, sources=tuple(_joined(joined, joined.sources)), reviews=tuple(_joined(joined, joined.reviews))
    )
    personal = (names.keys.get(name) for name in facts.ledger.personal_keys)
    ledger = replace(facts.ledger, personal_keys=tuple(sorted(name for name in personal if name is not None)))
    return replace(facts, evidence=rebound, ledger=ledger), "; ".join(missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """How the new trust calls the keys and roots of the old one; None where it does not know them."""

    keys: Mapping[str, str | None]
    roots: Mapping[str, str | None]


def _name_of(wanted: str, known: Mapping[str, str]) -> str | None:
    return next((name for name, text in known.items() if text == wanted), None)


def _reread(item: Item, names: _Names, trust: Trust) -> Item | None:
    origin = item.origin
    if not origin.attested:
        return item
    if origin.identity is not None:
        root = names.roots.get(origin.identity.root)
        if root is None:
            return None
        origin = replace(origin, key=None, identity=replace(origin.identity, root=root))
    else:
        key = names.keys.get(origin.key or "")
        if key is None:
            return None
        origin = replace(origin, key=key)
    for field, part in ENTRIES.items():
        if hasattr(item, field):
            return _attributed(item, origin, field, getattr(trust, part).values())
    return replace(item, origin=origin)


def _attributed(item: Item, origin: Origin, field: str, entries: Iterable[Any]) -> Item:
    """The item as the work of the entry that made it, or of none."""
    for entry in entries:
        placed = origin if origin.identity is None else replace(origin, key=entry.key)
        changes: dict[str, Any] = {"origin": placed, field: entry.name}
        if hasattr(item, "isolation"):
            changes["isolation"] = entry.isolation
        made = replace(item, **changes)
        if entry.made(made):
            return made
    nobody: dict[str, Any] = {"origin": origin, field: None}
    if hasattr(item, "isolation"):
        nobody["isolation"] = None
    return replace(item, **nobody)


def _joined(evidence: EvidenceFacts, items: Iterable[_Source]) -> Iterator[_Source]:
    """Source attestations bound anew, through provenance by builders that are trusted now."""
    for item in items:
        covers = {
            subject
            for built in evidence.provenance
            if built.builder is not None and (built.repository, built.commit) == (item.repository, item.commit)
            for subject in built.origin.covers
        }
        bound: Bound = "source" if covers else "none"
        yield replace(item, origin=replace(item.origin, covers=tuple(sorted(covers)), bound=bound))


def _not_firm(draft: Policy, decision: Decision, facts: Facts, *, old: Trust, now: datetime) -> str:
    """Why evidence that nobody recorded could turn the verdict; "" when none could."""
    environment = draft.environments.get(facts.request.environment)
    fresh = _fresh(draft.trust, old)
    older = any(not set(now) <= set(then) for now, then in _accepted(draft.trust, old))
    if environment is None or not (fresh or older):
        return ""
    gating = in_force(environment.rules, now)
    open_rules = {rule.id for rule in gating if older or _accepts(draft.trust, rule, fresh)}
    if decision.verdict is Verdict.ALLOW:
        turning = {rule.id for rule in gating if rule.id in open_rules and _latest_decides(rule)}
    else:
        # One rule that no unrecorded evidence can satisfy makes the denial certain.
        stopping = {finding.rule for finding in _stopping(decision)}
        turning = stopping if stopping <= open_rules else set()
    if not turning:
        return ""
    what = f"evidence by {', '.join(sorted(fresh))}, not trusted then" if fresh else "evidence in an older spelling"
    return f"{what}, for {', '.join(sorted(turning))}"


def _fresh(new: Trust, old: Trust) -> set[str]:
    """Names of the keys, and of the identities below roots, whose evidence the old trust did not let into facts."""
    keys, roots = set(old.keys.values()), set(old.roots.values())
    return {name for name, pem in new.keys.items() if pem not in keys} | {
        name for name, identity in new.identities.items() if new.roots[identity.root] not in roots
    }


def _accepted(new: Trust, old: Trust) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    yield new.accept.statements, old.accept.statements
    yield new.accept.provenance, old.accept.provenance


def _accepts(trust: Trust, rule: Rule, keys: set[str]) -> bool:
    """Whether evidence by one of the keys can count for the rule, or answer where the rule reads provenance."""
    accepted = [
        getattr(trust, part)[name].key
        for part in ENTRIES.values()
        for name in getattr(rule.parameters, part, None) or ()
    ]
    if rule.kind.needs_provenance:
        accepted += [builder.key for builder in trust.builders.values()]
    return not keys.isdisjoint(accepted)


def _latest_decides(rule: Rule) -> bool:
    return any(parameter.sense is not None and parameter.sense.latest for parameter in rule.kind.parameters)
