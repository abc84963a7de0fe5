# SPDX-License-Identifier: Apache-2.0
"""The policy document: YAML bytes to a frozen `Policy` under a closed schema.

    schema: signing-policy/v1
    metadata: {name: demo, version: 1, owner: appsec, expires: 2027-06-30T00:00:00Z}
    defaults: {maxEvidenceAge: 7d, clockSkew: 2m}
    trust: {keys: …, builders: …, scanners: …, testers: …, collectors: …, producers: …}
    rules:
      - {id: BLD-2, type: build.isolation, control: build, level: better, atLeast: ephemeral}
    environments:
      release: {require: ["*"], key: release, formats: [vsa]}
    limits: {maxWaiverDays: 30, maxRenewals: 1, maxOpenWaivers: 10}

What this version does not know is refused, never ignored: keys, rule types, references, a rule under another control
than its type's, a level above what its parameters carry, an environment that requires nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from policy.agreement import refuse_contradiction
from policy.outputs import VSA, Output, read_outputs, read_timestamp, refuse_shared_keys
from policy.rule import LEVELS, MODES, Rule
from policy.rules import RULES
from policy.schema import PolicyError, Section
from policy.strict_yaml import YamlError, load
from policy.trust import Trust
from policy.trust_document import read_trust

SCHEMA: Final = "signing-policy/v1"
POLICY_RULE: Final = "POLICY"
"""The rule id of findings about the policy itself; no rule of a document may take it."""
MAX_AGE: Final = timedelta(days=7)
MAX_SKEW: Final = timedelta(minutes=10)
MOST_WAIVER_DAYS: Final = 366
MOST_RENEWALS: Final = 12
MOST_OPEN_WAIVERS: Final = 1000
SOON: Final = timedelta(days=30)
"""How long before its end a document, a waiver or a certificate is told as ending."""
WATCHED_DECISIONS: Final = 20
WATCHED_PERIOD: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A stage that a digest is signed for."""

    name: str
    require: tuple[str, ...]
    """Ids of the required rules, in the document's order; never empty."""
    rules: tuple[Rule, ...] = field(repr=False)
    """The required rules themselves, in the same order."""
    outputs: tuple[Output, ...]
    """What is signed, and the name of each signing key; the caller never chooses one."""
    timestamp: str | None = None
    """`required`, `best-effort`, or None: whether an RFC 3161 timestamp is taken over each signature."""

    @property
    def key(self) -> str:
        """Name of the key that signs the decision."""
        return next(output.key for output in self.outputs if output.format == VSA)

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of its outputs, in their order."""
        return tuple(output.format for output in self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far waivers may go under this policy."""

    max_waiver_days: int = 30
    """From the first moment of a waiver to its end."""
    max_renewals: int = 1
    """How often what was waived may be waived again."""
    max_open_waivers: int = 10
    """How many may stand at one time, ended and expired ones left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What must be recorded of a rule or a newer version in shadow before it may come into force."""

    decisions: int
    period: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One version of a policy document, with the sha256 of its bytes in hexadecimal."""

    name: str
    version: int
    owner: str
    expires: datetime | None
    digest: str
    trust: Trust
    rules: tuple[Rule, ...]
    environments: Mapping[str, Environment]
    clock_skew: timedelta
    max_evidence_age: timedelta
    promotion: Promotion
    limits: Limits

    def rule(self, identifier: str) -> Rule | None:
        """The rule with this id."""
        return next((rule for rule in self.rules if rule.id == identifier), None)


def parse_policy(data: bytes) -> Policy:
    """Read a policy document; raises PolicyError."""
    return read_policy(load_document(data), digest=hashlib.sha256(data).hexdigest())


def load_document(data: bytes) -> Any:
    """The plain values of a document in the strict subset of YAML; raises PolicyError."""
    try:
        return load(data)
    except YamlError as fault:
        raise PolicyError(fault.detail, remedy=fault.remedy) from None


def read_policy(value: Any, *, digest: str) -> Policy:
    """Read the plain values of a policy document, which stay as they are; raises PolicyError."""
    root = Section(value, "document")
    root.path = ""
    root.choice("schema", (SCHEMA,))
    metadata = root.section("metadata")
    defaults = root.optional_section("defaults")
    trust = read_trust(root.section("trust"))
    rules = _read_rules(root, trust)
    skew = defaults.duration("clockSkew", most=MAX_SKEW)
    age = defaults.duration("maxEvidenceAge")
    policy = Policy(
        name=metadata.name("name"),
        version=metadata.integer("version", least=1),
        owner=metadata.text("owner"),
        expires=metadata.moment("expires"),
        digest=digest,
        trust=trust,
        rules=rules,
        environments=_read_environments(root, rules),
        clock_skew=timedelta(minutes=2) if skew is None else skew,
        max_evidence_age=MAX_AGE if age is None else age,
        limits=_read_limits(root.optional_section("limits")),
        promotion=_read_promotion(root.optional_section("promotion")),
    )
    for section in (metadata, defaults, root):
        section.close()
    return policy


def _read_limits(section: Section) -> Limits:
    usual = Limits()
    limits = Limits(
        max_waiver_days=section.integer("maxWaiverDays", least=1, default=usual.max_waiver_days),
        max_renewals=section.integer("maxRenewals", least=0, default=usual.max_renewals),
        max_open_waivers=section.integer("maxOpenWaivers", least=0, default=usual.max_open_waivers),
    )
    for key, value, most in (
        ("maxWaiverDays", limits.max_waiver_days, MOST_WAIVER_DAYS),
        ("maxRenewals", limits.max_renewals, MOST_RENEWALS),
        ("maxOpenWaivers", limits.max_open_waivers, MOST_OPEN_WAIVERS),
    ):
        if value > most:
            raise section.refuse(
                key, f"is more than {most}", remedy="an exception that never ends is a rule: write one"
            )
    section.close()
    return limits


def _read_promotion(section: Section) -> Promotion:
    decisions = section.integer("decisions", least=1, default=WATCHED_DECISIONS)
    period = section.duration("period")
    section.close()
    return Promotion(decisions=decisions, period=WATCHED_PERIOD if period is None else period)


def _read_rules(root: Section, trust: Trust) -> tuple[Rule, ...]:
    rules: dict[str, Rule] = {}
    for section in root.sections("rules"):
        rule = _read_rule(section, trust)
        if rule.id in rules or rule.id == POLICY_RULE:
            raise section.refuse("id", f"{rule.id} is taken", remedy="give each rule its own id")
        rules[rule.id] = rule
    return tuple(rules.values())


def _read_rule(section: Section, trust: Trust) -> Rule:
    identifier = section.name("id")
    code = section.text("type")
    if code not in RULES:
        raise section.refuse(
            "type", f"{code[:64]!r} is no rule type of this version", remedy=f"use one of {', '.join(RULES)}"
        )
    kind = RULES[code]
    control = section.text("control")
    if control != kind.control:
        raise section.refuse(
            "control", f"a rule of type {code} serves the control {kind.control}", remedy=f"write {kind.control}"
        )
    level = section.choice("level", LEVELS)
    shadow = section.has("mode") and section.choice("mode", MODES) == "shadow"
    effective_on = section.moment("effectiveOn")
    if effective_on is not None and not shadow:
        raise section.refuse(
            "effectiveOn", "only a rule in shadow waits for its day", remedy="write mode: shadow beside it"
        )
    waivable = section.boolean("waivable", default=False)
    parameters = kind.read(section, trust)
    section.close()
    ceiling = kind.ceiling(parameters)
    if LEVELS.index(level) > LEVELS.index(ceiling):
        raise section.refuse(
            "level",
            f"these parameters carry the level {ceiling} at most",
            remedy=f"write {ceiling}, or demand more",
        )
    return Rule(
        id=identifier,
        kind=kind,
        level=level,
        parameters=parameters,
        required=kind.require(parameters),
        mode="shadow" if shadow else "enforce",
        effective_on=effective_on,
        waivable=waivable,
    )


def _read_environments(root: Section, rules: tuple[Rule, ...]) -> dict[str, Environment]:
    known = {rule.id: rule for rule in rules}
    environments: dict[str, Environment] = {}
    sections = dict(root.entries("environments"))
    for name, section in sections.items():
        named = section.words("require")
        if named == ("*",):
            require = tuple(known)
        else:
            for identifier in named:
                if identifier not in known:
                    raise section.refuse(
                        "require",
                        f"there is no rule {identifier[:64]!r}",
                        remedy='name rules of this document, or write ["*"] alone for all of them',
                    )
            require = tuple(identifier for identifier in known if identifier in named)
        required = tuple(known[identifier] for identifier in require)
        if all(rule.mode == "shadow" for rule in required):
            raise section.refuse(
                "require", "every rule is in shadow, so nothing would be allowed", remedy="require a rule in force too"
            )
        refuse_contradiction(section, name, required, environments=sections)
        environments[name] = Environment(
            name=name,
            require=require,
            rules=required,
            outputs=read_outputs(section),
            timestamp=read_timestamp(section),
        )
        section.close()
    refuse_shared_keys({name: environment.outputs for name, environment in environments.items()})
    if not environments:
        raise root.refuse("environments", "there is no environment", remedy="add one, with the rules it requires")
    return environments
