# SPDX-License-Identifier: Apache-2.0
"""Which evidence may count for which of the requested subjects, and which subjects the same evidence covers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from policy.facts import (
    ArtifactSignature,
    Document,
    EvidenceFacts,
    Facts,
    Item,
    Provenance,
    ReviewRecord,
    Sbom,
    SourceItem,
    SourceSummary,
    TestResult,
    Vex,
    VulnerabilityScan,
)


@dataclass(frozen=True, slots=True)
class Group:
    """Subjects that the same evidence covers."""

    subjects: tuple[int, ...]
    """Their indices among the requested ones."""
    evidence: EvidenceFacts
    """In receipt order."""


def group_subjects(facts: Facts) -> list[Group]:
    """Part the subjects by the evidence that may count for them, in the order of their first subject."""
    items = sorted([item for item in facts.evidence.items() if _counts(item)], key=_received)
    classes: dict[tuple[int, ...], list[int]] = {}
    for position, item in enumerate(items):
        classes.setdefault(item.origin.covers, []).append(position)
    count = len(facts.request.subjects)
    covering: list[list[int]] = [[] for _ in range(count)]
    for number, covers in enumerate(classes):
        for subject in set(covers):
            if 0 <= subject < count:
                covering[subject].append(number)
    members: dict[tuple[int, ...], list[int]] = {}
    for subject, numbers in enumerate(covering):
        members.setdefault(tuple(numbers), []).append(subject)
    positions = list(classes.values())
    return [
        Group(
            tuple(subjects),
            _evidence([items[position] for position in sorted(chain.from_iterable([positions[n] for n in numbers]))]),
        )
        for numbers, subjects in members.items()
    ]


def _received(item: Item) -> tuple[int, str]:
    return item.origin.received, item.origin.digest


def _counts(item: Item) -> bool:
    """Whether `item` may count at all: attested, unless nobody can sign its kind, and bound as that demands (I2)."""
    attested = item.origin.attested or isinstance(item, Document)
    return attested and item.origin.bound == ("source" if isinstance(item, SourceItem) else "subject")


def _evidence(items: Iterable[Item]) -> EvidenceFacts:
    """Part the items by kind; their order stays."""
    kinds: dict[type[Item], list[Any]] = {}
    for item in items:
        kinds.setdefault(type(item), []).append(item)
    return EvidenceFacts(
        provenance=tuple(kinds.get(Provenance, ())),
        sources=tuple(kinds.get(SourceSummary, ())),
        tests=tuple(kinds.get(TestResult, ())),
        scans=tuple(kinds.get(VulnerabilityScan, ())),
        sboms=tuple(kinds.get(Sbom, ())),
        documents=tuple(kinds.get(Document, ())),
        reviews=tuple(kinds.get(ReviewRecord, ())),
        signatures=tuple(kinds.get(ArtifactSignature, ())),
        vex=tuple(kinds.get(Vex, ())),
    )
