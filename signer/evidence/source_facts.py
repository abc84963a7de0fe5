# SPDX-License-Identifier: Apache-2.0
"""What attestations of the source say: verified bytes to `policy.facts`, bound through the one source join."""

from __future__ import annotations

from collections.abc import Iterator

from policy import facts
from policy.review_facts import Review
from policy.trust import Trust
from signer.evidence.binding import PlacedEvidence, SourceJoin, origin_of, speaker_of
from signer.evidence.verifier import VerifiedAttestation
from signer.formats import gittuf
from signer.formats.gittuf import TreeApprovals
from signer.formats.review_record import Decision, ReviewRecord
from signer.formats.source_vsa import SourceVsa


def summary_facts(
    placed: PlacedEvidence, item: VerifiedAttestation, summary: SourceVsa, *, trust: Trust, join: SourceJoin
) -> Iterator[facts.SourceSummary]:
    """One fact per joined commit; when none joins, one that is bound to nothing."""
    collectors = [entry for entry in trust.collectors.values() if entry.verifier == summary.verifier]
    collector = speaker_of(item, collectors)
    covered = {commit: join.subjects(summary.repository, commit) for commit in sorted(summary.commits)}
    for commit in [commit for commit, indices in covered.items() if indices] or list(covered)[:1]:
        yield facts.SourceSummary(
            origin=origin_of(placed, item, collector, covered[commit]),
            collector=None if collector is None else collector.name,
            verifier=summary.verifier,
            repository=summary.repository,
            commit=commit,
            refs=summary.commits[commit],
            result=summary.result,
            levels=summary.levels,
            verified=summary.verified,
        )


def record_fact(
    placed: PlacedEvidence, item: VerifiedAttestation, record: ReviewRecord, *, trust: Trust, join: SourceJoin
) -> facts.ReviewRecord:
    """Who wrote and reviewed the commit; persons stay identifiers."""
    collectors = [entry for entry in trust.collectors.values() if entry.verifier == record.verifier]
    collector = speaker_of(item, collectors)
    return facts.ReviewRecord(
        origin=origin_of(placed, item, collector, join.subjects(record.repository, record.commit)),
        collector=None if collector is None else collector.name,
        verifier=record.verifier,
        repository=record.repository,
        commit=record.commit,
        tree=record.tree,
        by_tree=False,
        authors=record.authors,
        reviews=record.reviews,
        protected=record.protected,
        owners_enforced=record.owners_enforced,
        owned=record.owned,
        merged_by=record.merged_by,
        bypassed=record.bypassed,
    )


def approval_facts(
    placed: PlacedEvidence, item: VerifiedAttestation, approvals: TreeApprovals, *, trust: Trust, join: SourceJoin
) -> Iterator[facts.ReviewRecord]:
    """The approvals of a tree as reviews of each commit that a collector's record says to have it; none without one."""
    collectors = [entry for entry in trust.collectors.values() if entry.verifier == gittuf.PREDICATE_TYPE]
    collector = speaker_of(item, collectors)
    both: tuple[tuple[Decision, tuple[str, ...]], ...] = (
        ("approved", approvals.approved),
        ("dismissed", approvals.dismissed),
    )
    for repository, commit in join.commits_of(approvals.tree):
        yield facts.ReviewRecord(
            origin=origin_of(placed, item, collector, join.subjects(repository, commit)),
            collector=None if collector is None else collector.name,
            verifier=gittuf.PREDICATE_TYPE,
            repository=repository,
            commit=commit,
            tree=approvals.tree,
            by_tree=True,
            authors=None,
            reviews=tuple(
                Review(reviewer=person, commit=commit, decision=decision, role=None)
                for decision, people in both
                for person in people
            ),
            protected=(),
            owners_enforced=None,
            owned=(),
            merged_by=None,
            bypassed=None,
        )
