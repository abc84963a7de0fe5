# SPDX-License-Identifier: Apache-2.0
"""Steps 2 to 4 of the signing cycle: from an authenticated request to the command that the custodian judges.

    2  may the caller ask this, for this policy, environment and repository? unknown and forbidden answer alike
    3  verify evidence over its raw bytes: what came with the request and what the ledger holds about the subjects
    4  facts of the evidence; once trusted provenance names a commit, the stored evidence of that commit as well

Steps 0 and 1 are `signer.web.admission`; steps 5 to 9 are the custodian's. Nothing here decides anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from policy.document import Environment, Policy
from policy.facts import EvidenceFacts
from signer.custodian.commands import Check, Decide, Judge, Reply, Stale
from signer.domain.subject import Subject
from signer.errors import Unavailable
from signer.evidence.facts import requested_source_digests
from signer.web.admission import Caller, out_of_reach
from signer.web.application import Application
from signer.web.considered import Considered
from signer.web.documents import PolicyInForce
from signer.web.offer import Offered

ATTEMPTS = 3
"""How often evidence is verified again when the ledger moved on meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request asks of the judge."""

    action: str
    """The grant it needs: sign or check."""
    policy: str
    environment: str
    subjects: tuple[Subject, ...]
    evidence: tuple[Offered, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the custodian replied, and the policy under which it was asked."""

    reply: Reply
    policy: Policy


def ask_judge(
    application: Application,
    asked: Asked,
    *,
    caller: Caller,
    request_id: str,
    command: Callable[[Judge], Decide | Check],
) -> Judged:
    """Gather and ask, again while the custodian answers that the ledger moved on; raises Unavailable("stale")."""
    for _ in range(ATTEMPTS):
        with stage(application, "verify"):
            judge, policy = gather(application, asked, caller=caller, request_id=request_id)
        with stage(application, "custodian"):
            reply = application.custodian.ask(command(judge))
        if not isinstance(reply, Stale):
            return Judged(reply, policy)
    raise Unavailable(
        "stale", "the documents or the evidence in force changed while this was judged", remedy="send it again"
    )


def gather(application: Application, asked: Asked, *, caller: Caller, request_id: str) -> tuple[Judge, Policy]:
    """Steps 2 to 4 as a checklist; raises Malformed, Refused or Unavailable."""
    # 2 authorise
    in_force, environment = authorise(application, asked, caller=caller)
    # 3 verify what was offered, then what is stored about the subjects
    considered = Considered(application, in_force)
    for offered in asked.evidence:
        considered.offer(offered)
    considered.recall(f"sha256:{subject.sha256}" for subject in asked.subjects)
    # 4 facts; provenance that is trusted by now joins source evidence by its commit, and that joins more by its tree
    facts = considered.facts(asked.subjects)
    while considered.recall(requested_source_digests(facts)):
        facts = considered.facts(asked.subjects)
    # 2 again, now that trusted provenance tells the repository
    authorise_repositories(facts, asked, environment=environment, caller=caller)
    new = considered.new()
    application.quotas.take_evidence(
        caller.principal, caller.access.quota(caller.principal), sum(len(item.data) for item in new)
    )
    judge = Judge(
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
    return judge, in_force.policy


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
