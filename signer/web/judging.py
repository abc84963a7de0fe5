# SPDX-License-Identifier: Apache-2.0
"""Steps 2 to 4 of the signing cycle: from an authenticated request to the command that the custodian judges.

    2  may the caller ask this, for this policy, environment and repository? unknown and forbidden answer alike
    3  verify evidence over its raw bytes: what came with the request and what the ledger holds about the subjects
    4  facts of the evidence; once trusted provenance names a commit, the stored evidence of that commit as well

Steps 0 and 1 are `signer.web.admission`; steps 5 to 9 are the custodian's. Nothing here decides anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from policy.document import Environment
from policy.facts import EvidenceFacts
from signer.custodian.commands import Check, Decide, EvidenceItem, Judge, Reply, Stale
from signer.domain.subject import Subject
from signer.errors import Malformed, Refused, Unavailable
from signer.evidence.binding import Stored
from signer.evidence.facts import evidence_facts, requested_source_digests
from signer.evidence.verifier import (
    Attestation,
    Evidence,
    UnverifiedAttestation,
    VerifiedAttestation,
    index_digests,
    verify_item,
)
from signer.formats.opaque import KINDS, opaque_document
from signer.ledger.rows import IndexedEvidence
from signer.web.admission import Caller, out_of_reach
from signer.web.application import Application
from signer.web.documents import PolicyInForce
from signer.web.offer import Offered

ATTEMPTS = 3
"""How often evidence is verified again when the ledger moved on meanwhile."""
MAX_CONSIDERED = 1000
"""Pieces of evidence that one judgement looks at; leaving any out is not an option, so more is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request asks of the judge."""

    action: str
    """The grant it needs: sign or check."""
    policy: str
    environment: str
    subjects: tuple[Subject, ...]
    evidence: tuple[Offered, ...]


def ask_judge(
    application: Application,
    asked: Asked,
    *,
    caller: Caller,
    request_id: str,
    command: Callable[[Judge], Decide | Check],
) -> Reply:
    """Gather and ask, again while the custodian answers that the ledger moved on; raises Unavailable("stale")."""
    for _ in range(ATTEMPTS):
        with stage(application, "verify"):
            judge = gather(application, asked, caller=caller, request_id=request_id)
        with stage(application, "custodian"):
            reply = application.custodian.ask(command(judge))
        if not isinstance(reply, Stale):
            return reply
    raise Unavailable(
        "stale", "the documents or the evidence in force changed while this was judged", remedy="send it again"
    )


def gather(application: Application, asked: Asked, *, caller: Caller, request_id: str) -> Judge:
    """Steps 2 to 4 as a checklist; raises Malformed, Refused or Unavailable."""
    # 2 authorise
    in_force, environment = authorise(application, asked, caller=caller)
    # 3 verify what was offered, then what is stored about the subjects
    considered = _Considered(application, in_force)
    for offered in asked.evidence:
        considered.offer(offered)
    considered.recall(f"sha256:{subject.sha256}" for subject in asked.subjects)
    # 4 facts; provenance that is trusted by now joins source evidence by its commit
    facts = considered.facts(asked.subjects)
    if considered.recall(requested_source_digests(facts)):
        facts = considered.facts(asked.subjects)
    # 2 again, now that trusted provenance tells the repository
    authorise_repositories(facts, asked, environment=environment, caller=caller)
    new = considered.new()
    application.quotas.take_evidence(
        caller.principal, caller.access.quota(caller.principal), sum(len(item.data) for item in new)
    )
    return Judge(
        request_id=request_id,
        principal=caller.principal.id,
        policy=asked.policy,
        environment=asked.environment,
        policy_digest=in_force.policy.digest,
        access_digest=caller.access.digest,
        subjects=tuple(
            (subject.name, tuple((digest.algorithm, digest.value) for digest in subject.digests))
            for subject in asked.subjects
        ),
        facts=facts,
        used=considered.used(),
        new=new,
    )


def authorise(application: Application, asked: Asked, *, caller: Caller) -> tuple[PolicyInForce, Environment]:
    """The policy and environment, when they exist and the caller may use them (step 2); raises Refused."""
    if caller.allows(asked.action, policy=asked.policy, environment=asked.environment):
        in_force = application.documents.policy(asked.policy)
        environment = None if in_force is None else in_force.policy.environments.get(asked.environment)
        if in_force is not None and environment is not None:
            return in_force, environment
    raise out_of_reach()


def authorise_repositories(facts: EvidenceFacts, asked: Asked, *, environment: Environment, caller: Caller) -> None:
    """Hold a grant to its repositories, as trusted provenance names them (step 2); raises Refused.

    A subject without trusted provenance has no repository. That is left to the judge where the environment demands
    provenance, since the verdict is then no allow and says what is missing; elsewhere it would be a way around.
    """

    def allowed(repository: str) -> bool:
        return caller.access.allows(
            caller.principal,
            action=asked.action,
            policy=asked.policy,
            environment=asked.environment,
            repository=repository,
        )

    trusted = [item for item in facts.provenance if item.builder is not None]
    repositories = {item.repository or "" for item in trusted}
    covered = {index for item in trusted for index in item.origin.covers}
    demanded = any(rule.kind.needs_provenance and rule.mode == "enforce" for rule in environment.rules)
    if len(covered) < len(asked.subjects) and not demanded:
        # Only a grant for every repository covers one without a name.
        repositories.add("")
    if not all(map(allowed, repositories)):
        raise out_of_reach()


@contextmanager
def stage(application: Application, name: str) -> Iterator[None]:
    """Measure one stage of a judged request."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        application.metrics.stage_seconds.labels(name).observe(time.perf_counter() - begun)


class _Considered:
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
        if held.kind not in KINDS:
            known = self._application.verified.find(held.digest, policy=self._in_force.policy)
            if known is not None:
                return known
        document = self._application.reader.document(held.digest)
        if document is None:
            raise Unavailable("ledger-unavailable", "the ledger's index names evidence that it does not hold")
        try:
            if held.kind in KINDS:
                return opaque_document(
                    document.data, kind=held.kind, media_type=held.media_type, subjects=held.subjects
                )
            return _verify_anew(self._application, document.data, self._in_force)
        except Malformed as fault:
            if fault.code == "statement-not-accepted":
                # Another policy reads this older spelling; for this one the evidence is not there.
                return UnverifiedAttestation(digest=held.digest, media_type=held.media_type)
            # It was read when it was accepted; that it no longer can be is not this caller's fault.
            raise Unavailable(
                "evidence-unreadable", f"the stored evidence sha256:{held.digest} cannot be read: {fault.code}"
            ) from None


def verify(application: Application, data: bytes, digest: str, in_force: PolicyInForce) -> Attestation:
    """Verify an attestation, unless these bytes were verified under this version of the policy; raises Malformed."""
    known = application.verified.find(digest, policy=in_force.policy)
    return known or _verify_anew(application, data, in_force)


def _verify_anew(application: Application, data: bytes, in_force: PolicyInForce) -> Attestation:
    item = verify_item(data, in_force.keys)
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
