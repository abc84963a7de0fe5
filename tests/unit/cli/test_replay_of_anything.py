# SPDX-License-Identifier: Apache-2.0
"""Whatever was judged is judged the same from what an export holds: policy bytes, facts and the instant (I3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings, strategies as st

from policy.document import parse_policy
from policy.engine import evaluate
from policy.facts import Item
from policy.ledger_facts import Waiver
from policy.replay import Ending
from signer.cli.policy_replay import replayed
from signer.cli.records import Wanted, decisions_of
from signer.formats.facts import decode_facts, encode_facts
from signer.formats.findings import decode_decision, encode_findings
from signer.formats.replay_record import DecisionRecord, PolicyRecord, RecordedPolicy, encode_decision, encode_policy
from tests.policy.factory import NOW, facts
from tests.policy.releases import SUBJECTS, in_use, releases, written
from tests.policy.test_waiver import WAIVERS

EVERYTHING = Wanted(policy="demo", environment=None, since=None, until=None)
instants = st.integers(-(10**13), 10**13).map(lambda ticks: NOW + timedelta(microseconds=ticks))


@given(in_use, releases, WAIVERS, st.just(NOW) | instants)
@settings(max_examples=150)
def test_an_exported_decision_is_judged_as_it_was(
    drawn: tuple[list[str], set[str]], release: tuple[Item, ...], waivers: tuple[Waiver, ...], at: datetime
) -> None:
    data = written(*drawn)
    policy, known = parse_policy(data), facts(*release, subjects=SUBJECTS)
    known = replace(known, ledger=replace(known.ledger, waivers=waivers, policy_digest=policy.digest))
    decision = evaluate(policy, known, now=at)
    lines = [
        encode_policy(PolicyRecord(digest=policy.digest, data=data)),
        encode_decision(
            DecisionRecord(
                leaf=7,
                request_id="0f" * 16,
                time=at,
                principal="robot:ci",
                policy=RecordedPolicy(policy.name, policy.version, policy.digest),
                environment="release",
                verdict=decision.verdict.value,
                facts=encode_facts(known),
                findings=encode_findings(decision),
            )
        ),
    ]

    ((record, exported),) = decisions_of(iter(lines), EVERYTHING)
    again = evaluate(parse_policy(exported), decode_facts(record.facts), now=record.time)
    assert again == decision
    assert encode_findings(again) == record.findings
    assert decode_decision(record.findings) == decision
    (found,) = replayed(parse_policy(exported), decisions_of(iter(lines), EVERYTHING), now=None)
    assert found.ending is Ending.SAME
