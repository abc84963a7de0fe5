# SPDX-License-Identifier: Apache-2.0
"""From a command to what is judged: its words bounded, its evidence compared with the index, its persons renamed.

Web states facts about evidence; everything else that a verdict rests on is the ledger's, and is set here: who
submitted a piece of evidence, in which order it was received, which pseudonym stands for a person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, TypeVar

from policy.facts import (
    EvidenceFacts,
    Facts,
    Origin,
    RequestFacts,
    SubjectFact,
    VulnerabilityScan,
)
from policy.ledger_facts import LedgerFacts
from policy.persons import renamed
from signer.custodian.commands import EvidenceItem, Judge, SpooledItem, Stale
from signer.custodian.protocols import Persons, Reader
from signer.domain.digest import Digest
from signer.domain.principal import Principal
from signer.domain.spooled import LARGE
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.canonical import canonical, sha256_hex
from signer.identity.access import Access
from signer.ledger.rows import IndexedEvidence

MAX_SUBJECTS = 1000
MAX_ITEMS = 1000
MAX_KEYS = 10_000
UNMAPPED = "unmapped"
OPERATOR = re.compile(r"operator(:[0-9]{1,10})?")
"""Who acts on the admin socket when no person of the access document is named: the uid of the machine's user."""

_REQUEST_ID = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PRINCIPAL = re.compile(r"(robot|person):([A-Za-z0-9][A-Za-z0-9._-]{0,63})")
_WORD = re.compile(r"[\x21-\x7e]{1,256}")
_INDEX_KEY = re.compile(r"(sha256|sha384|sha512|gitCommit|gitTree):[0-9a-f]{40,128}")


def read_principal(text: str) -> Principal:
    """The principal that a command names; raises Malformed."""
    match = _PRINCIPAL.fullmatch(text)
    if match is None:
        raise Malformed("malformed-frame", "a principal is written robot:<id> or person:<id>")
    return Principal("robot" if match[1] == "robot" else "person", match[2])


def read_request_id(text: str) -> str:
    """A request id: 128 random bits in hexadecimal; raises Malformed."""
    if _REQUEST_ID.fullmatch(text) is None:
        raise Malformed("malformed-frame", "a request id is 32 hexadecimal digits")
    return text


def read_sha256(text: str) -> str:
    """A sha256 in lower-case hexadecimal; raises Malformed."""
    if _SHA256.fullmatch(text) is None:
        raise Malformed("malformed-frame", "a digest is 64 hexadecimal digits")
    return text


def read_subjects(wire: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> tuple[Subject, ...]:
    """The requested subjects, 1 to 1000, no digest twice; raises Malformed."""
    if not 1 <= len(wire) <= MAX_SUBJECTS:
        raise Malformed("invalid-subject", f"a request names 1 to {MAX_SUBJECTS} subjects")
    subjects = tuple(
        Subject(name, tuple(sorted(Digest(algorithm, value) for algorithm, value in digests))) for name, digests in wire
    )
    if len({subject.sha256 for subject in subjects}) != len(subjects):
        raise Malformed("invalid-subject", "a request names each digest once")
    return subjects


_Item = TypeVar("_Item", EvidenceItem, EvidenceItem | SpooledItem)


def read_items(items: Sequence[_Item]) -> Mapping[str, _Item]:
    """New evidence by its digest; what came along is hashed again. Raises Malformed for other bytes, and too many."""
    if len(items) > MAX_ITEMS:
        raise Malformed("too-large", f"a request brings at most {MAX_ITEMS} pieces of evidence")
    for item in items:
        if isinstance(item, SpooledItem):
            read_sha256(item.digest)
            if item.size <= LARGE:
                raise Malformed("malformed-frame", f"evidence of at most {LARGE} bytes travels in its command")
        elif len(item.data) > LARGE:
            raise Malformed("too-large", f"a piece of evidence is at most {LARGE} bytes")
        elif sha256_hex(item.data) != item.digest:
            raise Malformed("digest-mismatch", "the evidence does not have the digest under which it was sent")
        if _WORD.fullmatch(item.media_type) is None or _WORD.fullmatch(item.kind) is None:
            raise Malformed("malformed-frame", "the media type and the kind of evidence are printable words")
        if not 1 <= len(item.subjects) <= MAX_KEYS or not all(map(_INDEX_KEY.fullmatch, item.subjects)):
            raise Malformed("malformed-frame", "evidence is indexed by digests, at least one")
    found = {item.digest: item for item in items}
    if len(found) != len(items):
        raise Malformed("malformed-frame", "the same evidence was sent twice")
    return found


def index_keys(judge: Judge, subjects: Sequence[Subject]) -> tuple[str, ...]:
    """The digests by which the index must be asked: of the subjects, and of joined commits and trees (invariant I2)."""
    keys = [str(digest) for subject in subjects for digest in subject.digests]
    keys += (
        f"gitCommit:{item.commit}"
        for item in judge.facts.provenance
        if item.builder is not None and item.commit is not None and item.origin.covers
    )
    keys += (
        f"gitTree:{item.tree}"
        for item in judge.facts.reviews
        if item.collector is not None and item.tree is not None and item.origin.covers
    )
    return tuple(dict.fromkeys(keys))


def waivers_key(judge: Judge) -> str:
    """What stands among index keys for the waivers under one policy, when a decision of this turn uses one."""
    return f"waivers:{judge.policy}"


@dataclass(frozen=True, slots=True)
class Considered:
    """All evidence of one judgement: what the ledger holds in receipt order, then what is new in request order."""

    stored: tuple[IndexedEvidence, ...]
    new: tuple[EvidenceItem, ...]

    @property
    def digests(self) -> tuple[str, ...]:
        """Digests in receipt order."""
        return (*(held.digest for held in self.stored), *(item.digest for item in self.new))

    def document(self) -> bytes:
        """The evidence document that the decision leaf names."""
        held: tuple[IndexedEvidence | EvidenceItem, ...] = (*self.stored, *self.new)
        uses = [
            {
                "digest": each.digest,
                "media_type": each.media_type,
                "kind": each.kind,
                "subjects": list(each.subjects),
                "new": isinstance(each, EvidenceItem),
            }
            for each in held
        ]
        return canonical({"evidence": uses})


def consider(judge: Judge, keys: Sequence[str], *, reader: Reader) -> Considered | Stale:
    """Compare what web used with what the ledger holds: all of it must have been seen, and nothing else.

    Stale when the index holds evidence that web did not use; Malformed when web used what nobody can look up.
    """
    if len(judge.used) > MAX_ITEMS + MAX_KEYS:
        raise Malformed("too-large", "too much evidence was used")
    new = read_items(judge.new)
    used = {read_sha256(digest) for digest in judge.used}
    stored = {held.digest: held for held in reader.evidence_for(keys)}
    if stored.keys() - used:
        return Stale(reason="the ledger holds more evidence about these subjects")
    for digest in used - stored.keys() - new.keys():
        # Evidence about something else than these subjects: web found it by its digest, and so must we.
        held = reader.evidence(digest)
        if held is None:
            raise Malformed("evidence-missing-bytes", "the facts rest on evidence that was neither kept nor sent")
        stored[digest] = held
    if new.keys() - used:
        raise Malformed("malformed-frame", "evidence was sent that the facts do not rest on")
    return Considered(
        tuple(sorted(stored.values(), key=lambda held: held.received)),
        tuple(item for item in judge.new if item.digest not in stored),
    )


def make_facts(
    judge: Judge,
    considered: Considered,
    *,
    subjects: Sequence[Subject],
    principal: str,
    persons: Callable[[str], str],
    ledger: LedgerFacts,
    first_received: Callable[[str], datetime],
) -> Facts:
    """The facts of the evidence as web states them, beside those of the ledger; raises Malformed."""
    received = {digest: position for position, digest in enumerate(considered.digests, start=1)}
    submitters = {held.digest: held.principal for held in considered.stored}

    def origin_of(stated: Origin) -> Origin:
        if stated.digest not in received:
            raise Malformed("malformed-frame", "a fact rests on evidence that was not used")
        covers = stated.covers
        if list(covers) != sorted(set(covers)) or (covers and not 0 <= covers[0] <= covers[-1] < len(subjects)):
            raise Malformed("malformed-frame", "a fact covers subjects that were not requested")
        return replace(stated, received=received[stated.digest], submitter=submitters.get(stated.digest, principal))

    def item_of(item: Any) -> Any:
        changes: dict[str, Any] = {"origin": origin_of(item.origin), **renamed(item, persons)}
        if isinstance(item, VulnerabilityScan):
            changes["first_received"] = first_received(item.origin.digest)
        return replace(item, **changes)

    evidence = EvidenceFacts(
        **{
            kind.name: tuple(
                sorted(map(item_of, getattr(judge.facts, kind.name)), key=lambda item: item.origin.received)
            )
            for kind in fields(EvidenceFacts)
        }
    )
    return Facts(
        request=RequestFacts(
            policy=judge.policy,
            environment=judge.environment,
            submitter=principal,
            subjects=tuple(SubjectFact(name=subject.name, sha256=subject.sha256) for subject in subjects),
        ),
        evidence=evidence,
        ledger=ledger,
    )


class Pseudonyms:
    """Renames persons: identifier as the evidence states it → person of the access document → pseudonym."""

    def __init__(self, access: Access, persons: Persons) -> None:
        self._access = access
        self._persons = persons

    def of_principal(self, principal: Principal) -> str:
        """How a caller stands in leaves and facts: robots by name, people by pseudonym."""
        return principal.id if principal.kind == "robot" else self._persons.pseudonym(principal.name)

    def of_identifier(self, identifier: str) -> str:
        """How someone whom evidence names stands in facts; `unmapped` when the access document knows nobody by it."""
        found = self._access.identified(identifier)
        return UNMAPPED if found is None else self.of_principal(found)
