# SPDX-License-Identifier: Apache-2.0
"""Step 3 of the signing cycle: the evidence of one request, verified: what came with it and what the ledger holds."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext

from policy.facts import EvidenceFacts
from signer.custodian.commands import EvidenceItem, SpooledItem
from signer.domain.spooled import LARGE
from signer.domain.subject import Subject
from signer.errors import Malformed, Refused, Unavailable
from signer.evidence.binding import Stored
from signer.evidence.facts import evidence_facts
from signer.evidence.verifier import (
    MAX_ATTESTATION,
    Attestation,
    Evidence,
    UnverifiedAttestation,
    VerifiedAttestation,
    index_digests,
    verify_item,
)
from signer.formats.opaque import KINDS, described_document
from signer.ledger.rows import IndexedEvidence
from signer.ledger.store import DocumentStore
from signer.web.application import Application
from signer.web.documents import PolicyInForce
from signer.web.offer import Offered

MAX_CONSIDERED = 1000
"""Pieces of evidence that one judgement looks at; leaving any out is not an option, so more is refused."""


class Considered:
    """The union of submitted and stored evidence while it grows; each digest once."""

    def __init__(self, application: Application, in_force: PolicyInForce) -> None:
        self._application = application
        self._in_force = in_force
        self._items: dict[str, Evidence] = {}
        self._stored: dict[str, Stored] = {}
        self._offered: dict[str, Offered] = {}

    def offer(self, offered: Offered) -> None:
        """Verify one piece that came with the request."""
        try:
            item = offered.document or verify(self._application, offered.data, offered.digest, self._in_force)
        except Malformed as fault:
            self._application.metrics.evidence_rejected.labels(fault.code).inc()
            raise
        self._offered[offered.digest] = offered
        self._items[offered.digest] = item
        if isinstance(item, UnverifiedAttestation):
            # It counts as absent, and nothing says what it speaks of: unless the ledger holds it already, it is
            # neither used nor kept.
            self._application.metrics.evidence_rejected.labels("unverified").inc()

    def recall(self, digests: Iterable[str]) -> bool:
        """Verify what the ledger holds under these digests; True when that was anything new."""
        wanted = tuple(digests)
        grown = False
        for held in self._application.reader.evidence_for(wanted) if wanted else ():
            if held.digest in self._stored:
                continue
            grown = True
            self._stored[held.digest] = Stored(received=held.received, submitter=held.principal)
            if held.digest not in self._items:
                self._items[held.digest] = self._read(held)
            if len(self._items) > MAX_CONSIDERED:
                raise Refused(
                    "too-much-evidence",
                    f"more than {MAX_CONSIDERED} pieces of evidence speak of the requested digests",
                    remedy="ask for fewer subjects at once",
                )
        return grown

    def facts(self, subjects: tuple[Subject, ...]) -> EvidenceFacts:
        """What all of it says; raises Malformed("subject-mismatch")."""
        return evidence_facts(
            tuple(self._items.values()),
            policy=self._in_force.policy,
            subjects=subjects,
            stored=self._stored,
            offered=self._offered.keys(),
        )

    def used(self) -> tuple[str, ...]:
        """Digests of all that was considered."""
        return tuple(
            digest
            for digest, item in self._items.items()
            if digest in self._stored or not isinstance(item, UnverifiedAttestation)
        )

    def new(self) -> tuple[EvidenceItem, ...]:
        """What the ledger does not hold about these subjects yet, in the order of the request."""
        return tuple(
            evidence_item(offered, item)
            for digest, offered in self._offered.items()
            if digest not in self._stored and not isinstance(item := self._items[digest], UnverifiedAttestation)
        )

    def _read(self, held: IndexedEvidence) -> Evidence:
        try:
            if held.kind in KINDS:
                # Nobody reads an opaque document here: what the index says of it is all that is judged.
                return described_document(
                    held.digest, kind=held.kind, media_type=held.media_type, subjects=held.subjects
                )
            known = self._application.verified.find(held.digest, policy=self._in_force.policy)
            return known or _verify_anew(self._application, self._bytes(held), held.digest, self._in_force)
        except Malformed as fault:
            if fault.code == "statement-not-accepted":
                # Another policy reads this older spelling; for this one the evidence is not there.
                return UnverifiedAttestation(digest=held.digest, media_type=held.media_type)
            # It was read when it was accepted; that it no longer can be is not this caller's fault.
            raise Unavailable(
                "evidence-unreadable", f"the stored evidence sha256:{held.digest} cannot be read: {fault.code}"
            ) from None

    def _bytes(self, held: IndexedEvidence) -> bytes:
        if held.size > LARGE:
            return require_store(self._application).read(held.digest)
        document = self._application.reader.document(held.digest)
        if document is None:
            raise Unavailable("ledger-unavailable", "the ledger's index names evidence that it does not hold")
        return document.data


def require_store(application: Application) -> DocumentStore:
    """Where large documents are kept; raises Unavailable when the settings do not say, although the ledger has some."""
    if application.store is None:
        raise Unavailable(
            "ledger-unavailable",
            "the ledger keeps large documents, and the settings do not say where",
            remedy="the operator sets [documents] again",
        )
    return application.store


def verify(application: Application, data: bytes, digest: str, in_force: PolicyInForce) -> Attestation:
    """Verify an attestation, unless these bytes were verified under this version of the policy; raises Malformed."""
    known = application.verified.find(digest, policy=in_force.policy)
    return known or _verify_anew(application, data, digest, in_force)


def _verify_anew(application: Application, data: bytes, digest: str, in_force: PolicyInForce) -> Attestation:
    with application.wide if len(data) > LARGE else nullcontext():
        limit = MAX_ATTESTATION if len(data) > LARGE else LARGE
        item = verify_item(data, in_force.keys, limit=limit, digest=digest)
    if isinstance(item, VerifiedAttestation):
        application.verified.keep(item, size=len(data), policy=in_force.policy)
    return item


def evidence_item(offered: Offered, item: Evidence) -> EvidenceItem:
    """Evidence to keep, with what the index needs to find it again."""
    assert not isinstance(item, UnverifiedAttestation), "what it speaks of is not known"
    return EvidenceItem(
        digest=offered.digest,
        media_type=item.media_type,
        kind=item.kind,
        subjects=index_digests(item),
        data=offered.data,
    )


def spooled_item(digest: str, size: int, item: Evidence) -> SpooledItem:
    """The same for evidence whose bytes are in the spool."""
    assert not isinstance(item, UnverifiedAttestation), "what it speaks of is not known"
    return SpooledItem(
        digest=digest, size=size, media_type=item.media_type, kind=item.kind, subjects=index_digests(item)
    )
