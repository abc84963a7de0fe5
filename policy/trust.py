# SPDX-License-Identifier: Apache-2.0
"""What a policy trusts: keys, and what each key may speak for.

    keys:       {builder: "-----BEGIN PUBLIC KEY-----…"}
    builders:   {ci: {key: builder, id: "https://…", isolation: ephemeral, network: restricted, …}}
    scanners:   {grype: {key: scanner, maxDatabaseAge: 2d}}
    testers:    {ci: {key: builder}}
    collectors: {forge: {key: source, verifier: "https://…"}}
    producers:  {ci: {key: builder}}

A builder is trusted as a pair of key and builder id, never by one of the two (SLSA 1.2, verifying artifacts, step 1).
Its isolation class is what the security team says of it, never what the provenance says of itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from policy.facts import Provenance, Sbom, SourceSummary, TestResult, VulnerabilityScan
from policy.schema import PolicyError, Section

ISOLATION: Final = ("shared", "dedicated", "ephemeral", "hardened")
"""Isolation classes, the weakest first."""
NETWORK: Final = ("open", "restricted")
IDENTITY: Final = ("person", "workload")

_PEM = re.compile(
    r"-----BEGIN PUBLIC KEY-----\n(?:[A-Za-z0-9+/]{1,76}\n){0,40}[A-Za-z0-9+/]{1,76}={0,2}\n-----END PUBLIC KEY-----"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """A build platform: the pair (key, id) and what the security team asserts of it."""

    name: str
    key: str
    id: str
    isolation: str
    network: str
    identity: str
    broad_access: bool

    def made(self, item: Provenance) -> bool:
        """Whether both halves of the pair are this builder's."""
        return item.builder == self.name and item.origin.key == self.key and item.builder_id == self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """A vulnerability scanner; None as database age means the policy's maxEvidenceAge."""

    name: str
    key: str
    max_database_age: timedelta | None

    def made(self, item: VulnerabilityScan) -> bool:
        """Whether this scanner signed the scan."""
        return item.scanner == self.name and item.origin.key == self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Tester:
    """Who may say that tests passed."""

    name: str
    key: str

    def made(self, item: TestResult) -> bool:
        """Whether this tester signed the result."""
        return item.tester == self.name and item.origin.key == self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """A signer of source VSAs: the pair (key, verifier id)."""

    name: str
    key: str
    verifier: str

    def made(self, item: SourceSummary) -> bool:
        """Whether both halves of the pair are this collector's."""
        return item.collector == self.name and item.origin.key == self.key and item.verifier == self.verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """Who may say what an artifact is made of."""

    name: str
    key: str

    def made(self, item: Sbom) -> bool:
        """Whether this producer signed the SBOM."""
        return item.producer == self.name and item.origin.key == self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Every trusted key (name → PEM SubjectPublicKeyInfo, kept as text) and entry by its name."""

    keys: Mapping[str, str] = field(default_factory=dict)
    builders: Mapping[str, Builder] = field(default_factory=dict)
    scanners: Mapping[str, Scanner] = field(default_factory=dict)
    testers: Mapping[str, Tester] = field(default_factory=dict)
    collectors: Mapping[str, Collector] = field(default_factory=dict)
    producers: Mapping[str, Producer] = field(default_factory=dict)

    def builder_of(self, item: Provenance) -> Builder | None:
        """The trusted builder that made `item`."""
        builder = self.builders.get(item.builder) if item.builder is not None else None
        return builder if builder is not None and builder.made(item) else None

    def difference(self, item: Provenance, accepted: Iterable[str]) -> str:
        """Which part of `item` keeps it from being by one of the `accepted` builders, in words."""
        builder = self.builder_of(item)
        if builder is not None:
            return f"the builder is {builder.name}, which this rule does not accept"
        entries = [self.builders[name] for name in accepted]
        if any(entry.key == item.origin.key for entry in entries):
            return "the key is trusted, the builder id differs"
        if any(entry.id == item.builder_id for entry in entries):
            return "the builder id is trusted, the key differs"
        return "the key and the builder id differ"


def is_pem(text: str) -> bool:
    """Whether `text` has the form of one PEM SubjectPublicKeyInfo; what the key is, the judge cannot know."""
    return _PEM.fullmatch(text.strip()) is not None


def read_trust(section: Section) -> Trust:
    """Read the `trust` part of a policy document; raises PolicyError."""
    keys = _read_keys(section.section("keys"))
    trust = Trust(
        keys=keys,
        builders={name: _read_builder(name, entry, keys) for name, entry in section.entries("builders")},
        scanners={name: _read_scanner(name, entry, keys) for name, entry in section.entries("scanners")},
        testers={name: Tester(name=name, key=_sole_key(entry, keys)) for name, entry in section.entries("testers")},
        collectors={name: _read_collector(name, entry, keys) for name, entry in section.entries("collectors")},
        producers={
            name: Producer(name=name, key=_sole_key(entry, keys)) for name, entry in section.entries("producers")
        },
    )
    section.close()
    # Two names for one thing would make the entry that an item belongs to a matter of order.
    _refuse_twins(section.at("builders"), {name: (entry.key, entry.id) for name, entry in trust.builders.items()})
    _refuse_twins(section.at("scanners"), {name: entry.key for name, entry in trust.scanners.items()})
    _refuse_twins(section.at("testers"), {name: entry.key for name, entry in trust.testers.items()})
    _refuse_twins(
        section.at("collectors"), {name: (entry.key, entry.verifier) for name, entry in trust.collectors.items()}
    )
    _refuse_twins(section.at("producers"), {name: entry.key for name, entry in trust.producers.items()})
    return trust


def _read_keys(section: Section) -> dict[str, str]:
    keys: dict[str, str] = {}
    for name, value in section.items():
        if not isinstance(value, str) or not is_pem(value):
            raise section.refuse(
                name,
                "is not a PEM public key",
                remedy="paste the BEGIN PUBLIC KEY block that `openssl pkey -pubout` prints",
            )
        keys[name] = f"{value.strip()}\n"
    _refuse_twins(section.path, {name: "".join(pem.split()) for name, pem in keys.items()})
    return keys


def _read_builder(name: str, section: Section, keys: Mapping[str, str]) -> Builder:
    builder = Builder(
        name=name,
        key=section.reference("key", keys, what="key"),
        id=section.text("id"),
        isolation=section.choice("isolation", ISOLATION),
        network=section.choice("network", NETWORK),
        identity=section.choice("identity", IDENTITY),
        broad_access=section.boolean("broadAccess"),
    )
    section.close()
    narrow = builder.network == "restricted" and builder.identity == "workload" and not builder.broad_access
    if builder.isolation == "hardened" and not narrow:
        raise section.refuse(
            "isolation",
            "a hardened builder has a restricted network, a workload identity and no broad access",
            remedy="narrow the builder, or state the class that it really has",
        )
    return builder


def _read_scanner(name: str, section: Section, keys: Mapping[str, str]) -> Scanner:
    scanner = Scanner(
        name=name,
        key=section.reference("key", keys, what="key"),
        max_database_age=section.duration("maxDatabaseAge"),
    )
    section.close()
    return scanner


def _read_collector(name: str, section: Section, keys: Mapping[str, str]) -> Collector:
    collector = Collector(name=name, key=section.reference("key", keys, what="key"), verifier=section.text("verifier"))
    section.close()
    return collector


def _sole_key(section: Section, keys: Mapping[str, str]) -> str:
    key = section.reference("key", keys, what="key")
    section.close()
    return key


def _refuse_twins(path: str, identities: Mapping[str, object]) -> None:
    seen: dict[object, str] = {}
    for name, identity in identities.items():
        other = seen.setdefault(identity, name)
        if other != name:
            raise PolicyError(f"{path}.{name}: is the same as {path}.{other}", remedy="keep one of the two")
