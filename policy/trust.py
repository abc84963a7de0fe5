# SPDX-License-Identifier: Apache-2.0
"""What a policy trusts: keys, and what each key may speak for.

    keys:       {builder: "-----BEGIN PUBLIC KEY-----…"}
    roots:      {public-good: {trustedRoot: '{"mediaType":…}'}}
    identities: {release: {root: public-good, issuer: "https://…", subject: "https://…", repositoryId: "1", …}}
    accept:     {statements: [v0.1], provenance: [v0.2]}
    builders:   {ci: {key: builder, id: "https://…", isolation: ephemeral, network: restricted, …}}
    scanners:   {grype: {key: scanner, maxDatabaseAge: 2d}}
    testers:    {ci: {key: builder}}
    collectors: {forge: {key: source, verifier: "https://…"}}
    producers:  {ci: {key: builder}}

Where an entry says `signer` instead of `key`, a certificate of that identity signs for it (policy/identity.py).
`accept` lets older spellings in, which are refused without it.

A builder is trusted as a pair of key and builder id, never by one of the two (SLSA 1.2, verifying artifacts, step 1).
Its isolation class is what the security team says of it, never what the provenance says of itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol, TypeVar

from policy.facts import (
    ArtifactSignature,
    CertificateIdentity,
    Provenance,
    Sbom,
    SourceItem,
    TestResult,
    Vex,
    VulnerabilityScan,
)
from policy.identity import TrustedIdentity, nearest, signed, source_differences, uri_matches
from policy.wording import listed, quote

ISOLATION: Final = ("shared", "dedicated", "ephemeral", "hardened")
"""Isolation classes, the weakest first."""
NETWORK: Final = ("open", "restricted")
IDENTITY: Final = ("person", "workload")
SOURCES: Final = ("certificate", "statement")
STATEMENTS: Final = ("v0.1",)
PROVENANCE: Final = ("v0.2",)

_PEM = re.compile(
    r"-----BEGIN PUBLIC KEY-----\n(?:[A-Za-z0-9+/]{1,76}\n){0,40}[A-Za-z0-9+/]{1,76}={0,2}\n-----END PUBLIC KEY-----"
)


Made = TypeVar("Made")
Made_contra = TypeVar("Made_contra", contravariant=True)


class Entry(Protocol[Made_contra]):
    """A trusted signer of one kind of evidence."""

    def made(self, item: Made_contra, /) -> bool:
        """Whether it signed `item`."""


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
    signer: TrustedIdentity | None = None
    """The identity named by `key`; None when that is a key."""
    source: str = "certificate"
    """`certificate`: the provenance names the repository and the commit that the certificate names. `statement`: it
    may name others, since the workflow that signs speaks for builds of other repositories."""
    principal: str | None = None
    """Under which principal, `robot:ci`, the builder submits its logs; None when it submits nothing."""

    def made(self, item: Provenance) -> bool:
        """Whether both halves of the pair are this builder's."""
        return item.builder == self.name and signed(item.origin, self.key, self.signer) and not self.difference(item)

    def difference(self, item: Provenance) -> str:
        """What of `item`, beside the signature itself, is not this builder's, in words; empty when all is."""
        return listed(self.differences(item.builder_id, item.repository, item.commit, item.origin.identity))

    def differences(
        self, builder_id: str, repository: str | None, commit: str | None, identity: CertificateIdentity | None
    ) -> tuple[str, ...]:
        """The same of what a provenance names, and of the identity that signed it."""
        if self.signer is None or identity is None:
            return () if builder_id == self.id else ("the builder id differs",)
        if not uri_matches(self.id, builder_id):
            return (f"the builder id {quote(builder_id)} is not {quote(self.id)}",)
        if "*" in self.id and builder_id != identity.workflow:
            return ("the builder id is not the workflow that the certificate names",)
        return source_differences(repository, commit, identity) if self.source == "certificate" else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """A vulnerability scanner; None as database age means the policy's maxEvidenceAge."""

    name: str
    key: str
    max_database_age: timedelta | None
    signer: TrustedIdentity | None = None

    def made(self, item: VulnerabilityScan) -> bool:
        """Whether this scanner signed the scan."""
        return item.scanner == self.name and signed(item.origin, self.key, self.signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tester:
    """Who may say that tests passed."""

    name: str
    key: str
    signer: TrustedIdentity | None = None

    def made(self, item: TestResult) -> bool:
        """Whether this tester signed the result."""
        return item.tester == self.name and signed(item.origin, self.key, self.signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """A signer of source VSAs and review records: the pair (key, verifier id or producer)."""

    name: str
    key: str
    verifier: str
    signer: TrustedIdentity | None = None

    def made(self, item: SourceItem) -> bool:
        """Whether both halves of the pair are this collector's."""
        mine = item.collector == self.name and item.verifier == self.verifier
        return mine and signed(item.origin, self.key, self.signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """Who may say what an artifact is made of."""

    name: str
    key: str
    signer: TrustedIdentity | None = None

    def made(self, item: Sbom) -> bool:
        """Whether this producer signed the SBOM."""
        return item.producer == self.name and signed(item.origin, self.key, self.signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who may sign artifacts themselves."""

    name: str
    key: str
    signer: TrustedIdentity | None = None

    def made(self, item: ArtifactSignature) -> bool:
        """Whether it is this signer's signature."""
        return item.signer == self.name and signed(item.origin, self.key, self.signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who may say that a vulnerability does not matter in an artifact."""

    name: str
    key: str
    signer: TrustedIdentity | None = None

    def made(self, item: Vex) -> bool:
        """Whether this author signed the document."""
        return item.author == self.name and signed(item.origin, self.key, self.signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """Older spellings of evidence that this policy still reads."""

    statements: tuple[str, ...] = ()
    provenance: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Every trusted key (name → PEM SubjectPublicKeyInfo, kept as text) and entry by its name."""

    keys: Mapping[str, str] = field(default_factory=dict)
    roots: Mapping[str, str] = field(default_factory=dict)
    """Name → trusted root of a Sigstore instance, as JSON text."""
    identities: Mapping[str, TrustedIdentity] = field(default_factory=dict)
    accept: Accept = Accept()
    builders: Mapping[str, Builder] = field(default_factory=dict)
    scanners: Mapping[str, Scanner] = field(default_factory=dict)
    testers: Mapping[str, Tester] = field(default_factory=dict)
    collectors: Mapping[str, Collector] = field(default_factory=dict)
    producers: Mapping[str, Producer] = field(default_factory=dict)
    signers: Mapping[str, Signer] = field(default_factory=dict)
    authors: Mapping[str, Author] = field(default_factory=dict)

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
        identity = item.origin.identity
        if identity is not None:
            return self._identity_difference(item, entries)
        if any(entry.key == item.origin.key for entry in entries):
            return "the key is trusted, the builder id differs"
        if any(entry.id == item.builder_id for entry in entries):
            return "the builder id is trusted, the key differs"
        return "the key and the builder id differ"

    def _identity_difference(self, item: Provenance, entries: Iterable[Builder]) -> str:
        named = {entry.name: entry.signer for entry in entries if entry.signer is not None}
        if not named or item.origin.identity is None:
            return "an identity signed, and no accepted builder has one"
        for entry in entries:
            if entry.signer is not None and not entry.signer.differences(item.origin.identity):
                return entry.difference(item)
        return nearest(named, item.origin.identity)


def made_by(items: Iterable[Made], entries: Collection[Entry[Made]]) -> list[Made]:
    """The items that one of `entries` made: never two of them, since each entry has its own name."""
    return [item for item in items for entry in entries if entry.made(item)]


def is_pem(text: str) -> bool:
    """Whether `text` has the form of one PEM SubjectPublicKeyInfo; what the key is, the judge cannot know."""
    return _PEM.fullmatch(text.strip()) is not None
