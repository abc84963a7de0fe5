# SPDX-License-Identifier: Apache-2.0
"""The difference of two policies, structural and with a direction: each change tighter, looser or unclear.

Tighter means that nothing is allowed which was denied before. What cannot be told from the documents alone (another
key, another identity, another rule type) is unclear, and a reviewer treats unclear as looser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from policy.document import Environment, Policy
from policy.outputs import FORMATS, KEYS, TIMESTAMPS
from policy.rule import Rule, RuleType
from policy.sense import ABSENT, Direction, Kind, Sense, steps, written
from policy.shadow import gates_from, gating
from policy.testing.fixture import ENTRIES
from policy.trust import ISOLATION
from policy.wording import moment, span

_RANK: Final = {Direction.LOOSER: 0, Direction.UNCLEAR: 1, Direction.TIGHTER: 2}
_AGE: Final = Sense(kind=Kind.AGE)
LATEST_DECIDES: Final = ("scanners", "testers", "producers", "authors")
"""Parts of the trust whose entries make evidence of which the latest decides in some rule."""
_READS: Final = Sense(kind=Kind.ACCEPTS, absent=(), latest=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change."""

    name: str
    """What an acknowledgement names: a rule's id, or a place such as trust.builders.ci."""
    path: str
    direction: Direction
    what: str


@dataclass(frozen=True, slots=True)
class Document:
    """A policy and the plain values of its document."""

    policy: Policy
    value: Mapping[str, Any]


def diff(old: Document, new: Document) -> tuple[Change, ...]:
    """Every change, what is looser first."""
    changes = (
        *_metadata(old.policy, new.policy),
        *_defaults(old.policy, new.policy),
        *_promotion(old.policy, new.policy),
        *_keys(old.policy, new.policy),
        *_signers(old, new),
        *_entries(old, new),
        *_rules(old, new),
        *_environments(old.policy, new.policy),
        *_limits(old.policy, new.policy),
    )
    return tuple(sorted(changes, key=lambda change: _RANK[change.direction]))


def unacknowledged(changes: tuple[Change, ...], names: frozenset[str]) -> tuple[Change, ...]:
    """The changes that are not tighter and whose name nobody acknowledged."""
    return tuple(
        change
        for change in changes
        if change.direction is not Direction.TIGHTER and not {change.name, change.path} & names
    )


def _metadata(old: Policy, new: Policy) -> Iterator[Change]:
    if old.name != new.name:
        yield Change(
            name="metadata.name",
            path="metadata.name",
            direction=Direction.UNCLEAR,
            what=f"{old.name} → {new.name}: two policies, not two versions of one",
        )
    if old.expires != new.expires:
        longer = new.expires is None or (old.expires is not None and new.expires > old.expires)
        ends = (written(None) if end is None else moment(end) for end in (old.expires, new.expires))
        yield Change(
            name="metadata.expires",
            path="metadata.expires",
            direction=Direction.LOOSER if longer else Direction.TIGHTER,
            what=" → ".join(ends),
        )


def _defaults(old: Policy, new: Policy) -> Iterator[Change]:
    for path, before, after in (
        ("defaults.maxEvidenceAge", old.max_evidence_age, new.max_evidence_age),
        ("defaults.clockSkew", old.clock_skew, new.clock_skew),
    ):
        if before != after:
            direction = Direction.LOOSER if after > before else Direction.TIGHTER
            yield Change(name=path, path=path, direction=direction, what=f"{span(before)} → {span(after)}")


def _promotion(old: Policy, new: Policy) -> Iterator[Change]:
    before, after = old.promotion, new.promotion
    for path, looser, what in (
        ("decisions", after.decisions < before.decisions, f"{before.decisions} → {after.decisions}"),
        ("period", after.period < before.period, f"{span(before.period)} → {span(after.period)}"),
    ):
        if getattr(before, path) != getattr(after, path):
            yield Change(
                name="promotion",
                path=f"promotion.{path}",
                direction=Direction.LOOSER if looser else Direction.TIGHTER,
                what=what,
            )


def _keys(old: Policy, new: Policy) -> Iterator[Change]:
    for name in dict.fromkeys((*old.trust.keys, *new.trust.keys)):
        before, after = old.trust.keys.get(name), new.trust.keys.get(name)
        if before == after:
            continue
        path = f"trust.keys.{name}"
        if before is not None and after is not None:
            yield Change(name=path, path=path, direction=Direction.UNCLEAR, what="is another key")
        else:
            # A key alone speaks for nothing; the entries that name it are changes of their own.
            what = "is added" if before is None else "is removed"
            yield Change(name=path, path=path, direction=Direction.TIGHTER, what=f"{what}; no effect of its own")


def _signers(old: Document, new: Document) -> Iterator[Change]:
    """Roots, identities, and the older spellings that are accepted."""
    for part in ("roots", "identities", "accept"):
        before, after = (document.value["trust"].get(part, {}) for document in (old, new))
        for name in dict.fromkeys((*before, *after)):
            path = f"trust.{part}.{name}"
            if part == "accept":
                for step in steps(_READS, before.get(name), after.get(name)):
                    yield Change(name=path, path=path, direction=step.direction, what=step.what)
            elif name in before and name in after:
                if before[name] != after[name]:
                    what = "is another root" if part == "roots" else _differing(before[name], after[name])
                    yield Change(name=path, path=path, direction=Direction.UNCLEAR, what=what)
            else:
                # Alone it speaks for nothing; the entries that name it are changes of their own.
                what = "is removed" if name in before else "is added"
                yield Change(name=path, path=path, direction=Direction.TIGHTER, what=f"{what}; no effect of its own")


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{key}: {written(old.get(key))} → {written(new.get(key))}"
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    )


def _entries(old: Document, new: Document) -> Iterator[Change]:
    for part in ENTRIES.values():
        before, after = (document.value["trust"].get(part, {}) for document in (old, new))
        for name in dict.fromkeys((*before, *after)):
            path = f"trust.{part}.{name}"
            if name not in after:
                # Where the latest by anyone accepted decides, one signer fewer may uncover a pass.
                direction = Direction.UNCLEAR if part in LATEST_DECIDES else Direction.TIGHTER
                yield Change(name=path, path=path, direction=direction, what="is no longer trusted")
            elif name not in before:
                yield Change(name=path, path=path, direction=Direction.LOOSER, what="is trusted from now on")
            else:
                yield from _entry(path, before[name], after[name], old.policy.max_evidence_age)


def _entry(path: str, old: Mapping[str, Any], new: Mapping[str, Any], age: timedelta) -> Iterator[Change]:
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key == "maxDatabaseAge":
            for step in steps(_AGE, before, after, age=int(age.total_seconds())):
                # Every scan that passes states the time of its database, so the default is a limit like another.
                direction = _against_default(before, after) if step.direction is Direction.UNCLEAR else step.direction
                yield Change(name=path, path=f"{path}.{key}", direction=direction, what=step.what)
            continue
        direction = Direction.UNCLEAR
        if key == "isolation":
            # A better class is a statement that lets the builder's work through more rules.
            raised = ISOLATION.index(str(after)) > ISOLATION.index(str(before))
            direction = Direction.LOOSER if raised else Direction.TIGHTER
        yield Change(name=path, path=f"{path}.{key}", direction=direction, what=f"{written(before)} → {written(after)}")


def _against_default(before: Any, after: Any) -> Direction:
    """An age above the default replaces it, or gives way to it."""
    assert ABSENT in (before, after)
    return Direction.LOOSER if before is ABSENT else Direction.TIGHTER


def _rules(old: Document, new: Document) -> Iterator[Change]:
    before = {rule.id: rule for rule in old.policy.rules}
    after = {rule.id: rule for rule in new.policy.rules}
    raw = [{each["id"]: each for each in document.value["rules"]} for document in (old, new)]
    # Rules that are there once are changes of the environments that require them.
    for name, rule in before.items():
        if name in after:
            yield from _rule(rule, after[name], raw[0][name], raw[1][name], old.policy.max_evidence_age)


def _rule(
    old: Rule, new: Rule, before: Mapping[str, Any], after: Mapping[str, Any], age: timedelta
) -> Iterator[Change]:
    path = f"rules.{old.id}"
    if old.type != new.type:
        what = f"{old.type} → {new.type}"
        yield Change(name=old.id, path=f"{path}.type", direction=Direction.UNCLEAR, what=what)
        return
    if old.level != new.level:
        # The gate stays; what a pass claims in the VSA does not.
        what = f"{old.level} → {new.level}: a pass claims another level"
        yield Change(name=old.id, path=f"{path}.level", direction=Direction.UNCLEAR, what=what)
    if (old.mode, old.effective_on) != (new.mode, new.effective_on):
        direction = Direction.TIGHTER if gates_from(new) <= gates_from(old) else Direction.LOOSER
        what = f"{gating(old)} → {gating(new)}"
        yield Change(name=old.id, path=f"{path}.mode", direction=direction, what=what)
    if old.waivable != new.waivable:
        direction = Direction.LOOSER if new.waivable else Direction.TIGHTER
        what = f"{written(old.waivable)} → {written(new.waivable)}"
        yield Change(name=old.id, path=f"{path}.waivable", direction=direction, what=what)
    for parameter, was, becomes in _parameters(old.kind, before, after):
        for step in steps(parameter[1], was, becomes, age=int(age.total_seconds())):
            yield Change(name=old.id, path=f"{path}.{parameter[0]}", direction=step.direction, what=step.what)


def _parameters(
    kind: RuleType[Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, Sense | None], Any, Any]]:
    for parameter in kind.parameters:
        path = parameter.name.split(".")
        yield (parameter.name, parameter.sense), _at(before, path), _at(after, path)


def _at(raw: Any, path: list[str]) -> Any:
    for name in path:
        raw = raw.get(name, ABSENT) if isinstance(raw, Mapping) else ABSENT
    return raw


def _environments(old: Policy, new: Policy) -> Iterator[Change]:
    for name in dict.fromkeys((*old.environments, *new.environments)):
        path = f"environments.{name}"
        before, after = old.environments.get(name), new.environments.get(name)
        if before is None or after is None:
            opened = before is None
            yield Change(
                name=path,
                path=path,
                direction=Direction.LOOSER if opened else Direction.TIGHTER,
                what="can be signed for from now on" if opened else "can no longer be signed for",
            )
        else:
            yield from _environment(path, before, after)


def _environment(path: str, old: Environment, new: Environment) -> Iterator[Change]:
    for rule in old.require:
        if rule not in new.require:
            yield Change(
                name=rule, path=f"{path}.require", direction=Direction.LOOSER, what=f"{rule} is no longer required"
            )
    for rule in new.require:
        if rule not in old.require:
            yield Change(name=rule, path=f"{path}.require", direction=Direction.TIGHTER, what=f"{rule} is required")
    yield from _outputs(path, old, new)


def _outputs(path: str, old: Environment, new: Environment) -> Iterator[Change]:
    pairs: list[tuple[str, Any, Any]] = [("formats", old.formats, new.formats)]
    keys = [{output.format: output.key for output in each.outputs} for each in (old, new)]
    pairs += ((KEYS[name], keys[0].get(name), keys[1].get(name)) for name in FORMATS)
    pairs.append(("timestamp", old.timestamp, new.timestamp))
    for member, before, after in pairs:
        if before != after:
            direction = Direction.UNCLEAR
            if member == "timestamp":
                order = (None, *TIMESTAMPS)
                direction = Direction.TIGHTER if order.index(after) > order.index(before) else Direction.LOOSER
            what = f"{written(before)} → {written(after)}"
            yield Change(name=path, path=f"{path}.{member}", direction=direction, what=what)


def _limits(old: Policy, new: Policy) -> Iterator[Change]:
    for path, before, after in (
        ("limits.maxWaiverDays", old.limits.max_waiver_days, new.limits.max_waiver_days),
        ("limits.maxRenewals", old.limits.max_renewals, new.limits.max_renewals),
        ("limits.maxOpenWaivers", old.limits.max_open_waivers, new.limits.max_open_waivers),
    ):
        if before != after:
            direction = Direction.LOOSER if after > before else Direction.TIGHTER
            yield Change(name=path, path=path, direction=direction, what=f"{before} → {after}")
