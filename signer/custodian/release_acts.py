# SPDX-License-Identifier: Apache-2.0
"""What became of a release: recorded deployments, and releases taken back. Nothing here writes.

A deployment is recorded as it is told, whatever the policy says of it: a record that could be refused would be a
record of good deployments only. Findings compare it with the rest of the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from signer.custodian.administration import require_reason
from signer.custodian.commands import Judge
from signer.custodian.judged import read_principal, read_sha256
from signer.custodian.judging import out_of_reach
from signer.custodian.protocols import Reader
from signer.custodian.release_commands import GateReport, RecordDeployment, RevokeRelease
from signer.custodian.standing import Standing
from signer.domain.principal import Principal
from signer.domain.subject import Subject
from signer.errors import Malformed, Refused
from signer.formats.deployment import Deployment, Gate, require_deployment
from signer.formats.rfc3339 import format_time, parse_time
from signer.identity.grants import ANY
from signer.ledger import leaves
from signer.ledger.sequencer import Entry

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def entry(
    command: RecordDeployment | RevokeRelease, *, who: str, standing: Standing, reader: Reader, now: datetime
) -> Entry | int:
    """The leaf that says so, or the index of the one that says it already; raises Malformed or Refused.

    `who` is how the caller stands in leaves.
    """
    by = read_principal(command.principal)
    match command:
        case RecordDeployment():
            return _deployment(command, by=by, who=who, standing=standing, reader=reader, now=now)
        case RevokeRelease():
            return _revocation(command, by=by, who=who, standing=standing, reader=reader, now=now)


def require_unrevoked(judge: Judge, subjects: Iterable[Subject], *, standing: Standing) -> None:
    """Refuse to sign anew what verifiers were told to refuse; raises Refused("release-revoked")."""
    for row in standing.revoked:
        if row.covers(judge.policy, judge.environment) and any(each.sha256 == row.sha256 for each in subjects):
            raise Refused(
                "release-revoked",
                f"sha256:{row.sha256} was taken back at leaf {row.leaf}: {row.reason}",
                remedy="build a corrected artifact: what was taken back is never signed again",
            )


def _deployment(
    command: RecordDeployment, *, by: Principal, who: str, standing: Standing, reader: Reader, now: datetime
) -> Entry | int:
    policy, environment = _name(command.policy), _name(command.environment)
    access = standing.access
    if access is None or not access.allows(by, action="deploy", policy=policy, environment=environment):
        raise out_of_reach()
    told = Deployment(
        policy=policy,
        environment=environment,
        status=command.status,
        reference=command.reference,
        sha256=command.sha256,
        at=parse_time(command.at, what="at", code="invalid-deployment"),
        approval=command.approval,
        gate=None if command.gate is None else _gate(command.gate),
    )
    require_deployment(told)
    # A client that lost the answer tells the same again: it is the same deployment.
    held = reader.deployment(told.id)
    if held is not None:
        return held
    return Entry(
        leaves.DeploymentLeaf(
            time=format_time(now),
            id=told.id,
            policy=policy,
            environment=environment,
            status=told.status,
            reference=told.reference,
            digest=told.sha256,
            at=format_time(told.at),
            approval=told.approval,
            gate=None if told.gate is None else _gate_entry(told.gate),
            principal=who,
        )
    )


def _gate(report: GateReport) -> Gate:
    time = parse_time(report.time, what="time of the gate", code="invalid-deployment")
    return Gate(verifier=report.verifier, result=report.result, reason=report.reason, receipt=report.receipt, time=time)


def _gate_entry(gate: Gate) -> leaves.GateEntry:
    return leaves.GateEntry(
        verifier=gate.verifier,
        result=gate.result,
        reason=gate.reason,
        receipt=gate.receipt,
        time=format_time(gate.time),
    )


def _revocation(
    command: RevokeRelease, *, by: Principal, who: str, standing: Standing, reader: Reader, now: datetime
) -> Entry | int:
    policy, sha256 = _name(command.policy), read_sha256(command.sha256)
    environment = command.environment if command.environment == ANY else _name(command.environment)
    require_reason(command.reason)
    _require_reach(by, policy, environment, sha256, standing=standing, reader=reader)
    signed = {row.environment for row in reader.first_signed(policy, [sha256])}
    if not signed if environment == ANY else environment not in signed:
        raise Refused(
            "not-signed",
            f"nothing was signed for sha256:{sha256} under {policy} for {environment}",
            remedy="check digest, policy and environment: signer decision list --digest sha256:HEX",
        )
    for row in standing.revoked:
        if (row.sha256, row.policy) == (sha256, policy) and row.environment in (environment, ANY):
            return row.leaf
    return Entry(
        leaves.RevocationLeaf(
            time=format_time(now),
            digest=sha256,
            policy=policy,
            environment=environment,
            reason=command.reason,
            principal=who,
        )
    )


def _require_reach(
    by: Principal, policy: str, environment: str, sha256: str, *, standing: Standing, reader: Reader
) -> None:
    """Hold the grant to every repository from which this digest was judged to be built; only `*` reaches none."""
    access = standing.access
    repositories = reader.repositories(policy, sha256) or ("",)
    if access is None or not all(
        access.allows(by, action="revoke", policy=policy, environment=environment, repository=repository)
        for repository in repositories
    ):
        raise out_of_reach()


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise Malformed("malformed-frame", "a policy or an environment has no such name")
    return text
