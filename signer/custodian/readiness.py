# SPDX-License-Identifier: Apache-2.0
"""Readiness as the custodian sees it: a sentence with its remedy for each thing that is missing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from signer.custodian.commands import StatusReport
from signer.custodian.signing import Signing
from signer.custodian.standing import Standing


def report(
    standing: Standing, *, tree_size: int, keys: Collection[str], signing: Signing, now: datetime
) -> StatusReport:
    """What works and what does not, with `keys` the names of all configured keys."""
    # A key that no policy in force names may wait for its record.
    needed = {each.key for policy in standing.policies.values() for each in policy.environments.values()}
    problems = [f"key {name}: a policy names it and the settings do not" for name in sorted(needed - set(keys))]
    usable: list[tuple[str, bool]] = []
    for name in keys:
        problem = signing.problem(name, standing=standing, now=now)
        usable.append((name, not problem))
        if problem and name in needed:
            problems.append(f"key {name}: {problem}")
    if standing.access is None or not standing.policies:
        problems.append("no policy or no access document is in force: activate both with `signer policy activate`")
    if standing.halt is not None:
        problems.append(
            f"signing is halted since leaf {standing.halt.leaf} ({standing.halt.reason}): `signer resume` ends it"
        )
    return StatusReport(
        ready=not problems,
        halted=standing.halt is not None,
        tree_size=tree_size,
        origin=standing.genesis.origin,
        problems=tuple(problems),
        keys=tuple(usable),
    )


def unreadable(detail: str) -> StatusReport:
    """The report while the ledger cannot be read."""
    return StatusReport(ready=False, halted=False, tree_size=0, origin="", problems=(detail,), keys=())
