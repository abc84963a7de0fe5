# SPDX-License-Identifier: Apache-2.0
"""Policies in shadow: judged after the answers, when nobody waits, over what the ledger holds already.

The ledger is the queue: a decision waits there until there is leisure, so nothing is lost by a crash and nothing grows
in memory. Each step judges one decision; a batch of results is one leaf. The live verdict was durable and answered
before, by another document, and no step begins while a request is in work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from policy.document import Policy, parse_policy
from policy.replay import Ending, Recorded, replay
from policy.schema import PolicyError
from signer.custodian.commands import Done
from signer.custodian.commit import Commit
from signer.custodian.protocols import Clock, Reader
from signer.custodian.records import Act
from signer.custodian.standing import Shadow, Standing
from signer.errors import Malformed, Misconfigured, Unavailable
from signer.formats.facts import decode_facts
from signer.formats.findings import decode_decision
from signer.formats.rfc3339 import format_time
from signer.formats.shadow_results import Flip, Outcome, ShadowResult, encode_results
from signer.ledger.documents import StoredDocument
from signer.ledger.leaves import PolicyRef, ShadowLeaf
from signer.ledger.rows import DecisionRow
from signer.ledger.sequencer import Entry
from signer.telemetry.logs import Log

BATCH = 64
"""Results of one leaf."""
LINGER_NS = 5_000_000_000
"""How long a result may wait for others."""


@dataclass(slots=True)
class _Watch:
    """How far one document in shadow has got."""

    after: int
    """The last decision leaf that was judged, or the activation."""
    rows: deque[DecisionRow] = field(default_factory=deque)
    results: list[ShadowResult] = field(default_factory=list)
    due: int = 0
    """When the results are written at the latest; CLOCK_MONOTONIC nanoseconds."""


class Shadowing:
    """Judges recorded decisions under the documents in shadow, one at a step."""

    def __init__(self, *, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._watches: dict[str, _Watch] = {}
        self._parsed: dict[str, Policy] = {}

    def rest(self, stand: Callable[[], Standing], *, commit: Commit, log: Log) -> bool:
        """Judge one decision, and write down what is due; whether there may be more."""
        try:
            standing = stand()
            act, more = self._step(standing)
        except Unavailable as fault:
            log.warning("shadow waits", code=fault.code)
            return False
        if act is not None:
            commit.add(act)
            commit.settle(is_halted=standing.halt is not None)
            if commit.uncertain:
                # Begin again after what the ledger holds.
                self._watches.clear()
        return more

    def _step(self, standing: Standing) -> tuple[Act | None, bool]:
        """The leaf that is due after judging one decision, and whether more waits; raises Unavailable."""
        self._watches = {
            shadow.policy.digest: self._watches.get(shadow.policy.digest) or self._begin(shadow)
            for shadow in standing.shadows.values()
        }
        for shadow in standing.shadows.values():
            watch = self._watches[shadow.policy.digest]
            if not watch.rows:
                watch.rows.extend(self._reader.decisions_after(shadow.policy.name, watch.after))
            if watch.rows:
                row = watch.rows.popleft()
                if not watch.results:
                    watch.due = self._clock.monotonic() + LINGER_NS
                watch.results.append(self._judge(shadow.policy, row, standing))
                watch.after = row.leaf
                return self._leaf(shadow, watch, full=BATCH), True
            if watch.results and self._clock.monotonic() >= watch.due:
                return self._leaf(shadow, watch, full=1), True
        return None, False

    def _begin(self, shadow: Shadow) -> _Watch:
        last = self._reader.last_shadowed(shadow.policy.digest)
        return _Watch(after=shadow.leaf if last is None else last)

    def _judge(self, draft: Policy, row: DecisionRow, standing: Standing) -> ShadowResult:
        try:
            replayed = replay(draft, self._recorded(row, standing))
        except (Malformed, Misconfigured, PolicyError):
            return ShadowResult(decision=row.leaf, outcome="not-replayable", flip="", rules={})
        outcome: Outcome = "deny"
        flip: Flip = ""
        rules: dict[str, str] = {}
        match replayed.ending:
            case Ending.MISSING:
                outcome = "not-replayable"
            case Ending.ALLOWED:
                outcome = flip = "allow"
                rules = dict.fromkeys(replayed.rules, "pass")
            case Ending.DENIED:
                flip = "deny"
                rules = {finding.rule: finding.outcome.value for finding in replayed.findings}
            case Ending.REASONS | Ending.SAME:
                outcome = "allow" if row.verdict == "allow" else "deny"
        return ShadowResult(decision=row.leaf, outcome=outcome, flip=flip, rules=rules)

    def _recorded(self, row: DecisionRow, standing: Standing) -> Recorded:
        found = self._reader.contents([row.facts, row.findings])
        return Recorded(
            leaf=row.leaf,
            request_id=row.request_id,
            time=row.time,
            principal=row.principal,
            version=row.policy.version,
            decision=decode_decision(found[row.findings]),
            facts=decode_facts(found[row.facts]),
            trust=self._policy(row.policy, standing).trust,
        )

    def _policy(self, wanted: PolicyRef, standing: Standing) -> Policy:
        live = standing.policies.get(wanted.name)
        if live is not None and live.digest == wanted.digest:
            return live
        if wanted.digest not in self._parsed:
            self._parsed = {wanted.digest: parse_policy(self._reader.contents([wanted.digest])[wanted.digest])}
        return self._parsed[wanted.digest]

    def _leaf(self, shadow: Shadow, watch: _Watch, *, full: int) -> Act | None:
        if len(watch.results) < full:
            return None
        results, watch.results = watch.results, []
        document = StoredDocument.of(encode_results(results))
        policy = shadow.policy
        leaf = ShadowLeaf(
            time=format_time(self._clock.now()),
            policy=PolicyRef(name=policy.name, version=policy.version, digest=policy.digest),
            last=results[-1].decision,
            count=len(results),
            results=document.digest,
        )
        entry = Entry(leaf, (document,))
        return Act(ticket=None, entries=(entry,), reply=_nobody_asked, stands=False)


def _nobody_asked(leaf: int) -> Done:
    return Done(leaf=leaf)
