# SPDX-License-Identifier: Apache-2.0
"""Several outputs under one ALLOW leaf: all or nothing, and the outcome leaf says what became of each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from signer.custodian.judged import index_keys, read_subjects
from signer.custodian.judging import Judging, Question
from signer.custodian.payloads import Identity
from signer.custodian.records import Claim, Ended, Judged
from signer.custodian.signing import Signing
from signer.custodian.standing import load_standing
from signer.custodian.token_events import JobEnded
from signer.formats.bundle import parse_bundle
from signer.keys.keyring import keyring_of
from signer.ledger.leaves import Outcome
from tests.authority import ORIGIN
from tests.unit.custodian.world import KEY_URI, NOW, World


class Bench:
    """One allowed decision of an environment with two formats, straight at the keys."""

    def __init__(self, *, formats: tuple[str, ...] = ("vsa", "vsa")) -> None:
        self.world = World()
        keyring = keyring_of([("release", KEY_URI, "statement", "ecdsa-p256-sha256")])
        self.signing = Signing(
            identity=Identity(origin=ORIGIN, dev=True, version="0"),
            keyring=keyring,
            tokens=self.world.tokens,
            limits={},
            uses=self.world.ledger.key_use,
        )
        standing = load_standing(self.world.ledger, previous=None)
        judging = Judging(reader=self.world.ledger, persons=self.world.persons, clock=self.world.clock)
        judge = self.world.decide().judge
        subjects = read_subjects(judge.subjects)
        question = judging.question(
            judge, subjects=subjects, keys=index_keys(judge, subjects), standing=standing, action="sign"
        )
        assert isinstance(question, Question)
        verdict, entry = judging.verdict(question, idempotency=None)
        environment = replace(verdict.policy.environments["release"], formats=formats)
        policy = replace(verdict.policy, environments={"release": environment})
        known = replace(environment, formats=("vsa",) * len(formats))
        self.judged = Judged(
            claim=Claim([1], judge.request_id),
            verdict=replace(verdict, policy=policy),
            keys=self.signing.keys_for(known, standing=standing, now=NOW),
            begin_by=0,
            entries=(entry,),
        )

    def outcome(self, *statuses: str) -> Ended:
        """Begin, end the key calls like this, and take the outcome."""
        self.signing.begin(self.judged, index=7, halted=False)
        for status in statuses:
            (event,) = self.world.tokens.end(status, reason="" if status == "signed" else f"was-{status}", only=1)
            assert isinstance(event, JobEnded)
            self.signing.hear(event)
        (ended,) = self.signing.take_outcomes(standing=None, time=NOW)
        return ended


def leaf_of(ended: Ended) -> Outcome:
    leaf = ended.entries[0].leaf
    assert isinstance(leaf, Outcome)
    return leaf


def test_all_signed_releases_all() -> None:
    ended = Bench().outcome("signed", "signed")
    leaf = leaf_of(ended)
    assert (leaf.status, leaf.reason, leaf.decision) == ("signed", "", 7)
    assert [entry.bundle for entry in leaf.signatures] == [document.digest for document in ended.entries[0].documents]
    for document in ended.entries[0].documents:
        parse_bundle(document.data)


@pytest.mark.parametrize(
    ("statuses", "status", "reason"),
    [
        pytest.param(("signed", "failed"), "failed", "was-failed", id="one failed"),
        pytest.param(("failed", "signed"), "failed", "was-failed", id="the first failed"),
        pytest.param(("failed", "unknown"), "unknown", "was-unknown", id="unknown outweighs failed"),
        pytest.param(("unknown", "signed"), "unknown", "was-unknown", id="unknown outweighs signed"),
    ],
)
def test_anything_else_releases_nothing(statuses: tuple[str, ...], status: str, reason: str) -> None:
    ended = Bench().outcome(*statuses)
    leaf = leaf_of(ended)
    assert (leaf.status, leaf.reason) == (status, reason)
    assert [entry.result for entry in leaf.signatures] == list(statuses)
    assert [entry.bundle for entry in leaf.signatures] == [None, None]
    assert ended.entries[0].documents == ()


def test_no_outcome_before_every_key_call_ended() -> None:
    bench = Bench()
    bench.signing.begin(bench.judged, index=7, halted=False)
    for event in bench.world.tokens.end(only=1):
        assert isinstance(event, JobEnded)
        bench.signing.hear(event)
    assert bench.signing.take_outcomes(standing=None, time=NOW) == []
    assert not bench.signing.landed


def test_a_halt_between_the_leaf_and_the_key_calls_none() -> None:
    bench = Bench()
    bench.signing.begin(bench.judged, index=7, halted=True)
    assert bench.world.tokens.jobs == []
    (ended,) = bench.signing.take_outcomes(standing=None, time=NOW)
    assert (leaf_of(ended).status, leaf_of(ended).reason, leaf_of(ended).signatures) == ("failed", "halted", ())


def test_a_format_that_cannot_be_built_is_a_failed_outcome_and_calls_no_key() -> None:
    bench = Bench(formats=("vsa", "unheard-of"))
    bench.signing.begin(bench.judged, index=7, halted=False)
    assert bench.world.tokens.jobs == []
    (ended,) = bench.signing.take_outcomes(standing=None, time=NOW)
    assert (ended.status, ended.reason) == ("failed", "payload")


def test_a_dev_authority_says_so_in_what_it_signs() -> None:
    ended = Bench(formats=("vsa",)).outcome("signed")
    payload = parse_bundle(ended.entries[0].documents[0].data).envelope.payload
    assert b"DEV_UNTRUSTED" in payload
    assert b'"urn:signing-authority:dev":true' in payload
