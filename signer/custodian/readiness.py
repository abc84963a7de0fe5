# SPDX-License-Identifier: Apache-2.0
"""Readiness as the custodian sees it: a sentence with its remedy for each thing that is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from signer.custodian.commands import StatusReport
from signer.custodian.probing import Probing
from signer.custodian.protocols import Reader
from signer.custodian.signing import Signing
from signer.custodian.standing import Standing
from signer.errors import Unavailable


def report(
    stand: Callable[[], Standing],
    *,
    reader: Reader,
    keys: Collection[str],
    signing: Signing,
    probing: Probing,
    now: datetime,
) -> StatusReport:
    """What works and what does not, with `keys` the names of all configured keys; `stand` reads what is in force."""
    try:
        standing, size = stand(), reader.head().size
    except Unavailable as fault:
        return StatusReport(ready=False, halted=False, tree_size=0, origin="", problems=(fault.detail,), keys=())
    return _report(standing, tree_size=size, keys=keys, signing=signing, probing=probing, now=now)


def _report(
    standing: Standing, *, tree_size: int, keys: Collection[str], signing: Signing, probing: Probing, now: datetime
) -> StatusReport:
    # A key that no policy in force names may wait for its record or for its rotation.
    problems = []
    needed = set()
    for role in sorted(standing.roles):
        try:
            name = standing.key_name(role) if role in standing.lives else role
        except Unavailable as fault:
            problems.append(f"key {role}: {fault.detail}: {fault.remedy}")
            continue
        needed.add(name)
        if name not in keys:
            problems.append(f"key {name}: a policy needs it and the settings do not name it")
    usable: list[tuple[str, bool]] = []
    for name in keys:
        problem = signing.problem(name, standing=standing, device=probing.trouble, now=now)
        usable.append((name, not problem))
        if problem and name in needed:
            problems.append(f"key {name}: {problem}")
    problems += signing.timestamp_problems(standing=standing, now=now)
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
        proofs=tuple(probing.proofs(standing)),
    )
