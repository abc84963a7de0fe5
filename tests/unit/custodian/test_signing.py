# SPDX-License-Identifier: Apache-2.0
"""Several outputs under one ALLOW leaf: all or nothing, and the outcome leaf says what became of each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.outputs import Output
from signer.custodian.judged import index_keys, read_subjects
from signer.custodian.judging import Judging, Question
from signer.custodian.payloads import Identity
from signer.custodian.records import Claim, Ended, Judged, Means, Stamping
from signer.custodian.signing import Signing
from signer.custodian.standing import load_standing
from signer.custodian.token_events import JobEnded, Stamped
from signer.domain.subject import Subject
from signer.formats.bundle import parse_bundle, parse_message_bundle
from signer.keys.keyring import keyring_of
from signer.ledger.leaves import Outcome, decode_leaf, encode_leaf
from tests.authority import ORIGIN
from tests.unit.custodian.world import KEY_URI, NOW, World

IMAGE = Subject.of("registry.example.com/shop/api", {"sha256": "9c" * 32})


class Bench:
    """One allowed decision of an environment with two formats, straight at the keys."""

    def __init__(self, *, formats: tuple[str, ...] = ("vsa", "artifact"), stamping: Stamping | None = None) -> None:
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
        judge = self.world.decide(IMAGE).judge
        subjects = read_subjects(judge.subjects)
        question = judging.question(
            judge, subjects=subjects, keys=index_keys(judge, subjects), standing=standing, action="sign"
        )
        assert isinstance(question, Question)
        verdict, entry = judging.verdict(question, idempotency=None)
        environment = verdict.policy.environments["release"]
        (key,) = self.signing.keys_for(environment, subjects=1, standing=standing, now=NOW).values()
        environment = replace(environment, outputs=tuple(Output(name, "release") for name in formats))
        self.judged = Judged(
            claim=Claim([1], judge.request_id),
            verdict=replace(verdict, policy=replace(verdict.policy, environments={"release": environment})),
            means=Means(keys=dict.fromkeys(formats, key), stamping=stamping),
            begin_by=0,
            entries=(entry,),
        )

    def outcome(self, *statuses: str) -> Ended:
        """Begin, end the key calls like this, and take the outcome."""
        self.signing.begin(self.judged, index=7, halted=False)
        return self.outcome_of_what_began(*statuses)

    def outcome_of_what_began(self, *statuses: str) -> Ended:
        for status in statuses or ["signed"] * len(self.world.tokens.jobs):
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
    statement, artifact = (document.data for document in ended.entries[0].documents)
    parse_bundle(statement)
    parse_message_bundle(artifact)


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


def test_the_payload_about_an_image_is_built_from_the_judged_subject_and_kept_beside_its_bundle() -> None:
    bench = Bench(formats=("vsa", "cosign", "artifact"))
    ended = bench.outcome("signed", "signed", "signed")
    (entry,) = (each for each in leaf_of(ended).signatures if each.format == "cosign")
    documents = {document.digest: document.data for document in ended.entries[0].documents}
    request = bench.judged.claim.request_id
    assert documents[entry.payload] == (
        b'{"critical":{"identity":{"docker-reference":"registry.example.com/shop/api"},'
        b'"image":{"docker-manifest-digest":"sha256:%b"},"type":"cosign container image signature"},'
        b'"optional":{"authority":"test.invalid/authority","environment":"release","policy":"demo","request":"%b"}}'
    ) % (IMAGE.sha256.encode(), request.encode())
    assert entry.bundle is not None
    bundle = parse_message_bundle(documents[entry.bundle])
    assert bundle.sha256 is not None
    assert bundle.sha256.hex() == entry.payload


def test_a_key_is_given_no_digest_but_those_of_payloads_and_of_the_requested_artifact() -> None:
    bench = Bench(formats=("vsa", "cosign", "artifact"))
    bench.signing.begin(bench.judged, index=7, halted=False)
    statement, image, artifact = (job.data for job in bench.world.tokens.jobs)
    ended = bench.outcome_of_what_began()
    entries = {entry.format: entry for entry in leaf_of(ended).signatures}
    assert image.hex() == entries["cosign"].payload
    assert artifact.hex() == entries["artifact"].payload == IMAGE.sha256
    assert statement.hex() not in (IMAGE.sha256, entries["vsa"].payload), "of a statement the PAE is signed"


CHAINS = ((b"a chain",),)


def stamped(bench: Bench, *responses: bytes) -> None:
    """End the questions for timestamps with these answers; empty ones are none."""
    for job, response in zip(bench.world.tokens.stamps, responses, strict=True):
        bench.signing.hear(Stamped(ticket=job.ticket, response=response, detail="" if response else "no answer"))


def test_timestamps_come_after_every_signature_and_before_the_outcome() -> None:
    bench = Bench(stamping=Stamping(required=True, chains=CHAINS))
    bench.signing.begin(bench.judged, index=7, halted=False)
    first, second = bench.world.tokens.end()
    assert isinstance(first, JobEnded)
    assert isinstance(second, JobEnded)
    bench.signing.hear(first)
    assert bench.world.tokens.stamps == []
    bench.signing.hear(second)
    assert [job.signature for job in bench.world.tokens.stamps] == [first.signature, second.signature]
    assert {job.chains for job in bench.world.tokens.stamps} == {CHAINS}
    assert not bench.signing.landed
    stamped(bench, b"one", b"two")
    (ended,) = bench.signing.take_outcomes(standing=None, time=NOW)
    assert [entry.timestamp for entry in leaf_of(ended).signatures] == ["granted", "granted"]
    statement, artifact = (document.data for document in ended.entries[0].documents)
    assert (parse_bundle(statement).timestamps, parse_message_bundle(artifact).timestamps) == ((b"one",), (b"two",))


@pytest.mark.parametrize(
    ("required", "status", "reason", "marks"),
    [
        pytest.param(True, "failed", "timestamp", ["granted", "failed"], id="required: nothing leaves"),
        pytest.param(False, "signed", "", ["granted", "failed"], id="best effort: the leaf says what is missing"),
    ],
)
def test_one_timestamp_is_missing(required: bool, status: str, reason: str, marks: list[str]) -> None:
    bench = Bench(stamping=Stamping(required=required, chains=CHAINS))
    bench.signing.begin(bench.judged, index=7, halted=False)
    for event in bench.world.tokens.end():
        assert isinstance(event, JobEnded)
        bench.signing.hear(event)
    stamped(bench, b"one", b"")
    (ended,) = bench.signing.take_outcomes(standing=None, time=NOW)
    leaf = leaf_of(ended)
    assert (leaf.status, leaf.reason, [entry.timestamp for entry in leaf.signatures]) == (status, reason, marks)
    assert [entry.bundle is None for entry in leaf.signatures] == [required, required]


def test_no_timestamp_is_taken_over_a_signature_that_will_not_leave() -> None:
    bench = Bench(stamping=Stamping(required=True, chains=CHAINS))
    ended = bench.outcome("signed", "failed")
    assert bench.world.tokens.stamps == []
    assert [entry.timestamp for entry in leaf_of(ended).signatures] == ["", ""]


def test_a_best_effort_that_cannot_be_made_is_said() -> None:
    ended = Bench(stamping=Stamping(required=False, chains=())).outcome("signed", "signed")
    assert [entry.timestamp for entry in leaf_of(ended).signatures] == ["failed", "failed"]


def test_a_leaf_without_timestamps_is_what_it_was_before_there_were_any() -> None:
    body = encode_leaf(leaf_of(Bench().outcome("signed", "signed")))
    assert b"timestamp" not in body
    read = decode_leaf(body)
    assert isinstance(read, Outcome)
    assert [entry.timestamp for entry in read.signatures] == ["", ""]
