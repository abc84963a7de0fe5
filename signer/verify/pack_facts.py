# SPDX-License-Identifier: Apache-2.0
"""Facts from evidence bytes: what a hostile web process told the custodian is held against what the evidence says.

Verify each piece again under the trust of the packed policy ▸ translate ▸ persons by the packed access document ▸
compare with the recorded facts. Persons stand there under pseudonyms: one one-to-one renaming has to fit the whole
pack. Two people who stand in exactly the same places cannot be told apart, and need not be.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from typing import Any

from policy.document import Policy
from policy.facts import EvidenceFacts, Facts, Item, Provenance, ReviewRecord, VulnerabilityScan
from policy.persons import renamed
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.evidence.facts import Stored, evidence_facts
from signer.evidence.verifier import MAX_ATTESTATION, Evidence, TrustedKeys, UnverifiedAttestation, verify_item
from signer.formats.opaque import KINDS, described_document
from signer.formats.rfc3339 import parse_time
from signer.identity.access import Access
from signer.ledger.documents import EvidenceUse, read_evidence_uses
from signer.ledger.leaves import Decision, Evidence as EvidenceLeaf
from signer.releases.contents import Contents

PERSON = "person:"
Place = tuple[int, str, str]
"""Decision leaf, evidence, where in it a person stands."""


@dataclass(slots=True)
class Renaming:
    """Where each person stands, under the name of the access document and under the pseudonym of the record."""

    stated: dict[str, set[Place]] = field(default_factory=lambda: defaultdict(set))
    recorded: dict[str, set[Place]] = field(default_factory=lambda: defaultdict(set))

    def add(self, place: Place, stated: Sequence[str], recorded: Sequence[str]) -> None:
        """Take in who stands at one place; raises Malformed when robots or strangers differ there."""
        plain = [sorted(name for name in names if not name.startswith(PERSON)) for names in (stated, recorded)]
        if plain[0] != plain[1]:
            raise _differ(place, f"{plain[0] or 'nobody'}", f"{plain[1] or 'nobody'}")
        for names, known in ((stated, self.stated), (recorded, self.recorded)):
            for name in names:
                if name.startswith(PERSON):
                    known[name].add(place)

    def require(self) -> int:
        """How many persons there are; raises Malformed when no one-to-one renaming fits every place."""
        stated = Counter(frozenset(places) for places in self.stated.values())
        recorded = Counter(frozenset(places) for places in self.recorded.values())
        for places in (stated - recorded) + (recorded - stated):
            raise _differ(min(places), "one and the same person", "another person, or two for one")
        return len(self.stated)


def rederive(
    contents: Contents,
    index: int,
    leaf: Decision,
    *,
    facts: Facts,
    policy: Policy,
    access: Access,
    subjects: Sequence[Subject],
    renaming: Renaming,
) -> int:
    """Compare the recorded facts of one decision with its evidence; how many facts there are. Raises Malformed."""
    uses = read_evidence_uses(contents.read(leaf.evidence))
    items = _verified(contents, uses, TrustedKeys.of_trust(policy.trust))
    order = {use.digest: place for place, use in enumerate(uses, start=1)}
    receipts = {use.digest: _receipt(contents, index, leaf, use) for use in uses}
    stored = {digest: Stored(received=place, submitter=receipts[digest][0]) for digest, place in order.items()}
    made = evidence_facts(items, policy=policy, subjects=subjects, stored=stored)
    count = 0
    for kind in fields(EvidenceFacts):
        derived = [_completed(item, order, receipts) for item in getattr(made, kind.name)]
        recorded = list(getattr(facts.evidence, kind.name))
        derived.sort(key=lambda item: item.origin.received)
        if len(derived) != len(recorded):
            raise Malformed(
                "facts-differ",
                f"decision leaf {index}: the evidence says {len(derived)} {kind.name}, the record {len(recorded)}",
            )
        for mine, theirs in zip(derived, recorded, strict=True):
            _compare(index, kind.name, mine, theirs, access=access, renaming=renaming)
            count += 1
    return count


def _verified(contents: Contents, uses: Sequence[EvidenceUse], trusted: TrustedKeys) -> tuple[Evidence, ...]:
    found: list[Evidence] = []
    for use in uses:
        if use.kind in KINDS:
            found.append(
                described_document(use.digest, kind=use.kind, media_type=use.media_type, subjects=use.subjects)
            )
            continue
        try:
            found.append(verify_item(contents.read(use.digest), trusted, limit=MAX_ATTESTATION, digest=use.digest))
        except Malformed as fault:
            if fault.code != "statement-not-accepted":
                raise
            # As when it was judged: for this policy the older spelling is not there.
            found.append(UnverifiedAttestation(digest=use.digest, media_type=use.media_type))
    return tuple(found)


def _receipt(contents: Contents, index: int, leaf: Decision, use: EvidenceUse) -> tuple[str, datetime]:
    """Who brought it first and when, by the leaf of its first receipt; raises Malformed when the pack lacks that."""
    if use.new:
        return leaf.principal, parse_time(leaf.time, what="time of the leaf")
    held = next((each for each in contents.evidence if each.digest == use.digest), None)
    first = contents.leaves[held.leaf].leaf if held is not None and held.leaf in contents.leaves else None
    if held is None or held.leaf >= index or not isinstance(first, Decision | EvidenceLeaf):
        raise Malformed("facts-differ", f"decision leaf {index}: no leaf before it received sha256:{use.digest}")
    return first.principal, parse_time(first.time, what="time of the leaf")


def _completed(item: Item, order: Mapping[str, int], receipts: Mapping[str, tuple[str, datetime]]) -> Item:
    """What the custodian sets: the order of receipt and who submitted."""
    submitter, received = receipts[item.origin.digest]
    origin = replace(item.origin, received=order[item.origin.digest], submitter=submitter)
    if isinstance(item, VulnerabilityScan):
        return replace(item, origin=origin, first_received=received)
    return replace(item, origin=origin)


def _compare(index: int, kind: str, mine: Item, theirs: Item, *, access: Access, renaming: Renaming) -> None:
    def named(identifier: str) -> str:
        found = access.identified(identifier)
        return "unmapped" if found is None else found.id

    for (where, stated), (_, recorded) in zip(_people(mine), _people(theirs), strict=False):
        renaming.add((index, theirs.origin.digest, where), [named(each) for each in stated], recorded)
    plain_mine, plain_theirs = _plain(mine), _plain(theirs)
    if plain_mine != plain_theirs:
        at, said, recorded_as = _difference(plain_mine, plain_theirs)
        raise Malformed(
            "facts-differ",
            f"decision leaf {index}, {kind}{at}, evidence sha256:{theirs.origin.digest}:"
            f" the evidence says {said!r}, the record says {recorded_as!r}"[:500],
            remedy="the web process that made this request told the custodian something else: investigate it",
        )


def _people(item: Item) -> Iterator[tuple[str, list[str]]]:
    """Each place of a fact where persons stand, and who does: a list that is a set."""
    match item:
        case Provenance():
            yield "triggered_by", [] if item.triggered_by is None else [item.triggered_by]
        case ReviewRecord():
            yield "authors", list(item.authors or ())
            yield "merged_by", [] if item.merged_by is None else [item.merged_by]
            for place, review in enumerate(item.reviews):
                yield f"reviews[{place}]", [review.reviewer]
            for place, files in enumerate(item.owned):
                yield f"owned[{place}]", list(files.owners)
        case _:
            return


def _plain(item: Item) -> Item:
    """The fact without its persons; that somebody stands there stays."""
    return replace(item, **renamed(item, lambda _: "somebody"))


def _difference(mine: Any, theirs: Any, at: str = "") -> tuple[str, Any, Any]:
    """The first place at which two facts differ, and what stands there."""
    if is_dataclass(mine) and is_dataclass(theirs) and type(mine) is type(theirs):
        for each in fields(mine):
            left, right = getattr(mine, each.name), getattr(theirs, each.name)
            if left != right:
                return _difference(left, right, f"{at}.{each.name}")
    if isinstance(mine, tuple) and isinstance(theirs, tuple) and len(mine) == len(theirs):
        for place, (left, right) in enumerate(zip(mine, theirs, strict=True)):
            if left != right:
                return _difference(left, right, f"{at}[{place}]")
    return at, mine, theirs


def _differ(place: Place, stated: str, recorded: str) -> Malformed:
    index, digest, where = place
    return Malformed(
        "facts-differ",
        f"decision leaf {index}, {where}, evidence sha256:{digest}: the evidence says {stated}, the record {recorded}",
    )
