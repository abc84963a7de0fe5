# SPDX-License-Identifier: Apache-2.0
"""The one source join (invariant I2): attestations of the commit that trusted provenance of this digest names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from policy.facts import Provenance, ReviewRecord, SourceItem, SourceSummary
from policy.identity import foreign, signature
from policy.judgement import Judgement, failed, unknown
from policy.rule import Case
from policy.rules.build.provenance import no_trusted_provenance
from policy.trust import Collector, made_by
from policy.wording import listed, quote

Joining = TypeVar("Joining", SourceSummary, ReviewRecord)


@dataclass(frozen=True, slots=True)
class Joined(Generic[Joining]):
    """The provenance that every other rule is judged on, and what accepted collectors say of its commit."""

    provenance: Provenance
    items: tuple[Joining, ...]


def join(items: Sequence[Joining], collectors: Sequence[str], case: Case, *, what: str) -> Joined[Joining] | Judgement:
    """Join `items` by repository and commit, both equal; or the judgement when no accepted collector signed one."""
    provenance = case.provenance
    if provenance is None:
        return no_trusted_provenance(case, case.trust.builders)
    if provenance.repository is None or provenance.commit is None:
        return unknown(
            "the provenance does not name repository and commit, so no source attestation joins",
            [provenance],
            found=f"provenance by {provenance.builder}",
            bound="subject",
        )
    joined = [item for item in items if item.repository == provenance.repository and item.commit == provenance.commit]
    if not joined:
        return unknown(f"no {what} for commit {quote(provenance.commit)} of {quote(provenance.repository)}")
    accepted = [case.trust.collectors[name] for name in collectors]
    trusted = made_by(joined, accepted)
    if not trusted:
        return _by_nobody_accepted(joined, accepted)
    independent = tuple(item for item in trusted if not _signed_alike(item, provenance))
    return Joined(provenance, independent) if independent else _by_the_builder(trusted)


def _by_nobody_accepted(joined: Sequence[SourceItem], accepted: Sequence[Collector]) -> Judgement:
    def difference(item: SourceItem) -> str:
        if any(collector.key == item.origin.key for collector in accepted):
            return "the key is trusted, the verifier id differs"
        if any(collector.verifier == item.verifier for collector in accepted):
            signers = (collector.signer for collector in accepted)
            return foreign([item.origin], signers, "the verifier id is trusted, the key differs")
        return foreign([item.origin], (entry.signer for entry in accepted), "the key and the verifier id differ")

    found = dict.fromkeys(f"verifier {quote(item.verifier)} {signature(item.origin)}" for item in joined)
    causes = dict.fromkeys(map(difference, joined))
    return failed(listed(causes), joined, found=listed(found), bound="source")


def _signed_alike(item: SourceItem, provenance: Provenance) -> bool:
    """Whether the item's signer is the builder's: a build never vouches for its own reviews."""
    mine, theirs = item.origin, provenance.origin
    return mine.key == theirs.key or (mine.identity is not None and mine.identity == theirs.identity)


def _by_the_builder(items: Sequence[SourceItem]) -> Judgement:
    return failed(
        "the signer of the provenance also signed what speaks for its source",
        items,
        found=signature(items[0].origin),
        bound="source",
        remedy="the source platform's owner signs with a key that no build can use, and the security team makes that "
        "the collector's: signer policy activate POLICY",
    )
