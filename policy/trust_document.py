# SPDX-License-Identifier: Apache-2.0
"""The `trust` part of a policy document, read under the closed schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from policy.identity import TrustedIdentity, read_identity, read_roots, read_uri
from policy.schema import NAME, PolicyError, Section
from policy.trust import (
    IDENTITY,
    ISOLATION,
    NETWORK,
    PROVENANCE,
    SOURCES,
    STATEMENTS,
    Accept,
    Author,
    Builder,
    Collector,
    Producer,
    Scanner,
    Signer,
    Tester,
    Trust,
    is_pem,
)
from policy.wording import quote


def read_trust(section: Section) -> Trust:
    """Read the `trust` part of a policy document; raises PolicyError."""
    keys = _read_keys(section.optional_section("keys"))
    roots = read_roots(section.optional_section("roots"))
    identities = {name: read_identity(name, entry, roots) for name, entry in section.entries("identities")}
    for name in identities:
        if name in keys:
            raise section.refuse(f"identities.{name}", "is the name of a key too", remedy="rename one of the two")
    signers = _Signers(keys, identities)
    trust = Trust(
        keys=keys,
        roots=roots,
        identities=identities,
        accept=_read_accept(section.optional_section("accept")),
        builders={name: _read_builder(name, entry, signers) for name, entry in section.entries("builders")},
        scanners={name: _read_scanner(name, entry, signers) for name, entry in section.entries("scanners")},
        testers={name: Tester(name=name, **_sole_signer(entry, signers)) for name, entry in section.entries("testers")},
        collectors={name: _read_collector(name, entry, signers) for name, entry in section.entries("collectors")},
        producers={
            name: Producer(name=name, **_sole_signer(entry, signers)) for name, entry in section.entries("producers")
        },
        signers={name: Signer(name=name, **_sole_signer(entry, signers)) for name, entry in section.entries("signers")},
        authors={name: Author(name=name, **_sole_signer(entry, signers)) for name, entry in section.entries("authors")},
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
    _refuse_twins(section.at("signers"), {name: entry.key for name, entry in trust.signers.items()})
    _refuse_twins(section.at("authors"), {name: entry.key for name, entry in trust.authors.items()})
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


@dataclass(frozen=True, slots=True)
class _Signers:
    keys: Mapping[str, str]
    identities: Mapping[str, TrustedIdentity]

    def of(self, section: Section) -> _Signer:
        """The `key` or the `signer` (an identity) of an entry: exactly one of the two."""
        if not section.has("signer"):
            return _Signer(key=section.reference("key", self.keys, what="key"), signer=None)
        if section.has("key"):
            raise section.refuse("signer", "stands beside a key", remedy="keep one of the two")
        name = section.reference("signer", self.identities, what="identity")
        return _Signer(key=name, signer=self.identities[name])


class _Signer(TypedDict):
    key: str
    signer: TrustedIdentity | None


def _read_accept(section: Section) -> Accept:
    accept = Accept(
        statements=section.choices("statements", STATEMENTS) if section.has("statements") else (),
        provenance=section.choices("provenance", PROVENANCE) if section.has("provenance") else (),
    )
    section.close()
    return accept


def _read_builder(name: str, section: Section, signers: _Signers) -> Builder:
    signer = signers.of(section)
    builder = Builder(
        name=name,
        **signer,
        id=section.text("id") if signer["signer"] is None else read_uri(section, "id"),
        source=section.choice("source", SOURCES) if section.has("source") else SOURCES[0],
        isolation=section.choice("isolation", ISOLATION),
        network=section.choice("network", NETWORK),
        identity=section.choice("identity", IDENTITY),
        broad_access=section.boolean("broadAccess"),
        principal=_read_principal(section),
    )
    section.close()
    if builder.source != SOURCES[0] and builder.signer is None:
        raise section.refuse("source", "says something of identities only", remedy="remove it: a key names no source")
    narrow = builder.network == "restricted" and builder.identity == "workload" and not builder.broad_access
    if builder.isolation == "hardened" and not narrow:
        raise section.refuse(
            "isolation",
            "a hardened builder has a restricted network, a workload identity and no broad access",
            remedy="narrow the builder, or state the class that it really has",
        )
    return builder


def _read_principal(section: Section) -> str | None:
    if not section.has("principal"):
        return None
    principal = section.text("principal")
    kind, _, name = principal.partition(":")
    if kind != "robot" or NAME.fullmatch(name) is None:
        raise section.refuse(
            "principal", f"{quote(principal)} is no robot", remedy="write robot:ID, an id of the access document"
        )
    return principal


def _read_scanner(name: str, section: Section, signers: _Signers) -> Scanner:
    scanner = Scanner(name=name, **signers.of(section), max_database_age=section.duration("maxDatabaseAge"))
    section.close()
    return scanner


def _read_collector(name: str, section: Section, signers: _Signers) -> Collector:
    collector = Collector(name=name, **signers.of(section), verifier=section.text("verifier"))
    section.close()
    return collector


def _sole_signer(section: Section, signers: _Signers) -> _Signer:
    signer = signers.of(section)
    section.close()
    return signer


def _refuse_twins(path: str, identities: Mapping[str, object]) -> None:
    seen: dict[object, str] = {}
    for name, identity in identities.items():
        other = seen.setdefault(identity, name)
        if other != name:
            raise PolicyError(f"{path}.{name}: is the same as {path}.{other}", remedy="keep one of the two")
